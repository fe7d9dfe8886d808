//! The real binary, killed: a service under SIGKILL at any moment loses nothing and doubles nothing. A target of its own, because
//! only such a one is given the program's path.

#![expect(clippy::unwrap_used, reason = "a test says by failing what is wrong")]

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
        let mut child = Command::new(BINARY)
            .args(["demo", "--hands-off", "--keep"])
            .arg(directory)
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
