//! Signals to the service: asked to stop it ends, a second time at once; what a shell sends when it goes away does not end it, nor does a
//! log that nobody reads any more.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{BINARY, Demo, Process};

/// A service whose output nobody reads; gives its address.
fn serve(demo: &Demo) -> (Process, String) {
    let mut child = Command::new(BINARY)
        .arg("serve")
        .envs(&demo.env)
        .env("LISTEN", "127.0.0.1:0")
        .env("LOG_LEVEL", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = out.next().unwrap().unwrap();
    let at = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    // Both pipes break here.
    drop((out, child.stderr.take()));
    (Process(child), at)
}

/// The exit code, when it has ended.
async fn ended(child: &mut Child) -> (Option<i32>, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_survives_the_end_of_its_terminal_and_of_its_log_and_stops_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let body = json!({
        "summary": "After the end of the log",
        "start": {"dateTime": "2031-03-04T09:00:00Z"}, "end": {"dateTime": "2031-03-04T09:30:00Z"},
    });
    demo.call("ada@acme.example", "POST", "", body).await;
    let (mut service, at) = serve(&demo);
    let pid = Pid::from_child(&service.0);
    kill_process(pid, Signal::HUP).unwrap();
    kill_process(pid, Signal::PIPE).unwrap();
    let begun = Instant::now();
    while demo.shown("ada@home.example", "After the end of the log").await.is_empty() {
        assert_eq!(service.0.try_wait().unwrap(), None, "it has ended");
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health = reqwest::get(format!("{at}/health")).await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    let metrics = reqwest::get(format!("{at}/metrics")).await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("outcome=\"panicked\""), "{metrics}");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(ended(&mut service.0).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_twice_to_stop_a_service_does_not_wait_for_google() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let hold = json!({"kind": "delay", "path": "/events", "delay_ms": 600_000});
    let url = format!("{}/_emulator/faults", demo.google);
    let request = demo.http.post(&url).header("content-type", "application/json").body(hold.to_string());
    assert!(request.send().await.unwrap().status().is_success());
    let (mut service, _) = serve(&demo);
    let begun = Instant::now();
    loop {
        let armed = demo.http.get(&url).send().await.unwrap().text().await.unwrap();
        if !armed.contains("\"hits\":0") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it asks nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = Pid::from_child(&service.0);
    kill_process(pid, Signal::TERM).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // It may have ended by the first.
    let _ = kill_process(pid, Signal::TERM);
    let (code, took) = ended(&mut service.0).await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}: it waits for what Google holds");
}
