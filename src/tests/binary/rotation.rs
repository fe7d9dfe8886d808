//! The encryption key, changed by the real binary under SIGKILL, and every state in which a death can leave the files.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{BINARY, Demo, Process};

type Env = BTreeMap<String, String>;

pub fn private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs a command to its end.
fn run(env: &Env, args: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY).args(args).envs(env).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), text)
}

/// Starts the service, waits until it listens, and kills it.
pub fn start(env: &Env) {
    let child = Command::new(BINARY)
        .arg("serve")
        .envs(env)
        .env("LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut process = Process(child.unwrap());
    let first = BufReader::new(process.0.stdout.take().unwrap()).lines().next();
    let first = first.map(Result::unwrap).unwrap_or_default();
    let mut log = process.0.stderr.take().unwrap();
    drop(process);
    let mut told = String::new();
    log.read_to_string(&mut told).unwrap();
    assert!(first.contains("listens on"), "the service starts: {first}\n{told}");
}

/// The names beside the key file that a rotation makes.
fn left(key: &Path) -> Vec<String> {
    let entries = fs::read_dir(key.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("encryption.key."));
    names.sort();
    names
}

fn key_of(env: &Env) -> PathBuf {
    PathBuf::from(&env["ENCRYPTION_KEY_FILE"])
}

/// The same installation in another folder, with these files of keys.
fn copy(env: &Env, to: &Path, keys: &[(&str, &[u8])]) -> Env {
    fs::create_dir_all(to.join("secrets")).unwrap();
    let database = to.join("calendar-sync.db");
    for side in ["", "-wal"] {
        let from = format!("{}{side}", env["DATABASE_PATH"]);
        if Path::new(&from).exists() {
            fs::copy(from, format!("{}{side}", database.display())).unwrap();
        }
    }
    fs::copy(key_of(env).with_file_name("instance.key"), to.join("secrets/instance.key")).unwrap();
    for (name, content) in keys {
        private(&to.join("secrets").join(name), content);
    }
    let mut env = env.clone();
    env.insert("DATABASE_PATH".into(), database.to_str().unwrap().into());
    env.insert("ENCRYPTION_KEY_FILE".into(), to.join("secrets/encryption.key").to_str().unwrap().into());
    env
}

#[test]
fn killed_at_any_moment_a_change_of_the_key_leaves_what_starts() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(&directory.path().join("kept"));
    let key = key_of(&demo.env);
    let instance = fs::read(key.with_file_name("instance.key")).unwrap();
    let mut dice: u64 = 0x0b5e_55ed;
    for _ in 0..12 {
        let child =
            Command::new(BINARY).arg("rotate-key").envs(&demo.env).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = Process(child.unwrap());
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((dice >> 33) % 150_000));
        drop(process);
        let (code, text) = run(&demo.env, &["plan", "--all", "--offline"]);
        assert_eq!(code, 0, "{text}");
    }
    start(&demo.env);
    start(&demo.env);
    assert_eq!(left(&key), Vec::<String>::new());
    let (code, text) = run(&demo.env, &["plan", "--all", "--offline"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(fs::read(key.with_file_name("instance.key")).unwrap(), instance);
}

#[test]
fn the_service_starts_from_every_state_in_which_a_change_of_the_key_can_die() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let demo = Demo::start(&path("kept"));
    let old = fs::read(key_of(&demo.env)).unwrap();
    let before = copy(&demo.env, &path("before"), &[("encryption.key", &old)]);
    let after = copy(&demo.env, &path("after"), &[("encryption.key", &old)]);
    let (code, text) = run(&after, &["rotate-key"]);
    assert_eq!(code, 0, "{text}");
    let new = fs::read(key_of(&after)).unwrap();
    assert_ne!(old, new);
    let (key, next, prev) = ("encryption.key", "encryption.key.next", "encryption.key.prev");
    type State<'a> = (&'a Env, &'a [(&'a str, &'a [u8])], &'a [u8], &'a [&'a str]);
    let states: [State<'_>; 8] = [
        (&before, &[(key, &old)], &old, &[]),
        (&before, &[(key, &old), (next, b"")], &old, &[]),
        (&before, &[(key, &old), (next, &new[..9])], &old, &[]),
        (&before, &[(key, &old), (next, &new)], &old, &[]),
        (&before, &[(key, &old), (next, &new), (prev, &old[..9])], &old, &[]),
        (&before, &[(key, &old), (next, &new), (prev, &old)], &old, &[]),
        (&after, &[(key, &old), (next, &new), (prev, &old)], &new, &[prev]),
        (&after, &[(key, &new), (prev, &old)], &new, &[]),
    ];
    for (n, (from, keys, expect, stays)) in states.into_iter().enumerate() {
        let env = copy(from, &path(&format!("state-{n}")), keys);
        start(&env);
        assert_eq!(fs::read(key_of(&env)).unwrap(), expect, "{n}");
        assert_eq!(left(&key_of(&env)), stays, "{n}");
        let (code, text) = run(&env, &["plan", "--all", "--offline"]);
        assert_eq!(code, 0, "{n}: {text}");
    }
    // The other key opens neither.
    for (name, from, keys) in [("new", &before, &new), ("old", &after, &old)] {
        let env = copy(from, &path(name), &[(key, keys)]);
        assert_eq!(run(&env, &["serve"]).0, 3);
    }
}
