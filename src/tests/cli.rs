//! The command line as operators type it: exit codes, sentences, and that nothing is changed by what is refused.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// What a command did.
pub(super) struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

pub(super) async fn run(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let args = std::iter::once("busybridge").chain(args.iter().copied()).map(Into::into);
    let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = crate::cli::run(args.collect::<Vec<_>>(), &env, &mut out, &mut err).await;
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// Runs what must be refused: one sentence on standard error that says `word`, and nothing on standard output.
async fn refused(args: &[&str], env: &[(&str, &str)], code: u8, word: &str) {
    let ran = run(args, env).await;
    assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
    assert!(ran.err.contains(word), "{args:?}: {}", ran.err);
    assert!(ran.out.is_empty(), "{args:?}: {}", ran.out);
}

/// An installation that a demo left behind, with its Google gone.
struct Kept {
    dir: TempDir,
}

impl Kept {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("kept");
        let ran = run(&["demo", "--once", "--keep", home.to_str().unwrap()], &[]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        Kept { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("kept").join(name)
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let (database, key) = (self.path("calendar-sync.db"), self.path("secrets/encryption.key"));
        run(
            args,
            &[
                ("DATABASE_PATH", database.to_str().unwrap()),
                ("ENCRYPTION_KEY_FILE", key.to_str().unwrap()),
                // Nothing listens there.
                ("GOOGLE_ISSUER_URL", "http://127.0.0.1:1"),
                ("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:1/calendar/v3"),
            ],
        )
        .await
    }

    /// What the database says, table by table.
    async fn contents(&self) -> String {
        use sqlx::{Connection, Row};
        let url = format!("sqlite://{}?mode=ro", self.path("calendar-sync.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let mut all = String::new();
        for question in [
            "SELECT count(*) || ' ' || max(updated_at) FROM oauth_tokens",
            "SELECT group_concat(concat_ws(' ', client_calendar_id, sync_token, listed_at, consecutive_failures, last_error))
                 FROM calendar_sync_state",
            "SELECT group_concat(concat_ws(' ', client_calendar_id, event_id, state, etag)) FROM mirror_events",
            "SELECT group_concat(concat_ws(' ', origin_event_id, event_id, memory, updated_at)) FROM event_mappings",
            "SELECT count(*) || ' steps' FROM plan_steps",
            "SELECT count(*) || ' lines' FROM sync_log",
        ] {
            let answer: Option<String> = sqlx::query(question).fetch_one(&mut connection).await.unwrap().get(0);
            all = format!("{all}{}\n", answer.unwrap_or_default());
        }
        all
    }
}

#[tokio::test]
async fn a_demo_shows_both_consultants_plans_and_ends_in_sync() {
    let ran = run(&["demo", "--once"], &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for line in ["Plan for ada@home.example", "Plan for bob@home.example", "In sync. 22 items match on 4 calendars"] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    assert_eq!(ran.out.matches("Second plan").count(), 2);
    // What Globex shows tells nothing of Acme.
    let globex = ran.out.split("Globex (client) shows").nth(1).unwrap().split(" shows from").next().unwrap();
    assert!(globex.contains("[BusyBridge] Busy"));
    assert!(!globex.contains("Kick-off") && !globex.contains("Dentist"), "{globex}");
}

#[tokio::test]
async fn a_demo_runs_on_ones_own_exports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ics");
    let (main, client) = (folder.join("google.ics"), folder.join("outlook.ics"));
    let args =
        ["demo", "--once", "--at", "2026-03-02", "--ics", main.to_str().unwrap(), "--ics", client.to_str().unwrap()];
    let ran = run(&args, &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("client 2 (client) shows") && ran.out.contains("personal (personal) shows"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn an_unusable_export_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cut = file("cut.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n");
    let other = file("other.ics", "Dear Sir or Madam");
    refused(&["demo", "--once", "--ics", "/nowhere/at-all.ics"], &[], 2, "cannot be read").await;
    refused(&["demo", "--once", "--ics", &cut], &[], 2, "cut off").await;
    refused(&["demo", "--once", "--ics", &other], &[], 2, "not a calendar export").await;
    let there = dir.path().to_str().unwrap();
    refused(&["demo", "--once", "--keep", there], &[], 2, "wants a directory that is not").await;
}

#[tokio::test]
async fn a_seed_with_an_unknown_field_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let seed = dir.path().join("seed.toml");
    fs::write(&seed, "[[account]]\nemail = \"ada@home.example\"\ncolour = \"red\"\n").unwrap();
    refused(&["emulator", "--seed", seed.to_str().unwrap()], &[], 2, "Line 3").await;
    refused(&["emulator", "--seed", "/nowhere/seed.toml"], &[], 2, "cannot be read").await;
    refused(&["emulator", "--listen", "0.0.0.0:9000"], &[], 2, "loopback").await;
}

#[tokio::test]
async fn wrong_settings_are_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("none.db");
    let env = [("DATABASE_PATH", database.to_str().unwrap()), ("ENCRYPTION_KEY_FILE", "/nowhere/encryption.key")];
    refused(&["plan", "--all"], &env, 3, "/nowhere/encryption.key").await;
    assert!(!database.exists());
    refused(&["plan", "--all"], &[("LOG_LEVEL", "verbose")], 2, "LOG_LEVEL").await;
    refused(&["plan", "--all"], &[("PUBLIC_URL", "http://example.com")], 2, "PUBLIC_URL").await;
    // Google is Google, or something on this machine, and nothing in between: people's tokens would go there.
    for elsewhere in ["http://evil.example", "https://evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.1"]
    {
        for command in [&["plan", "--all"][..], &["serve"]] {
            refused(command, &[("GOOGLE_ISSUER_URL", elsewhere)], 2, "GOOGLE_ISSUER_URL").await;
            refused(command, &[("GOOGLE_CALENDAR_API_URL", elsewhere)], 2, "GOOGLE_CALENDAR_API_URL").await;
            let both = [("GOOGLE_ISSUER_URL", elsewhere), ("GOOGLE_CALENDAR_API_URL", elsewhere)];
            refused(command, &both, 2, "127.0.0.1").await;
        }
    }
}

#[tokio::test]
async fn keys_of_the_wrong_size_or_of_another_database_are_refused() {
    let (one, other) = (Kept::new().await, Kept::new().await);
    let key = one.path("secrets/encryption.key");
    let own = fs::read(&key).unwrap();
    let before = one.contents().await;
    for (content, word) in [
        (b"abcd\n".to_vec(), "instead of 32"),
        (fs::read(other.path("secrets/encryption.key")).unwrap(), "another encryption.key"),
    ] {
        fs::write(&key, content).unwrap();
        let ran = one.run(&["plan", "--all"]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (3, 1), "{}", ran.err);
        assert!(ran.err.contains(word), "{}", ran.err);
    }
    fs::write(&key, own).unwrap();
    fs::copy(other.path("secrets/instance.key"), one.path("secrets/instance.key")).unwrap();
    let ran = one.run(&["plan", "--all"]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("another instance.key"), "{}", ran.err);
    assert_eq!(one.contents().await, before);
}

#[tokio::test]
async fn a_google_that_cannot_be_reached_is_told_and_changes_nothing() {
    let kept = Kept::new().await;
    let before = kept.contents().await;
    let ran = kept.run(&["plan", "--user", "ada@home.example"]).await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("4 calendars could not be read"), "{}", ran.err);
    assert!(ran.out.contains("! Acme cannot be read: Google did not answer"), "{}", ran.out);
    assert_eq!(kept.contents().await, before);
}

#[tokio::test]
async fn a_user_that_does_not_exist_is_told() {
    let kept = Kept::new().await;
    for command in ["plan", "sync"] {
        let ran = kept.run(&[command, "--user", "nobody@home.example"]).await;
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}", ran.err);
        assert!(ran.err.contains("there is no user nobody@home.example"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_plan_as_json_names_no_titles() {
    let kept = Kept::new().await;
    let ran = kept.run(&["plan", "--all", "--offline", "--json"]).await;
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&ran.out).into_iter().map(Result::unwrap).collect();
    assert_eq!(documents.len(), 2);
    assert!(documents.iter().all(|plan| plan["steps"].is_array() && plan["email"].is_string()));
    assert!(!ran.out.contains("Kick-off") && !ran.out.contains("title"), "{}", ran.out);
}

#[tokio::test]
async fn usage_is_told_on_the_right_stream_with_the_right_code() {
    for (args, code) in [
        (&["frobnicate"][..], 2),
        (&["plan"], 2),
        (&["plan", "--all", "--user", "a@b.example"], 2),
        (&["plan", "--all", "--colour"], 2),
        (&["sync", "--all", "--days-back", "many"], 2),
    ] {
        let ran = run(args, &[]).await;
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?}");
        assert!(ran.err.contains("--help"), "{args:?}: {}", ran.err);
    }
    // A first start that cannot keep its keys makes nothing at all.
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("none.db");
    let env = [("DATABASE_PATH", database.to_str().unwrap()), ("ENCRYPTION_KEY_FILE", "/dev/null/encryption.key")];
    for args in [&[][..], &["serve"]] {
        let ran = run(args, &env).await;
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{args:?}");
        assert!(ran.err.contains("/dev/null"), "{}", ran.err);
        assert!(!database.exists());
    }
    for (command, flags) in [
        ("demo", &["--once", "--ics", "--at", "--keep"][..]),
        ("plan", &["--user", "--all", "--offline", "--json"]),
        ("sync", &["--user", "--all", "--days-back", "--days-forward"]),
        ("emulator", &["--listen", "--seed"]),
        ("bench", &["plan", "load"]),
    ] {
        let ran = run(&[command, "--help"], &[]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        assert!(flags.iter().all(|flag| ran.out.contains(flag)), "{command}: {}", ran.out);
    }
}
