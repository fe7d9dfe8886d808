//! Another encryption key in the place of the present one, and a death at any moment of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cli::{Ran, run},
    operator::Installed,
    upkeep::Kept,
};
use crate::{
    controller::rotation::{STEPS, Step, take},
    emulator,
    model::clock::Clock,
    store::{Store, lock},
    vault::{
        Vault,
        rotation::{Rotation, Settled, load_next, settle},
    },
};

/// Keys and database of an installation in a folder of their own.
struct Copy(tempfile::TempDir);

impl Copy {
    /// The database of `from` and its instance key, with these files beside it.
    fn of(from: &Path, keys: &[(&str, &[u8])]) -> Self {
        let copy = Copy(tempfile::tempdir().unwrap());
        for side in ["", "-wal"] {
            let name = format!("calendar-sync.db{side}");
            if from.join(&name).exists() {
                fs::copy(from.join(&name), copy.path(&name)).unwrap();
            }
        }
        fs::create_dir(copy.path("secrets")).unwrap();
        fs::copy(from.join("secrets/instance.key"), copy.path("secrets/instance.key")).unwrap();
        for (name, content) in keys {
            private(&copy.path("secrets").join(name), content);
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key(&self) -> PathBuf {
        self.path("secrets/encryption.key")
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let (database, key) = (self.path("calendar-sync.db"), self.key());
        run(args, &[("DATABASE_PATH", database.to_str().unwrap()), ("ENCRYPTION_KEY_FILE", key.to_str().unwrap())])
            .await
    }

    /// The secrets' names, without those that are always there.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("secrets")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !["encryption.key", "instance.key"].contains(&name.as_str()));
        names.sort();
        names
    }

    /// The first steps of a rotation to the key of a file; then the process dies.
    async fn die_after(&self, steps: &[Step], to: &Path) {
        let vault = Arc::new(Vault::load(&self.key()).unwrap());
        let store = Store::open_existing(&self.path("calendar-sync.db"), vault, Clock::system()).await.unwrap();
        let rotation = Rotation::begin(&self.key(), Some(to)).unwrap();
        for step in steps {
            take(*step, &rotation, &store).await.unwrap();
        }
        store.close().await;
    }
}

fn private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn text(key: [u8; 32]) -> Vec<u8> {
    format!("{}\n", data_encoding::BASE64.encode(&key)).into_bytes()
}

const OFFLINE: &[&str] = &["plan", "--all", "--offline"];

#[tokio::test]
async fn a_death_after_any_step_leaves_an_installation_that_opens_with_exactly_one_of_two_keys() {
    let kept = Kept::new().await;
    let home = PathBuf::from(kept.path(""));
    let (old, new) = (fs::read(kept.path("secrets/encryption.key")).unwrap(), text([77; 32]));
    let to = home.join("new.key");
    private(&to, &new);
    for n in 0..=STEPS.len() {
        let copy = Copy::of(&home, &[("encryption.key", &old)]);
        copy.die_after(&STEPS[..n], &to).await;
        let belongs_to_new = STEPS[..n].contains(&Step::Commit);
        // Each key by itself, without what the rotation left.
        for (key, opens) in [(&old, !belongs_to_new), (&new, belongs_to_new)] {
            let alone = Copy::of(copy.0.path(), &[("encryption.key", key)]);
            let ran = alone.run(OFFLINE).await;
            assert_eq!(ran.code, if opens { 0 } else { 3 }, "{n}: {}{}", ran.out, ran.err);
        }
        // As it was left: everything works, before the next start of the service and after it.
        let ran = copy.run(OFFLINE).await;
        assert_eq!(ran.code, 0, "{n}: {}{}", ran.out, ran.err);
        let by_next = copy.run(&["doctor", "--offline"]).await.out.contains("was interrupted");
        assert_eq!(by_next, belongs_to_new && n < STEPS.len(), "{n}");
        let settled = settle(&copy.key(), by_next).unwrap();
        let expect = match n {
            0 => Settled::Clean,
            3 => Settled::Finished,
            _ => Settled::Cleared,
        };
        assert_eq!(settled, expect, "{n}");
        assert_eq!(fs::read(copy.key()).unwrap(), if belongs_to_new { new.clone() } else { old.clone() }, "{n}");
        // The old key is kept until a start that found nothing to finish.
        assert_eq!(copy.left(), if by_next { vec!["encryption.key.prev"] } else { vec![] }, "{n}");
        settle(&copy.key(), false).unwrap();
        assert_eq!(copy.left(), Vec::<String>::new(), "{n}");
        assert_eq!(copy.run(OFFLINE).await.code, 0, "{n}");
    }
}

#[tokio::test]
async fn a_death_within_a_step_and_a_second_try_do_no_harm() {
    let kept = Kept::new().await;
    let home = PathBuf::from(kept.path(""));
    let (old, new) = (fs::read(kept.path("secrets/encryption.key")).unwrap(), text([77; 32]));
    let to = home.join("new.key");
    private(&to, &new);
    // Files cut anywhere: the present key is whole, and counts.
    for cut in [0, 1, 20, new.len() - 2] {
        for name in ["encryption.key.next", "encryption.key.prev"] {
            let copy = Copy::of(&home, &[("encryption.key", &old), (name, &new[..cut])]);
            assert_eq!(copy.run(OFFLINE).await.code, 0, "{name} {cut}");
            let ran = copy.run(&["rotate-key"]).await;
            assert_eq!(ran.code, 0, "{name} {cut}: {}", ran.err);
            assert_eq!(copy.left(), ["encryption.key.prev"], "{name} {cut}");
            assert_eq!(fs::read(copy.path("secrets/encryption.key.prev")).unwrap(), old);
        }
    }
    // Died after the commit; then it is tried again, with yet another key.
    let copy = Copy::of(&home, &[("encryption.key", &old)]);
    copy.die_after(&STEPS[..3], &to).await;
    assert!(load_next(&copy.key()).is_some());
    let ran = copy.run(&["rotate-key"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(fs::read(copy.path("secrets/encryption.key.prev")).unwrap(), new, "the key in between");
    assert_eq!(copy.run(OFFLINE).await.code, 0);
    // A directory in which nothing may be written: nothing happens.
    let copy = Copy::of(&home, &[("encryption.key", &old)]);
    fs::create_dir(copy.path("secrets/encryption.key.next")).unwrap();
    let ran = copy.run(&["rotate-key"]).await;
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}", ran.err);
    assert_eq!(copy.run(OFFLINE).await.code, 0);
    assert_eq!(fs::read(copy.key()).unwrap(), old);
}

#[tokio::test]
async fn a_rotation_that_cannot_be_is_refused_and_changes_nothing() {
    let kept = Kept::new().await;
    let (database, key) = (kept.path("calendar-sync.db"), kept.path("secrets/encryption.key"));
    let before = (fs::read(&database).unwrap(), fs::read(&key).unwrap());
    let (same, short) = (kept.path("same.key"), kept.path("short.key"));
    private(same.as_ref(), &before.1);
    private(short.as_ref(), b"AAAA\n");
    let check = async |args: &[&str], code: u8, word: &str| {
        let ran = kept.run(args).await;
        assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(word) && ran.out.is_empty(), "{args:?}: {}", ran.err);
    };
    check(&["rotate-key", "--to", &same], 6, "in use already").await;
    check(&["rotate-key", "--to", &short], 3, "instead of 32").await;
    check(&["rotate-key", "--to", "/nowhere/new.key"], 3, "/nowhere/new.key").await;
    let held = lock::hold(database.as_ref()).unwrap();
    check(&["rotate-key"], 5, "another process serves").await;
    drop(held);
    assert_eq!((fs::read(&database).unwrap(), fs::read(&key).unwrap()), before);
    fs::remove_file(&key).unwrap();
    check(&["rotate-key"], 3, "no key file").await;
    private(key.as_ref(), &before.1);
    fs::remove_file(&database).unwrap();
    check(&["rotate-key"], 4, "no database").await;
    assert!(!Path::new(&database).exists());
    let entries = fs::read_dir(kept.path("secrets")).unwrap();
    assert_eq!(entries.count(), 2, "no key was made");
}

/// Every row of every table, but those two that name the encryption key, and the log.
async fn rows(database: &str) -> String {
    use sqlx::Connection;
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{database}?mode=ro")).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'sync_log' ORDER BY name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut all = String::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let only = if table == "settings" { "WHERE key NOT IN ('key.check.encryption', 'key.data')" } else { "" };
        let question = format!("SELECT concat_ws('|', {}) FROM {table} {only} ORDER BY 1", quoted.join(", "));
        let lines: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
        all = format!("{all}{table}\n{}\n", lines.join("\n"));
    }
    all
}

#[tokio::test]
async fn a_rotation_touches_two_rows_and_nothing_at_google() {
    let installed = Installed::new().await;
    installed.meeting("acme", "kickoff", "Kick-off").await;
    installed.meeting("globex", "meeting2", "Review").await;
    installed.well(&["sync", "--all"]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off", "Review"]);
    let (database, key) = (installed.path("calendar-sync.db"), installed.path("encryption.key"));
    let old = Vault::load(key.as_ref()).unwrap();
    let writes = || emulator::with(&installed.world.core, |core| core.writes.len());
    let before = (rows(&database).await, writes());
    let told = installed.well(&["rotate-key"]).await;
    assert!(told.contains("encryption.key.prev") && told.contains("Nobody has to sign in again"), "{told}");
    let new = Vault::load(key.as_ref()).unwrap();
    assert_ne!(old.key_check().encryption, new.key_check().encryption);
    assert_eq!(old.key_check().instance, new.key_check().instance);
    assert_eq!(old.session_key().reveal(), new.session_key().reveal(), "sessions go on");
    assert_eq!(old.installation(), new.installation());
    assert!(rows(&database).await == before.0, "nothing else in the database changed");
    installed.well(&["plan", "--all"]).await;
    installed.well(&["sync", "--all"]).await;
    assert_eq!(writes(), before.1, "nothing is written at Google");
    // And everything still reaches everybody.
    installed.meeting("acme", "second", "Second").await;
    installed.well(&["sync", "--all"]).await;
    assert_eq!(installed.titles("home").await, ["Kick-off", "Review", "Second"]);
    let lines = installed.store().await.log_lines(&Default::default(), 100).await.unwrap();
    assert_eq!(lines.iter().filter(|line| line.action == "key_rotated").count(), 1);
}
