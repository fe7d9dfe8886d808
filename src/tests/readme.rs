//! The README names every command and every variable, and none that is not there.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::cli::{self, settings::VARIABLES};

fn text(name: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The words that follow `before`, as far as `of` allows.
fn words<'a>(text: &'a str, before: &str, of: fn(char) -> bool) -> BTreeSet<&'a str> {
    let after = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
    after.map(|rest| &rest[..rest.find(|c| !of(c)).unwrap_or(rest.len())]).filter(|word| !word.is_empty()).collect()
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

fn upper(c: char) -> bool {
    c.is_ascii_uppercase() || c == '_'
}

#[test]
fn the_readme_names_every_command_and_none_besides() {
    let (readme, commands) = (text("README.md"), cli::commands());
    let named = words(&readme, "busybridge ", lower);
    for command in commands.iter().filter(|command| *command != "help") {
        // Pauses and their end share a line.
        let there = named.contains(command.as_str()) || readme.contains(&format!("`{command}`"));
        assert!(there, "the README does not name `busybridge {command}`");
    }
    for name in named {
        assert!(commands.iter().any(|command| command == name), "there is no `busybridge {name}`");
    }
}

#[test]
fn the_readme_names_every_variable_and_none_besides() {
    let readme = text("README.md");
    let settings = text("src/cli/settings.rs");
    let mut read = words(&settings, "get(\"", upper);
    read.extend(words(&settings, "url(\"", upper));
    let known: BTreeSet<&str> = VARIABLES.into_iter().collect();
    assert_eq!(
        read.into_iter().chain(["SMTP_PASSWORD"]).collect::<BTreeSet<_>>(),
        known,
        "the list is of what is read"
    );
    let first_cells = readme.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: BTreeSet<&str> = first_cells
        .flat_map(|cell| cell.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')))
        .filter(|name| name.chars().all(upper))
        .collect();
    assert_eq!(named, known, "the README's table is of these");
}
