//! What the compiler does not check: who may import whom, and that every file says what it is for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers: each module, and the modules of ours that it may name. `why.md` and `lib.rs` tell the reasons.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("planner", &["model"]),
    ("vault", &["model"]),
    ("store", &["model", "vault"]),
    ("google", &["model"]),
    ("pages", &["model", "planner::render"]),
    ("mail", &["model", "pages"]),
    ("controller", &["model", "planner", "vault", "store", "google", "mail", "pages"]),
    ("web", &["model", "store", "controller", "pages", "planner::render"]),
    (
        "cli",
        &[
            "model",
            "planner",
            "vault",
            "store",
            "google",
            "controller",
            "emulator",
            "web",
            "mail",
            "pages",
            "simulation",
        ],
    ),
    ("simulation", &["model", "planner", "vault", "store", "google", "controller", "emulator"]),
    ("emulator", &["model::clock"]),
];

/// Words that must not stand in a layer.
const MUST_NOT_SAY: &[(&str, &[&str])] = &[
    ("model", &["async ", "tokio", "sqlx", "reqwest", "salvo", "google_calendar3", "serde"]),
    ("planner", &["async ", "tokio", "sqlx", "reqwest", "salvo", "google_calendar3", "serde", "Utc::now"]),
    ("store", &["reqwest", "salvo", "google_calendar3"]),
    ("google", &["sqlx"]),
    ("controller", &["sqlx", "salvo", "reqwest", "google_calendar3"]),
];

/// Crates that are reached through few files, so that they can be left.
const DOORS: &[(&str, &[&str])] = &[
    ("google_calendar3", &["google/wire"]),
    ("governor::", &["google/throttle", "web/limits"]),
    ("backoff::", &["google/throttle"]),
    ("aes_gcm_siv", &["vault/"]),
    ("calcard", &["emulator/ics"]),
    ("indicatif", &["cli/"]),
    ("lettre::", &["mail/"]),
    ("minijinja::", &["pages/", "emulator/page/"]),
    ("prometheus_client", &["controller/metrics"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Path below `src`, and text, of every source file.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The product's part of a file: comments and tests within it are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every `crate::…` path of a file with its line, `use crate::{a, b::c}` taken apart.
fn imports(text: &str) -> Vec<(usize, String)> {
    let code: Vec<(usize, &str)> = code(text).collect();
    let mut found = Vec::new();
    for (n, (line, text)) in code.iter().enumerate() {
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            if !rest.starts_with('{') {
                found.push((*line + 1, rest.to_owned()));
                continue;
            }
            // A group: the names at its first level, over as many lines as it takes.
            let mut depth = 0;
            let mut name = String::new();
            let joined: String = code[n..].iter().map(|(_, l)| *l).collect::<Vec<_>>().join("\n");
            let start = joined.find("crate::{").unwrap_or(0) + "crate::".len();
            for c in joined[start..].chars() {
                match c {
                    '{' => {
                        depth += 1;
                        name.push(if depth > 1 { ':' } else { ' ' });
                    }
                    '}' => depth -= 1,
                    ',' if depth == 1 => found.push((*line + 1, std::mem::take(&mut name).trim().to_owned())),
                    c => name.push(c),
                }
                if depth == 0 {
                    break;
                }
            }
            found.push((*line + 1, name.trim().to_owned()));
        }
    }
    found.retain(|(_, path)| !path.is_empty());
    found
}

#[test]
fn imports_point_downwards_only() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some((module, _)) = file.split_once('/') else { continue };
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            assert_eq!(module, "tests", "{file}: a module without a place in the layers");
            continue;
        };
        for (line, path) in imports(&text) {
            let own = path.starts_with(module) && !path[module.len()..].starts_with(|c: char| c.is_alphanumeric());
            if !own && !allowed.iter().any(|name| path.starts_with(name)) {
                wrong.push(format!("src/{file}:{line}: {module} must not import {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn layers_do_not_speak_of_what_is_not_theirs() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (module, words) in MUST_NOT_SAY.iter().filter(|(module, _)| file.starts_with(&format!("{module}/"))) {
            for (n, line) in code(&text) {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    wrong.push(format!("src/{file}:{}: {module} must not say {word}", n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn replaceable_crates_have_few_doors() {
    let mut wrong = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| !file.starts_with("tests/")) {
        for (name, doors) in DOORS.iter().filter(|(_, doors)| !doors.iter().any(|door| file.starts_with(door))) {
            wrong.extend(
                code(text)
                    .filter(|(_, line)| line.contains(name))
                    .map(|(n, _)| format!("src/{file}:{}: {name} belongs into src/{}", n + 1, doors.join(" or "))),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (file, text) in sources() {
        let opening = if file == "main.rs" { "//!" } else { "//! " };
        assert!(text.starts_with(opening), "src/{file} does not open with its purpose");
    }
    for entry in fs::read_dir(root().join("migrations")).unwrap() {
        let path = entry.unwrap().path();
        assert!(fs::read_to_string(&path).unwrap().starts_with("-- "), "{} does not say why", path.display());
    }
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains(" = ") {
            assert!(line.contains(" # "), "{line}");
        }
    }
}

#[test]
fn every_scenario_opens_with_its_claim_and_is_named_after_it() {
    let mut scenarios = 0;
    for entry in fs::read_dir(root().join("testdata/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} does not open with its claim", path.display());
        assert!(text.contains("\n----\n"), "{} expects nothing", path.display());
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name.matches('-').count() >= 2, "{name} is not a claim");
        scenarios += 1;
    }
    assert!(scenarios >= 40, "only {scenarios} scenarios");
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "views",
        "migrations",
        "testdata",
        "Containerfile",
        "compose.yml",
        "README.md",
        "LICENSE",
        "target",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || agreed.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

/// A builder sends only what `.dockerignore` lets through, and refuses to copy anything else.
#[test]
fn what_the_image_is_built_from_is_let_through() {
    let text = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let (ignored, recipe) = (text(".dockerignore"), text("Containerfile"));
    let let_through: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copies = recipe.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    let copied: BTreeSet<&str> =
        copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ').collect::<Vec<_>>()).collect();
    assert_eq!(copied, let_through);
    assert!(copied.contains("src") && copied.iter().all(|name| root().join(name).exists()), "{copied:?}");
}
