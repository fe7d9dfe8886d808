//! Killed at the k-th call to Google, for every k: once before the call had its effect, and once after it, when the answer is lost. The
//! emulator holds exactly that call while the process dies; afterwards another one brings everything to the same end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::Connection;
use tempfile::TempDir;

use super::{BINARY, Demo, Process};

const HOME: &str = "you@home.example";
const CLIENT: &str = "you@client1.example";
const OTHER: &str = "you@client2.example";
const OWN: &str = "you@personal.example";
const BLOCK: &str = "[BusyBridge] Busy";
/// What the emulator waits before it answers a held call; the process is dead long before.
const HELD_MS: u64 = 600_000;
/// How long one run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a calendar shows: title, start and end.
type Shown = Vec<(String, String, String)>;

/// An installation of one consultant whose calendars are empty, and its Google.
pub(super) struct Stage {
    pub demo: Demo,
    directory: TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let export = directory.path().join("empty.ics");
        fs::write(&export, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nEND:VCALENDAR\r\n").unwrap();
        let export = export.to_str().unwrap();
        let mut demo = Demo::of(&directory.path().join("kept"), &["--ics", export, "--ics", export]);
        // The demo keeps its own database open; a copy is nobody's.
        let own = directory.path().join("own.db").to_str().unwrap().to_owned();
        let copied = Command::new(BINARY).args(["backup", &own]).envs(&demo.env).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        demo.env.insert("DATABASE_PATH".into(), own);
        let stage = Stage { demo, directory };
        for event in stage.demo.call(OWN, "GET", "?maxResults=250", Value::Null).await["items"].as_array().unwrap() {
            stage.demo.call(OWN, "DELETE", &format!("/{}", event["id"].as_str().unwrap()), Value::Null).await;
        }
        stage.well(&["sync", "--all"]);
        stage
    }

    pub(super) fn database(&self) -> PathBuf {
        PathBuf::from(&self.demo.env["DATABASE_PATH"])
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args).envs(&self.demo.env).env("LISTEN", "127.0.0.1:0");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a command that must succeed.
    pub(super) fn well(&self, args: &[&str]) {
        let output = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&told));
    }

    pub(super) async fn emulator(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/_emulator/{path}", self.demo.google);
        let request = self.demo.http.request(method.parse().unwrap(), url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub(super) async fn meet(&self, account: &str, title: &str, day: u32, hour: u32, rule: Option<&str>) -> String {
        let at =
            |minute: u32| json!({"dateTime": format!("2031-03-{day:02}T{hour:02}:{minute:02}:00Z"), "timeZone": "UTC"});
        let mut body = json!({"summary": title, "start": at(0), "end": at(30)});
        if let Some(rule) = rule {
            body["recurrence"] = json!([rule]);
        }
        self.demo.call(account, "POST", "", body).await["id"].as_str().unwrap().to_owned()
    }

    /// Everything that a calendar shows from March to April 2031.
    pub(super) async fn shown(&self, account: &str) -> Shown {
        let mut shown = Vec::new();
        let mut page = String::new();
        loop {
            let path = format!(
                "?singleEvents=true&timeMin=2031-03-01T00:00:00Z&timeMax=2031-05-01T00:00:00Z&maxResults=250{page}"
            );
            let answer = self.demo.call(account, "GET", &path, Value::Null).await;
            for item in answer["items"].as_array().into_iter().flatten() {
                let at = |name: &str| super::instant(&item[name]["dateTime"]).to_rfc3339();
                let title = item["summary"].as_str().unwrap_or_default().trim_start_matches("🔒 ").to_owned();
                shown.push((title, at("start"), at("end")));
            }
            match answer["nextPageToken"].as_str() {
                Some(token) => page = format!("&pageToken={token}"),
                None => break,
            }
        }
        shown.sort();
        shown
    }

    /// Requests of one kind since the last reset, by whomever.
    pub(super) async fn asked(&self, method: &str) -> u64 {
        let stats = self.emulator("GET", "stats", Value::Null).await;
        let accounts = stats["requests"].as_object().unwrap().values();
        let counts = accounts.filter_map(|methods| methods[method].as_object());
        counts.flat_map(|statuses| statuses.values()).map(|n| n.as_u64().unwrap()).sum()
    }

    /// Remembers Google and the database as they are, with nobody at work.
    async fn keep(&self) -> PathBuf {
        self.emulator("POST", "keep", json!({})).await;
        let copy = self.directory.path().join("base.db");
        fs::copy(self.database(), &copy).unwrap();
        copy
    }

    /// Puts both back.
    async fn back(&self, base: &Path) {
        self.emulator("POST", "back", json!({})).await;
        let database = self.database();
        for side in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{side}", database.display()));
        }
        fs::copy(base, &database).unwrap();
        self.emulator("DELETE", "faults", Value::Null).await;
        self.emulator("DELETE", "stats", Value::Null).await;
    }

    /// Begins `args` and kills it while Google holds its `k`-th call. Tells whether it came so far.
    async fn killed_at(&self, args: &[&str], k: u64, after: bool) -> bool {
        let fault = match after {
            true => json!({"kind": "delay", "nth": k, "delay_ms": HELD_MS}),
            false => json!({"kind": "status", "status": 503, "nth": k, "delay_ms": HELD_MS}),
        };
        self.emulator("POST", "faults", fault).await;
        let mut process = Process(self.command(args).spawn().unwrap());
        let begun = Instant::now();
        let (mut total, mut since) = (0, Instant::now());
        let came = loop {
            let held = self.emulator("GET", "faults", Value::Null).await;
            if held["faults"][0]["hits"] == 1 {
                break true;
            }
            if let Some(status) = process.0.try_wait().unwrap() {
                assert!(status.success(), "{args:?} ended with {status} before call {k}");
                break false;
            }
            let asked = self.emulator("GET", "stats", Value::Null).await["total"].as_u64().unwrap();
            if asked != total {
                (total, since) = (asked, Instant::now());
            }
            // A service does not end; it comes to rest.
            if args[0] == "serve" && total > 0 && since.elapsed() > Duration::from_secs(3) {
                break false;
            }
            assert!(begun.elapsed() < PATIENCE, "{args:?} neither ends nor asks, at call {k}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        drop(process);
        self.emulator("DELETE", "faults", Value::Null).await;
        came
    }

    /// Waits until a service has done what `expect` asks for, and ends it.
    async fn served(&self, expect: &BTreeMap<&str, Shown>) {
        let process = Process(self.command(&["serve"]).spawn().unwrap());
        let begun = Instant::now();
        'again: loop {
            for (account, shown) in expect {
                if self.shown(account).await != *shown {
                    assert!(begun.elapsed() < PATIENCE, "{account}: {:?}", self.shown(account).await);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue 'again;
                }
            }
            break;
        }
        drop(process);
    }

    async fn check(&self, expect: &BTreeMap<&str, Shown>, when: &str) {
        for (account, shown) in expect {
            assert_eq!(self.shown(account).await, *shown, "{account}, {when}");
        }
        let output = self.command(&["plan", "--all"]).stdout(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the plan is not empty, {when}: {told}");
    }

    /// Forgets what was ever read or written, as before the first sync.
    async fn forget(&self) {
        let url = format!("sqlite://{}", self.database().display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for statement in [
            "DELETE FROM plan_steps",
            "DELETE FROM plans",
            "DELETE FROM event_mappings",
            "DELETE FROM mirror_events",
            "UPDATE calendar_sync_state SET sync_token = NULL, listed_at = NULL, last_full_sync = NULL",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

fn at(title: &str, day: &str, hour: u32) -> (String, String, String) {
    let time = |minute: u32| format!("2031-{day}T{hour:02}:{minute:02}:00+00:00");
    (title.into(), time(0), time(30))
}

fn sorted(mut shown: Shown) -> Shown {
    shown.sort();
    shown
}

/// The same times, as blocks.
fn blocks(shown: &Shown) -> Shown {
    shown.iter().map(|(_, start, end)| (BLOCK.to_owned(), start.clone(), end.clone())).collect()
}

/// What the calendars show when they hold these meetings of the client, and a lunch at home.
fn expected(client: Shown) -> BTreeMap<&'static str, Shown> {
    let lunch = vec![at("Lunch", "03-05", 12)];
    let all = [client.clone(), lunch.clone()].concat();
    BTreeMap::from([
        (HOME, sorted(all.clone())),
        (CLIENT, sorted([client, blocks(&lunch)].concat())),
        (OTHER, sorted(blocks(&all))),
    ])
}

fn meetings(kick_off: &str, review: bool) -> Shown {
    let mut meetings = vec![at("Kick-off", kick_off, 9)];
    meetings.extend(["03-03", "03-17", "03-24"].map(|day| at("Jour fixe", day, 10)));
    // The exception: a day later, at another time.
    meetings.push(at("Jour fixe", "03-11", 14));
    if review {
        meetings.push(at("Review", "03-06", 16));
    }
    meetings
}

/// Makes the meetings; gives the ids of the two that will be moved and deleted.
async fn make(stage: &Stage) -> (String, String) {
    let kick_off = stage.meet(CLIENT, "Kick-off", 4, 9, None).await;
    let review = stage.meet(CLIENT, "Review", 6, 16, None).await;
    let series = stage.meet(CLIENT, "Jour fixe", 3, 10, Some("RRULE:FREQ=WEEKLY;COUNT=4")).await;
    let moved = |minute: u32| json!({"dateTime": format!("2031-03-11T14:{minute:02}:00Z"), "timeZone": "UTC"});
    let path = format!("/{series}_20310310T100000Z");
    stage.demo.call(CLIENT, "PATCH", &path, json!({"start": moved(0), "end": moved(30)})).await;
    stage.meet(HOME, "Lunch", 5, 12, None).await;
    (kick_off, review)
}

/// Kills `args` at each of its calls in both ways, and lets `recover` bring it to its end each time; gives the number of kills.
async fn at_every_call(
    stage: &Stage,
    base: &Path,
    args: &[&str],
    expect: &BTreeMap<&str, Shown>,
    deletions: u64,
    by_service: bool,
) -> u64 {
    let mut kills = 0;
    for after in [false, true] {
        for k in 1.. {
            stage.back(base).await;
            let came = stage.killed_at(args, k, after).await;
            let when = format!("{args:?} killed {} call {k}", if after { "after" } else { "before" });
            if by_service {
                stage.served(expect).await;
            } else if came {
                stage.well(&["sync", "--all"]);
            }
            stage.check(expect, &when).await;
            let deleted = stage.asked("events.delete").await;
            // Each may be asked for once more, when its answer was lost.
            let most = deletions + u64::from(deletions > 0 && came);
            assert!((deletions..=most).contains(&deleted), "{deleted} deletions, {when}");
            if !came {
                assert!(k > 8, "{when}: it asked too little to mean anything");
                break;
            }
            kills += 1;
        }
    }
    println!("{args:?}: {kills} kills");
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_killed_at_any_call_shows_everything_once() {
    let stage = Stage::new().await;
    make(&stage).await;
    stage.forget().await;
    let base = stage.keep().await;
    let expect = expected(meetings("03-04", true));
    let kills = at_every_call(&stage, &base, &["sync", "--all"], &expect, 0, false).await;
    // Four listings and ten writes, twice.
    assert!(kills >= 28, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_and_a_deleted_meeting_killed_at_any_call_end_as_they_should() {
    let stage = Stage::new().await;
    let (kick_off, review) = make(&stage).await;
    stage.well(&["sync", "--all"]);
    stage.check(&expected(meetings("03-04", true)), "at first").await;
    let moved = |minute: u32| json!({"dateTime": format!("2031-03-07T09:{minute:02}:00Z"), "timeZone": "UTC"});
    stage.demo.call(CLIENT, "PATCH", &format!("/{kick_off}"), json!({"start": moved(0), "end": moved(30)})).await;
    stage.demo.call(CLIENT, "DELETE", &format!("/{review}"), Value::Null).await;
    let base = stage.keep().await;
    let expect = expected(meetings("03-07", false));
    let kills = at_every_call(&stage, &base, &["sync", "--all"], &expect, 2, false).await;
    assert!(kills >= 16, "{kills}");
    // The same by the service, which another one follows.
    let kills = at_every_call(&stage, &base, &["serve"], &expect, 2, true).await;
    assert!(kills >= 16, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnection_killed_at_any_call_is_finished_and_touches_no_meeting() {
    let stage = Stage::new().await;
    make(&stage).await;
    stage.well(&["sync", "--all"]);
    let base = stage.keep().await;
    let lunch = vec![at("Lunch", "03-05", 12)];
    let expect =
        BTreeMap::from([(HOME, lunch.clone()), (CLIENT, sorted(meetings("03-04", true))), (OTHER, blocks(&lunch))]);
    let args = ["disconnect", "--user", HOME, "client 1"];
    // Three copies and three blocks with their series, and the block on the calendar that is left.
    let kills = at_every_call(&stage, &base, &args, &expect, 7, false).await;
    assert!(kills >= 20, "{kills}");
}
