//! A simulated world: installations of the product over a Google in process, driven step by step by the tape.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use chrono::{NaiveTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::{
    google::{Gate, Person, Place, Scene, Truth},
    people,
    tape::Tape,
};
use crate::{
    controller::{
        App, Stop,
        accounts::Gates,
        intent::{self, Word},
        queue::Scope,
        tick::{Calm, Extent, Mode, Tick, TickError, tick_within},
    },
    emulator::{
        Core,
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        settings::Settings,
        state::{self, Account},
        with,
    },
    google::{Endpoints, client::Client, oauth::OAuth},
    model::{
        calendar::{Role, Standing},
        clock::Clock,
        event::Slot,
        flow::CustomFlow,
        id::{CalendarId, EventId, UserId},
        item::Face,
        plan::Outcome,
        secret::Secret,
        snapshot::Policy,
        tokens::Tokens,
    },
    planner::approval,
    store::{Manner, Store, StoreError, people::NewUser, tokens::AccountKind},
    vault::Vault,
};

/// One process with its database.
struct Instance {
    app: App,
    gate: Gate,
    file: PathBuf,
    calm: BTreeMap<usize, Calm>,
}

/// What the world is made of.
pub struct World {
    pub scene: Scene,
    clock: Clock,
    instances: Vec<Instance>,
    dir: TempDir,
    files: u32,
    salt: String,
    made: u32,
    /// Copies of databases, to be put back.
    backups: Vec<PathBuf>,
    pub ticks: u64,
}

/// A fast place for databases that nobody needs afterwards.
fn temporary() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    if memory.is_dir() { builder.tempdir_in(memory).or_else(|_| tempfile::tempdir()) } else { tempfile::tempdir() }
}

type Broken = Result<(), String>;

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl World {
    /// A world as the tape wants it; nothing happens yet. Texts and ids of people carry the salt. `template` is a database of this
    /// schema without rows.
    pub async fn new(tape: Tape, salt: &str, template: &Path) -> Result<World, String> {
        let tape = Arc::new(Mutex::new(tape));
        let start = "2026-03-01T08:00:00Z".parse::<chrono::DateTime<Utc>>().map_err(said)?;
        let clock = Clock::manual(start);
        let (settings, mut truth) = {
            let mut tape = tape.lock().map_err(said)?;
            let settings = if tape.pick(4) == 3 { Settings::chaos() } else { Settings::default() };
            let mut truth = Truth::default();
            for rate in &mut truth.rates {
                *rate = tape.of_these(&[0, 0, 10, 30, 60]);
            }
            (settings, truth)
        };
        let mut core = Core::new(state::World::new(settings, clock.clone()));
        {
            let mut tape = tape.lock().map_err(said)?;
            let shared = tape.pick(4) == 3;
            for n in 0..=tape.pick(3) {
                let email = format!("u{n}@home.example");
                let mut places = vec![(email.clone(), email.clone(), Role::Main)];
                for client in 0..=tape.pick(3) {
                    let id = format!("u{n}@c{client}{salt}.example");
                    places.push((id.clone(), id, Role::Client));
                }
                if tape.pick(2) == 1 {
                    let id = format!("u{n}@own{salt}.example");
                    places.push((id.clone(), id, Role::Personal));
                }
                if shared && n < 2 {
                    places.push(("team@both.example".into(), format!("u{n}@c0{salt}.example"), Role::Client));
                }
                for (id, account, _) in &places {
                    for address in [id, account] {
                        if !core.world.accounts.contains_key(address.as_str()) {
                            let account = Account {
                                email: address.clone(),
                                name: address.clone(),
                                sub: format!("subject of {address}"),
                                hosted_domain: None,
                            };
                            core.world.add_account(account, "Europe/Vienna");
                        }
                    }
                    if let Some(calendar) = core.world.calendars.get_mut(id) {
                        calendar.acl.entry(account.clone()).or_insert(state::Role::Writer);
                    }
                }
                let places = places.into_iter().map(|(id, account, role)| Place { id, account, role, wanted: true });
                let subject = format!("subject of {email}");
                truth.people.push(Person { email, subject, places: places.collect(), paused: false });
            }
        }
        let vault = Arc::new(Vault::from_keys([7; 32], [8; 32]));
        let truth = Arc::new(Mutex::new(truth));
        let scene = Scene { core: Arc::new(Mutex::new(core)), tape, truth, vault, read: Arc::default() };
        let dir = temporary().map_err(said)?;
        let mut world = World {
            scene,
            clock,
            instances: Vec::new(),
            dir,
            files: 0,
            salt: salt.into(),
            made: 0,
            backups: Vec::new(),
            ticks: 0,
        };
        let file = world.fresh(template)?;
        world.start(file).await?;
        world.settle_wishes().await?;
        Ok(world)
    }

    /// A new database file.
    fn fresh(&mut self, template: &Path) -> Result<PathBuf, String> {
        self.files += 1;
        let file = self.dir.path().join(format!("{}.db", self.files));
        std::fs::copy(template, &file).map_err(said)?;
        Ok(file)
    }

    /// Starts one more process on a database.
    async fn start(&mut self, file: PathBuf) -> Broken {
        let gate = Gate::default();
        let instance = self.app(&file, &gate).await?;
        self.instances.push(Instance { app: instance, gate, file, calm: BTreeMap::new() });
        Ok(())
    }

    async fn app(&self, file: &Path, gate: &Gate) -> Result<App, String> {
        let own = gate.clone();
        let manner = Manner { fleeting: true, gate: Some(Arc::new(move || own.pass())) };
        let vault = self.scene.vault.clone();
        let store = Store::open_so(file, vault.clone(), self.clock.clone(), manner).await.map_err(said)?;
        let origin: url::Url = "http://127.0.0.1:1".parse().map_err(said)?;
        let api = "http://127.0.0.1:1/calendar/v3".parse().map_err(said)?;
        let endpoints = Endpoints::new(origin, api).map_err(said)?;
        let near = self.scene.near(gate);
        let app = App {
            store,
            google: Client::near(endpoints.clone(), self.clock.clone(), near.clone()),
            oauth: OAuth::near(endpoints, self.clock.clone(), near),
            vault,
            clock: self.clock.clone(),
            policy: Policy::default(),
            progress: Arc::new(|_, _| {}),
            stop: Stop::default(),
            gates: Gates::default(),
        };
        if app.store.organization().await.map_err(said)?.is_none() {
            let secret = Secret::new(DEMO_SECRET.to_owned());
            app.store.set_organization("home.example", DEMO_CLIENT, &secret).await.map_err(said)?;
        }
        Ok(app)
    }

    fn person(&self, n: usize) -> Person {
        self.scene.truth().people[n].clone()
    }

    fn n_people(&self) -> usize {
        self.scene.truth().people.len()
    }

    /// Makes every database want what its people want.
    pub async fn settle_wishes(&mut self) -> Broken {
        for instance in &self.instances {
            for n in 0..self.n_people() {
                let person = self.person(n);
                self.settle_person(&instance.app, &person).await.map_err(said)?;
                self.settle_flows(&instance.app, n).await?;
            }
        }
        for instance in &mut self.instances {
            instance.calm.clear();
        }
        Ok(())
    }

    async fn settle_flows(&self, app: &App, n: usize) -> Broken {
        let flows: Vec<(String, String, bool)> = {
            let truth = self.scene.truth();
            let own = truth.was_off.iter().filter(|(person, ..)| *person == n);
            own.map(|flow| (flow.1.clone(), flow.2.clone(), truth.off.contains(flow))).collect()
        };
        for (source, target, off) in flows {
            let user = self.enrolled(app, &self.person(n)).await.map_err(said)?;
            let (source, target) = (CalendarId::from(source), CalendarId::from(target));
            if off {
                let flow = CustomFlow { face: None, ..CustomFlow::usual(&source, &target, Face::Busy) };
                app.store.set_flow(user, &flow).await.map_err(said)?;
            } else {
                app.store.drop_flow(user, &source, &target).await.map_err(said)?;
            }
        }
        Ok(())
    }

    async fn settle_person(&self, app: &App, person: &Person) -> Result<(), StoreError> {
        let user = self.enrolled(app, person).await?;
        let rows = app.store.calendars_of(user).await?;
        for place in person.places.iter().filter(|place| !place.wanted) {
            let row = rows.iter().find(|row| row.id.as_str() == place.id && row.standing == Standing::Connected);
            if let Some(row) = row {
                app.store.leave_calendar(user, row.number).await?;
            }
        }
        for place in person.places.iter().filter(|place| place.wanted) {
            let row = rows.iter().find(|row| row.id.as_str() == place.id);
            let ended = match row {
                Some(row) => app.store.account(row.token).await?.is_none_or(|account| account.ended.is_some()),
                None => true,
            };
            if ended || row.is_none_or(|row| row.standing != Standing::Connected) {
                let kind = match place.role {
                    Role::Main => AccountKind::Home,
                    Role::Client => AccountKind::Client,
                    Role::Personal => AccountKind::Personal,
                };
                let tokens = self.consent(place);
                let token = app.store.put_token(user, kind, &place.account, &tokens).await?;
                let id = CalendarId::from(place.id.as_str());
                app.store.connect_calendar(user, token, &id, place.role.word(), place.role, "Europe/Vienna").await?;
            }
        }
        let stored = app.store.user(user).await?;
        if stored.is_some_and(|stored| stored.paused != person.paused) {
            app.store.pause_user(user, person.paused).await?;
        }
        Ok(())
    }

    fn consent(&self, place: &Place) -> Tokens {
        const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
        const READ: &str = "https://www.googleapis.com/auth/calendar.events.readonly";
        let scope = if place.role == Role::Personal { READ } else { EVENTS };
        let (access, refresh) = with(&self.scene.core, |core| {
            let Core { world, oauth, .. } = core;
            oauth.consents(world, &place.account, DEMO_CLIENT, &[scope])
        });
        let expires = self.clock.now() + TimeDelta::seconds(3599);
        Tokens { access: Secret::new(access), refresh: Secret::new(refresh), expires, scopes: scope.into() }
    }

    async fn enrolled(&self, app: &App, person: &Person) -> Result<UserId, StoreError> {
        if let Some(user) = app.store.user_by_email(&person.email).await? {
            return Ok(user.id);
        }
        let Person { email, subject, .. } = person.clone();
        app.store.add_user(NewUser { email: email.clone(), subject, name: email, admin: false }).await
    }

    /// Lives through so many ticks, and then through quiet days; what is wrong is in the truth.
    pub async fn live(&mut self, ticks: u32, template: &Path) -> Broken {
        let second = self.scene.tape().pick(8);
        if second >= 6 {
            let file = if second == 7 { self.fresh(template)? } else { self.instances[0].file.clone() };
            self.scene.truth().apart = second == 7;
            self.start(file).await?;
            self.settle_wishes().await?;
        }
        self.scene.truth().stormy = true;
        for _ in 0..ticks {
            self.meanwhile(template).await?;
            self.round().await?;
            if !self.scene.truth().violations.is_empty() {
                return Ok(());
            }
        }
        self.rest().await
    }

    /// What happens between two ticks.
    async fn meanwhile(&mut self, template: &Path) -> Broken {
        // Three moments are as good for stale answers as each, and cost a third.
        if self.ticks.is_multiple_of(3) {
            self.scene.keep_past();
        }
        let (acts, hours, event) = {
            let mut tape = self.scene.tape();
            (tape.pick(3), tape.pick(40), tape.pick(124))
        };
        for _ in 0..acts {
            self.made += 1;
            people::act(&self.scene, self.made, &self.salt);
        }
        self.clock.advance(match hours {
            37 => TimeDelta::hours(-1),
            38 => TimeDelta::hours(3),
            39 => TimeDelta::hours(26),
            _ => TimeDelta::minutes(5),
        });
        match event {
            100..=102 => {
                let at = self.scene.tape().pick(u32::try_from(self.instances.len()).unwrap_or(1)) as usize;
                let file = self.fresh(template)?;
                self.scene.note("the database is lost");
                self.replace(at, file).await?;
            }
            103..=105 => {
                self.files += 1;
                let copy = self.dir.path().join(format!("copy-{}.db", self.files));
                self.instances[0].app.store.back_up(&copy).await.map_err(said)?;
                self.backups.push(copy);
            }
            106..=108 if !self.backups.is_empty() => {
                let n = self.scene.tape().pick(u32::try_from(self.backups.len()).unwrap_or(1)) as usize;
                self.files += 1;
                let file = self.dir.path().join(format!("{}.db", self.files));
                std::fs::copy(&self.backups[n], &file).map_err(said)?;
                let store = Store::open_so(
                    &file,
                    self.scene.vault.clone(),
                    self.clock.clone(),
                    Manner { fleeting: true, gate: None },
                )
                .await;
                let store = store.map_err(said)?;
                store.expect_absences().await.map_err(said)?;
                store.close().await;
                self.scene.note("an old copy of the database is put back");
                self.replace(0, file).await?;
            }
            109..=111 => {
                // A calendar is left, or comes back.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                {
                    let mut truth = self.scene.truth();
                    let places = &mut truth.people[n].places;
                    let at = 1 + self.scene.tape().pick(u32::try_from(places.len() - 1).unwrap_or(1)) as usize;
                    if let Some(place) = places.get_mut(at) {
                        place.wanted = !place.wanted;
                        let text = format!("person wants {}: {}", place.id, place.wanted);
                        drop(truth);
                        self.scene.note(&text);
                    }
                }
                self.settle_wishes().await?;
            }
            112..=114 => {
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let paused = {
                    let mut truth = self.scene.truth();
                    truth.people[n].paused = !truth.people[n].paused;
                    truth.people[n].paused
                };
                self.scene.note(&format!("person {n} paused: {paused}"));
                self.settle_wishes().await?;
            }
            115..=117 => {
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let places = self.person(n).places;
                let at = self.scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize;
                with(&self.scene.core, |core| core.oauth.revoke_account(&places[at].account));
                self.scene.note(&format!("{} takes its consent back", places[at].account));
            }
            118 => self.settle_wishes().await?,
            119 => {
                let ids: Vec<String> = with(&self.scene.core, |core| core.world.calendars.keys().cloned().collect());
                let at = self.scene.tape().pick(u32::try_from(ids.len()).unwrap_or(1)) as usize;
                with(&self.scene.core, |core| {
                    if let Some(calendar) = core.world.calendars.get_mut(&ids[at]) {
                        calendar.epoch += 1;
                    }
                });
                self.scene.note(&format!("the sync tokens of {} die", ids[at]));
            }
            120..=123 => {
                // What flows as usual from one calendar to another is switched off, or on again.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let places = self.person(n).places;
                let one = || {
                    let at = self.scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize;
                    places[at].clone()
                };
                let (source, target) = (one(), one());
                if source.id != target.id && source.role != Role::Main && target.role != Role::Personal {
                    let flow = (n, source.id, target.id);
                    let text = format!("person {n} switches {} → {}", flow.1, flow.2);
                    {
                        let mut truth = self.scene.truth();
                        truth.was_off.insert(flow.clone());
                        if !truth.off.remove(&flow) {
                            truth.off.insert(flow);
                        }
                    }
                    self.scene.note(&text);
                    self.settle_wishes().await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts another database in the place of one; whoever shares the old one shares the new one.
    async fn replace(&mut self, at: usize, file: PathBuf) -> Broken {
        let old = self.instances[at].file.clone();
        for n in 0..self.instances.len() {
            if self.instances[n].file == old {
                let gate = Gate::default();
                let app = self.app(&file, &gate).await?;
                let before = std::mem::replace(
                    &mut self.instances[n],
                    Instance { app, gate, file: file.clone(), calm: BTreeMap::new() },
                );
                before.app.store.close().await;
            }
        }
        self.settle_wishes().await
    }

    /// One tick, or two at the same time, with what comes in between.
    async fn round(&mut self) -> Broken {
        let people = u32::try_from(self.n_people()).unwrap_or(1);
        let (n, full) = {
            let mut tape = self.scene.tape();
            (tape.pick(people) as usize, false)
        };
        self.ticks += 1;
        let mut lanes = Vec::new();
        for instance in &self.instances {
            instance.gate.shut(true);
        }
        for (at, instance) in self.instances.iter().enumerate() {
            let user = self.enrolled_number(&instance.app, n).await?;
            let Some(user) = user else { continue };
            let extent = self.extent(instance, user, n, full).await.map_err(said)?;
            let app = instance.app.clone();
            let work = async move { tick_within(&app, user, Mode::Apply, &extent).await };
            let work: std::pin::Pin<Box<dyn Future<Output = Result<Tick, TickError>>>> = Box::pin(work);
            lanes.push((at, work));
        }
        let mut ended = Vec::new();
        let kills = self.scene.tape().of_these(&[0, 0, 0, 10, 40]);
        while !lanes.is_empty() {
            let lane = match lanes.len() {
                1 => 0,
                many => self.scene.tape().pick(u32::try_from(many).unwrap_or(1)) as usize,
            };
            let (at, work) = &mut lanes[lane];
            let gate = self.instances[*at].gate.clone();
            if let Some(end) = gate.advance(work).await {
                let (at, _) = lanes.remove(lane);
                ended.push((at, end));
                continue;
            }
            if !self.scene.truth().violations.is_empty() {
                break;
            }
            let (killed, acts) = {
                let mut tape = self.scene.tape();
                (tape.chance(kills), tape.chance(20))
            };
            if killed {
                self.scene.note("the process dies");
                let (at, work) = lanes.remove(lane);
                drop(work);
                self.instances[at].calm.clear();
                self.instances[at].gate.shut(true);
                self.instances[at].app.gates = Gates::default();
            }
            if acts {
                self.made += 1;
                people::act(&self.scene, self.made, &self.salt);
            }
        }
        drop(lanes);
        for instance in &self.instances {
            instance.gate.shut(false);
        }
        for (at, end) in ended {
            match end {
                Ok(tick) => {
                    self.instances[at].calm.remove(&n);
                    self.instances[at].calm.extend(tick.calm.map(|calm| (n, calm)));
                }
                Err(TickError::NoUser) => {}
                Err(error) => self.scene.truth().violation(format!("a tick failed: {error}")),
            }
        }
        Ok(())
    }

    async fn enrolled_number(&self, app: &App, n: usize) -> Result<Option<UserId>, String> {
        let email = self.person(n).email;
        Ok(app.store.user_by_email(&email).await.map_err(said)?.map(|user| user.id))
    }

    async fn extent(&self, instance: &Instance, user: UserId, n: usize, full: bool) -> Result<Extent, StoreError> {
        let mut scope = Scope::all();
        if full {
            for row in instance.app.store.calendars_of(user).await? {
                scope = scope.and(Scope::full(row.number));
            }
        }
        Ok(Extent { scope, writes: usize::MAX, calm: instance.calm.get(&n).cloned().filter(|_| !full) })
    }

    /// Nothing goes wrong any more: everything must come to rest (L1, L2), without full listings unless stale or empty ones were
    /// about (L3).
    pub async fn rest(&mut self) -> Broken {
        let full = {
            let mut truth = self.scene.truth();
            truth.stormy = false;
            for person in &mut truth.people {
                person.paused = false;
            }
            truth.rates[11] > 0 || truth.rates[12] > 0
        };
        self.scene.note("quiet");
        // What was put back too often is left alone for a day.
        self.clock.advance(TimeDelta::hours(26));
        let accounts: Vec<Place> = self.scene.truth().people.iter().flat_map(|p| p.places.clone()).collect();
        for place in accounts {
            with(&self.scene.core, |core| core.oauth.signs_in(&place.account));
        }
        people::tidy(&self.scene);
        self.reconnect_all().await?;
        self.settle_wishes().await?;
        for round in 0..40 {
            self.clock.advance(TimeDelta::minutes(if round < 30 { 6 } else { 120 }));
            let before = self.scene.truth().writes;
            let mut calm = true;
            // Where one installation gave up an account that the other has, too, its person connects it again when asked.
            if round % 10 == 5 && self.scene.truth().apart {
                self.reconnect_all().await?;
            }
            for at in 0..self.instances.len() {
                for n in 0..self.n_people() {
                    calm &= self.quiet_tick(at, n, full && round < 3).await?;
                    if !self.scene.truth().violations.is_empty() {
                        return Ok(());
                    }
                }
            }
            if calm && round > 3 && before == self.scene.truth().writes {
                super::judge::compare(&self.scene);
                return Ok(());
            }
        }
        self.scene.truth().violation("L2 it does not come to rest".into());
        Ok(())
    }

    /// Ticks until there is nothing to do.
    pub async fn calm_down(&mut self) -> Broken {
        for _ in 0..8 {
            self.clock.advance(TimeDelta::minutes(6));
            if self.quiet_tick(0, 0, false).await? {
                return Ok(());
            }
        }
        Err("it does not calm down".into())
    }

    /// Puts an empty database in the place of the first one.
    pub async fn lose_database(&mut self, template: &Path) -> Broken {
        let file = self.fresh(template)?;
        self.replace(0, file).await
    }

    /// A tick of the first person that dies before its step `k`, or (`lose`) does not hear what that call came to; tells whether it
    /// had so many steps.
    pub async fn dying_tick(&mut self, k: usize, lose: bool) -> Result<bool, String> {
        self.clock.advance(TimeDelta::minutes(6));
        let app = self.instances[0].app.clone();
        let Some(user) = self.enrolled_number(&app, 0).await? else { return Ok(false) };
        let gate = self.instances[0].gate.clone();
        gate.shut(true);
        let work = async move { tick_within(&app, user, Mode::Apply, &Extent::whole()).await };
        let mut work: std::pin::Pin<Box<dyn Future<Output = Result<Tick, TickError>>>> = Box::pin(work);
        let mut step = 0;
        let reached = loop {
            if gate.advance(&mut work).await.is_some() {
                break step >= k;
            }
            step += 1;
            if step == k {
                if !lose {
                    break true;
                }
                self.scene.truth().lose = true;
            }
        };
        drop(work);
        gate.shut(false);
        self.scene.truth().lose = false;
        self.instances[0].app.gates = Gates::default();
        self.instances[0].calm.clear();
        Ok(reached)
    }

    async fn reconnect_all(&self) -> Broken {
        for instance in &self.instances {
            for n in 0..self.n_people() {
                if let Some(user) = self.enrolled_number(&instance.app, n).await? {
                    self.reconnect(&instance.app, user, n).await.map_err(said)?;
                }
            }
        }
        Ok(())
    }

    /// Signs accounts in again.
    async fn reconnect(&self, app: &App, user: UserId, n: usize) -> Result<(), StoreError> {
        for place in self.person(n).places {
            let kind = match place.role {
                Role::Main => AccountKind::Home,
                Role::Client => AccountKind::Client,
                Role::Personal => AccountKind::Personal,
            };
            let rows = app.store.calendars_of(user).await?;
            if rows.iter().any(|row| row.id.as_str() == place.id) {
                app.store.put_token(user, kind, &place.account, &self.consent(&place)).await?;
            }
        }
        Ok(())
    }

    async fn quiet_tick(&mut self, at: usize, n: usize, full: bool) -> Result<bool, String> {
        let instance = &self.instances[at];
        let Some(user) = self.enrolled_number(&instance.app, n).await? else { return Ok(true) };
        let extent = self.extent(instance, user, n, full).await.map_err(said)?;
        let done = tick_within(&instance.app, user, Mode::Apply, &extent).await;
        self.ticks += 1;
        let tick = match done {
            Ok(tick) => tick,
            Err(TickError::NoUser) => return Ok(true),
            Err(error) => {
                self.scene.truth().violation(format!("a quiet tick failed: {error}"));
                return Ok(false);
            }
        };
        for waiting in approval::waiting(&tick.plan) {
            let word = self.scene.tape().of_these(&[Word::Approve, Word::KeepAway, Word::BringBack]);
            let answered = intent::answer(&instance.app, user, &waiting.code, word).await;
            self.scene.note(&format!("{word:?} {waiting:?}: {:?}", answered.as_ref().map_err(said)));
            if answered.is_ok() && word == Word::KeepAway {
                self.stays_away(n, &waiting.events);
            }
            if answered.is_err() && word != Word::Approve {
                let _ = intent::answer(&instance.app, user, &waiting.code, Word::Approve).await;
            }
        }
        let failed = tick.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
        if failed {
            self.scene.note(&format!("failed: {:?}", tick.outcomes));
        }
        let calm = tick.plan.steps.is_empty() && tick.plan.held.is_empty();
        if !calm {
            self.scene.note(&format!("plan at {at} of {n}: {:?} held {:?}", tick.plan.steps, tick.plan.held));
        }
        let instance = &mut self.instances[at];
        instance.calm.remove(&n);
        instance.calm.extend(tick.calm.map(|calm| (n, calm)));
        Ok(calm)
    }

    /// Notes that a person wants no copies of these events.
    fn stays_away(&self, n: usize, events: &[(CalendarId, EventId)]) {
        let away: Vec<(usize, String, Option<i64>)> = with(&self.scene.core, |core| {
            let of = |(calendar, event): &(CalendarId, EventId)| {
                let (series, slot) = event.as_instance().unzip();
                let series = series.unwrap_or(event.clone());
                let stored = core.world.calendars.get(calendar.as_str())?.events.get(series.as_str())?;
                let slot = slot.map(|slot| match slot {
                    Slot::At(at) => at.timestamp(),
                    Slot::Day(day) => day.and_time(NaiveTime::MIN).and_utc().timestamp(),
                });
                stored.text("iCalUID").map(|uid| (n, uid.to_owned(), slot))
            };
            events.iter().filter_map(of).collect()
        });
        self.scene.truth().away.extend(away);
    }

    /// Lets all connections go.
    pub async fn end(self) {
        for instance in &self.instances {
            instance.app.store.close().await;
        }
    }
}
