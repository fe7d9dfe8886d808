//! The store on a database of its own, in a file.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use chrono::TimeDelta;
use tempfile::TempDir;

use super::{Store, StoreError, mirror::Listing, people::NewUser, tokens::AccountKind};
use crate::{
    model::{
        body::{Body, Digest, Visibility, When},
        calendar::{Freshness, Role, Why},
        clock::Clock,
        event::{Answer, Change, Event, Guest, Kind, OriginKey, Owner, Rights, Slot},
        id::{CalendarId, Cursor, EventId, UserId},
        item::{Face, ItemKey, ObservedState, Provenance},
        mapping::{Mapping, Memory},
        secret::Secret,
        snapshot::{Origin, Policy},
        tokens::Tokens,
    },
    vault::Vault,
};

const CANARY: &str = "canary-that-nobody-may-read";

struct Home {
    dir: TempDir,
    clock: Clock,
    store: Store,
    user: UserId,
    /// The numbers of main and a client.
    main: i64,
    acme: i64,
}

fn vault() -> Arc<Vault> {
    Arc::new(Vault::from_keys([1; 32], [2; 32]))
}

impl Home {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-03-01T08:00:00Z".parse().unwrap());
        let store = Store::open(&dir.path().join("a.db"), vault(), clock.clone()).await.unwrap();
        let new = NewUser { email: "ada@home.example".into(), subject: "1".into(), name: "Ada".into(), admin: true };
        let user = store.add_user(new).await.unwrap();
        let tokens = Tokens {
            access: Secret::new(format!("{CANARY} access")),
            refresh: Secret::new(format!("{CANARY} refresh")),
            expires: clock.now(),
            scopes: "openid".into(),
        };
        let token = store.put_token(user, AccountKind::Home, "ada@home.example", &tokens).await.unwrap();
        let connect = async |id: &str, role| {
            store.connect_calendar(user, token, &CalendarId::from(id), id, role, "Europe/Vienna").await.unwrap()
        };
        let main = connect("ada@home.example", Role::Main).await;
        let acme = connect("ada@acme.example", Role::Client).await;
        Home { dir, clock, store, user, main, acme }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("a.db")
    }

    /// Lists from `from` to `next`.
    async fn list(
        &self,
        from: Option<&str>,
        next: &str,
        full: bool,
        changes: Vec<Change>,
    ) -> Result<(usize, u64), StoreError> {
        let changes = changes.into_iter().map(|change| (change, Owner::Person)).collect();
        let listing = Listing { from: from.map(Cursor::from), full, next: next.into(), changes };
        self.store.commit_listing(self.acme, listing).await.map(|done| (done.changed, done.suspects))
    }

    async fn heads(&self) -> Vec<(String, bool)> {
        let snapshot = self.store.snapshot(self.user, &BTreeMap::new(), Policy::default()).await.unwrap();
        let families = snapshot.origins.get(&CalendarId::from("ada@acme.example")).cloned().unwrap_or_default();
        let live = |origin: Option<Origin>| matches!(origin, Some(Origin::Live(_)));
        families.into_iter().map(|(id, family)| (id.as_str().to_owned(), live(family.head))).collect()
    }

    /// Everything on the disk.
    fn bytes(&self) -> Vec<u8> {
        let wal = self.path().with_extension("db-wal");
        [fs::read(self.path()).unwrap(), fs::read(wal).unwrap_or_default()].concat()
    }
}

fn event(id: &str, version: u32) -> Event {
    Event {
        id: id.into(),
        etag: format!("\"{version}\"").as_str().into(),
        updated: format!("2026-03-01T08:00:{version:02}.000Z"),
        series: None,
        kind: Kind::Ordinary,
        body: Body {
            title: Some(format!("{CANARY} title")),
            description: None,
            location: None,
            when: When::Days { first: "2026-03-02".parse().unwrap(), end: "2026-03-03".parse().unwrap() },
            recurrence: Vec::new(),
            free: false,
            visibility: Visibility::Default,
            colour: None,
        },
        tentative: false,
        answer: Some(Answer::Accepted),
        guests: vec![Guest { name: format!("{CANARY} guest"), answer: Answer::None, own: false }],
        join_link: None,
        rights: Rights::ReadOnly,
        marker: None,
        tagged: false,
    }
}

fn live(id: &str, version: u32) -> Change {
    Change::Live(Box::new(event(id, version)))
}

fn gone(id: &str) -> Change {
    Change::Gone { id: id.into(), series: None, etag: None }
}

fn item(event: &str, slot: Option<&str>) -> ItemKey {
    let origin = OriginKey {
        calendar: "ada@acme.example".into(),
        event: event.into(),
        instance: slot.and_then(Slot::from_stamp),
    };
    ItemKey { target: "ada@home.example".into(), origin }
}

fn mapping(event: &str) -> Mapping {
    let (applied, shown) = (Digest([3; 16]), Digest([4; 16]));
    Mapping { event: event.into(), incarnation: 1, applied, shown, memory: Memory::Kept, alone: false }
}

#[tokio::test]
async fn a_listing_is_stored_only_onward_from_the_cursor_it_began_with() {
    let home = Home::new().await;
    assert_eq!(home.list(None, "c1", true, vec![live("a", 1), live("b", 1)]).await.unwrap(), (2, 0));
    let late = home.list(None, "c9", true, vec![live("c", 1)]).await;
    assert!(matches!(late, Err(StoreError::Superseded)));
    assert_eq!(home.heads().await, [("a".into(), true), ("b".into(), true)]);
    assert_eq!(home.list(Some("c1"), "c2", false, vec![gone("a")]).await.unwrap(), (1, 0));
    assert_eq!(home.heads().await, [("a".into(), false), ("b".into(), true)]);
}

#[tokio::test]
async fn what_a_full_listing_does_not_name_is_suspect_and_counts_as_present() {
    let home = Home::new().await;
    home.list(None, "c1", true, vec![live("a", 1), live("b", 1)]).await.unwrap();
    assert_eq!(home.list(Some("c1"), "c2", true, vec![live("a", 1)]).await.unwrap(), (0, 1));
    assert_eq!(home.store.suspects(home.acme, 9).await.unwrap(), [EventId::from("b")]);
    assert_eq!(home.heads().await, [("a".into(), true), ("b".into(), true)]);
    // Named again: no suspicion is left. Proven: a tombstone.
    home.list(Some("c2"), "c3", true, vec![live("a", 1), live("b", 1)]).await.unwrap();
    assert!(home.store.suspects(home.acme, 9).await.unwrap().is_empty());
    home.store.put(home.acme, &gone("b"), &Owner::Person).await.unwrap();
    assert_eq!(home.heads().await, [("a".into(), true), ("b".into(), false)]);
}

#[tokio::test]
async fn a_row_never_goes_back_and_a_dead_version_does_not_rise() {
    let home = Home::new().await;
    let body = async |home: &Home| {
        let snapshot = home.store.snapshot(home.user, &BTreeMap::new(), Policy::default()).await.unwrap();
        let family = snapshot.origins[&CalendarId::from("ada@acme.example")][&EventId::from("a")].clone();
        match family.head {
            Some(Origin::Live(event)) => event.etag.as_str().to_owned(),
            _ => "gone".into(),
        }
    };
    home.list(None, "c1", true, vec![live("a", 5)]).await.unwrap();
    home.store.put(home.acme, &live("a", 4), &Owner::Person).await.unwrap();
    assert_eq!(body(&home).await, "\"5\"");
    home.store.put(home.acme, &gone("a"), &Owner::Person).await.unwrap();
    home.store.put(home.acme, &live("a", 5), &Owner::Person).await.unwrap();
    assert_eq!(body(&home).await, "gone");
    home.store.put(home.acme, &live("a", 6), &Owner::Person).await.unwrap();
    assert_eq!(body(&home).await, "\"6\"");
}

#[tokio::test]
async fn an_idle_listing_writes_nothing_until_its_cursor_is_old() {
    let home = Home::new().await;
    home.list(None, "c1", true, vec![live("a", 1)]).await.unwrap();
    let before = home.bytes();
    assert_eq!(home.list(Some("c1"), "c2", false, Vec::new()).await.unwrap(), (0, 0));
    home.store.note_success(home.acme).await.unwrap();
    assert_eq!(home.bytes(), before);
    home.clock.advance(TimeDelta::hours(7));
    home.list(Some("c1"), "c2", false, Vec::new()).await.unwrap();
    let cursor = home.store.calendars_of(home.user).await.unwrap()[1].cursor.clone();
    assert_eq!(cursor, Some(Cursor::from("c2")));
}

#[tokio::test]
async fn nothing_that_is_private_lies_in_the_open() {
    let home = Home::new().await;
    home.store
        .set_organization("home.example", &format!("{CANARY} id"), &Secret::new(format!("{CANARY} secret")))
        .await
        .unwrap();
    home.list(None, "c1", true, vec![live("a", 1)]).await.unwrap();
    let found = home.bytes().windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
    assert!(!found);
    let organization = home.store.organization().await.unwrap().unwrap();
    assert_eq!(organization.client_secret.reveal(), &format!("{CANARY} secret"));
}

#[tokio::test]
async fn what_is_sealed_opens_in_its_own_row_only() {
    let home = Home::new().await;
    home.list(None, "c1", true, vec![live("a", 1), live("b", 2)]).await.unwrap();
    sqlx::query(
        "UPDATE mirror_events SET event_encrypted = (SELECT event_encrypted FROM mirror_events WHERE event_id = 'b')",
    )
    .execute(&home.store.writer)
    .await
    .unwrap();
    let snapshot = home.store.snapshot(home.user, &BTreeMap::new(), Policy::default()).await;
    assert!(matches!(snapshot, Err(StoreError::Sealed { .. })));
}

#[tokio::test]
async fn a_snapshot_holds_ours_origins_and_memory_and_nothing_foreign() {
    let home = Home::new().await;
    let ours = |event: &str, slot: Option<&str>, in_series| {
        Owner::Ours(Provenance { key: item(event, slot), incarnation: 2, in_series })
    };
    let mut exception = event("s_20260309", 3);
    exception.series = Some(("s".into(), Slot::from_stamp("20260309").unwrap()));
    let changes = vec![
        (live("copy0", 1), ours("a", None, false)),
        (gone("copy1"), ours("b", None, false)),
        (live("foreign", 1), Owner::Foreign),
        (live("s", 1), Owner::Person),
        (Change::Live(Box::new(exception)), Owner::Person),
        (gone("s_20260316"), Owner::Person),
    ];
    let listing = Listing { from: None, full: true, next: "c1".into(), changes };
    home.store.commit_listing(home.main, listing).await.unwrap();
    let note = (item("a", None), Face::Copy, Some(mapping("copy0")));
    home.store.remember(home.user, &[note]).await.unwrap();
    let freshness = BTreeMap::from([(home.main, Freshness::Current)]);
    let snapshot = home.store.snapshot(home.user, &freshness, Policy::default()).await.unwrap();
    assert_eq!(snapshot.calendars[&CalendarId::from("ada@home.example")].freshness, Freshness::Current);
    assert_eq!(snapshot.calendars[&CalendarId::from("ada@acme.example")].freshness, Freshness::Unseen);
    assert!(matches!(snapshot.observed[&item("a", None)][0].state, ObservedState::Live { .. }));
    assert!(matches!(snapshot.observed[&item("b", None)][0].state, ObservedState::Gone));
    assert_eq!(snapshot.mappings[&item("a", None)], mapping("copy0"));
    let families = &snapshot.origins[&CalendarId::from("ada@home.example")];
    assert_eq!(families.keys().map(EventId::as_str).collect::<Vec<_>>(), ["s"]);
    let exceptions: Vec<bool> =
        families[&EventId::from("s")].exceptions.values().map(|origin| matches!(origin, Origin::Live(_))).collect();
    assert_eq!(exceptions, [true, false]);
    // The origins of ours were never listed on acme.
    let unproven = home.store.unproven_origins(home.user, 9).await.unwrap();
    assert_eq!(unproven, [(home.acme, EventId::from("a"))]);
    home.store.put(home.acme, &gone("a"), &Owner::Person).await.unwrap();
    assert!(home.store.unproven_origins(home.user, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn memory_is_marked_before_a_deletion_and_forgotten_after_it() {
    let home = Home::new().await;
    let key = item("a", Some("20260309"));
    let note = (key.clone(), Face::Copy, Some(mapping("x_20260309")));
    let owner = Owner::Ours(Provenance { key: key.clone(), incarnation: 1, in_series: true });
    home.store.put_with_mapping(home.main, &live("x_20260309", 1), &owner, home.user, &note).await.unwrap();
    home.store.mark_leaving(home.user, std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(home.store.mappings(home.user).await.unwrap()[&key].memory, Memory::Leaving);
    home.store.remember(home.user, &[(key, Face::Copy, None)]).await.unwrap();
    assert!(home.store.mappings(home.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn failures_in_a_row_are_counted_and_tokens_kept() {
    let home = Home::new().await;
    home.store.note_failure(home.acme, Why::Revoked).await.unwrap();
    home.store.note_failure(home.acme, Why::Revoked).await.unwrap();
    let row = home.store.calendars_of(home.user).await.unwrap()[1].clone();
    assert_eq!(row.failures, 2);
    home.store.note_success(home.acme).await.unwrap();
    assert_eq!(home.store.calendars_of(home.user).await.unwrap()[1].failures, 0);
    let mut tokens = home.store.token(row.token).await.unwrap().unwrap();
    assert_eq!(tokens.refresh.reveal(), &format!("{CANARY} refresh"));
    tokens.refresh = Secret::new("another".into());
    home.store.update_tokens(row.token, &tokens).await.unwrap();
    assert_eq!(home.store.token(row.token).await.unwrap().unwrap().refresh.reveal(), "another");
    home.list(None, "c1", true, Vec::new()).await.unwrap();
    home.store.drop_cursor(home.acme, &"another".into()).await.unwrap();
    assert!(home.store.calendars_of(home.user).await.unwrap()[1].cursor.is_some());
    home.store.drop_cursor(home.acme, &"c1".into()).await.unwrap();
    assert!(home.store.calendars_of(home.user).await.unwrap()[1].cursor.is_none());
}

#[tokio::test]
async fn a_database_of_other_keys_or_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new().await;
    let (path, clock) = (home.path(), home.clock.clone());
    home.store.close().await;
    let before = fs::read(&path).unwrap();
    for (keys, file) in
        [(Vault::from_keys([9; 32], [2; 32]), "encryption.key"), (Vault::from_keys([1; 32], [9; 32]), "instance.key")]
    {
        match Store::open(&path, Arc::new(keys), clock.clone()).await {
            Err(StoreError::WrongKey { file: named }) => assert_eq!(named, file),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    let store = Store::open(&path, vault(), clock.clone()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    assert!(matches!(Store::open(&path, vault(), clock.clone()).await, Err(StoreError::NewerSchema(9999))));
    fs::write(&path, "not a database, but long enough to look like one").unwrap();
    assert!(matches!(Store::open(&path, vault(), clock.clone()).await, Err(StoreError::NotADatabase(_))));
    let missing = path.with_file_name("missing.db");
    assert!(matches!(Store::open_existing(&missing, vault(), clock).await, Err(StoreError::Missing(_))));
    assert!(!missing.exists());
}

#[tokio::test]
async fn thousands_of_events_are_stored_and_read_back() {
    let home = Home::new().await;
    let changes: Vec<Change> = (0..3_000).map(|n| live(&format!("event{n}"), 1)).collect();
    assert_eq!(home.list(None, "c1", true, changes).await.unwrap(), (3_000, 0));
    assert_eq!(home.heads().await.len(), 3_000);
    assert_eq!(home.list(Some("c1"), "c2", true, Vec::new()).await.unwrap(), (0, 3_000));
    assert_eq!(home.heads().await.len(), 3_000);
}
