//! Power cuts: the database's files as they lie on the disk at some moment, mid-commit or not. The process is stopped by the kernel for
//! the moment of the copy, so that it is of one moment, and knows nothing of it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{BINARY, kills::Stage};

const ACCOUNTS: [&str; 3] = ["you@home.example", "you@client1.example", "you@client2.example"];
/// Copies that are taken.
const COPIES: usize = 24;
/// Of one process at most, so that much happens however slow the machine is.
const OF_ONE: usize = 3;

/// Copies what a power cut would leave: the file and its log; the index of the log is memory.
fn copy(database: &Path, to: &Path) {
    for side in ["", "-wal"] {
        let from = format!("{}{side}", database.display());
        if Path::new(&from).exists() {
            fs::copy(from, format!("{}{side}", to.display())).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_any_moment_opens_and_comes_to_the_same_end() {
    let stage = Stage::new().await;
    let directory = tempfile::tempdir().unwrap();
    let mut dice: u64 = 0xc0ffee;
    let mut copies = Vec::new();
    let mut meeting = String::new();
    stage.emulator("DELETE", "stats", Value::Null).await;
    for n in 0_u32.. {
        if copies.len() >= COPIES {
            break;
        }
        // Something new, and something changed; nothing is ever deleted.
        if n % 3 == 2 {
            let body = json!({"summary": format!("Renamed {n}")});
            stage.demo.call(ACCOUNTS[1], "PATCH", &format!("/{meeting}"), body).await;
        } else {
            let account = ACCOUNTS[(n as usize + 1) % 2];
            let made = stage.meet(account, &format!("Meeting {n}"), 1 + n % 28, 9, None).await;
            meeting = if account == ACCOUNTS[1] { made } else { meeting };
        }
        let mut command = Command::new(BINARY);
        command.args(["sync", "--all"]).envs(&stage.demo.env).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = super::Process(command.spawn().unwrap());
        let pid = Pid::from_child(&process.0);
        let most = COPIES.min(copies.len() + OF_ONE);
        while process.0.try_wait().unwrap().is_none() && copies.len() < most {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            tokio::time::sleep(Duration::from_millis(20 + (dice >> 33) % 120)).await;
            if process.0.try_wait().unwrap().is_some() {
                break;
            }
            kill_process(pid, Signal::STOP).unwrap();
            let to = directory.path().join(format!("{}.db", copies.len()));
            copy(&stage.database(), &to);
            copies.push(to);
            kill_process(pid, Signal::CONT).unwrap();
        }
        process.0.wait().unwrap();
    }
    stage.well(&["sync", "--all"]);
    let mut expect = Vec::new();
    for account in ACCOUNTS {
        expect.push(stage.shown(account).await);
    }
    // Each is at one time on every calendar.
    assert!(expect.iter().all(|shown| shown.len() == expect[0].len() && shown.len() > 3), "{expect:?}");
    for copy in &copies {
        for args in [&["sync", "--all"][..], &["plan", "--all"]] {
            let output =
                Command::new(BINARY).args(args).envs(&stage.demo.env).env("DATABASE_PATH", copy).output().unwrap();
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{args:?} of {}: {told}", copy.display());
        }
        for (account, expected) in ACCOUNTS.iter().zip(&expect) {
            assert_eq!(stage.shown(account).await, *expected, "{account}, from {}", copy.display());
        }
    }
    assert_eq!(stage.asked("events.delete").await, 0, "nothing is deleted for having been forgotten");
}

/// Nothing more may be written to any file beyond so many blocks, as where a disk is full: the log grows at each commit, so that
/// each limit strikes another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_any_commit_costs_nothing() {
    let stage = Stage::new().await;
    for n in 0..3 {
        stage.meet(ACCOUNTS[1], &format!("Meeting {n}"), 1 + n, 9, None).await;
        stage.meet(ACCOUNTS[0], &format!("At home {n}"), 10 + n, 9, None).await;
    }
    stage.emulator("DELETE", "stats", Value::Null).await;
    let mut failed = 0;
    let mut blocks = 0;
    // 512 bytes each, as POSIX has it; a page of the log is a little more than eight of them.
    let ended = loop {
        blocks += 12;
        let output = Command::new("sh")
            .args(["-c", r#"trap "" XFSZ; ulimit -f "$1"; exec "$0" sync --all"#, BINARY, &blocks.to_string()])
            .envs(&stage.demo.env)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!told.contains("panicked"), "{blocks} blocks: {told}");
        match output.status.code() {
            Some(0) => break told,
            Some(_) => failed += 1,
            None => panic!("{blocks} blocks: {told}"),
        }
        assert!(blocks < 4000, "{told}");
    };
    assert!(failed > 10, "only {failed} limits were met: {ended}");
    stage.well(&["sync", "--all"]);
    let mut shown = Vec::new();
    for account in ACCOUNTS {
        shown.push(stage.shown(account).await);
    }
    assert!(shown.iter().all(|shown| shown.len() == 6), "{shown:?}");
    assert_eq!(stage.asked("events.delete").await, 0, "nothing is deleted for having been forgotten");
}
