//! Power cuts at every frame of the log and in the middle of frames: whatever prefix of it is on the disk, the product opens, sees the
//! last whole commit, and comes to the same end as Google, deleting and doubling nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::world::World;
use crate::{
    controller::{
        App,
        tick::{Mode, tick},
    },
    model::calendar::Role,
    store::Store,
};

/// SQLite's file format §4.1: the head of a log, and of each of its frames.
const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

/// A write-ahead log as bytes.
struct Log {
    bytes: Vec<u8>,
    frame: usize,
}

impl Log {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let page = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
        Log { bytes, frame: FRAME_HEAD + page as usize }
    }

    fn frames(&self) -> usize {
        (self.bytes.len() - HEAD) / self.frame
    }

    /// Where the first `n` frames end.
    fn end(&self, n: usize) -> usize {
        HEAD + n * self.frame
    }

    /// Whether a commit ends with the `n`th frame, counted from one.
    fn commits(&self, n: usize) -> bool {
        let head = self.end(n - 1);
        self.bytes[head + 4..head + 8] != [0; 4]
    }
}

/// What a database says, table by table.
async fn said(path: &Path) -> BTreeMap<String, String> {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut said = BTreeMap::new();
    for table in tables.into_iter().filter(|table| !table.starts_with("sqlite_")) {
        let columns: Vec<String> = sqlx::query_scalar("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let rows =
            sqlx::query(AssertSqlSafe(format!("SELECT {} FROM \"{table}\" ORDER BY 1, 2", columns.join("||','||"))))
                .fetch_all(&mut connection)
                .await;
        // A table of one column has no second to sort by.
        let rows = match rows {
            Ok(rows) => rows,
            Err(_) => {
                sqlx::query(AssertSqlSafe(format!("SELECT {} FROM \"{table}\" ORDER BY 1", columns.join("||','||"))))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap()
            }
        };
        said.insert(table, rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n"));
    }
    connection.close().await.unwrap();
    said
}

async fn titles(world: &World, calendar: &str) -> Vec<String> {
    let items = world.all_items(calendar, "/events?singleEvents=true&maxResults=250").await;
    let mut titles: Vec<String> =
        items.iter().map(|item| format!("{} {}", item["start"]["dateTime"], item["summary"])).collect();
    titles.sort();
    titles
}

async fn settle(app: &App, world: &World, when: &str) {
    for _ in 0..5 {
        if tick(app, world.people["ada"].user, Mode::Apply).await.unwrap().plan.is_empty() {
            return;
        }
    }
    panic!("it does not come to rest, {when}");
}

/// A world in which something of everything happened, all of it in the log; gives the file as it was before, and the log.
async fn history(dir: &Path) -> (World, PathBuf, Log) {
    let mut world = World::new().await;
    let own = |name: &str, role| (name.to_owned(), format!("ada@{name}.example"), format!("ada@{name}.example"), role);
    world.add("ada", 0, &[own("home", Role::Main), own("acme", Role::Client), own("globex", Role::Client)]).await;
    let app = world.app("ada").clone();
    app.store.keep_log().await;
    let time = |day: u32, hour: u32| json!({"dateTime": format!("2026-03-{day:02}T{hour:02}:00:00"), "timeZone": "Europe/Vienna"});
    let make = async |title: &str, day, rule: Value| {
        let mut body = json!({"summary": title, "start": time(day, 9), "end": time(day, 10)});
        if !rule.is_null() {
            body["recurrence"] = rule;
        }
        world.as_person("acme", "POST", "/events", body).await.1["id"].as_str().unwrap().to_owned()
    };
    let stays = make("Stays", 2, Value::Null).await;
    let goes = make("Goes", 3, Value::Null).await;
    let series = make("Series", 4, json!(["RRULE:FREQ=DAILY;COUNT=3"])).await;
    settle(&app, &world, "at first").await;
    let moved = json!({"start": time(12, 14), "end": time(12, 15)});
    world.as_person("acme", "PATCH", &format!("/events/{series}_20260305T080000Z"), moved).await;
    world.as_person("acme", "PATCH", &format!("/events/{stays}"), json!({"summary": "Stays, renamed"})).await;
    settle(&app, &world, "after a change").await;
    assert_eq!(world.as_person("acme", "DELETE", &format!("/events/{goes}"), Value::Null).await.0, 204);
    settle(&app, &world, "after a deletion").await;
    let base = dir.join("base.db");
    fs::copy(app.store.path(), &base).unwrap();
    let log = Log::read(Path::new(&format!("{}-wal", app.store.path().display())));
    fs::copy(format!("{}-shm", app.store.path().display()), dir.join("old-shm")).unwrap();
    (world, base, log)
}

/// The files after a cut.
fn cut(dir: &Path, base: &Path, log: &Log, at: usize, with_old_index: bool) -> PathBuf {
    let image = dir.join("image.db");
    for side in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{side}", image.display()));
    }
    fs::copy(base, &image).unwrap();
    fs::write(format!("{}-wal", image.display()), &log.bytes[..at]).unwrap();
    if with_old_index {
        fs::copy(dir.join("old-shm"), format!("{}-shm", image.display())).unwrap();
    }
    image
}

/// Lets the product open it and let it go again, and looks what it says then.
async fn opened(app: &App, image: &Path) -> BTreeMap<String, String> {
    let store = Store::open_existing(image, app.vault.clone(), app.clock.clone()).await.unwrap();
    store.check().await.unwrap();
    store.close().await;
    said(image).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_at_any_frame_of_its_log_the_database_opens_and_comes_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let (world, base, log) = history(dir.path()).await;
    let app = world.app("ada").clone();
    let expected = (titles(&world, "home").await, titles(&world, "globex").await);
    // One that stays, and a series of three.
    assert_eq!((expected.0.len(), expected.1.len()), (4, 4), "{expected:?}");
    let before = crate::emulator::with(&world.core, |core| core.writes.len());
    let mut last: Option<BTreeMap<String, String>> = None;
    let (mut commits, mut torn) = (0, 0);
    let mut dice: usize = 0x5eed;
    for n in 0..=log.frames() {
        let at = log.end(n);
        let image = cut(dir.path(), &base, &log, at, n % 5 == 4);
        let now = opened(&app, &image).await;
        if n == 0 || log.commits(n) {
            // A state of its own: the product goes on from it.
            commits += usize::from(n > 0);
            let image = cut(dir.path(), &base, &log, at, false);
            let mut other = app.clone();
            other.store = Store::open_existing(&image, app.vault.clone(), app.clock.clone()).await.unwrap();
            other.gates = Default::default();
            let when = format!("cut after frame {n}");
            settle(&other, &world, &when).await;
            other.store.close().await;
            assert_eq!((titles(&world, "home").await, titles(&world, "globex").await), expected, "{when}");
            last = Some(now);
        } else {
            assert_eq!(Some(&now), last.as_ref(), "a commit that is not whole is none, cut after frame {n}");
        }
        if n < log.frames() {
            // In the middle of the next frame: as if it were not there.
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let image = cut(dir.path(), &base, &log, at + 1 + (dice >> 33) % (log.frame - 1), false);
            assert_eq!(Some(&opened(&app, &image).await), last.as_ref(), "cut within frame {}", n + 1);
            torn += 1;
        }
    }
    println!("{} frames, {commits} commits, {torn} cuts within frames", log.frames());
    assert!(commits >= 15 && log.frames() > 2 * commits, "{commits} commits in {} frames", log.frames());
    let deleted = crate::emulator::with(&world.core, |core| core.writes[before..].iter().any(|w| w.method == "DELETE"));
    assert!(!deleted, "nothing is deleted for having been forgotten");
}
