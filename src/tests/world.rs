//! A whole world in a test: a Google on a socket, an installation or two, people with calendars, and a clock that stands
//! still until told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    controller::{App, Stop, accounts::Gates, observe},
    emulator::{
        Core, Shared,
        server::{Running, serve},
        settings::Settings,
        state::{self, Account},
        with,
    },
    google::{Endpoints, client::Client, oauth::OAuth, throttle::Pace},
    model::{
        calendar::Role,
        clock::Clock,
        id::{CalendarId, UserId},
        secret::Secret,
        snapshot::{Policy, Snapshot},
        tokens::Tokens,
    },
    store::{
        Store,
        people::NewUser,
        tokens::{AccountKind, TokenId},
    },
    vault::Vault,
};

/// One calendar of a person in the world.
#[derive(Clone, Debug)]
pub struct Place {
    /// Google's id of the calendar.
    pub id: String,
    /// The account that reads and writes it.
    pub account: String,
    pub role: Role,
}

/// A person and what is theirs.
pub struct Person {
    /// Which installation serves them.
    pub installation: usize,
    pub email: String,
    pub user: UserId,
    /// By the name that a scenario gives.
    pub calendars: BTreeMap<String, Place>,
}

/// One BusyBridge with its own database and keys.
struct Installation {
    app: App,
    dir: TempDir,
    databases: u32,
}

/// The world.
pub struct World {
    pub core: Shared,
    pub clock: Clock,
    pub people: BTreeMap<String, Person>,
    /// Somebody wants guests to be told.
    pub tells_guests: bool,
    /// Words that people chose for their blocks.
    pub own_words: Vec<String>,
    installations: BTreeMap<usize, Installation>,
    running: Running,
    browser: reqwest::Client,
}

/// Sunday, 1 March 2026, 08:00 in UTC, 09:00 in Vienna.
pub fn beginning() -> DateTime<Utc> {
    "2026-03-01T08:00:00Z".parse().expect("a valid instant")
}

impl World {
    /// A Google without accounts, at [`beginning`].
    pub async fn new() -> Self {
        Self::with_settings(Settings::default()).await
    }

    pub async fn with_settings(settings: Settings) -> Self {
        Self::at(settings, Clock::manual(beginning())).await
    }

    pub async fn at(settings: Settings, clock: Clock) -> Self {
        let core: Shared = Arc::new(Mutex::new(Core::new(state::World::new(settings, clock.clone()))));
        let running = serve(core.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let browser = reqwest::Client::builder().build().unwrap();
        World {
            core,
            clock,
            people: BTreeMap::new(),
            tells_guests: false,
            own_words: Vec::new(),
            installations: BTreeMap::new(),
            running,
            browser,
        }
    }

    /// The address of the emulator.
    pub fn origin(&self) -> String {
        self.running.origin()
    }

    /// The handles of the installation that serves this person.
    pub fn app(&self, person: &str) -> &App {
        &self.installations[&self.people[person].installation].app
    }

    /// The handles of an installation.
    pub fn installation(&self, number: usize) -> &App {
        &self.installations[&number].app
    }

    /// Makes sure that an account and a calendar exist, and that the account may write it.
    pub fn reach(&self, place: &Place) {
        self.add_account(&place.account);
        self.share(&place.id, &place.account);
    }

    /// Connects one more calendar of a person.
    pub async fn connect(&mut self, person: &str, name: &str, place: Place) {
        self.reach(&place);
        with(&self.core, |core| core.oauth.signs_in(&place.account));
        let token = self.token_of(person, &place).await;
        let (app, user) = (self.app(person), self.people[person].user);
        let id = CalendarId::from(place.id.as_str());
        app.store.connect_calendar(user, token, &id, name, place.role, "Europe/Vienna").await.unwrap();
        self.people.get_mut(person).unwrap().calendars.insert(name.into(), place);
    }

    /// The account of a place, signed in for a person.
    pub async fn token_of(&self, person: &str, place: &Place) -> TokenId {
        let kind = match place.role {
            Role::Main => AccountKind::Home,
            Role::Client => AccountKind::Client,
            Role::Personal => AccountKind::Personal,
        };
        let tokens = Tokens {
            access: Secret::new(format!("dev:{}", place.account)),
            refresh: Secret::new("a refresh token that Google does not know".into()),
            expires: self.clock.now() + TimeDelta::days(3650),
            scopes: String::new(),
        };
        self.app(person).store.put_token(self.people[person].user, kind, &place.account, &tokens).await.unwrap()
    }

    /// Adds a person with calendars, connected in one installation. `calendars` are name, address of the calendar, address of
    /// the account, role; the first one's account is the person's own.
    pub async fn add(&mut self, person: &str, installation: usize, calendars: &[(String, String, String, Role)]) {
        for (_, id, account, _) in calendars {
            self.add_account(account);
            self.share(id, account);
        }
        if !self.installations.contains_key(&installation) {
            let made = self.install(installation).await;
            self.installations.insert(installation, made);
        }
        let places = calendars
            .iter()
            .map(|(name, id, account, role)| {
                (name.clone(), Place { id: id.clone(), account: account.clone(), role: *role })
            })
            .collect();
        let email = calendars[0].2.clone();
        let mut person_made = Person { installation, email, user: UserId(0), calendars: places };
        person_made.user = self.enrol(&person_made).await;
        self.people.insert(person.into(), person_made);
    }

    fn add_account(&self, email: &str) {
        with(&self.core, |core| {
            if !core.world.accounts.contains_key(email) {
                let account = Account {
                    email: email.into(),
                    name: email.into(),
                    sub: format!("subject of {email}"),
                    hosted_domain: email.split_once('@').map(|(_, domain)| domain.into()),
                };
                core.world.add_account(account, "Europe/Vienna");
            }
        });
    }

    /// Makes sure that a calendar exists and that the account may write it.
    fn share(&self, id: &str, account: &str) {
        if id != account {
            self.add_account(id);
        }
        with(&self.core, |core| {
            let calendar = core.world.calendars.get_mut(id).expect("made a moment ago");
            calendar.acl.entry(account.into()).or_insert(state::Role::Writer);
        });
    }

    async fn install(&self, installation: usize) -> Installation {
        let dir = tempfile::tempdir().unwrap();
        let number = u8::try_from(installation).unwrap();
        let vault = Arc::new(Vault::from_keys([number + 1; 32], [number + 101; 32]));
        let store = Store::open(&dir.path().join("0.db"), vault.clone(), self.clock.clone()).await.unwrap();
        let endpoints =
            Endpoints::new(self.origin().parse().unwrap(), format!("{}/calendar/v3", self.origin()).parse().unwrap())
                .unwrap();
        let google = Client::new(endpoints.clone(), self.clock.clone()).unwrap().with_pace(Pace::impatient());
        let oauth = OAuth::new(endpoints, self.clock.clone()).unwrap();
        let app = App {
            store,
            google,
            oauth,
            vault,
            clock: self.clock.clone(),
            policy: Policy::default(),
            progress: Arc::new(|_, _| {}),
            stop: Stop::default(),
            gates: Gates::default(),
        };
        let made = Installation { app, dir, databases: 1 };
        organize(&made.app).await;
        made
    }

    /// Writes a person and their calendars into the installation's database.
    async fn enrol(&self, person: &Person) -> UserId {
        let app = &self.installations[&person.installation].app;
        let user = app
            .store
            .add_user(NewUser {
                email: person.email.clone(),
                subject: format!("subject of {}", person.email),
                name: person.email.clone(),
                admin: false,
            })
            .await
            .unwrap();
        for (name, place) in &person.calendars {
            let kind = match place.role {
                Role::Main => AccountKind::Home,
                Role::Client => AccountKind::Client,
                Role::Personal => AccountKind::Personal,
            };
            let tokens = Tokens {
                access: Secret::new(format!("dev:{}", place.account)),
                refresh: Secret::new("a refresh token that Google does not know".into()),
                expires: self.clock.now() + TimeDelta::days(3650),
                scopes: String::new(),
            };
            let token = app.store.put_token(user, kind, &place.account, &tokens).await.unwrap();
            let id = CalendarId::from(place.id.as_str());
            app.store.connect_calendar(user, token, &id, name, place.role, "Europe/Vienna").await.unwrap();
        }
        user
    }

    /// Throws the database of this person's installation away and connects everybody anew, with the same keys; one calendar of the
    /// person's not, if it is named.
    pub async fn lose_database(&mut self, person: &str, without: Option<&str>) {
        if let Some(name) = without {
            self.people.get_mut(person).unwrap().calendars.remove(name).expect("a calendar of theirs");
        }
        let number = self.people[person].installation;
        let installation = self.installations.get_mut(&number).unwrap();
        let path = installation.dir.path().join(format!("{}.db", installation.databases));
        installation.databases += 1;
        let app = &installation.app;
        let store = Store::open(&path, app.vault.clone(), self.clock.clone()).await.unwrap();
        installation.app.store = store;
        organize(&installation.app).await;
        let names: Vec<String> =
            self.people.iter().filter(|(_, p)| p.installation == number).map(|(name, _)| name.clone()).collect();
        for name in names {
            let user = self.enrol(&self.people[&name]).await;
            self.people.get_mut(&name).unwrap().user = user;
        }
    }

    /// Puts a copy of the database in the place of this person's.
    pub async fn restore(&mut self, person: &str, copy: &std::path::Path) {
        let number = self.people[person].installation;
        let installation = self.installations.get_mut(&number).unwrap();
        let path = installation.dir.path().join(format!("{}.db", installation.databases));
        installation.databases += 1;
        std::fs::copy(copy, &path).unwrap();
        let app = &mut installation.app;
        app.store = Store::open_existing(&path, app.vault.clone(), self.clock.clone()).await.unwrap();
        // As `busybridge restore` does.
        app.store.expect_absences().await.unwrap();
    }

    /// Lets an installation ask Google at another pace.
    pub fn at_pace(&mut self, person: &str, pace: Pace) {
        let number = self.people[person].installation;
        let app = &mut self.installations.get_mut(&number).unwrap().app;
        app.google = app.google.clone().with_pace(pace);
    }

    /// The settings of an installation's planner.
    pub fn policy(&mut self, person: &str) -> &mut Policy {
        let number = self.people[person].installation;
        &mut self.installations.get_mut(&number).unwrap().app.policy
    }

    /// What is known of a person's calendars, without asking Google.
    pub async fn known(&self, person: &str) -> Snapshot {
        let app = self.app(person);
        let user = app.store.user(self.people[person].user).await.unwrap().expect("the person is a user");
        let freshness = observe::as_of_last_time(app, &user).await.unwrap();
        app.store.snapshot(user.id, &freshness, app.policy.clone()).await.unwrap()
    }

    /// Where a name of a calendar leads, whoever's it is.
    pub fn place(&self, calendar: &str) -> &Place {
        self.people
            .values()
            .find_map(|person| person.calendars.get(calendar))
            .unwrap_or_else(|| panic!("there is no calendar {calendar}"))
    }

    /// One call of the Calendar API as the owner of the calendar named `calendar`; `path` follows `/calendars/{id}`.
    pub async fn as_person(&self, calendar: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let Place { id, account: _, role: _ } = self.place(calendar);
        let mut url: url::Url = format!("{}/calendar/v3/calendars", self.origin()).parse().unwrap();
        url.path_segments_mut().unwrap().push(id);
        // The calendar's own account acts: a person at the client, not our consultant's token.
        let url = format!("{url}{path}");
        let mut request =
            self.browser.request(method.parse().unwrap(), url).header("authorization", format!("Bearer dev:{id}"));
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    /// All items of a listing that a person reads, over as many pages as it has.
    pub async fn all_items(&self, calendar: &str, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut page = String::new();
        loop {
            let (status, answer) = self.as_person(calendar, "GET", &format!("{path}{page}"), Value::Null).await;
            assert_eq!(status, 200, "{path}: {answer}");
            items.extend(answer["items"].as_array().into_iter().flatten().cloned());
            let Some(token) = answer["nextPageToken"].as_str() else { return items };
            page = format!("&pageToken={}", url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>());
        }
    }

    /// A command to the emulator: `/_emulator/{path}`.
    pub async fn command(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_emulator/{path}", self.origin());
        let request = self.browser.request(method.parse().unwrap(), url);
        let response = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }
}

async fn organize(app: &App) {
    let secret = Secret::new("demo-secret".to_owned());
    app.store.set_organization("home.example", "busybridge-demo.apps.googleusercontent.com", &secret).await.unwrap();
    assert_eq!(app.store.organization().await.unwrap().unwrap().domain, "home.example");
}
