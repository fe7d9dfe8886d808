//! The installation over the years: copies and their return, what is forgotten, a full disk, one service at a time.

use std::fs;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    cli::{Ran, run},
    world::World,
};
use crate::{
    controller::{
        App,
        tick::{Mode, TickError, tick},
        upkeep,
    },
    model::{calendar::Role, plan::Outcome},
    planner,
    store::{StoreError, lock},
};

async fn world() -> World {
    let mut world = World::new().await;
    let own = |name: &str, role| (name.to_owned(), format!("ada@{name}.example"), format!("ada@{name}.example"), role);
    world.add("ada", 0, &[own("home", Role::Main), own("acme", Role::Client), own("globex", Role::Client)]).await;
    world
}

async fn meet(world: &World, title: &str, day: u32) -> String {
    let at = |hour: u32| json!({"dateTime": format!("2026-03-{day:02}T{hour:02}:00:00+01:00")});
    let body = json!({"summary": title, "start": at(9), "end": at(10)});
    let (status, answer) = world.as_person("acme", "POST", "/events", body).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn titles(world: &World, calendar: &str) -> Vec<String> {
    let items = world.all_items(calendar, "/events?singleEvents=true").await;
    let mut titles: Vec<String> = items.iter().map(|item| item["summary"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    titles
}

async fn settle(world: &World) {
    for _ in 0..4 {
        if tick(world.app("ada"), world.people["ada"].user, Mode::Apply).await.unwrap().plan.is_empty() {
            return;
        }
    }
    let plan = tick(world.app("ada"), world.people["ada"].user, Mode::DryRun).await.unwrap().plan;
    assert!(plan.is_empty(), "{plan:?}");
}

#[tokio::test]
async fn an_older_copy_of_the_database_comes_to_the_same_end() {
    let mut world = world().await;
    let stays = meet(&world, "Stays", 2).await;
    let goes = meet(&world, "Goes", 3).await;
    settle(&world).await;
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    world.app("ada").store.back_up(&copy).await.unwrap();
    // Life goes on: one meeting is new, one renamed, one gone.
    meet(&world, "Comes", 4).await;
    world.as_person("acme", "PATCH", &format!("/events/{stays}"), json!({"summary": "Stays, renamed"})).await;
    world.as_person("acme", "DELETE", &format!("/events/{goes}"), Value::Null).await;
    settle(&world).await;
    let expected = (titles(&world, "home").await, titles(&world, "globex").await);
    let writes = |world: &World| crate::emulator::with(&world.core, |core| core.writes.len());
    let before = writes(&world);
    world.restore("ada", &copy).await;
    settle(&world).await;
    assert_eq!((titles(&world, "home").await, titles(&world, "globex").await), expected);
    assert_eq!(expected.0, ["Comes", "Stays, renamed"]);
    let deleted = crate::emulator::with(&world.core, |core| core.writes[before..].iter().any(|w| w.method == "DELETE"));
    assert!(!deleted, "nothing is deleted for having been forgotten");
}

#[tokio::test]
async fn a_copy_appears_whole_or_not_at_all_and_replaces_nothing() {
    let world = world().await;
    let store = &world.app("ada").store;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.db");
    store.back_up(&file).await.unwrap();
    let content = fs::read(&file).unwrap();
    assert!(matches!(store.back_up(&file).await, Err(StoreError::Exists(_))));
    assert_eq!(fs::read(&file).unwrap(), content);
    assert!(matches!(store.back_up(&dir.path().join("no/such/place.db")).await, Err(StoreError::File(..))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-made is left");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
}

#[tokio::test]
async fn daily_copies_are_made_once_and_thinned_out() {
    let world = world().await;
    let app = world.app("ada");
    let directory = app.store.path().with_file_name("backups");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("mine.db"), "somebody's own").unwrap();
    for _ in 0..20 {
        let file = upkeep::back_up(app).await.unwrap();
        assert_eq!(upkeep::back_up(app).await.unwrap(), file);
        world.clock.advance(TimeDelta::days(1));
    }
    let names: Vec<String> =
        fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"mine.db".to_owned()));
    // Seven days, and the newest of each of two weeks before; the first days of March are of the second.
    assert_eq!(names.len(), 1 + 7 + 2 + 1, "{names:?}");
    assert!(names.contains(&"calendar-sync-2026-03-20.db".to_owned()), "{names:?}");
}

#[tokio::test]
async fn forgetting_what_is_old_changes_no_plan_and_keeps_what_undoing_needs() {
    let world = world().await;
    let app = world.app("ada");
    let gone: Vec<String> = {
        let mut ids = Vec::new();
        for day in 2..8 {
            ids.push(meet(&world, &format!("Meeting {day}"), day).await);
        }
        ids
    };
    settle(&world).await;
    for id in &gone[..3] {
        world.as_person("acme", "DELETE", &format!("/events/{id}"), Value::Null).await;
    }
    settle(&world).await;
    let plan = async |app: &App| {
        let user = app.store.user(world.people["ada"].user).await.unwrap().unwrap();
        let freshness = crate::controller::observe::as_of_last_time(app, &user).await.unwrap();
        let snapshot = app.store.snapshot(user.id, &freshness, app.policy.clone()).await.unwrap();
        planner::plan(&snapshot)
    };
    let nothing = app.store.forget_old().await.unwrap();
    assert_eq!(nothing, Default::default(), "nothing is old yet");
    // The oldest meetings are still within the horizon then, and their tombstones older than a month.
    world.clock.advance(TimeDelta::days(31));
    let before = plan(app).await;
    let forgotten = app.store.forget_old().await.unwrap();
    // Three origins, three copies, three blocks.
    assert_eq!((forgotten.tombstones, forgotten.runs), (9, 0));
    let after = plan(app).await;
    assert_eq!((after.steps, after.held, after.in_sync), (before.steps, before.held, before.in_sync));
    settle(&world).await;
    assert!(!app.store.runs(world.people["ada"].user, 10).await.unwrap().is_empty());
    world.clock.advance(TimeDelta::days(60));
    assert!(app.store.forget_old().await.unwrap().runs >= 2);
    assert!(app.store.runs(world.people["ada"].user, 10).await.unwrap().is_empty());
    settle(&world).await;
}

#[tokio::test]
async fn a_series_that_is_gone_is_forgotten_with_its_instances() {
    let world = world().await;
    let time = |hour: u32| json!({"dateTime": format!("2026-03-02T{hour:02}:00:00"), "timeZone": "Europe/Vienna"});
    let body =
        json!({"summary": "Series", "start": time(9), "end": time(10), "recurrence": ["RRULE:FREQ=DAILY;COUNT=4"]});
    let id = world.as_person("acme", "POST", "/events", body).await.1["id"].as_str().unwrap().to_owned();
    let instance = format!("/events/{id}_20260303T080000Z");
    assert_eq!(world.as_person("acme", "DELETE", &instance, Value::Null).await.0, 204);
    settle(&world).await;
    world.as_person("acme", "DELETE", &format!("/events/{id}"), Value::Null).await;
    settle(&world).await;
    world.clock.advance(TimeDelta::days(31));
    // The series and its cancelled instance, at Acme and twice as ours.
    assert_eq!(world.app("ada").store.forget_old().await.unwrap().tombstones, 6);
    settle(&world).await;
}

#[tokio::test]
async fn before_an_upgrade_a_copy_is_kept() {
    let world = world().await;
    let app = world.app("ada");
    let path = app.store.path().to_owned();
    let before = path.with_file_name(format!("{}.before-upgrade-8", path.file_name().unwrap().to_str().unwrap()));
    app.store.undo_last_migration().await;
    let again = crate::store::Store::open_existing(&path, app.vault.clone(), app.clock.clone()).await.unwrap();
    assert_eq!(again.users().await.unwrap().len(), 1);
    let kept = fs::read(&before).unwrap();
    assert!(kept.starts_with(b"SQLite format 3\0"));
    crate::store::Store::open_existing(&path, app.vault.clone(), app.clock.clone()).await.unwrap();
    assert_eq!(fs::read(&before).unwrap(), kept, "once");
}

#[tokio::test]
async fn a_full_disk_stops_writes_to_google_and_nothing_else() {
    let world = world().await;
    let app = world.app("ada");
    let user = world.people["ada"].user;
    meet(&world, "Before", 2).await;
    settle(&world).await;
    for n in 0..3 {
        meet(&world, &format!("Meanwhile {n}"), 3 + n).await;
    }
    let writes =
        || crate::emulator::with(&world.core, |core| core.writes.iter().filter(|w| w.path.contains("events")).count());
    let before = writes();
    app.store.limit_pages(Some(0)).await.unwrap();
    for _ in 0..3 {
        let error = tick(app, user, Mode::Apply).await.unwrap_err();
        assert!(matches!(error, TickError::Store(StoreError::DiskFull(_))), "{error:?}");
    }
    assert_eq!(writes(), before, "nothing is asked whose outcome could not be recorded");
    // Room at any point of a tick: it goes on by itself, and nothing is doubled.
    for pages in 1..40 {
        app.store.limit_pages(Some(pages)).await.unwrap();
        let _ = tick(app, user, Mode::Apply).await;
    }
    app.store.limit_pages(None).await.unwrap();
    settle(&world).await;
    assert_eq!(titles(&world, "home").await, ["Before", "Meanwhile 0", "Meanwhile 1", "Meanwhile 2"]);
    assert_eq!(titles(&world, "globex").await.len(), 4);
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_statement_costs_nothing() {
    let world = world().await;
    let (app, user) = (world.app("ada"), world.people["ada"].user);
    let mut ids = vec![meet(&world, "Meeting 0", 2).await];
    settle(&world).await;
    let mut failures = 0;
    for nth in 1.. {
        // One is new, one is renamed, one is gone.
        ids.push(meet(&world, &format!("Meeting {nth}"), 2 + nth % 20).await);
        if let [.., renamed, _] = &ids[..] {
            let title = json!({"summary": format!("Renamed in round {nth}")});
            assert_eq!(world.as_person("acme", "PATCH", &format!("/events/{renamed}"), title).await.0, 200);
        }
        if ids.len() > 4 {
            let gone = ids.remove(0);
            assert_eq!(world.as_person("acme", "DELETE", &format!("/events/{gone}"), Value::Null).await.0, 204);
        }
        app.store.full_at(Some(nth)).await;
        let mut stumbled = false;
        for _ in 0..2 {
            match tick(app, user, Mode::Apply).await {
                Err(TickError::Store(StoreError::DiskFull(_))) => stumbled = true,
                Err(error) => panic!("{nth}: {error:?}"),
                Ok(_) => {}
            }
        }
        app.store.full_at(None).await;
        settle(&world).await;
        let (there, copies) = (titles(&world, "acme").await, titles(&world, "home").await);
        assert_eq!(copies, there, "{nth}");
        assert_eq!(titles(&world, "globex").await.len(), there.len(), "{nth}");
        failures += usize::from(stumbled);
        if !stumbled {
            break;
        }
    }
    assert!(failures > 40, "{failures}");
}

#[tokio::test]
async fn a_nearly_full_disk_lets_nothing_be_begun() {
    let world = world().await;
    let (app, user) = (world.app("ada"), world.people["ada"].user);
    meet(&world, "Before", 2).await;
    settle(&world).await;
    meet(&world, "Meanwhile", 3).await;
    app.store.spare(u64::MAX);
    let writes = || crate::emulator::with(&world.core, |core| core.writes.len());
    let before = writes();
    assert!(matches!(tick(app, user, Mode::Apply).await, Err(TickError::Store(StoreError::NoRoom))));
    assert!(matches!(app.store.back_up(&app.store.path().with_extension("copy")).await, Err(StoreError::NoRoom)));
    assert_eq!(writes(), before);
    app.store.spare(1 << 20);
    settle(&world).await;
    assert_eq!(titles(&world, "home").await, ["Before", "Meanwhile"]);
}

#[tokio::test]
async fn a_job_is_one_process_at_a_time_until_its_holder_dies() {
    let world = world().await;
    let store = &world.app("ada").store;
    let hour = TimeDelta::hours(1);
    assert!(store.take_job("retention", "a", hour).await.unwrap());
    assert!(!store.take_job("retention", "b", hour).await.unwrap());
    assert!(store.take_job("backup", "b", hour).await.unwrap(), "another job");
    store.finish_job("retention", "b", true).await.unwrap();
    assert!(!store.take_job("retention", "b", hour).await.unwrap(), "not b's to give back");
    store.finish_job("retention", "a", true).await.unwrap();
    assert_eq!(store.job_done("retention").await.unwrap(), Some(world.clock.now()));
    assert!(store.take_job("retention", "b", hour).await.unwrap());
    world.clock.advance(hour);
    assert!(store.take_job("retention", "a", hour).await.unwrap(), "b must have died");
    world.clock.advance(TimeDelta::days(-10));
    assert!(store.take_job("retention", "b", hour).await.unwrap(), "a lock from the future holds nobody up");
}

#[tokio::test]
async fn two_processes_on_one_database_do_no_harm() {
    let world = world().await;
    for day in 2..8 {
        meet(&world, &format!("Meeting {day}"), day).await;
    }
    let one = world.app("ada").clone();
    // Another process: its own connections, gates and pace; the same file and keys.
    let mut other = one.clone();
    other.store =
        crate::store::Store::open_existing(one.store.path(), one.vault.clone(), one.clock.clone()).await.unwrap();
    other.gates = Default::default();
    let user = world.people["ada"].user;
    for _ in 0..3 {
        let (a, b) = futures::join!(tick(&one, user, Mode::Apply), tick(&other, user, Mode::Apply));
        for done in [a, b] {
            assert!(
                done.unwrap().outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done | Outcome::Skipped(_)))
            );
        }
    }
    settle(&world).await;
    assert_eq!((titles(&world, "home").await.len(), titles(&world, "globex").await.len()), (6, 6));
}

/// An installation that a demo left behind.
pub(super) struct Kept {
    dir: tempfile::TempDir,
}

impl Kept {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("kept");
        let ran = run(&["demo", "--once", "--keep", at.to_str().unwrap()], &[]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        Kept { dir }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join("kept").join(name).to_str().unwrap().to_owned()
    }

    pub async fn run(&self, args: &[&str]) -> Ran {
        let (database, key) = (self.path("calendar-sync.db"), self.path("secrets/encryption.key"));
        run(args, &[("DATABASE_PATH", &database), ("ENCRYPTION_KEY_FILE", &key)]).await
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_by_its_exit_code_and_left_as_it_is() {
    let kept = Kept::new().await;
    let (database, key) = (kept.path("calendar-sync.db"), kept.path("secrets/encryption.key"));
    let instance = kept.path("secrets/instance.key");
    let whole = fs::read(&database).unwrap();
    let keys = [fs::read(&key).unwrap(), fs::read(&instance).unwrap()];
    let other = Kept::new().await;
    let newer = {
        use sqlx::Connection;
        let copy = kept.path("newer.db");
        fs::write(&copy, &whole).unwrap();
        let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{copy}")).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
             VALUES (9999, 'of another day', '2030-01-01', 1, x'00', 0)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        fs::read(&copy).unwrap()
    };
    let mut damaged = whole.clone();
    for byte in &mut damaged[8192..] {
        *byte ^= 0x5a;
    }
    let base64 = |bytes: usize| data_encoding::BASE64.encode(&vec![7; bytes]).into_bytes();
    type Files<'a> = (&'a str, Option<Vec<u8>>);
    let cases: [(Files<'_>, u8, &str); 12] = [
        ((&key, None), 3, "no key file"),
        ((&key, Some(b"".to_vec())), 3, "instead of 32"),
        ((&key, Some(base64(31))), 3, "instead of 32"),
        ((&key, Some(base64(33))), 3, "instead of 32"),
        ((&key, Some(b"no key at all!".to_vec())), 3, "is not base64"),
        ((&key, Some(fs::read(other.path("secrets/encryption.key")).unwrap())), 3, "another encryption.key"),
        ((&instance, Some(fs::read(other.path("secrets/instance.key")).unwrap())), 3, "another instance.key"),
        ((&database, None), 4, "there is no database"),
        ((&database, Some(b"Dear Sir or Madam, this is no database at all.".to_vec())), 4, "not an SQLite database"),
        ((&database, Some(damaged)), 4, "damaged"),
        ((&database, Some(newer)), 4, "newer version"),
        ((&database, Some(b"".to_vec())), 4, "there is no database"),
    ];
    for ((file, content), code, word) in cases {
        match &content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        for args in [&["serve"][..], &["plan", "--all", "--offline"], &["backup", &kept.path("copy.db")]] {
            let ran = kept.run(args).await;
            assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{args:?} {word}: {}", ran.err);
            assert!(ran.err.contains(word) && ran.out.is_empty(), "{args:?} {word}: {}", ran.err);
            assert_eq!(fs::read(file).ok(), content, "{args:?} {word}");
        }
        for (file, content) in [(&database, &whole), (&key, &keys[0]), (&instance, &keys[1])] {
            fs::write(file, content).unwrap();
            #[cfg(unix)]
            fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    assert!(!fs::exists(kept.path("copy.db")).unwrap());
    let held = lock::hold(database.as_ref()).unwrap();
    assert_eq!(kept.run(&["serve"]).await.code, 5, "a second service");
    drop(held);
    assert_eq!(kept.run(&["plan", "--all", "--offline"]).await.code, 0, "and all is well again");
}

#[tokio::test]
async fn restoring_verifies_before_it_replaces_and_starts_paused() {
    let kept = Kept::new().await;
    let (copy, database) = (kept.path("copy.db"), kept.path("calendar-sync.db"));
    let ran = kept.run(&["backup", &copy]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(kept.run(&["backup", &copy]).await.code, 1, "it replaces nothing");
    let before = fs::read(&database).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = kept.path(name);
        fs::write(&path, content).unwrap();
        path
    };
    let whole = fs::read(&copy).unwrap();
    let mut damaged = whole.clone();
    for byte in &mut damaged[8192..] {
        *byte ^= 0x5a;
    }
    let other = Kept::new().await;
    let foreign = other.path("calendar-sync.db");
    for (path, code) in [
        (kept.path("nowhere.db"), 2),
        (file("letter.db", b"Dear Sir or Madam, this is no database at all."), 4),
        (file("empty.db", b""), 4),
        (file("cut.db", &whole[..whole.len() / 2]), 4),
        (file("damaged.db", &damaged), 4),
        (foreign, 3),
    ] {
        let ran = kept.run(&["restore", &path]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{path}: {}", ran.err);
        assert_eq!(fs::read(&database).unwrap(), before, "{path}");
    }
    for (args, code) in
        [(&["restore"][..], 2), (&["restore", &copy, "--without-backup"], 2), (&["restore", "--without-backup"], 6)]
    {
        let ran = kept.run(args).await;
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert_eq!(fs::read(&database).unwrap(), before, "{args:?}");
    }
    let held = lock::hold(database.as_ref()).unwrap();
    assert_eq!(kept.run(&["restore", &copy]).await.code, 5, "while a service runs");
    drop(held);
    let ran = kept.run(&["restore", &copy]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("paused") && ran.out.contains("before-restore-"), "{}", ran.out);
    let plan = kept.run(&["plan", "--all"]).await;
    assert!(plan.out.contains("it is paused"), "{}{}", plan.out, plan.err);
    // What is missing now was not removed by a person, as far as anybody can know.
    use sqlx::Connection;
    let url = format!("sqlite://{}?mode=ro", kept.path("calendar-sync.db"));
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let question = "SELECT count(*), count(*) FILTER (WHERE memory = 'kept') FROM event_mappings";
    let (all, sure): (u32, u32) = sqlx::query_as(question).fetch_one(&mut connection).await.unwrap();
    assert!(all > 0 && sure == 0, "{sure} of {all}");
    connection.close().await.unwrap();
    let names =
        fs::read_dir(kept.dir.path().join("kept")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert!(names.iter().any(|name| name.starts_with("calendar-sync.db.before-restore-")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("restoring")), "{names:?}");
}

/// Nothing but the keys is left (reliability X3): what was made before is still ours, and nobody knows of it yet.
#[tokio::test]
async fn without_any_backup_the_keys_are_enough_to_begin_anew() {
    let kept = Kept::new().await;
    let database = kept.path("calendar-sync.db");
    fs::rename(&database, kept.path("elsewhere.db")).unwrap();
    let ran = kept.run(&["plan", "--all"]).await;
    assert!(ran.code == 4 && ran.err.contains("restore --without-backup"), "{}", ran.err);
    let log = kept.path("calendar-sync.db-wal");
    fs::write(&log, "not yet merged").unwrap();
    let ran = kept.run(&["restore", "--without-backup"]).await;
    assert!(ran.code == 6 && ran.err.contains("calendar-sync.db-wal is there"), "{}", ran.err);
    fs::remove_file(&log).unwrap();
    let key = kept.path("secrets/encryption.key");
    let whole = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert_eq!(kept.run(&["restore", "--without-backup"]).await.code, 3, "without keys");
    fs::write(&key, whole).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!fs::exists(&database).unwrap());
    let ran = kept.run(&["restore", "--without-backup"]).await;
    assert!(ran.code == 0 && ran.out.contains("set it up as the first time"), "{}{}", ran.out, ran.err);
    let doctor = kept.run(&["doctor", "--offline"]).await;
    assert!(!doctor.out.contains("✕ keys") && !doctor.out.contains("✕ database"), "{}", doctor.out);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&database).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(kept.run(&["restore", "--without-backup"]).await.code, 6, "a second time");
}
