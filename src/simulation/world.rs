//! A simulated world: installations of the product over a Google in process, driven step by step by the tape.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::{
    google::{
        BETWEEN, CLOCK, COMMIT, DATABASE, DISK_FULL, EMPTY, ENGINE, Gate, KILLED, NO_CHANNEL, NOTIFICATION, PEOPLE,
        Person, Place, RING, STALE, Scene, TWO, Truth, WISHES,
    },
    people, shown,
    tape::Tape,
};
use crate::{
    controller::{
        App, Stop,
        accounts::Gates,
        bell::{Bell, Heard, Notification},
        channels,
        intent::{self, Word},
        queue::Scope,
        tick::{Calm, Extent, Mode, Tick, TickError, tick_within},
    },
    emulator::{
        Core,
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        push::{self, Delivery},
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
    channels: BTreeMap<String, (usize, i64)>,
    pub ticks: u64,
}

/// Where notifications arrive.
const WEBHOOK: &str = "https://busybridge.example/api/webhooks/google-calendar";
/// Where Google can reach an installation, everything is read at each tick of so many.
const POLL: u64 = 5;

fn header<'d>(delivery: &'d Delivery, name: &str) -> &'d str {
    let found = delivery.headers.iter().find(|(own, _)| *own == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

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

/// Versions of what lives on a calendar, and when single events end.
fn living(scene: &Scene, calendar: &str) -> BTreeMap<String, (String, Option<DateTime<Utc>>)> {
    with(&scene.core, |core| {
        let events = core.world.calendars.get(calendar).map(|calendar| &calendar.events).into_iter().flatten();
        let living = events.filter(|(_, stored)| !stored.cancelled());
        living
            .map(|(id, stored)| {
                let single =
                    !stored.fields.contains_key("recurrence") && !stored.fields.contains_key("recurringEventId");
                let end = stored.fields.get("end").filter(|_| single).map(shown::instant);
                (id.clone(), (stored.etag(), end))
            })
            .collect()
    })
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
                    Place { id, account, role, wanted }
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

    /// What happens between two ticks.
    async fn meanwhile(&mut self, template: &Path) -> Broken {
        // Three moments are as good for stale answers as each, and cost a third.
        if self.ticks.is_multiple_of(3) {
            self.scene.keep_past();
        }
        let (acts, hours, event) = {
            let mut tape = self.scene.tape();
            (tape.pick(3), tape.pick(40), tape.pick(127))
        };
        for _ in 0..acts {
            self.act(BETWEEN);
        }
        let engine = self.scene.truth().rates[ENGINE];
        if self.scene.tape().chance(engine) {
            self.made += 1;
            people::copy_all(&self.scene, self.made, &self.salt);
            self.scene.truth().hit(ENGINE, BETWEEN);
        }
        if hours >= 37 {
            self.scene.truth().hit(CLOCK, BETWEEN);
        }
        match event {
            100..=108 | 119 => self.scene.truth().hit(DATABASE, BETWEEN),
            109..=118 | 120.. => self.scene.truth().hit(WISHES, BETWEEN),
            _ => {}
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
                    if let Some(place) = places.get_mut(at).filter(|place| place.role != Role::Main) {
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
            124..=126 => {
                // Another calendar becomes the main one.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let mains = {
                    let mut truth = self.scene.truth();
                    let mains = truth.people[n].places.iter_mut().filter(|place| place.role == Role::Main);
                    let swapped = mains.map(|place| {
                        place.wanted = !place.wanted;
                        format!("{} {}", place.id, place.wanted)
                    });
                    swapped.collect::<Vec<_>>()
                };
                if let [only] = &mains[..] {
                    debug_assert!(only.ends_with("false"));
                    self.scene.truth().people[n].places[0].wanted = true;
                } else {
                    self.scene.note(&format!("main calendars of person {n}: {}", mains.join(", ")));
                    self.settle_wishes().await?;
                }
            }
            _ => {}
        }
        if self.reached {
            if self.ticks.is_multiple_of(8) {
                self.open_channels().await?;
            }
            self.deliver();
        }
        Ok(())
    }

    /// Somebody does something before a step.
    fn act(&mut self, step: usize) {
        self.made += 1;
        people::act(&self.scene, self.made, &self.salt);
        self.scene.truth().hit(PEOPLE, step);
    }

    /// Brings the channels of all installations in order; gives calendars without one.
    async fn open_channels(&mut self) -> Result<usize, String> {
        let mut without = 0;
        for (at, instance) in self.instances.iter().enumerate() {
            let wanting = instance.app.store.wanting_channels().await.map_err(said)?.len();
            let none = BTreeMap::new();
            let done = channels::bring_in_order(&instance.app, &instance.bell, Some(WEBHOOK), &none).await;
            let mut well: Vec<i64> = done.map_err(said)?.well.into_iter().map(|(_, calendar)| calendar).collect();
            well.sort_unstable();
            for row in instance.app.store.channels().await.map_err(said)? {
                self.channels.entry(row.id).or_insert((at, row.number));
            }
            well.dedup();
            without += wanting.saturating_sub(well.len());
        }
        Ok(without)
    }

    /// Brings Google's notifications to all installations, or loses, doubles, delays or forges one.
    fn deliver(&mut self) {
        let mut due = with(&self.scene.core, |core| push::take_due(&mut core.world));
        due.sort_by_key(|delivery| self.channels.get(header(delivery, "x-goog-channel-id")).copied());
        let mut late = std::mem::take(&mut self.late);
        late.extend(due);
        for delivery in late {
            let (stormy, rate) = {
                let truth = self.scene.truth();
                (truth.stormy, truth.rates[NOTIFICATION])
            };
            let wrong = stormy && self.scene.tape().chance(rate);
            let how = if wrong { 1 + self.scene.tape().pick(4) } else { 0 };
            if wrong {
                self.scene.truth().hit(NOTIFICATION, RING);
            }
            match how {
                1 => {}
                2 => self.late.push(delivery),
                3 => {
                    self.ring(&delivery, true);
                    self.ring(&delivery, true);
                }
                4 => self.ring(&delivery, false),
                _ => self.ring(&delivery, true),
            }
        }
    }

    fn ring(&mut self, delivery: &Delivery, genuine: bool) {
        let token = if genuine { header(delivery, "x-goog-channel-token") } else { "guessed" };
        let notification = Notification {
            channel: header(delivery, "x-goog-channel-id"),
            token,
            resource: header(delivery, "x-goog-resource-id"),
            state: header(delivery, "x-goog-resource-state"),
        };
        let now = self.clock.now();
        for instance in &mut self.instances {
            let heard = instance.bell.hear(&notification, now, Duration::ZERO);
            if !genuine && !matches!(heard, Heard::Unknown | Heard::Forged) {
                self.scene.truth().violation(format!("F17 a forged notification came to {heard:?}"));
            }
            for mark in instance.bell.take() {
                let rung = instance.rung.entry(mark.user).or_insert_with(Scope::nothing);
                *rung = std::mem::take(rung).and(mark.scope);
            }
        }
    }

    /// Puts another database in the place of one; whoever shares the old one shares the new one.
    async fn replace(&mut self, at: usize, file: PathBuf) -> Broken {
        let old = self.instances[at].file.clone();
        for n in 0..self.instances.len() {
            if self.instances[n].file == old {
                let instance = self.instance(file.clone()).await?;
                let before = std::mem::replace(&mut self.instances[n], instance);
                before.app.store.close().await;
            }
        }
        self.settle_wishes().await
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

    /// Nothing goes wrong any more: everything must come to rest (L1, L2), without full listings unless stale or empty ones were
    /// about (L3).
    pub async fn rest(&mut self) -> Broken {
        let full = {
            let mut truth = self.scene.truth();
            truth.stormy = false;
            for person in &mut truth.people {
                person.paused = false;
            }
            truth.rates[STALE] > 0 || truth.rates[EMPTY] > 0
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
                self.compare_mirrors().await?;
                if self.reached && self.open_channels().await? > 0 {
                    self.scene.truth().violation("L6 a calendar has no channel".into());
                }
                return Ok(());
            }
        }
        self.scene.truth().violation("L2 it does not come to rest".into());
        Ok(())
    }

    /// What an installation believes to stand on a calendar is what stands there: no listing was stored in part, or beside its cursor
    /// (S13), and nothing of it is older than what Google told last (S16).
    async fn compare_mirrors(&self) -> Broken {
        let now = self.clock.now();
        for (at, instance) in self.instances.iter().enumerate() {
            for user in instance.users.values() {
                for row in instance.app.store.calendars_of(*user).await.map_err(said)? {
                    if row.standing != Standing::Connected || row.paused {
                        continue;
                    }
                    let held = instance.app.store.versions(row.number).await.map_err(said)?;
                    let there = living(&self.scene, row.id.as_str());
                    let mut wrong: Vec<String> = Vec::new();
                    for (id, version) in &held {
                        // A series takes its exceptions along, and Google need not say so of each.
                        if id.as_instance().is_some_and(|(series, _)| !held.contains_key(&series)) {
                            continue;
                        }
                        let etag = there.get(id.as_str()).map(|(etag, _)| etag);
                        if etag != Some(version) {
                            wrong.push(format!("{} is held as {version}, not as {etag:?}", id.as_str()));
                        }
                    }
                    // What ended a month ago need not be held.
                    let due =
                        there.iter().filter(|(_, (_, last))| last.is_none_or(|last| last > now - TimeDelta::days(20)));
                    let missing = due.filter(|(id, _)| !held.contains_key(&EventId::from(id.as_str())));
                    wrong.extend(missing.map(|(id, _)| format!("{id} is not held")));
                    if let Some(first) = wrong.first() {
                        let text =
                            format!("S13 installation {at}, {}: {first} ({} in all)", row.id.as_str(), wrong.len());
                        self.scene.truth().violation(text);
                    }
                }
            }
        }
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

    async fn reconnect_all(&self) -> Broken {
        for instance in &self.instances {
            for (n, user) in &instance.users {
                self.reconnect(&instance.app, *user, *n).await.map_err(said)?;
            }
        }
        Ok(())
    }

    /// Signs accounts in again.
    async fn reconnect(&self, app: &App, user: UserId, n: usize) -> Result<(), StoreError> {
        let rows = app.store.calendars_of(user).await?;
        for place in self.person(n).places {
            if rows.iter().any(|row| row.id.as_str() == place.id) {
                app.store.put_token(user, kind_of(&place), &place.account, &self.consent(&place)).await?;
            }
        }
        Ok(())
    }

    async fn quiet_tick(&mut self, at: usize, n: usize, full: bool) -> Result<bool, String> {
        let instance = &self.instances[at];
        let Some(user) = instance.users.get(&n).copied() else { return Ok(true) };
        let extent = self.extent(instance, user, n, full).await.map_err(said)?;
        let done = tick_within(&instance.app, user, Mode::Apply, &extent).await;
        self.ticks += 1;
        let tick = match done {
            Ok(tick) => tick,
            Err(TickError::NoUser) => return Ok(true),
            Err(error) => {
                self.scene.truth().violation(format!("a quiet tick failed: {}", whole(&error)));
                return Ok(false);
            }
        };
        for waiting in approval::waiting(&tick.plan) {
            let apart = self.scene.truth().apart;
            let word = self.scene.tape().of_these(&[Word::Approve, Word::KeepAway, Word::BringBack]);
            // What one database knows of a person's word, another does not.
            let word = if apart { Word::Approve } else { word };
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
