//! What `busybridge doctor` says of each way in which a set-up can be broken: one line with one remedy, an exit code that is not zero,
//! and nothing changed.

use std::{fs, io::Read, net::TcpListener, path::Path, thread};

use sqlx::Connection;

use super::{
    cli::{Ran, run},
    upkeep::Kept,
};

const ENCRYPTION: &str = "secrets/encryption.key";
const INSTANCE: &str = "secrets/instance.key";
const DATABASE: &str = "calendar-sync.db";

/// How it is broken.
enum Break {
    /// This variable has this value; none: it is not set.
    Set(&'static str, Option<String>),
    /// This file has this content; none: it is not there.
    File(&'static str, Option<Vec<u8>>),
    /// This file has these permissions.
    Mode(&'static str, u32),
    /// In the place of this file is a directory.
    Directory(&'static str),
    /// In the place of this file is a link to something without an end.
    Endless(&'static str),
    /// The database is gone, and its log is not.
    LogAlone,
}

use Break::{Directory, Endless, File, LogAlone, Mode, Set};

/// A row of the catalogue of bad inputs, how it is broken, the doctor's exit code, of what it speaks, what it says, and what it advises.
type Row = (&'static str, Break, u8, &'static str, &'static str, &'static str);

async fn altered(kept: &Kept, statement: &'static str) -> Vec<u8> {
    let copy = kept.path("altered.db");
    fs::copy(kept.path(DATABASE), &copy).unwrap();
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{copy}")).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::read(&copy).unwrap()
}

async fn of_another_application() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.db");
    let mut connection =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
    sqlx::raw_sql("CREATE TABLE settings (name TEXT); CREATE TABLE songs (title TEXT)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    fs::read(&file).unwrap()
}

/// A port at which something listens that is no BusyBridge.
fn taken_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut visitor in listener.incoming().map_while(Result::ok) {
            let _ = visitor.read(&mut [0]);
        }
    });
    at
}

async fn rows(kept: &Kept, other: &Kept) -> Vec<Row> {
    let set = |name, value: &str| Set(name, Some(value.to_owned()));
    let base64 = |bytes: usize| Some(data_encoding::BASE64.encode(&vec![7; bytes]).into_bytes());
    let whole = fs::read(kept.path(DATABASE)).unwrap();
    let mut damaged = whole.clone();
    for byte in &mut damaged[8192..] {
        *byte ^= 0x5a;
    }
    let newer = altered(
        kept,
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (9999, 'of another day', '2030-01-01', 1, x'00', 0)",
    )
    .await;
    let ahead = altered(kept, "UPDATE users SET created_at = '2999-01-01T00:00:00.000Z'").await;
    let keyless = altered(kept, "DELETE FROM settings WHERE key = 'key.data'").await;
    let theirs = |name: &str| Some(fs::read(other.path(name)).unwrap());
    let correct = "correct it where";
    let within = kept.path("secrets/encryption.key/a.db");
    vec![
        ("104", Set("DATABASE_PATH", None), 1, "database", "data/calendar-sync.db", "check DATABASE_PATH"),
        ("104", set("DATABASE_PATH", &kept.path("secrets")), 1, "database", "is a directory", "name a file"),
        ("104", set("DATABASE_PATH", "/nowhere/mnt/a.db"), 1, "database", "nor its directory", "is mounted"),
        ("104", set("DATABASE_PATH", ":memory:"), 2, "settings", "must be the path of a file", correct),
        ("104", set("DATABASE_PATH", "/dev/null"), 1, "database", "/dev/null is a device", "name a file"),
        ("104", set("DATABASE_PATH", &within), 1, "database", "cannot be looked at", "check DATABASE_PATH"),
        ("105", File(ENCRYPTION, None), 1, "keys", "no key file", "backup"),
        ("105", File(INSTANCE, None), 1, "keys", "instance.key", "backup"),
        ("105", File(ENCRYPTION, Some(Vec::new())), 1, "keys", "0 bytes instead of 32", "backup"),
        ("105", File(ENCRYPTION, base64(31)), 1, "keys", "31 bytes instead of 32", "backup"),
        ("105", File(ENCRYPTION, base64(33)), 1, "keys", "33 bytes instead of 32", "backup"),
        ("105", File(ENCRYPTION, Some(b"no key at all!".to_vec())), 1, "keys", "is not base64", "backup"),
        ("105", Mode(ENCRYPTION, 0o644), 1, "keys", "mode 644", "chmod 600"),
        ("105", Mode(INSTANCE, 0o640), 1, "keys", "mode 640", "chmod 600"),
        ("105", Directory(ENCRYPTION), 1, "keys", "is not a file", "name the file"),
        ("105", Endless(ENCRYPTION), 1, "keys", "is not a file", "name the file"),
        ("106", File(ENCRYPTION, theirs(ENCRYPTION)), 1, "keys", "another encryption.key", "belong to this database"),
        ("106", File(INSTANCE, theirs(INSTANCE)), 1, "keys", "another instance.key", "belong to this database"),
        ("107", set("PUBLIC_URL", "http://example.com"), 2, "settings", "PUBLIC_URL must begin with https", correct),
        ("107", set("PUBLIC_URL", "https://example.com/x"), 2, "settings", "PUBLIC_URL must be a bare", correct),
        ("107", set("PUBLIC_URL", "https://example.com/?a"), 2, "settings", "PUBLIC_URL must be a bare", correct),
        ("107", set("PUBLIC_URL", "https://u@example.com"), 2, "settings", "PUBLIC_URL must be a bare", correct),
        ("107", set("PUBLIC_URL", "https://:p@example.com"), 2, "settings", "PUBLIC_URL must be a bare", correct),
        ("107", set("PUBLIC_URL", "https://example.com:0"), 2, "settings", "PUBLIC_URL must be one address", correct),
        ("107", set("PUBLIC_URL", "https://*"), 2, "settings", "PUBLIC_URL must be one address", correct),
        ("107", set("PUBLIC_URL", "example.com"), 2, "settings", "PUBLIC_URL is not an address", correct),
        ("108", set("LOG_LEVEL", "verbose"), 2, "settings", "error, warn, info, debug and trace", correct),
        ("109", set("TZ", "Mars/Phobos"), 2, "settings", "TZ must be the name", correct),
        ("109", set("TZ", "../etc"), 2, "settings", "TZ must be the name", correct),
        ("110", set("TRUSTED_PROXIES", "banana"), 2, "settings", "TRUSTED_PROXIES must be addresses", correct),
        ("110", set("TRUSTED_PROXIES", "0.0.0.0/0"), 2, "settings", "must not be everybody", correct),
        ("111", set("LISTEN", &taken_port()), 1, "service", "could not listen", "another port in LISTEN"),
        ("111", set("LISTEN", "3000"), 2, "settings", "LISTEN must be an address and a port", correct),
        ("112", File(DATABASE, Some(newer)), 1, "database", "newer version", "use the newer version"),
        ("112", File(DATABASE, Some(of_another_application().await)), 1, "database", "another application", "own file"),
        ("112", File(DATABASE, Some(Vec::new())), 1, "database", "is empty", "restore the last backup"),
        ("112", File(DATABASE, None), 1, "database", "no database at", "restore the last backup"),
        ("112", LogAlone, 1, "database", "but its log", "beside its log"),
        (
            "112",
            File(DATABASE, Some(b"Dear Sir or Madam".to_vec())),
            1,
            "database",
            "not an SQLite",
            "busybridge restore",
        ),
        ("112", File(DATABASE, Some(damaged)), 1, "database", "is damaged", "busybridge restore"),
        (
            "112",
            File(DATABASE, Some(whole[..whole.len() / 2].to_vec())),
            1,
            "database",
            "is damaged",
            "busybridge restore",
        ),
        ("112", File(DATABASE, Some(keyless)), 1, "database", "which keys it belongs to", "busybridge restore"),
        ("113", File(DATABASE, Some(ahead)), 1, "clock", "behind the database", "NTP"),
        ("115", set("BUSYBRIDGE_DATABASE_PATH", "x"), 2, "settings", "the variable is called DATABASE_PATH", correct),
        ("115", set("BUSYBRIDGE_COLOUR", "red"), 2, "settings", "no such variable", correct),
        ("115", set("LOGLEVEL", "debug"), 2, "settings", "the variable is called LOG_LEVEL", correct),
        (
            "116",
            set("GOOGLE_ISSUER_URL", "https://idp.example"),
            2,
            "settings",
            "must be Google's own or both",
            correct,
        ),
        (
            "116",
            set("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:1/v3"),
            2,
            "settings",
            "must be Google's own or both",
            correct,
        ),
    ]
}

async fn doctor(kept: &Kept, broken: &Break) -> Ran {
    let (database, key) = (kept.path(DATABASE), kept.path(ENCRYPTION));
    let mut env = vec![("DATABASE_PATH", database.as_str()), ("ENCRYPTION_KEY_FILE", key.as_str())];
    // Nobody listens there, so that a service of this machine is not taken for ours.
    env.push(("LISTEN", "127.0.0.1:0"));
    if let Set(name, value) = broken {
        env.retain(|(known, _)| known != name);
        env.extend(value.as_deref().map(|value| (*name, value)));
    }
    run(&["doctor", "--offline"], &env).await
}

fn remove(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir(path).unwrap()
    } else {
        let _ = fs::remove_file(path);
    }
}

fn private(path: &str, content: &[u8]) {
    fs::write(path, content).unwrap();
    mode(path, 0o600);
}

fn mode(path: &str, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn every_broken_set_up_has_one_line_with_one_remedy() {
    let (kept, other) = (Kept::new().await, Kept::new().await);
    let files = [ENCRYPTION, INSTANCE, DATABASE].map(|name| (kept.path(name), fs::read(kept.path(name)).unwrap()));
    let well = doctor(&kept, &Set("HOME", None)).await;
    assert_eq!((well.code, well.err.as_str()), (0, ""), "{}", well.out);
    assert!(!well.out.contains('✕'), "{}", well.out);
    for (row, broken, code, name, says, advises) in rows(&kept, &other).await {
        let wal = kept.path("calendar-sync.db-wal");
        match &broken {
            Set(..) => {}
            File(file, Some(content)) => private(&kept.path(file), content),
            File(file, None) => remove(kept.path(file).as_ref()),
            Mode(file, bits) => mode(&kept.path(file), *bits),
            Directory(file) => {
                remove(kept.path(file).as_ref());
                fs::create_dir(kept.path(file)).unwrap();
            }
            Endless(file) => {
                remove(kept.path(file).as_ref());
                std::os::unix::fs::symlink("/dev/zero", kept.path(file)).unwrap();
            }
            LogAlone => {
                remove(kept.path(DATABASE).as_ref());
                private(&wal, b"not yet merged");
            }
        }
        let ran = doctor(&kept, &broken).await;
        let lines: Vec<&str> = ran.out.lines().filter(|line| line.starts_with('✕')).collect();
        let of_it: Vec<&&str> = lines.iter().filter(|line| line[3..].trim_start().starts_with(name)).collect();
        let told = format!("row {row}, {says}: exit {}\n{}{}", ran.code, ran.out, ran.err);
        assert_eq!((ran.code, of_it.len(), ran.err.as_str()), (code, 1, ""), "{told}");
        let (what, todo) = of_it[0].split_once(" — ").unwrap_or_else(|| panic!("no remedy: {told}"));
        assert!(what.contains(says) && todo.contains(advises), "{told}");
        // Only what cannot be looked at for this very reason is wrong besides.
        let besides = lines.iter().filter(|line| !line.contains(of_it[0]) && !line.contains("first mend the keys"));
        let besides: Vec<&&str> = besides.filter(|line| !line.contains("directory of the database")).collect();
        assert!(besides.is_empty(), "{besides:?} besides: {told}");
        if let File(file, content) = &broken {
            assert!(fs::read(kept.path(file)).ok() == *content, "it is not left as it is: {told}");
        }
        for name in [ENCRYPTION, INSTANCE, DATABASE] {
            remove(kept.path(name).as_ref());
        }
        for side in ["-wal", "-shm"] {
            let _ = fs::remove_file(kept.path(&format!("{DATABASE}{side}")));
        }
        for (path, content) in &files {
            private(path, content);
        }
    }
    let left: Vec<String> =
        fs::read_dir(kept.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.contains(&"secrets.lock".to_owned()), "it makes nothing beside what is no database: {left:?}");
}

#[tokio::test]
async fn a_first_start_that_died_is_only_to_be_started_again() {
    let kept = Kept::new().await;
    for key in [ENCRYPTION, INSTANCE] {
        fs::rename(kept.path(key), kept.path(&format!("{key}.first"))).unwrap();
    }
    for (there, says) in [(true, "had begun"), (false, "yet")] {
        if !there {
            remove(kept.path(DATABASE).as_ref());
        }
        let ran = doctor(&kept, &Set("HOME", None)).await;
        let lines: Vec<&str> = ran.out.lines().filter(|line| line.starts_with('✕')).collect();
        assert!(lines.iter().all(|line| line.contains("start the service")), "{}", ran.out);
        assert!(lines.iter().any(|line| line.contains("the first start was interrupted")), "{}", ran.out);
        assert!(lines.iter().any(|line| line.contains("database") && line.contains(says)), "{}", ran.out);
        assert_eq!((ran.code, lines.len(), ran.err.as_str()), (1, 2, ""), "{}", ran.out);
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let kept = Kept::new().await;
    let (database, key) = (kept.path(DATABASE), kept.path(ENCRYPTION));
    private(&key, b"AAAA");
    let env = [
        ("DATABASE_PATH", database.as_str()),
        ("ENCRYPTION_KEY_FILE", &key),
        ("LISTEN", "127.0.0.1:0"),
        ("LOG_LEVEL", "verbose"),
        ("TZ", "Mars/Phobos"),
        ("PUBLIC_URL", "http://example.com/x"),
    ];
    let ran = run(&["doctor", "--offline"], &env).await;
    assert_eq!(ran.code, 2, "{}", ran.err);
    for word in ["LOG_LEVEL", "TZ", "begin with https", "bare address", "instead of 32"] {
        assert_eq!(ran.out.lines().filter(|line| line.contains(word)).count(), 1, "{word}: {}", ran.out);
    }
    assert!(ran.out.ends_with("6 things are wrong.\n"), "{}", ran.out);
}
