//! The real binary, killed: a service under SIGKILL at any moment loses nothing and doubles nothing. A target of its own, because
//! only such a one is given the program's path.

#![expect(clippy::unwrap_used, reason = "a test says by failing what is wrong")]

mod first;
mod flood;
mod kills;
mod power;
mod rotation;
mod signals;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_busybridge");
/// Kills in this test.
const KILLS: u32 = 50;

/// A process that dies with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A demo that goes on: a Google with two consultants, and where its database lies.
struct Demo {
    _process: Process,
    env: BTreeMap<String, String>,
    google: String,
    http: reqwest::Client,
}

impl Demo {
    fn start(directory: &Path) -> Self {
        Self::of(directory, &[])
    }

    /// One with these further arguments.
    fn of(directory: &Path, further: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["demo", "--hands-off", "--keep"])
            .arg(directory)
            .args(further)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Process(child);
        for line in lines.map(Result::unwrap) {
            let Some(text) = line.trim().strip_prefix("export ") else { continue };
            let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
            let env: BTreeMap<String, String> = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let google = env["GOOGLE_ISSUER_URL"].clone();
            return Demo { _process: process, env, google, http: reqwest::Client::builder().build().unwrap() };
        }
        panic!("the demo ended without saying how to reach it");
    }

    fn serve(&self) -> Process {
        let command = Command::new(BINARY)
            .arg("serve")
            .envs(&self.env)
            .env("LISTEN", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Process(command.unwrap())
    }

    async fn call(&self, account: &str, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/calendar/v3/calendars/primary/events{path}", self.google);
        let request = self.http.request(method.parse().unwrap(), url).bearer_auth(format!("dev:{account}"));
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{account} {method} {path}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)
    }

    /// When something of a title stands on a calendar in the first days of March 2031.
    async fn shown(&self, account: &str, title: &str) -> Vec<DateTime<Utc>> {
        let mut starts = Vec::new();
        let mut page = String::new();
        loop {
            let answer = self.call(account, "GET", &format!("?singleEvents=true&timeMin=2031-03-01T00:00:00Z&timeMax=2031-03-07T00:00:00Z&maxResults=250{page}"), Value::Null).await;
            for item in answer["items"].as_array().unwrap() {
                if item["summary"].as_str().unwrap_or_default() == title {
                    starts.push(instant(&item["start"]["dateTime"]));
                }
            }
            match answer["nextPageToken"].as_str() {
                Some(token) => page = format!("&pageToken={token}"),
                None => break,
            }
        }
        starts.sort();
        starts
    }
}

fn instant(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_fifty_times_at_any_moment_the_service_loses_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let mut dice: u64 = 0x5eed;
    // What the prepared week repeats.
    let block = "[BusyBridge] Busy";
    let before = demo.shown("ada@globex.example", block).await;
    let mut wanted = Vec::new();
    for kill in 0..KILLS {
        // Something happens, and the service is killed at some moment of its first second and a half.
        let hour = 8 + kill % 10;
        let day = 1 + kill / 10;
        let start = format!("2031-03-{day:02}T{hour:02}:00:00Z");
        let end = format!("2031-03-{day:02}T{hour:02}:30:00Z");
        let body = json!({"summary": "Kill", "start": {"dateTime": start}, "end": {"dateTime": end}});
        let made = demo.call("ada@acme.example", "POST", "", body).await;
        if kill % 7 == 3 {
            let path = format!("/{}", made["id"].as_str().unwrap());
            demo.call("ada@acme.example", "DELETE", &path, Value::Null).await;
        } else {
            wanted.push(instant(&made["start"]["dateTime"]));
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let service = demo.serve();
        tokio::time::sleep(Duration::from_millis(60 + (dice >> 33) % 500)).await;
        drop(service);
    }
    wanted.sort();
    let service = demo.serve();
    let begun = Instant::now();
    loop {
        let home = demo.shown("ada@home.example", "Kill").await;
        let mut globex = demo.shown("ada@globex.example", block).await;
        for known in &before {
            let at = globex.iter().position(|start| start == known).expect("what stood before stands");
            globex.remove(at);
        }
        if (home.len(), globex.len()) == (wanted.len(), wanted.len()) || begun.elapsed() > Duration::from_secs(40) {
            assert_eq!(home, wanted, "copies at home");
            assert_eq!(globex, wanted, "blocks at Globex");
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The service comes to rest, and so does everything.
    loop {
        let check = Command::new(BINARY).args(["plan", "--all"]).envs(&demo.env).output().unwrap();
        if check.status.success() {
            break;
        }
        let told = String::from_utf8_lossy(&check.stdout);
        assert!(begun.elapsed() < Duration::from_secs(60), "the plan does not become empty: {told}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(service);
    assert!(fs::metadata(&demo.env["DATABASE_PATH"]).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_debug_level_no_log_figure_or_answer_tells_a_title_an_address_or_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let mut wanted = 0;
    for (n, account) in
        ["ada@acme.example", "ada@globex.example", "ada@gmail.example", "bob@initech.example"].into_iter().enumerate()
    {
        let body = json!({
            "summary": "Canary title", "description": "Canary description", "location": "Canary place",
            "attendees": [{"email": account, "responseStatus": "accepted"}, {"email": "canary@guests.example"}],
            "start": {"dateTime": format!("2031-03-04T{:02}:00:00Z", 8 + n)}, "end": {"dateTime": format!("2031-03-04T{:02}:30:00Z", 8 + n)},
        });
        demo.call(account, "POST", "", body).await;
        wanted += usize::from(account.starts_with("ada@a") || account.starts_with("ada@gl"));
    }
    // Trouble of several kinds, so that failures are told, too.
    for fault in [
        json!({"kind": "status", "status": 400, "reason": "invalid", "method": "POST", "path": "/events", "account": "ada@globex.example", "times": 2}),
        json!({"kind": "status", "status": 503, "query": "singleEvents=false", "times": 2}),
        json!({"kind": "status", "status": 403, "reason": "rateLimitExceeded", "method": "POST", "path": "/events", "account": "bob@initech.example", "times": 1}),
        json!({"kind": "status", "status": 401, "reason": "authError", "account": "bob@gmail.example"}),
    ] {
        let url = format!("{}/_emulator/faults", demo.google);
        let request = demo.http.post(url).header("content-type", "application/json").body(fault.to_string());
        assert!(request.send().await.unwrap().status().is_success());
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for format in ["text", "json"] {
        let log = directory.path().join(format!("{format}.log"));
        let child = Command::new(BINARY)
            .arg("serve")
            .envs(&demo.env)
            .env("LISTEN", port.to_string())
            .env("LOG_LEVEL", "debug")
            .env("LOG_FORMAT", format)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        let service = Process(child.unwrap());
        let begun = Instant::now();
        let ready = async || {
            let answer = demo.http.get(format!("http://{port}/metrics")).send().await;
            let text = match answer {
                Ok(answer) => answer.text().await.unwrap(),
                Err(_) => String::new(),
            };
            text.contains("busybridge_ticks_total{")
        };
        while !ready().await || demo.shown("ada@home.example", "Canary title").await.len() < wanted {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the service does not work: {}",
                fs::read_to_string(&log).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut told = fs::read_to_string(&log).unwrap();
        for path in ["health", "ready", "metrics", "nowhere", "api/webhooks/google-calendar"] {
            told.push_str(&demo.http.get(format!("http://{port}/{path}")).send().await.unwrap().text().await.unwrap());
        }
        drop(service);
        for args in [&["doctor"][..], &["alerts"], &["plan", "--all"], &["mail", "show"]] {
            let output = Command::new(BINARY).args(args).envs(&demo.env).output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            // A plan names its user, who asked for it, and no more.
            told.push_str(&text.replace("ada@home.example", "").replace("bob@home.example", ""));
        }
        assert!(told.contains("asked Google"), "the log says enough: {told}");
        assert!(format == "json" || told.contains("a step failed"), "the log says enough: {told}");
        for canary in ["Canary", "canary", "@", "dev:", "demo-secret", "Bearer"] {
            let line = told.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary} is told");
        }
        if format == "json" {
            let lines = fs::read_to_string(&log).unwrap();
            assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "each line is JSON");
        }
    }
}

#[test]
fn a_second_service_on_the_same_database_is_refused_and_the_first_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let mut first = demo.serve();
    let lock = format!("{}.lock", demo.env["DATABASE_PATH"]);
    let begun = Instant::now();
    while !Path::new(&lock).exists() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(100));
    let second = Command::new(BINARY).arg("serve").envs(&demo.env).env("LISTEN", "127.0.0.1:0").output().unwrap();
    assert_eq!(second.status.code(), Some(5), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process serves"));
    assert!(first.0.try_wait().unwrap().is_none(), "the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_everything_and_opens_the_set_up_to_who_reads_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let command = || {
        let mut command = Command::new(BINARY);
        command
            .arg("serve")
            .env("DATABASE_PATH", path("data/calendar-sync.db"))
            .env("ENCRYPTION_KEY_FILE", path("secrets/encryption.key"))
            .env("GOOGLE_ISSUER_URL", "http://127.0.0.1:1")
            .env("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:1/calendar/v3")
            .env("LISTEN", "127.0.0.1:0");
        command
    };
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let mut child = command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let process = Process(child);
        let at = out.next().unwrap().unwrap();
        let at = at.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        let line = log.find(|line| line.as_ref().unwrap().contains("the setup token is")).unwrap().unwrap();
        tokens.push(line.rsplit(' ').next().unwrap().chars().take(26).collect::<String>());
        let page = reqwest::get(format!("{at}/")).await.unwrap();
        assert_eq!((page.status().as_u16(), page.url().path()), (200, "/setup/unlock"));
        assert!(!page.text().await.unwrap().contains(&tokens[tokens.len() - 1]), "a page does not tell it");
        // It has the database from its first moment on.
        let second = command().output().unwrap();
        assert_eq!(second.status.code(), Some(5), "{}", String::from_utf8_lossy(&second.stderr));
        drop(process);
    }
    assert_ne!(tokens[0], tokens[1], "each start has its own");
    // Keys without their database are no first start.
    for name in ["calendar-sync.db", "calendar-sync.db-wal", "calendar-sync.db-shm"] {
        let _ = fs::remove_file(path("data").join(name));
    }
    let refused = command().output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
}
