//! The first start, killed at any moment, in every state in which a death can leave its files, and without room for them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    BINARY, Process,
    rotation::{private, start},
};

/// Kills in this test, each a little later than the one before.
const KILLS: u32 = 24;

/// A place for an installation, and the settings that lead there.
struct Place {
    directory: PathBuf,
    env: BTreeMap<String, String>,
}

impl Place {
    fn at(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let env = [
            ("DATABASE_PATH", path("data/calendar-sync.db")),
            ("ENCRYPTION_KEY_FILE", path("secrets/encryption.key")),
            ("GOOGLE_ISSUER_URL", "http://127.0.0.1:1".into()),
            ("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:1/calendar/v3".into()),
            ("LISTEN", "127.0.0.1:0".into()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Place { directory: directory.to_owned(), env }
    }

    fn database(&self) -> PathBuf {
        self.directory.join("data/calendar-sync.db")
    }

    fn secret(&self, name: &str) -> PathBuf {
        self.directory.join("secrets").join(name)
    }

    /// The names of all files of the keys.
    fn secrets(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory.join("secrets")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// It starts, and starts again, and nothing is left of how it came to be.
    fn starts(&self, what: &str) {
        start(&self.env);
        assert_eq!(self.secrets(), ["encryption.key", "instance.key"], "{what}");
        start(&self.env);
    }
}

#[test]
fn killed_at_any_moment_a_first_start_leaves_what_starts() {
    let directory = tempfile::tempdir().unwrap();
    let mut begun = 0;
    for kill in 0..KILLS {
        let place = Place::at(&directory.path().join(kill.to_string()));
        let child = Command::new(BINARY)
            .arg("serve")
            .envs(&place.env)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        std::thread::sleep(Duration::from_millis(2) * kill);
        drop(process);
        begun += usize::from(!place.secrets().is_empty());
        place.starts(&format!("killed after {} ms", 2 * kill));
    }
    assert!(begun > 0, "no start had come to its keys");
}

#[tokio::test]
async fn the_service_starts_from_every_state_in_which_a_first_start_can_die() {
    let directory = tempfile::tempdir().unwrap();
    let made = Place::at(&directory.path().join("made"));
    start(&made.env);
    let key = |name: &str| fs::read(made.secret(name)).unwrap();
    let (encryption, instance) = (key("encryption.key"), key("instance.key"));
    let drafts = [("encryption.key.first", &encryption), ("instance.key.first", &instance)];
    let kept = [("encryption.key", &encryption), ("instance.key.first", &instance)];
    // What is there of the keys, and of the database: nothing, an empty file, a schema, or all of it.
    let states = [
        ("one draft", &drafts[..1], None),
        ("two drafts", &drafts[..], None),
        ("an empty database", &drafts[..], Some("empty")),
        ("a database that was about to be kept another way", &drafts[..], Some("journal")),
        ("a database that belongs to nobody yet", &drafts[..], Some("schema")),
        ("a database that belongs to the drafts", &drafts[..], Some("whole")),
        ("one draft renamed", &kept[..], Some("whole")),
    ];
    for (what, keys, database) in states {
        let place = Place::at(&directory.path().join(what));
        fs::create_dir_all(place.secret("")).unwrap();
        fs::create_dir_all(place.database().parent().unwrap()).unwrap();
        for (name, content) in keys {
            private(&place.secret(name), content);
        }
        match database {
            None => {}
            Some("empty") => private(&place.database(), b""),
            Some("journal") => half_written(&place.database()).await,
            Some(how) => {
                for side in ["", "-wal"] {
                    let from = PathBuf::from(format!("{}{side}", made.database().display()));
                    if from.exists() {
                        fs::copy(&from, format!("{}{side}", place.database().display())).unwrap();
                    }
                }
                if how == "schema" {
                    let address = format!("sqlite://{}", place.database().display());
                    let mut connection = SqliteConnection::connect(&address).await.unwrap();
                    let gone = sqlx::query("DELETE FROM settings WHERE key LIKE 'key.%'");
                    assert_eq!(gone.execute(&mut connection).await.unwrap().rows_affected(), 3);
                    connection.close().await.unwrap();
                }
            }
        }
        place.starts(what);
        let same = fs::read(place.secret("encryption.key")).unwrap() == encryption;
        assert_eq!(same, database.is_some(), "{what}: a database keeps the keys that were made for it");
    }
}

/// What a death leaves between the first page of a database and the end of the journal that would take it back.
async fn half_written(database: &Path) {
    let beside = |side: &str| PathBuf::from(format!("{}{side}", database.display()));
    let options = SqliteConnectOptions::new().create_if_missing(true).pragma("cache_size", "1");
    let begun = options.clone().filename(beside(".begun"));
    let mut connection = begun.connect().await.unwrap();
    for step in ["BEGIN", "CREATE TABLE pages (page)", "INSERT INTO pages VALUES (zeroblob(400000))"] {
        sqlx::query(step).execute(&mut connection).await.unwrap();
    }
    private(&beside("-journal"), &fs::read(beside(".begun-journal")).unwrap());
    connection.close().await.unwrap();
    let mut connection = options.filename(beside(".page")).connect().await.unwrap();
    sqlx::query("PRAGMA user_version = 1").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    private(database, &fs::read(beside(".page")).unwrap());
}

#[test]
fn a_first_start_without_room_or_right_leaves_nothing_and_the_next_one_is_a_first_start() {
    let directory = tempfile::tempdir().unwrap();
    // Files may be made, and nothing can be written to them, as on a full disk.
    let full = Place::at(&directory.path().join("full"));
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" serve"#, BINARY])
        .envs(&full.env)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("ENCRYPTION_KEY_FILE") && told.contains("cannot be written"), "{told}");
    assert_eq!(full.secrets(), Vec::<String>::new());
    full.starts("the disk was full");
    // A place where nobody may make a file, whoever asks.
    let mut closed = Place::at(&directory.path().join("closed"));
    closed.env.insert("ENCRYPTION_KEY_FILE".into(), "/proc/encryption.key".into());
    let output = Command::new(BINARY).arg("serve").envs(&closed.env).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("ENCRYPTION_KEY_FILE") && !closed.database().exists(), "{told}");
    Place::at(&directory.path().join("closed")).starts("the keys had nowhere to lie");
}
