//! What is in the program besides our own code: every exception and every ban says why, and what is locked keeps to them. The same
//! file is read by `cargo deny`; what is checked here needs neither that nor a network.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};

fn file(name: &str) -> Table {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap().parse().unwrap()
}

fn list<'a>(table: &'a Table, path: &[&str]) -> &'a [Value] {
    let (last, parents) = path.split_last().unwrap();
    let table = parents.iter().fold(table, |table, name| table[*name].as_table().unwrap());
    table[*last].as_array().unwrap()
}

fn text<'a>(table: &'a Value, name: &str) -> &'a str {
    table.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{table:?} has no {name}"))
}

/// Every locked crate, with its versions and where it comes from.
fn locked() -> BTreeMap<String, Vec<(Vec<u64>, Option<String>)>> {
    let mut locked: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for package in list(&file("Cargo.lock"), &["package"]) {
        let source = package.get("source").and_then(Value::as_str).map(str::to_owned);
        locked.entry(text(package, "name").into()).or_default().push((version(text(package, "version")), source));
    }
    locked
}

/// The numbers of a version; what follows a dash or a plus is left out.
fn version(text: &str) -> Vec<u64> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    numbers.split('.').map(|number| number.parse().unwrap_or_else(|_| panic!("{text} is no version"))).collect()
}

/// Whether a ban, `name` or `name@<version`, forbids this version.
fn forbids(ban: &str, found: &[u64]) -> bool {
    match ban.split_once('@') {
        None => true,
        Some((_, below)) => {
            found < version(below.strip_prefix('<').expect("a floor is written as <version")).as_slice()
        }
    }
}

#[test]
fn every_exception_and_every_ban_says_why() {
    let deny = file(".deny.toml");
    let locked = locked();
    let exceptions = list(&deny, &["advisories", "ignore"]);
    assert!(!exceptions.is_empty());
    for exception in exceptions {
        let (id, reason) = (text(exception, "id"), text(exception, "reason"));
        assert!(id.starts_with("RUSTSEC-") && reason.len() > 60, "{id}: {reason}");
        // A reason opens with the crate; an exception for what is not there any more has to go.
        let name = reason.split(' ').next().unwrap();
        assert!(locked.contains_key(name), "{id} is an exception for {name}, which is not used");
    }
    for ban in list(&deny, &["bans", "deny"]) {
        assert!(text(ban, "reason").len() >= 8, "{ban:?}");
    }
    assert_eq!(text(&Value::Table(deny["advisories"].as_table().unwrap().clone()), "unmaintained"), "all");
}

#[test]
fn nothing_that_is_locked_is_banned_and_all_of_it_comes_from_crates_io() {
    let deny = file(".deny.toml");
    let bans: Vec<&str> = list(&deny, &["bans", "deny"]).iter().map(|ban| text(ban, "crate")).collect();
    for floor in ["jsonwebtoken@<10.3.0", "salvo@<0.94.0", "salvo-serve-static"] {
        assert!(bans.contains(&floor), "{floor}");
    }
    let locked = locked();
    assert!(locked.len() > 300 && locked.contains_key("jsonwebtoken") && locked.contains_key("salvo"));
    for ban in bans {
        let name = ban.split('@').next().unwrap();
        for (version, _) in locked.get(name).into_iter().flatten() {
            assert!(!forbids(ban, version), "{name} {version:?} is locked, and {ban} is banned");
        }
    }
    let ours = env!("CARGO_PKG_NAME");
    for (name, versions) in locked.iter().filter(|(name, _)| *name != ours) {
        for (_, source) in versions {
            let from = source.as_deref();
            assert_eq!(from, Some("registry+https://github.com/rust-lang/crates.io-index"), "{name}");
        }
    }
}

#[test]
fn a_version_below_a_floor_is_noticed() {
    for (ban, found, expected) in [
        ("jsonwebtoken@<10.3.0", "10.2.9", true),
        ("jsonwebtoken@<10.3.0", "9.10.0", true),
        ("jsonwebtoken@<10.3.0", "10.3.0", false),
        ("jsonwebtoken@<10.3.0", "11.1.0", false),
        ("salvo-serve-static", "99.0.0", true),
    ] {
        assert_eq!(forbids(ban, &version(found)), expected, "{ban} {found}");
    }
}
