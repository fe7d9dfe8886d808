//! A simulated world: installations of the product over a Google in process, driven step by step by the tape.

mod between;
mod notifications;
mod quiet;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use chrono::{TimeDelta, Utc};
use tempfile::TempDir;

use super::{
    faults::{BETWEEN, COMMIT, DISK_FULL, KILLED, NO_CHANNEL, NOTIFICATION, TWO},
    gate::Gate,
    google::Scene,
    tape::Tape,
    truth::{Brake, Person, Place, Truth},
};
use crate::{
    controller::{
        App, Stop,
        accounts::Gates,
        bell::Bell,
        intent,
        queue::Scope,
        tick::{Calm, Extent, Mode, Tick, TickError, tick_within},
    },
    emulator::{
        Core,
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        push::Delivery,
        settings::Settings,
        state::{self, Account},
        with,
    },
    google::{Endpoints, client::Client, oauth::OAuth},
    model::{
        calendar::{Role, Standing},
        clock::Clock,
        flow::CustomFlow,
        id::{CalendarId, UserId},
        item::Face,
        secret::Secret,
        snapshot::Policy,
        tokens::Tokens,
    },
    store::{Manner, Store, StoreError, people::NewUser, tokens::AccountKind},
    vault::Vault,
};

/// One process with its database.
struct Instance {
    app: App,
    gate: Gate,
    file: PathBuf,
    /// Its people, by their numbers.
    users: BTreeMap<usize, UserId>,
    calm: BTreeMap<usize, Calm>,
    bell: Bell,
    /// What rang and was not looked at yet.
    rung: BTreeMap<UserId, Scope>,
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
    /// Whether Google can reach the installations, so that they read what rang.
    reached: bool,
    /// Notifications that are late.
    late: Vec<Delivery>,
    /// Whose channels there were, by their ids, which are chosen by real chance.
    channels: BTreeMap<String, (usize, i64, usize)>,
    pub ticks: u64,
}

/// Where Google can reach an installation, everything is read at each tick of so many.
const POLL: u64 = 5;

/// An error with all that led to it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn kind_of(place: &Place) -> AccountKind {
    match place.role {
        Role::Main => AccountKind::Home,
        Role::Client => AccountKind::Client,
        Role::Personal => AccountKind::Personal,
    }
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
            // What becomes of notifications is on the tape.
            let Settings { push_drop_permille, push_duplicate_permille, push_delay_seconds, .. } = Settings::default();
            let settings = Settings { push_drop_permille, push_duplicate_permille, push_delay_seconds, ..settings };
            let mut truth = Truth::default();
            for rate in &mut truth.rates {
                *rate = tape.of_these(&[0, 0, 10, 30, 60]);
            }
            // Notifications and channels are few.
            for few in [NOTIFICATION, NO_CHANNEL] {
                truth.rates[few] *= 5;
            }
            (settings, truth)
        };
        let reached = tape.lock().map_err(said)?.pick(3) == 2;
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
                if tape.pick(3) == 2 {
                    places.push((format!("u{n}.second@home.example"), email.clone(), Role::Main));
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
                let place = |(id, account, role): (String, String, Role)| {
                    let wanted = role != Role::Main || id == email;
                    Place { id, account, role, wanted, paused: false }
                };
                let places = places.into_iter().map(place).collect();
                let subject = format!("subject of {email}");
                truth.people.push(Person { email, subject, places, paused: false });
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
            reached,
            late: Vec::new(),
            channels: BTreeMap::new(),
            ticks: 0,
        };
        let Policy { brake_count: count, brake_percent: percent, .. } = world.policy();
        world.scene.truth().brake = Brake { count, percent };
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
        let instance = self.instance(file).await?;
        self.instances.push(instance);
        Ok(())
    }

    async fn instance(&self, file: PathBuf) -> Result<Instance, String> {
        let gate = Gate::default();
        let app = self.app(&file, &gate).await?;
        let (users, calm, rung) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Instance { app, gate, file, users, calm, bell: Bell::default(), rung })
    }

    async fn app(&self, file: &Path, gate: &Gate) -> Result<App, String> {
        let own = gate.clone();
        let manner = Manner { fleeting: true, gate: Some(Arc::new(move || own.pass(COMMIT))) };
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
            policy: self.policy(),
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

    /// Calendars of worlds are small: in some of them the brake stops few removals already.
    fn policy(&self) -> Policy {
        match self.reached {
            true => Policy { brake_count: 1, brake_percent: 5, ..Policy::default() },
            false => Policy::default(),
        }
    }

    fn person(&self, n: usize) -> Person {
        self.scene.truth().people[n].clone()
    }

    fn n_people(&self) -> usize {
        self.scene.truth().people.len()
    }

    /// Makes every database want what its people want.
    pub async fn settle_wishes(&mut self) -> Broken {
        for at in 0..self.instances.len() {
            let app = self.instances[at].app.clone();
            let paused = self.scene.truth().paused;
            if app.store.is_paused().await.map_err(said)? != paused {
                app.store.pause_all(paused).await.map_err(said)?;
            }
            let mut users = BTreeMap::new();
            for n in 0..self.n_people() {
                let person = self.person(n);
                let user = self.enrolled(&app, &person).await.map_err(said)?;
                users.insert(n, user);
                self.settle_person(&app, user, &person).await?;
                self.settle_flows(&app, user, n).await?;
            }
            self.instances[at].users = users;
            self.instances[at].calm.clear();
        }
        Ok(())
    }

    async fn settle_flows(&self, app: &App, user: UserId, n: usize) -> Broken {
        let flows: Vec<(String, String, bool)> = {
            let truth = self.scene.truth();
            let own = truth.was_off.iter().filter(|(person, ..)| *person == n);
            own.map(|flow| (flow.1.clone(), flow.2.clone(), truth.off.contains(flow))).collect()
        };
        for (source, target, off) in flows {
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

    async fn settle_person(&self, app: &App, user: UserId, person: &Person) -> Broken {
        let rows = app.store.calendars_of(user).await.map_err(said)?;
        // Who takes another main calendar leaves the one before by that.
        for place in person.places.iter().filter(|place| !place.wanted && place.role != Role::Main) {
            let row = rows.iter().find(|row| row.id.as_str() == place.id && row.standing == Standing::Connected);
            if let Some(row) = row {
                app.store.leave_calendar(user, row.number).await.map_err(said)?;
            }
        }
        for place in person.places.iter().filter(|place| place.wanted) {
            let row = rows.iter().find(|row| row.id.as_str() == place.id);
            let ended = match row {
                Some(row) => {
                    let account = app.store.account(row.token).await.map_err(said)?;
                    account.is_none_or(|account| account.ended.is_some())
                }
                None => true,
            };
            if ended || row.is_none_or(|row| row.standing != Standing::Connected) {
                let tokens = self.consent(place);
                let token = app.store.put_token(user, kind_of(place), &place.account, &tokens).await.map_err(said)?;
                let (id, name) = (CalendarId::from(place.id.as_str()), place.role.word());
                match place.role {
                    Role::Main => {
                        intent::choose_main(app, user, token, &id, name, "Europe/Vienna").await.map_err(said)?;
                    }
                    role => {
                        app.store
                            .connect_calendar(user, token, &id, name, role, "Europe/Vienna")
                            .await
                            .map_err(said)?;
                    }
                }
            }
        }
        let stored = app.store.user(user).await.map_err(said)?;
        if stored.is_some_and(|stored| stored.paused != person.paused) {
            app.store.pause_user(user, person.paused).await.map_err(said)?;
        }
        for row in app.store.calendars_of(user).await.map_err(said)? {
            let paused = person.places.iter().any(|place| place.id == row.id.as_str() && place.paused);
            if row.standing == Standing::Connected && row.paused != paused {
                app.store.pause_calendar(user, row.number, paused).await.map_err(said)?;
            }
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
            self.scene.truth().hit(TWO, BETWEEN);
            let file = if second == 7 { self.fresh(template)? } else { self.instances[0].file.clone() };
            self.scene.truth().apart = second == 7;
            self.scene.note(if second == 7 { "another installation begins" } else { "another process begins" });
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

    /// One tick, or two at the same time, with what comes in between.
    async fn round(&mut self) -> Broken {
        let people = u32::try_from(self.n_people()).unwrap_or(1);
        let n = self.scene.tape().pick(people) as usize;
        self.ticks += 1;
        let mut lanes = Vec::new();
        let rate = self.scene.truth().rates[DISK_FULL];
        let full_disk = self.scene.tape().chance(rate);
        if full_disk {
            let pages = i64::from(self.scene.tape().pick(3));
            for instance in &self.instances {
                instance.app.store.limit_pages(Some(pages)).await.map_err(said)?;
            }
            self.scene.truth().hit(DISK_FULL, COMMIT);
            self.scene.note(&format!("the disk has room for {pages} pages"));
        }
        for instance in &self.instances {
            instance.gate.shut(true);
        }
        let reached = self.reached && !self.ticks.is_multiple_of(POLL);
        for (at, instance) in self.instances.iter_mut().enumerate() {
            let Some(user) = instance.users.get(&n).copied() else { continue };
            let rung = instance.rung.remove(&user).unwrap_or_else(Scope::nothing);
            let calm = instance.calm.get(&n).cloned();
            // What went wrong or is new is not told by any notification.
            let scope = if reached && calm.is_some() { rung } else { Scope::all() };
            let extent = Extent { scope, writes: usize::MAX, calm };
            let app = instance.app.clone();
            let work = async move { tick_within(&app, user, Mode::Apply, &extent).await };
            let work: std::pin::Pin<Box<dyn Future<Output = Result<Tick, TickError>>>> = Box::pin(work);
            lanes.push((at, work));
        }
        self.scene.begin_round(lanes.len());
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
            let step = gate.step();
            if lanes.len() > 1 {
                self.scene.truth().hit(TWO, step);
            }
            if killed {
                self.scene.truth().hit(KILLED, step);
                self.scene.note("the process dies");
                let (at, work) = lanes.remove(lane);
                drop(work);
                self.instances[at].calm.clear();
                self.instances[at].gate.shut(true);
                self.instances[at].app.gates = Gates::default();
            }
            if acts {
                self.act(step);
            }
        }
        drop(lanes);
        for instance in &self.instances {
            instance.gate.shut(false);
            if full_disk {
                instance.app.store.limit_pages(None).await.map_err(said)?;
            }
        }
        for (at, end) in ended {
            match end {
                Ok(tick) => {
                    self.instances[at].calm.remove(&n);
                    self.instances[at].calm.extend(tick.calm.map(|calm| (n, calm)));
                }
                Err(TickError::NoUser) => {}
                // It does nothing, and begins anew when there is room.
                Err(error @ TickError::Store(StoreError::DiskFull(_))) if full_disk => {
                    self.instances[at].calm.remove(&n);
                    self.scene.note(&format!("the disk is full: {}", whole(&error)));
                }
                Err(error) => self.scene.truth().violation(format!("a tick failed: {}", whole(&error))),
            }
        }
        Ok(())
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
        self.scene.begin_round(1);
        let app = self.instances[0].app.clone();
        let Some(user) = self.instances[0].users.get(&0).copied() else { return Ok(false) };
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

    /// Lets all connections go.
    pub async fn end(self) {
        for instance in &self.instances {
            instance.app.store.close().await;
        }
    }
}
