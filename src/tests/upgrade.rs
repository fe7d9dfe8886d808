//! A database of the first release opens after every later migration, and nothing is done for it that was not done before.
//!
//! `testdata/upgrade/first-release.sql` is that database, as the statements that make it; its keys are those of the world's first
//! installation. `FIRST_RELEASE=write cargo test --lib upgrade` writes it anew: before the first release whenever a migration is
//! rewritten, after it never.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sqlx::Connection;

use super::world::World;
use crate::{
    controller::tick::{Mode, tick},
    emulator,
    model::calendar::Role,
};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/upgrade/first-release.sql")
}

/// What the consultant of the first release had: single meetings, a series with an exception, a personal appointment.
async fn world() -> World {
    let mut world = World::new().await;
    let own = |name: &str, role| (name.to_owned(), format!("ada@{name}.example"), format!("ada@{name}.example"), role);
    let calendars =
        [own("home", Role::Main), own("acme", Role::Client), own("globex", Role::Client), own("gmail", Role::Personal)];
    world.add("ada", 0, &calendars).await;
    let at = |day: u32, hour: u32| json!({"dateTime": format!("2026-03-{day:02}T{hour:02}:00:00"), "timeZone": "Europe/Vienna"});
    let series = json!({"id": "series1", "summary": "Weekly", "start": at(2, 9), "end": at(2, 10), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]});
    for (calendar, method, path, body) in [
        (
            "acme",
            "POST",
            "/events",
            json!({"id": "kickoff", "summary": "Kick-off", "start": at(3, 9), "end": at(3, 10)}),
        ),
        ("acme", "POST", "/events", series),
        (
            "acme",
            "PATCH",
            "/events/series1_20260309T080000Z",
            json!({"summary": "Weekly, in town", "start": at(9, 11), "end": at(9, 12)}),
        ),
        ("acme", "DELETE", "/events/series1_20260316T080000Z", Value::Null),
        (
            "globex",
            "POST",
            "/events",
            json!({"id": "meeting2", "summary": "Review", "start": at(4, 14), "end": at(4, 15)}),
        ),
        (
            "gmail",
            "POST",
            "/events",
            json!({"id": "dentist", "summary": "Dentist", "start": at(5, 8), "end": at(5, 9)}),
        ),
    ] {
        let (status, answer) = world.as_person(calendar, method, path, body).await;
        assert!(status < 300, "{calendar} {method} {path}: {answer}");
    }
    settle(&world).await;
    world
}

async fn settle(world: &World) {
    for _ in 0..4 {
        if tick(world.app("ada"), world.people["ada"].user, Mode::Apply).await.unwrap().plan.is_empty() {
            return;
        }
    }
    panic!("it does not come to rest");
}

async fn shown(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for calendar in ["home", "acme", "globex", "gmail"] {
        for item in world.all_items(calendar, "/events?singleEvents=true").await {
            all.push(format!("{calendar} {} {} {}", item["id"], item["summary"], item["start"]));
        }
    }
    all.sort();
    all
}

/// The statements that make a database.
async fn statements(database: &Path) -> String {
    let mut connection =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=ro", database.display())).await.unwrap();
    let schema: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut text = String::from(
        "-- The database of the first release, with the calendars of one made-up consultant. Written by src/tests/upgrade.rs.\n\n",
    );
    for (_, _, sql) in &schema {
        text = format!("{text}{sql};\n");
    }
    for (_, table, _) in schema.iter().filter(|(kind, ..)| kind == "table") {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
            .bind(table)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let question = format!("SELECT concat_ws(', ', {}) FROM {table} ORDER BY 1", quoted.join(", "));
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
        for row in rows {
            text = format!("{text}INSERT INTO {table} ({}) VALUES ({row});\n", columns.join(", "));
        }
    }
    text
}

#[tokio::test]
async fn a_database_of_the_first_release_opens_and_nothing_unexpected_is_planned() {
    let mut world = world().await;
    let dir = tempfile::tempdir().unwrap();
    if std::env::var("FIRST_RELEASE").is_ok_and(|word| word == "write") {
        let copy = dir.path().join("copy.db");
        world.app("ada").store.back_up(&copy).await.unwrap();
        fs::create_dir_all(file().parent().unwrap()).unwrap();
        fs::write(file(), statements(&copy).await).unwrap();
    }
    let first = dir.path().join("first.db");
    let mut connection =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", first.display())).await.unwrap();
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    let text = fs::read_to_string(file()).unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let (before, writes) = (shown(&world).await, emulator::with(&world.core, |core| core.writes.len()));
    assert_eq!(before.iter().filter(|line| line.starts_with("home")).count(), 6, "{before:#?}");
    world.restore("ada", &first).await;
    world.people.get_mut("ada").unwrap().user = world.app("ada").store.users().await.unwrap()[0].id;
    world.app("ada").store.check().await.unwrap();
    settle(&world).await;
    assert_eq!(emulator::with(&world.core, |core| core.writes.len()), writes, "nothing is written at Google");
    assert_eq!(shown(&world).await, before);
    // What it remembers is of use: a copy that its person changes still reaches the client, a new meeting the others.
    let kickoff = world.all_items("home", "/events?q=Kick-off").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/events/{kickoff}");
    let (status, answer) = world.as_person("home", "PATCH", &path, json!({"summary": "Kick-off, at last"})).await;
    assert_eq!(status, 200, "{answer}");
    settle(&world).await;
    let at_client = world.as_person("acme", "GET", "/events/kickoff", Value::Null).await.1;
    assert_eq!(at_client["summary"], "Kick-off, at last");
}
