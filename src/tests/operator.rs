//! What an operator settles from the command line, on an installation with a Google that answers: pauses, flows, departures,
//! words to what waits, taking back, and the removal of everything, with a database and without.

use std::{fs, sync::Arc};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    cli::{Ran, run},
    world::{Place, World},
};
use crate::{
    cli::demo::browser::sign_in,
    emulator::{
        self,
        oauth::{DEMO_CLIENT, DEMO_SECRET},
    },
    google::{Endpoints, oauth::OAuth},
    model::{calendar::Role, clock::Clock, id::CalendarId, secret::Secret},
    store::{Store, people::NewUser, tokens::AccountKind},
    vault::Vault,
};

const ADA: &str = "ada@home.example";

/// An installation on disk, and its Google.
pub(super) struct Installed {
    pub world: World,
    pub dir: TempDir,
}

impl Installed {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Commands look at the machine's clock.
        let clock = Clock::system();
        let mut world = World::at(emulator::settings::Settings::default(), clock.clone()).await;
        let place = |id: &str, role| Place { id: id.into(), account: id.into(), role };
        let places = [
            ("home", place(ADA, Role::Main)),
            ("acme", place("ada@acme.example", Role::Client)),
            ("globex", place("ada@globex.example", Role::Client)),
        ];
        let vault = Arc::new(Vault::create(&dir.path().join("encryption.key")).unwrap());
        let store = Store::open(&dir.path().join("calendar-sync.db"), vault, clock.clone()).await.unwrap();
        store.set_organization("home.example", DEMO_CLIENT, &Secret::new(DEMO_SECRET.into())).await.unwrap();
        let new = NewUser { email: ADA.into(), subject: "1001".into(), name: "Ada".into(), admin: true };
        let user = store.add_user(new).await.unwrap();
        let api = format!("{}/calendar/v3", world.origin()).parse().unwrap();
        let oauth = OAuth::new(Endpoints::new(world.origin().parse().unwrap(), api).unwrap(), clock).unwrap();
        for (name, place) in &places {
            world.reach(place);
            let kind = if place.role == Role::Main { AccountKind::Home } else { AccountKind::Client };
            let grant = sign_in(&oauth, DEMO_CLIENT, DEMO_SECRET, &place.account, place.role).await.unwrap();
            let token = store.put_token(user, kind, &place.account, &grant.tokens).await.unwrap();
            let id = CalendarId::from(place.id.as_str());
            store.connect_calendar(user, token, &id, name, place.role, "Europe/Vienna").await.unwrap();
        }
        store.close().await;
        let calendars = places.map(|(name, place)| (name.to_owned(), place)).into();
        world.people.insert("ada".into(), super::world::Person { installation: 1, email: ADA.into(), user, calendars });
        Installed { world, dir }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// The database, as a service would open it.
    pub async fn store(&self) -> Store {
        let vault = Arc::new(Vault::load(self.path("encryption.key").as_ref()).unwrap());
        Store::open_existing(self.path("calendar-sync.db").as_ref(), vault, Clock::system()).await.unwrap()
    }

    pub async fn run(&self, args: &[&str]) -> Ran {
        let api = format!("{}/calendar/v3", self.world.origin());
        run(
            args,
            &[
                ("DATABASE_PATH", &self.path("calendar-sync.db")),
                ("ENCRYPTION_KEY_FILE", &self.path("encryption.key")),
                ("GOOGLE_ISSUER_URL", &self.world.origin()),
                ("GOOGLE_CALENDAR_API_URL", &api),
            ],
        )
        .await
    }

    pub async fn well(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    pub async fn meeting(&self, calendar: &str, id: &str, title: &str) {
        let start = chrono::TimeDelta::days(1);
        // The process looks at the machine's clock.
        let at = |hours: i64| {
            let now = Clock::system().now();
            json!({"dateTime": (now + start + chrono::TimeDelta::hours(hours)).to_rfc3339()})
        };
        let body = json!({"id": id, "summary": title, "start": at(0), "end": at(1)});
        let (status, answer) = self.world.as_person(calendar, "POST", "/events", body).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn titles(&self, calendar: &str) -> Vec<String> {
        let items = self.world.all_items(calendar, "/events?maxResults=2500").await;
        let mut titles: Vec<String> = items
            .iter()
            .filter(|item| item["status"] != "cancelled")
            .filter_map(|item| item["summary"].as_str().map(str::to_owned))
            .collect();
        titles.sort();
        titles
    }
}

#[tokio::test]
async fn everything_is_purged_without_a_database_from_tokens_and_keys_alone() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.meeting("home", "lunch00", "Lunch").await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off", "Lunch"]);
    assert_eq!(installed.titles("globex").await, ["[BusyBridge] Busy", "[BusyBridge] Busy"]);

    let file = installed.dir.path().join("tokens.json");
    let accounts = [ADA, "ada@acme.example", "ada@globex.example"];
    let list: Vec<Value> =
        accounts.iter().map(|account| json!({"account": account, "access_token": format!("dev:{account}")})).collect();
    fs::write(&file, json!(list).to_string()).unwrap();
    let file = file.to_str().unwrap();
    // A database that remembers would take it for the person's doing.
    let refused = installed.run(&["purge", "--tokens", file]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("there is a database"), "{}", refused.err);
    for name in ["calendar-sync.db", "calendar-sync.db-wal", "calendar-sync.db-shm"] {
        let _ = fs::remove_file(installed.dir.path().join(name));
    }
    let counted = installed.well(&["purge", "--tokens", file, "--dry-run"]).await;
    assert!(counted.contains("2 events of ours") && counted.lines().count() == 3, "{counted}");
    assert_eq!(installed.titles("globex").await.len(), 2);
    installed.well(&["purge", "--tokens", file]).await;
    assert_eq!(installed.titles("home").await, ["Lunch"]);
    assert_eq!(installed.titles("acme").await, ["Kick-off"]);
    assert!(installed.titles("globex").await.is_empty());
    // Another installation's keys open none of them, and touch nothing.
    fs::write(file, "[]").unwrap();
    assert_eq!(installed.run(&["purge", "--tokens", file]).await.code, 0);
}

#[tokio::test]
async fn a_restored_copy_waits_for_a_word_and_then_comes_to_the_same_end() {
    let installed = Installed::new().await;
    installed.meeting("acme", "abide", "Stays").await;
    installed.meeting("acme", "leave", "Goes").await;
    installed.well(&["sync", "--user", ADA]).await;
    let copy = installed.path("copy.db");
    installed.well(&["backup", &copy]).await;
    // Life goes on after the copy was made.
    installed.meeting("acme", "begin", "Comes").await;
    let renamed = json!({"summary": "Stays, renamed"});
    assert_eq!(installed.world.as_person("acme", "PATCH", "/events/abide", renamed).await.0, 200);
    assert_eq!(installed.world.as_person("acme", "DELETE", "/events/leave", Value::Null).await.0, 204);
    installed.well(&["sync", "--user", ADA]).await;
    let expected = (installed.titles("home").await, installed.titles("globex").await);
    assert_eq!((expected.0.as_slice(), expected.1.len()), (&["Comes".to_owned(), "Stays, renamed".into()][..], 2));
    let writes = || emulator::with(&installed.world.core, |core| core.writes.len());
    let before = writes();
    installed.well(&["restore", &copy]).await;
    // Paused: nothing is written, whoever asks.
    installed.meeting("acme", "later", "While it waits").await;
    let asked = writes();
    assert_eq!(asked, before + 1, "the person's own");
    let silent = installed.well(&["sync", "--user", ADA]).await;
    assert!(silent.contains("0 changes made"), "{silent}");
    assert_eq!(writes(), asked);
    installed.well(&["resume"]).await;
    installed.well(&["sync", "--user", ADA]).await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("home").await, ["Comes", "Stays, renamed", "While it waits"]);
    assert_eq!(installed.titles("globex").await.len(), 3);
    let deleted =
        emulator::with(&installed.world.core, |core| core.writes[asked..].iter().any(|w| w.method == "DELETE"));
    assert!(!deleted, "nothing is deleted for having been forgotten");
    installed.well(&["plan", "--user", ADA]).await;
}

#[tokio::test]
async fn a_purge_with_a_database_leaves_the_user_paused_and_the_people_alone() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.well(&["sync", "--user", ADA]).await;
    let out = installed.well(&["purge", "--user", ADA]).await;
    assert!(out.contains("home: 1 removed") && out.contains("is paused"), "{out}");
    assert!(installed.titles("home").await.is_empty());
    let silent = installed.well(&["sync", "--user", ADA]).await;
    assert!(silent.contains("0 changes made"), "{silent}");
    let paused = installed.run(&["plan", "--user", ADA]).await;
    assert!(paused.out.contains("it is paused"), "{}", paused.out);
    installed.well(&["resume", "--user", ADA]).await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off"]);
    assert_eq!(installed.titles("acme").await, ["Kick-off"]);
}

#[tokio::test]
async fn a_calendar_is_left_and_a_user_removed_by_command() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.meeting("home", "lunch00", "Lunch").await;
    installed.well(&["sync", "--user", ADA]).await;
    let unknown = installed.run(&["disconnect", "--user", ADA, "initech"]).await;
    assert_eq!(unknown.code, 2, "{}", unknown.err);
    assert!(unknown.err.contains("there are home, acme, globex") || unknown.err.contains("initech"), "{}", unknown.err);
    let out = installed.well(&["disconnect", "--user", ADA, "acme"]).await;
    assert!(out.contains("acme: 3 changes made, 0 held; is left"), "{out}");
    assert_eq!(installed.titles("acme").await, ["Kick-off"]);
    assert_eq!(installed.titles("home").await, ["Lunch"]);
    let out = installed.well(&["remove-user", "--user", ADA]).await;
    assert!(out.contains("is removed"), "{out}");
    assert!(installed.titles("globex").await.is_empty());
    assert_eq!(installed.run(&["plan", "--user", ADA]).await.code, 1);
}

#[tokio::test]
async fn runs_are_listed_taken_back_and_explained_without_a_title() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.well(&["sync", "--user", ADA]).await;
    let runs = installed.well(&["runs", "--user", ADA]).await;
    assert!(runs.starts_with("run 1  ") && runs.contains("2 changes"), "{runs}");
    let why = ["why", "--user", ADA, "--calendar", "home", "--origin", "acme", "kickoff"];
    let reason = installed.well(&why).await;
    assert!(reason.contains("It is there, as ") && reason.contains("run 1: create (new-at-origin), done"), "{reason}");
    let event = reason.split("as ").nth(1).unwrap().split('.').next().unwrap();
    let reason = installed.well(&["why", "--user", ADA, "--calendar", "home", event]).await;
    assert!(reason.contains("It is a copy of an event on acme") && reason.contains("as it should be"), "{reason}");
    let dry = installed.run(&["undo", "1", "--dry-run"]).await;
    assert_eq!(dry.code, 2, "{}", dry.err);
    assert_eq!(installed.titles("home").await.len(), 1);
    let undone = installed.well(&["undo", "1"]).await;
    assert!(undone.contains("- delete 2"), "{undone}");
    installed.well(&["sync", "--user", ADA]).await;
    assert!(installed.titles("home").await.is_empty());
    let reason = installed.well(&why).await;
    assert!(reason.starts_with("You took it back"), "{reason}");
    for text in [runs, undone, reason, dry.out] {
        assert!(!text.contains("Kick-off"), "a title is nobody's but its owner's: {text}");
    }
    assert_eq!(installed.run(&["undo", "77"]).await.code, 1);
}

#[tokio::test]
async fn flows_pauses_and_words_are_given_by_command() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    let flow = installed.well(&["flow", "--user", ADA, "acme", "globex", "--as", "Away", "--before", "10"]).await;
    assert_eq!(flow, "acme → globex: busy\n");
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("globex").await, ["[BusyBridge] Away"]);
    let refused = installed.run(&["flow", "--user", ADA, "acme", "globex", "--title", "("]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    installed.well(&["flow", "--user", ADA, "acme", "globex", "--usual"]).await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("globex").await, ["[BusyBridge] Busy"]);

    installed.well(&["pause"]).await;
    installed.meeting("acme", "second0", "Second").await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off"]);
    installed.well(&["resume"]).await;
    installed.well(&["pause", "--user", ADA, "--calendar", "acme"]).await;
    let silent = installed.run(&["plan", "--user", ADA]).await;
    assert!(silent.out.contains("acme cannot be read: it is paused"), "{}", silent.out);
    installed.well(&["resume", "--user", ADA, "--calendar", "acme"]).await;
    installed.well(&["sync", "--user", ADA]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off", "Second"]);

    let nothing = installed.run(&["answer", "--user", ADA, "abc123"]).await;
    assert_eq!(nothing.code, 1, "{}", nothing.err);
    assert!(nothing.err.contains("nothing waits under this code"), "{}", nothing.err);
    let dismissed = installed.well(&["dismissed", "--user", ADA]).await;
    assert!(dismissed.starts_with("0 copies"), "{dismissed}");
    let told = installed.well(&["tell-guests", "--user", ADA, "on"]).await;
    assert!(told.contains("are told by mail"), "{told}");
}

#[tokio::test]
async fn another_main_calendar_is_chosen_by_command() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.well(&["sync", "--user", ADA]).await;
    let team = Place { id: "team@home.example".into(), account: ADA.into(), role: Role::Main };
    installed.world.reach(&team);
    emulator::with(&installed.world.core, |core| emulator::calendars::enlist(&mut core.world, ADA, &team.id));
    let refused = installed.run(&["choose-main", "--user", ADA, "nobody@home.example"]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    let out = installed.well(&["choose-main", "--user", ADA, "team@home.example"]).await;
    assert!(out.contains("is the main calendar now: 2 changes made"), "{out}");
    assert!(installed.titles("home").await.is_empty());
}
