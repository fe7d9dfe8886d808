//! Wrong environments and wrong files at the command line: refused with the variable or the file named, and nothing made or changed.

use std::{collections::BTreeMap, fs, path::Path};

use sqlx::{Connection, SqliteConnection};

use crate::tests::{
    cli::{Ran, run},
    upkeep::Kept,
};

/// Every file below a directory, with what it holds.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

async fn with(kept: &Kept, args: &[&str], more: &[(&str, &str)]) -> Ran {
    let (database, key) = (kept.path("calendar-sync.db"), kept.path("secrets/encryption.key"));
    let mut env = vec![("DATABASE_PATH", database.as_str()), ("ENCRYPTION_KEY_FILE", key.as_str())];
    env.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    env.extend(more);
    run(args, &env).await
}

async fn execute(file: &str, statements: &[&'static str]) {
    let url = format!("sqlite://{file}?mode=rwc");
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_place_where_no_database_can_be_is_named_with_its_variable_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("letter.txt"), "Dear Sir or Madam").unwrap();
    let before = contents(dir.path());
    let key = at("secrets/encryption.key");
    let kept = Kept::new().await;
    for (path, code) in [
        (at(""), 2),
        ("/dev/null".into(), 2),
        (":memory:".into(), 2),
        ("file:x?mode=memory".into(), 2),
        ("/".into(), 2),
        ("..".into(), 2),
        ("/dev/null/x.db".into(), 4),
        (at("letter.txt/x.db"), 4),
        (at("letter.txt"), 4),
    ] {
        // A first start, and commands of an installation whose keys are there.
        let first = run(&["serve"], &[("DATABASE_PATH", &path), ("ENCRYPTION_KEY_FILE", &key)]).await;
        let later = with(&kept, &["plan", "--all", "--offline"], &[("DATABASE_PATH", &path)]).await;
        for (ran, who) in [(first, "a first start"), (later, "a plan")] {
            // Without keys, a file that is there is no first start.
            let known = ran.code == 3 && path == at("letter.txt") && who == "a first start";
            assert!(ran.code == code || known, "{who} at {path}: {} {}", ran.code, ran.err);
            assert_eq!((ran.err.lines().count(), ran.out.as_str()), (1, ""), "{who} at {path}: {}", ran.err);
            assert!(known || ran.err.contains("DATABASE_PATH"), "{who} at {path}: {}", ran.err);
            assert!(known || code == 4 || ran.err.contains(path.trim_end_matches('/')), "{who} at {path}: {}", ran.err);
        }
        let mut now = contents(dir.path());
        now.retain(|name, _| !name.ends_with(".lock"));
        assert_eq!(now, before, "{path}");
        assert!(!Path::new(":memory:").exists() && !Path::new("/dev/null.lock").exists(), "{path}");
    }
}

#[tokio::test]
async fn every_wrong_variable_is_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (database, key) = (at("data/none.db"), at("secrets/encryption.key"));
    for (name, values) in [
        (
            "PUBLIC_URL",
            &[
                "http://calendar.example",
                "https://calendar.example/x",
                "https://calendar.example?x=1",
                "https://calendar.example#x",
                "https://ada@calendar.example",
                "https://:secret@calendar.example",
                "https://calendar.example:0",
                "https://*",
                "https://*.calendar.example",
                "calendar.example",
                "ftp://calendar.example",
                "https://",
            ][..],
        ),
        ("LOG_LEVEL", &["verbose", "2"]),
        ("LOG_FORMAT", &["xml"]),
        ("TZ", &["Mars/Phobos", "../etc", "CEST+1"]),
        ("TRUSTED_PROXIES", &["banana", "0.0.0.0/0", "::/0", "10.0.0.1,banana", "10.0.0.0/33"]),
        ("LISTEN", &["3000", "localhost", "127.0.0.1:99999", "*:3000"]),
        ("ENABLE_WEBHOOKS", &["yes", "1"]),
        (
            "GOOGLE_ISSUER_URL",
            &["http://10.0.0.1:9000", "https://accounts.google.com.evil.example", "accounts.google.com"],
        ),
        ("GOOGLE_CALENDAR_API_URL", &["http://127.0.0.1:9000/calendar/v3", "https://evil.example/calendar/v3"]),
        (
            "MANAGED_EVENT_PREFIX",
            &["[Busy\nBridge]", "a very long prefix that goes on and on and on and on and on and on and on"],
        ),
    ] {
        for value in values {
            for args in [&["serve"][..], &["plan", "--all"]] {
                let ran =
                    run(args, &[("DATABASE_PATH", &database), ("ENCRYPTION_KEY_FILE", &key), (name, value)]).await;
                assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{name}={value} {args:?}: {}", ran.err);
                assert!(ran.err.contains(name) && !ran.err.contains("secret"), "{name}={value}: {}", ran.err);
                assert_eq!(contents(dir.path()).len(), 0, "{name}={value}");
            }
        }
    }
    let all = run(&["serve"], &[("LOG_LEVEL", "verbose")]).await.err;
    assert!(["error", "warn", "info", "debug", "trace"].iter().all(|level| all.contains(level)), "{all}");
    // What is well: a slash at the end, a name in another script, no zone.
    let kept = Kept::new().await;
    for (name, value) in [
        ("PUBLIC_URL", "https://calendar.example/"),
        ("PUBLIC_URL", "https://bücher.example"),
        ("TZ", ""),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
    ] {
        let ran = with(&kept, &["plan", "--all", "--offline"], &[(name, value)]).await;
        // Copies say where they are explained, so that another address changes them.
        let code = if name == "PUBLIC_URL" { 2 } else { 0 };
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{name}={value}");
        assert!(ran.out.starts_with("Plan for") && !ran.out.contains("example//"), "{}", ran.out);
    }
    let typo =
        with(&kept, &["plan", "--all", "--offline"], &[("BUSYBRIDGE_PUBLIC_URL", "https://calendar.example")]).await;
    assert_eq!((typo.code, typo.err.lines().count()), (0, 1), "{}", typo.err);
    assert!(typo.err.contains("BUSYBRIDGE_PUBLIC_URL"), "{}", typo.err);
}

#[tokio::test]
async fn a_port_that_is_taken_or_not_ours_is_told() {
    let kept = Kept::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listen in [address.as_str(), "192.0.2.1:3000"] {
        let ran = with(&kept, &["serve"], &[("LISTEN", listen)]).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{listen}: {}", ran.err);
        let last = ran.err.lines().last().unwrap();
        assert!(last.contains(listen) && last.contains("LISTEN"), "{}", ran.err);
    }
    assert_eq!(with(&kept, &["plan", "--all", "--offline"], &[]).await.code, 0, "and all is well");
}

#[tokio::test]
async fn another_programs_database_and_a_log_without_its_database_are_left_as_they_are() {
    let kept = Kept::new().await;
    let other = kept.path("other.db");
    execute(&other, &["CREATE TABLE settings (key TEXT, value TEXT)", "INSERT INTO settings VALUES ('a', 'b')"]).await;
    let before = fs::read(&other).unwrap();
    for args in [&["serve"][..], &["plan", "--all", "--offline"], &["backup", &kept.path("copy.db")]] {
        let ran = with(&kept, args, &[("DATABASE_PATH", &other)]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (4, 1), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("another application") && ran.err.contains("DATABASE_PATH"), "{}", ran.err);
        assert!(fs::read(&other).unwrap() == before, "{args:?} changed it");
    }
    let ran = kept.run(&["restore", &other]).await;
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(fs::read(&other).unwrap() == before);
    // The log may hold all that a database had not yet merged; a first start would throw it away.
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("lost.db-wal"), "what was not yet merged").unwrap();
    let before = contents(dir.path());
    let ran =
        run(&["serve"], &[("DATABASE_PATH", &at("lost.db")), ("ENCRYPTION_KEY_FILE", &at("secrets/e.key"))]).await;
    assert_eq!((ran.code, ran.err.lines().count()), (4, 1), "{}", ran.err);
    assert_eq!(contents(dir.path()), before);
}

#[tokio::test]
async fn a_copy_of_a_newer_version_or_of_another_organization_is_not_restored() {
    let kept = Kept::new().await;
    let (newer, foreign, live) = (kept.path("newer.db"), kept.path("foreign.db"), kept.path("calendar-sync.db"));
    for copy in [&newer, &foreign] {
        assert_eq!(kept.run(&["backup", copy]).await.code, 0);
    }
    let newest = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (9999, 'of another day', '2030-01-01', 1, x'00', 0)";
    execute(&newer, &[newest]).await;
    execute(&foreign, &["UPDATE organization SET google_workspace_domain = 'elsewhere.example'"]).await;
    let before = fs::read(&live).unwrap();
    for (copy, code, word) in [(&newer, 4, "newer version"), (&foreign, 6, "elsewhere.example")] {
        let ran = kept.run(&["restore", copy]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{}", ran.err);
        assert!(ran.err.contains(word), "{}", ran.err);
        assert!(fs::read(&live).unwrap() == before, "{word}");
    }
    assert_eq!(kept.run(&["restore", &foreign, "--force"]).await.code, 0);
}

#[tokio::test]
async fn a_copy_is_written_to_a_new_file_or_nothing_is() {
    let kept = Kept::new().await;
    let folder = kept.path("folder");
    fs::create_dir(&folder).unwrap();
    let before = contents(Path::new(&kept.path(".")));
    for to in [
        folder.clone(),
        kept.path("nowhere/copy.db"),
        format!("{}/copy.db", kept.path("calendar-sync.db")),
        "/dev/full".into(),
    ] {
        let ran = kept.run(&["backup", &to]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{to}: {}", ran.err);
        let parent = Path::new(&to).parent().unwrap().to_str().unwrap();
        assert!(ran.err.contains(parent), "{to}: {}", ran.err);
    }
    let after = contents(Path::new(&kept.path(".")));
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "nothing half-made is left");
}
