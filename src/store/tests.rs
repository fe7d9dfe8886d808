//! The store's promises, each tried on a migrated database in a file of its own.

mod settled;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Store, StoreError, mappings::Carried, mappings::Note, mirror::Committed, mirror::Listing, people::NewUser,
};
use crate::{
    model::{
        alert::{AlertKind, Condition},
        body::{Answer, Body, Digest, Visibility, When},
        calendar::{Freshness, Role, Why},
        clock::Clock,
        event::{Change, Event, Guest, Kind, OriginKey, Owner, Rights, Slot},
        id::{CalendarId, Cursor, EventId, UserId},
        item::{Face, ItemKey, ObservedState, Provenance},
        mapping::{Mapping, Memory},
        plan::{Action, Effect, ErrorClass, Held, HeldReason, Outcome, Plan, Reason, Skip, Step, Unreadable},
        secret::Secret,
        snapshot::{Origin, Policy, Snapshot},
        tokens::Tokens,
    },
    store::tokens::{AccountKind, TokenId},
    vault::Vault,
};

const HOME: &str = "ada@home.example";
const ACME: &str = "ada@acme.example";

fn vault() -> Arc<Vault> {
    Arc::new(Vault::from_keys([1; 32], [2; 32]))
}

fn beginning() -> DateTime<Utc> {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

/// A database with one user, a main calendar and a client's.
struct Desk {
    store: Store,
    clock: Clock,
    user: UserId,
    token: TokenId,
    home: i64,
    acme: i64,
    dir: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(beginning());
        let store = Store::open(&dir.path().join("data/bb.db"), vault(), clock.clone()).await.unwrap();
        let (user, token) = person(&store, "ada", "1001").await;
        let home =
            store.connect_calendar(user, token, &HOME.into(), "Home", Role::Main, "Europe/Vienna").await.unwrap();
        let acme =
            store.connect_calendar(user, token, &ACME.into(), "Acme", Role::Client, "Europe/Paris").await.unwrap();
        Desk { store, clock, user, token, home, acme, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("data/bb.db")
    }

    /// A listing from the cursor that is stored, to `next`.
    async fn listing(&self, number: i64, full: bool, next: &str, changes: Vec<(Change, Owner)>) -> Committed {
        let from = self.cursor(number).await;
        self.store.commit_listing(number, Listing { from, full, next: next.into(), changes }).await.unwrap()
    }

    async fn cursor(&self, number: i64) -> Option<Cursor> {
        let rows = self.store.calendars_of(self.user).await.unwrap();
        rows.into_iter().find(|row| row.number == number).unwrap().cursor
    }

    async fn snapshot(&self) -> Snapshot {
        let fresh = [(self.home, Freshness::Current), (self.acme, Freshness::Current)].into();
        self.store.snapshot(self.user, &fresh, Policy::default()).await.unwrap()
    }

    /// State and `updated` of a row, straight from its table.
    async fn row(&self, number: i64, event: &str) -> Option<(String, Option<String>)> {
        sqlx::query_as("SELECT state, updated FROM mirror_events WHERE client_calendar_id = ? AND event_id = ?")
            .bind(number)
            .bind(event)
            .fetch_optional(&self.store.reader)
            .await
            .unwrap()
    }

    async fn state(&self, number: i64, event: &str) -> String {
        self.row(number, event).await.expect("the row is there").0
    }

    /// The bytes of the database and its log, as somebody with the disk would see them.
    fn bytes(&self) -> Vec<u8> {
        let path = self.path();
        [path.clone(), path.with_extension("db-wal")].iter().flat_map(|p| fs::read(p).unwrap_or_default()).collect()
    }

    async fn execute(&self, sql: &'static str) {
        assert!(sqlx::query(sql).execute(&self.store.writer).await.unwrap().rows_affected() > 0, "{sql}");
    }
}

async fn person(store: &Store, name: &str, subject: &str) -> (UserId, TokenId) {
    let email = format!("{name}@home.example");
    let new = NewUser { email: email.clone(), subject: subject.into(), name: name.into(), admin: false };
    let user = store.add_user(new).await.unwrap();
    (user, store.put_token(user, AccountKind::Home, &email, &tokens("first")).await.unwrap())
}

fn tokens(name: &str) -> Tokens {
    Tokens {
        access: Secret::new(format!("access-{name}")),
        refresh: Secret::new(format!("refresh-{name}")),
        expires: "2026-03-01T09:00:00Z".parse().unwrap(),
        scopes: "openid calendar".into(),
    }
}

/// A living event; a later version (below 60) has a greater number.
fn event(id: &str, version: u32) -> Event {
    Event {
        id: id.into(),
        etag: format!("\"{version}\"").as_str().into(),
        updated: format!("2026-02-01T00:00:{version:02}.000Z"),
        series: None,
        kind: Kind::Ordinary,
        body: body(id),
        tentative: false,
        uid: format!("{id}@google.com"),
        organizer: true,
        others: 0,
        guests: Vec::new(),
        join_link: None,
        rights: Rights::Editable,
        marker: None,
        tagged: false,
    }
}

fn body(title: &str) -> Body {
    Body {
        title: Some(title.into()),
        description: None,
        location: None,
        when: When::Days { first: "2026-03-02".parse().unwrap(), end: "2026-03-03".parse().unwrap() },
        recurrence: Vec::new(),
        free: false,
        visibility: Visibility::Default,
        colour: None,
        answer: None,
    }
}

fn live(event: Event) -> (Change, Owner) {
    (Change::Live(Box::new(event)), Owner::Person)
}

fn gone(id: &str) -> (Change, Owner) {
    (Change::Gone { id: id.into(), series: None, etag: None, told: true }, Owner::Person)
}

fn slot(stamp: &str) -> Slot {
    Slot::from_stamp(stamp).unwrap()
}

/// The copy on main of an event at Acme.
fn copy_of(event: &str, stamp: Option<&str>) -> ItemKey {
    let origin = OriginKey { calendar: ACME.into(), event: event.into(), instance: stamp.map(slot) };
    ItemKey { target: HOME.into(), origin }
}

fn ours(key: ItemKey) -> Owner {
    Owner::Ours(Provenance { key, incarnation: 3, in_series: false })
}

fn mapping(event: &str) -> Mapping {
    Mapping {
        event: event.into(),
        incarnation: 2,
        applied: body("asked").digest(),
        shown: body("shown").digest(),
        memory: Memory::Kept,
        alone: true,
        restored: vec![beginning()],
        since: beginning(),
    }
}

// ─── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_new_database_is_its_owners_alone_and_opens_again() {
    let desk = Desk::new().await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&desk.path()), 0o600);
        assert_eq!(mode(&desk.path().with_extension("db-wal")), 0o600);
        assert_eq!(mode(desk.path().parent().unwrap()), 0o700);
    }
    desk.store.close().await;
    let store = Store::open_existing(&desk.path(), vault(), desk.clock.clone()).await.unwrap();
    assert_eq!(store.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn commits_are_on_the_disk_and_foreign_keys_hold() {
    let desk = Desk::new().await;
    let found: (i64, String, bool) = sqlx::query_as(
        "SELECT synchronous, journal_mode, foreign_keys
         FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys",
    )
    .fetch_one(&desk.store.writer)
    .await
    .unwrap();
    assert_eq!(found, (2, "wal".into(), true));
    let refused = sqlx::query("DELETE FROM users").execute(&desk.store.reader).await;
    assert!(refused.is_err(), "the reading connections cannot write");
}

#[tokio::test]
async fn a_command_that_needs_a_database_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/bb.db");
    let open = || Store::open_existing(&path, vault(), Clock::manual(beginning()));
    let error = open().await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    assert!(!path.parent().unwrap().exists());
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    assert!(matches!(open().await, Err(StoreError::Missing(_))));
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["x", "a letter to Bob, longer than sixteen bytes"] {
        let path = dir.path().join("bb.db");
        fs::write(&path, text).unwrap();
        let error = Store::open(&path, vault(), Clock::manual(beginning())).await.unwrap_err();
        assert!(matches!(error, StoreError::NotADatabase(_)), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn other_keys_are_refused_and_change_nothing() {
    let desk = Desk::new().await;
    desk.store.close().await;
    let before = fs::read(desk.path()).unwrap();
    let check = async |keys: Vault, expect: &str| {
        let error = Store::open(&desk.path(), Arc::new(keys), desk.clock.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { file } if file == expect), "{error:?}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(Vault::from_keys([9; 32], [2; 32]), "encryption.key").await;
    check(Vault::from_keys([1; 32], [9; 32]), "instance.key").await;
    assert_eq!(fs::read(desk.path()).unwrap(), before);
    Store::open(&desk.path(), vault(), desk.clock.clone()).await.unwrap();
}

#[tokio::test]
async fn a_database_that_lost_its_key_check_is_refused_unless_it_is_new() {
    let desk = Desk::new().await;
    let path = desk.path();
    let open = || Store::open(&path, vault(), desk.clock.clone());
    desk.execute("DELETE FROM settings").await;
    assert!(matches!(open().await, Err(StoreError::Damaged(_))));
    desk.execute("DELETE FROM client_calendars").await;
    desk.execute("DELETE FROM users").await;
    open().await.expect("a first start that was interrupted goes on");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let desk = Desk::new().await;
    desk.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'the future', 1, x'00', 0)",
    )
    .await;
    let error = Store::open(&desk.path(), vault(), desk.clock.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema(9999)), "{error:?}");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let desk = Desk::new().await;
    desk.store.close().await;
    let mut bytes = fs::read(desk.path()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(desk.path(), &bytes).unwrap();
    let error = Store::open(&desk.path(), vault(), desk.clock.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    assert_eq!(fs::read(desk.path()).unwrap(), bytes, "nothing is repaired");
}

// ─── people, tokens, calendars ─────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn the_organization_and_its_people_come_back() {
    let desk = Desk::new().await;
    let store = &desk.store;
    assert!(store.organization().await.unwrap().is_none());
    for secret in ["one", "two"] {
        store.set_organization("home.example", "client-7", &Secret::new(secret.into())).await.unwrap();
        let organization = store.organization().await.unwrap().unwrap();
        assert_eq!((organization.domain.as_str(), organization.client_id.as_str()), ("home.example", "client-7"));
        assert_eq!(organization.client_secret.reveal(), secret);
    }
    let new = NewUser { email: "Bob@Home.example".into(), subject: "1002".into(), name: "Bob".into(), admin: true };
    let bob = store.add_user(new.clone()).await.unwrap();
    let found = store.user_by_email("bob@home.EXAMPLE").await.unwrap().unwrap();
    assert_eq!((found.id, found.subject.as_str(), found.name.as_str(), found.admin), (bob, "1002", "Bob", true));
    assert_eq!(store.user(bob).await.unwrap(), Some(found));
    assert_eq!(store.user(UserId(99)).await.unwrap(), None);
    assert_eq!(store.users().await.unwrap().iter().map(|user| user.id).collect::<Vec<_>>(), [desk.user, bob]);
    assert!(store.add_user(NewUser { subject: "1003".into(), ..new.clone() }).await.is_err(), "the address is taken");
    assert!(store.add_user(NewUser { email: "c@home.example".into(), ..new }).await.is_err(), "the subject is taken");
}

#[tokio::test]
async fn tokens_come_back_and_the_newest_count() {
    let desk = Desk::new().await;
    let check = async |name: &str| {
        let Tokens { access, refresh, expires, scopes } = desk.store.token(desk.token).await.unwrap().unwrap();
        assert_eq!(access.reveal(), &format!("access-{name}"));
        assert_eq!(refresh.reveal(), &format!("refresh-{name}"));
        assert_eq!((expires, scopes.as_str()), (tokens(name).expires, "openid calendar"));
    };
    check("first").await;
    desk.store.update_tokens(desk.token, &tokens("first"), &tokens("second")).await.unwrap();
    check("second").await;
    // Two processes refreshed: the one that read the older token comes second, and takes what stands.
    let stands = desk.store.update_tokens(desk.token, &tokens("first"), &tokens("late")).await.unwrap();
    assert_eq!(stands.refresh.reveal(), "refresh-second");
    check("second").await;
    let again = desk.store.put_token(desk.user, AccountKind::Home, "Ada@Home.Example", &tokens("third")).await.unwrap();
    assert_eq!(again, desk.token);
    check("third").await;
    assert!(desk.store.token(TokenId(99)).await.unwrap().is_none());
    let error = desk.store.update_tokens(TokenId(99), &tokens("x"), &tokens("y")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchAccount), "{error:?}");
}

#[tokio::test]
async fn a_token_given_to_another_user_does_not_open() {
    let desk = Desk::new().await;
    let bob = person(&desk.store, "bob", "1002").await;
    desk.execute(
        "UPDATE oauth_tokens SET refresh_token_encrypted = (SELECT refresh_token_encrypted FROM oauth_tokens LIMIT 1)
         WHERE google_account_email LIKE 'bob%'",
    )
    .await;
    let error = desk.store.token(bob.1).await.unwrap_err();
    assert!(matches!(error, StoreError::Sealed { table: "oauth_tokens", .. }), "{error:?}");
    assert!(desk.store.token(desk.token).await.is_ok());
}

#[tokio::test]
async fn calendars_come_back_with_what_was_noted_of_them() {
    let desk = Desk::new().await;
    let acme = async || desk.store.calendars_of(desk.user).await.unwrap().pop().unwrap();
    let row = acme().await;
    assert_eq!((row.number, row.user, row.token), (desk.acme, desk.user, desk.token));
    assert_eq!((row.id.as_str(), row.name.as_str(), row.role), (ACME, "Acme", Role::Client));
    assert_eq!((row.zone.as_str(), row.cursor, row.listed_at, row.failures), ("Europe/Paris", None, None, 0));
    desk.store.set_zone(desk.acme, "Asia/Tokyo").await.unwrap();
    desk.store.note_failure(desk.acme, Why::Revoked).await.unwrap();
    desk.store.note_failure(desk.acme, Why::Unreachable).await.unwrap();
    let row = acme().await;
    assert_eq!((row.zone.as_str(), row.failures), ("Asia/Tokyo", 2));
    desk.store.note_success(desk.acme).await.unwrap();
    assert_eq!(acme().await.failures, 0);
    let before = desk.bytes();
    desk.store.note_success(desk.acme).await.unwrap();
    desk.store.set_zone(desk.acme, "Asia/Tokyo").await.unwrap();
    assert!(desk.bytes() == before, "what is as before is not written");
}

#[tokio::test]
async fn one_main_calendar_and_ones_own_accounts_only() {
    let desk = Desk::new().await;
    let connect = |user, token, id: &'static str, role| {
        let store = desk.store.clone();
        async move { store.connect_calendar(user, token, &id.into(), "x", role, "UTC").await }
    };
    let second = connect(desk.user, desk.token, "other@home.example", Role::Main).await;
    assert!(second.is_err(), "a second main calendar");
    let (bob, bobs) = person(&desk.store, "bob", "1002").await;
    assert!(connect(bob, desk.token, "bob@home.example", Role::Main).await.is_err(), "another user's account");
    connect(bob, bobs, "bob@home.example", Role::Main).await.unwrap();
    assert_eq!(desk.store.calendars_of(desk.user).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_calendar_connected_anew_is_read_anew_only_if_account_or_role_changed() {
    let desk = Desk::new().await;
    let mut bare = event("kickoff", 1);
    bare.body.title = None;
    desk.listing(desk.acme, true, "c1", vec![live(bare)]).await;
    let id = CalendarId::from(ACME);
    let connect = |token, role| desk.store.connect_calendar(desk.user, token, &id, "A", role, "UTC");
    assert_eq!(connect(desk.token, Role::Client).await.unwrap(), desk.acme);
    assert_eq!(desk.cursor(desk.acme).await, Some("c1".into()));
    let other =
        desk.store.put_token(desk.user, AccountKind::Client, "ada@acme.example", &tokens("acme")).await.unwrap();
    assert_eq!(connect(other, Role::Client).await.unwrap(), desk.acme);
    assert_eq!(desk.cursor(desk.acme).await, None);
    // The very same version, of which this account sees more.
    desk.listing(desk.acme, true, "c2", vec![live(event("kickoff", 1))]).await;
    let snapshot = desk.snapshot().await;
    let Some(Origin::Live(event)) = &snapshot.origins[&ACME.into()][&"kickoff".into()].head else {
        panic!("it is live")
    };
    assert_eq!(event.body.title.as_deref(), Some("kickoff"));
    connect(other, Role::Personal).await.unwrap();
    assert_eq!(desk.cursor(desk.acme).await, None);
}

#[tokio::test]
async fn a_lost_cursor_is_given_up_unless_a_newer_one_came() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "c1", vec![]).await;
    desk.store.drop_cursor(desk.acme, &"c0".into()).await.unwrap();
    assert_eq!(desk.cursor(desk.acme).await, Some("c1".into()));
    desk.store.drop_cursor(desk.acme, &"c1".into()).await.unwrap();
    assert_eq!(desk.cursor(desk.acme).await, None);
}

// ─── the mirror ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_listing_that_began_from_another_cursor_changes_nothing() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "c1", vec![live(event("kickoff", 1))]).await;
    let before = desk.bytes();
    for (from, full) in [(None, true), (Some(Cursor::from("c0")), false)] {
        let listing =
            Listing { from, full, next: "c9".into(), changes: vec![live(event("other", 1)), gone("kickoff")] };
        let error = desk.store.commit_listing(desk.acme, listing).await.unwrap_err();
        assert!(matches!(error, StoreError::Superseded), "{error:?}");
    }
    assert!(desk.bytes() == before);
    let listing = Listing { from: None, full: true, next: "c1".into(), changes: vec![] };
    assert!(matches!(desk.store.commit_listing(99, listing).await, Err(StoreError::NoSuchCalendar)));
}

#[tokio::test]
async fn an_idle_poll_writes_nothing_for_six_hours() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "c1", vec![live(event("kickoff", 1))]).await;
    let before = desk.bytes();
    for n in 2..14 {
        desk.clock.advance(TimeDelta::minutes(29));
        assert_eq!(
            desk.listing(desk.acme, false, &format!("c{n}"), vec![]).await,
            Committed { changed: 0, suspects: 0 }
        );
    }
    assert!(desk.bytes() == before);
    assert_eq!(desk.cursor(desk.acme).await, Some("c1".into()));
    desk.clock.advance(TimeDelta::minutes(12));
    desk.listing(desk.acme, false, "c20", vec![]).await;
    assert_eq!(desk.cursor(desk.acme).await, Some("c20".into()));
    let row = desk.store.calendars_of(desk.user).await.unwrap().pop().unwrap();
    assert_eq!(row.listed_at, Some(desk.clock.now()));
}

#[tokio::test]
async fn what_a_listing_repeats_is_not_written_and_its_cursor_is() {
    let desk = Desk::new().await;
    let all = || vec![live(event("kickoff", 1)), gone("old")];
    assert_eq!(desk.listing(desk.acme, true, "c1", all()).await.changed, 2);
    assert_eq!(desk.listing(desk.acme, false, "c2", all()).await.changed, 0);
    assert_eq!(desk.cursor(desk.acme).await, Some("c2".into()));
}

#[tokio::test]
async fn a_row_never_goes_back_to_an_older_version() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "c1", vec![live(event("kickoff", 5))]).await;
    for full in [false, true] {
        desk.listing(desk.acme, full, "c2", vec![live(event("kickoff", 4))]).await;
        assert_eq!(desk.row(desk.acme, "kickoff").await.unwrap().1, Some(event("kickoff", 5).updated));
    }
    desk.listing(desk.acme, false, "c3", vec![live(event("kickoff", 6))]).await;
    assert_eq!(desk.row(desk.acme, "kickoff").await.unwrap().1, Some(event("kickoff", 6).updated));
}

#[tokio::test]
async fn a_version_that_died_does_not_rise_again_and_a_later_one_does() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "c1", vec![live(event("kickoff", 5)), gone("kickoff2")]).await;
    desk.listing(desk.acme, false, "c2", vec![gone("kickoff")]).await;
    desk.listing(desk.acme, true, "c3", vec![live(event("kickoff", 5)), live(event("kickoff2", 1))]).await;
    assert_eq!(desk.state(desk.acme, "kickoff").await, "tombstone");
    assert_eq!(desk.state(desk.acme, "kickoff2").await, "live", "a tombstone without version does not hold it down");
    desk.listing(desk.acme, false, "c4", vec![live(event("kickoff", 6))]).await;
    assert_eq!(desk.state(desk.acme, "kickoff").await, "live");
    // A listing may lag behind a revival, too. Who asks for the event alone hears how it is now.
    desk.listing(desk.acme, false, "c5", vec![gone("kickoff")]).await;
    assert_eq!(desk.state(desk.acme, "kickoff").await, "tombstone");
    let (change, owner) = live(event("kickoff", 6));
    desk.store.put(desk.acme, &change, &owner).await.unwrap();
    assert_eq!(desk.state(desk.acme, "kickoff").await, "live");
    let (change, owner) = live(event("kickoff", 5));
    desk.store.put(desk.acme, &change, &owner).await.unwrap();
    assert_eq!(desk.row(desk.acme, "kickoff").await.unwrap().1, Some(event("kickoff", 6).updated), "an older one");
}

#[tokio::test]
async fn what_a_full_listing_does_not_name_is_suspect_until_something_is_heard_of_it() {
    let desk = Desk::new().await;
    let all = || ["a", "b", "c"].map(|id| live(event(id, 1))).to_vec();
    desk.listing(desk.acme, true, "c1", all()).await;
    // Absence from an incremental listing means that nothing happened.
    assert_eq!(desk.listing(desk.acme, false, "c2", vec![gone("c")]).await.suspects, 0);
    assert_eq!(desk.listing(desk.acme, true, "c3", vec![]).await, Committed { changed: 0, suspects: 2 });
    assert_eq!(desk.store.suspects(desk.acme, 10).await.unwrap(), [EventId::from("a"), EventId::from("b")]);
    assert_eq!(desk.store.suspects(desk.acme, 1).await.unwrap().len(), 1);
    assert!(desk.store.suspects(desk.home, 10).await.unwrap().is_empty());
    // They count as present.
    let snapshot = desk.snapshot().await;
    assert!(matches!(snapshot.origins[&ACME.into()][&"a".into()].head, Some(Origin::Live(_))));
    assert!(matches!(snapshot.origins[&ACME.into()][&"c".into()].head, Some(Origin::Gone)));
    // One is named again, of the other Google says that it is gone.
    desk.listing(desk.acme, true, "c4", vec![live(event("a", 1))]).await;
    assert_eq!(desk.state(desk.acme, "a").await, "live");
    let (change, owner) = gone("b");
    desk.store.put(desk.acme, &change, &owner).await.unwrap();
    assert_eq!(desk.state(desk.acme, "b").await, "tombstone");
    assert!(desk.store.suspects(desk.acme, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tombstone_keeps_whose_it_was_and_nothing_of_what_it_said() {
    let desk = Desk::new().await;
    let mut instance = event("series_20260302", 1);
    instance.series = Some(("series".into(), slot("20260302")));
    let owner = ours(copy_of("kickoff", None));
    let stored = (Change::Live(Box::new(event("copy", 1))), owner.clone());
    let foreign = (Change::Live(Box::new(event("theirs", 1))), Owner::Foreign);
    desk.listing(desk.home, true, "c1", vec![stored, foreign, live(instance)]).await;
    // Tombstones are sparse: whoever reads them may not know whose they are.
    desk.listing(desk.home, false, "c2", vec![gone("copy"), gone("theirs"), gone("series_20260302")]).await;
    let asked = ["copy", "theirs", "series_20260302", "unheard of"].map(EventId::from).into();
    let owners = desk.store.owners(desk.home, &HOME.into(), &asked).await.unwrap();
    let expect: BTreeMap<EventId, Owner> = [("copy".into(), owner), ("theirs".into(), Owner::Foreign)].into();
    assert_eq!(owners, expect);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM mirror_events WHERE event_encrypted IS NOT NULL")
        .fetch_one(&desk.store.reader)
        .await
        .unwrap();
    assert_eq!(left, 0);
    let family = &desk.snapshot().await.origins[&HOME.into()][&"series".into()];
    assert!(matches!(family.exceptions[&slot("20260302")], Origin::Gone));
}

#[tokio::test]
async fn owners_come_back_with_every_part_of_their_item() {
    let desk = Desk::new().await;
    let mut expect = BTreeMap::new();
    let mut changes = vec![live(event("mine", 1))];
    for (id, stamp, in_series) in
        [("one", None, false), ("two", Some("20260302"), true), ("three", Some("20260302T080000Z"), false)]
    {
        let owner = Owner::Ours(Provenance { key: copy_of("kickoff", stamp), incarnation: 4, in_series });
        changes.push((Change::Live(Box::new(event(id, 1))), owner.clone()));
        expect.insert(EventId::from(id), owner);
    }
    desk.listing(desk.home, true, "c1", changes).await;
    let asked = expect.keys().cloned().chain(["mine".into()]).collect();
    assert_eq!(desk.store.owners(desk.home, &HOME.into(), &asked).await.unwrap(), expect);
    let asked = ["two".into()].into();
    assert_eq!(
        desk.store.owners(desk.home, &HOME.into(), &asked).await.unwrap().len(),
        1,
        "of those that are asked for"
    );
}

#[tokio::test]
async fn thousands_of_rows_are_stored_in_one_listing() {
    let desk = Desk::new().await;
    let many = |version| (0..3000).map(|n| live(event(&format!("e{n}"), version))).collect::<Vec<_>>();
    assert_eq!(desk.listing(desk.acme, true, "c1", many(1)).await.changed, 3000);
    assert_eq!(desk.listing(desk.acme, true, "c2", many(1)).await, Committed { changed: 0, suspects: 0 });
    assert_eq!(
        desk.listing(desk.acme, true, "c3", many(2)[..1499].to_vec()).await,
        Committed { changed: 1499, suspects: 1501 }
    );
    assert_eq!(desk.snapshot().await.origins[&ACME.into()].len(), 3000);
}

/// SQLite takes the whole transaction back by itself when the disk is full at a statement that changes one row, as it says.
#[tokio::test]
async fn whatever_did_not_fit_the_next_write_does_once_there_is_room() {
    let desk = Desk::new().await;
    let mut failed = 0;
    for n in 0..6 {
        // A connection's own limit, which a new one does not have.
        desk.store.limit_pages(Some(0)).await.unwrap();
        let detail = format!("{n}{}", "x".repeat(4000));
        // None of them is open beside another of its kind.
        let calendar = Some([desk.home, desk.acme][n % 2]);
        let kinds = [AlertKind::TokenRevoked, AlertKind::SyncFailures, AlertKind::SystemError];
        let condition = Condition { kind: kinds[n / 2], user: Some(desk.user), calendar, detail };
        failed += usize::from(matches!(desk.store.raise_alert(&condition, &[]).await, Err(StoreError::DiskFull(_))));
    }
    assert!(failed > 2, "{failed}");
    desk.store.limit_pages(None).await.unwrap();
    desk.store.leave_calendar(desk.user, desk.home).await.unwrap();
    desk.listing(desk.acme, true, "c1", vec![live(event("e", 1))]).await;
}

#[tokio::test]
async fn origins_that_no_listing_told_of_are_asked_about() {
    let desk = Desk::new().await;
    let copy = |id: &str, key: ItemKey| (Change::Live(Box::new(event(id, 1))), ours(key));
    let mut elsewhere = copy_of("x", None);
    elsewhere.origin.calendar = "ada@globex.example".into();
    let inside = Owner::Ours(Provenance { key: copy_of("lost", Some("20260309")), incarnation: 0, in_series: true });
    let copies = vec![
        copy("c-known", copy_of("known", None)),
        copy("c-dead", copy_of("dead", None)),
        copy("c-lost", copy_of("lost", None)),
        copy("c-lost-alone", copy_of("invited", Some("20260302T080000Z"))),
        copy("c-known-alone", copy_of("other", Some("20260302"))),
        copy("c-elsewhere", elsewhere),
        (Change::Live(Box::new(event("c-inside", 1))), inside),
        (gone("c-gone").0, ours(copy_of("long-gone", None))),
        live(event("mine", 1)),
    ];
    desk.listing(desk.home, true, "h1", copies).await;
    let asked = async || {
        let found = desk.store.unproven_origins(desk.user, 10).await.unwrap();
        found.into_iter().map(|(number, event)| (number, event.as_str().to_owned())).collect::<BTreeSet<_>>()
    };
    assert!(asked().await.is_empty(), "a calendar that was never read proves nothing, and cannot be asked yet");
    let mut exception = event("other_20260302", 1);
    exception.series = Some(("other".into(), slot("20260302")));
    desk.listing(desk.acme, true, "a1", vec![live(event("known", 1)), gone("dead"), live(exception)]).await;
    let expect: BTreeSet<_> = ["lost", "invited_20260302T080000Z"].map(|id| (desk.acme, id.to_owned())).into();
    assert_eq!(asked().await, expect);
    assert_eq!(desk.store.unproven_origins(desk.user, 1).await.unwrap().len(), 1);
    desk.store.note_failure(desk.acme, Why::Revoked).await.unwrap();
    assert!(asked().await.is_empty(), "it does not answer now");
    desk.store.note_success(desk.acme).await.unwrap();
    let (change, owner) = gone("lost");
    desk.store.put(desk.acme, &change, &owner).await.unwrap();
    assert_eq!(asked().await.len(), 1);
}

// ─── mappings and the snapshot ─────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn mappings_come_back_are_replaced_and_forgotten() {
    let desk = Desk::new().await;
    let keys =
        [copy_of("kickoff", None), copy_of("kickoff", Some("20260302")), copy_of("kickoff", Some("20260302T080000Z"))];
    let dismissed = Mapping { memory: Memory::Dismissed, alone: false, ..mapping("b") };
    let notes: Vec<Note> = vec![
        (keys[0].clone(), Face::Copy, Some(mapping("a"))),
        (keys[1].clone(), Face::Busy, Some(dismissed.clone())),
        (keys[2].clone(), Face::PersonalBusy, Some(mapping("c"))),
    ];
    desk.store.remember(desk.user, &notes).await.unwrap();
    let all = async || desk.store.mappings(desk.user).await.unwrap();
    let expect: BTreeMap<ItemKey, Mapping> =
        keys.iter().cloned().zip([mapping("a"), dismissed.clone(), mapping("c")]).collect();
    assert_eq!(all().await, expect);
    let newer = Mapping { applied: Digest::ABSENT, incarnation: 9, ..mapping("a2") };
    let notes = [(keys[0].clone(), Face::Copy, Some(newer.clone())), (keys[1].clone(), Face::Busy, None)];
    desk.store.remember(desk.user, &notes).await.unwrap();
    assert_eq!(all().await, [(keys[0].clone(), newer.clone()), (keys[2].clone(), mapping("c"))].into());
    let (bob, _) = person(&desk.store, "bob", "1002").await;
    assert!(desk.store.mappings(bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_of_ours_and_its_mapping_are_stored_both_or_neither() {
    let desk = Desk::new().await;
    let key = copy_of("kickoff", None);
    let change = Change::Live(Box::new(event("copy", 1)));
    let note = (key.clone(), Face::Copy, Some(mapping("copy")));
    let nobody = UserId(99);
    let plan = desk.store.record_plan(&plan(desk.user), None).await.unwrap();
    let owner = ours(key.clone());
    let effect = Effect { before: None, after: Some(body("Canary after")) };
    let carried = || Carried {
        calendar: desk.home,
        change: Some((&change, &owner)),
        note: Some(&note),
        plan,
        step: 0,
        effect: &effect,
    };
    assert!(desk.store.carried_out(nobody, &key, carried()).await.is_err());
    assert_eq!(desk.row(desk.home, "copy").await, None);
    assert_eq!(outcomes(&desk, plan).await[0].1, None);
    desk.store.carried_out(desk.user, &key, carried()).await.unwrap();
    assert_eq!(outcomes(&desk, plan).await[0].1.as_deref(), Some("done"));
    assert_eq!(desk.state(desk.home, "copy").await, "live");
    assert_eq!(desk.store.mappings(desk.user).await.unwrap(), [(key, mapping("copy"))].into());
}

#[tokio::test]
async fn a_snapshot_holds_everything_that_was_stored() {
    let desk = Desk::new().await;
    let whole = Event {
        id: "whole".into(),
        etag: "\"17\"".into(),
        updated: "2026-02-01T00:00:00.000Z".into(),
        series: None,
        kind: Kind::OutOfOffice,
        body: Body {
            title: Some("Kick-off \"x\" — ü\n".into()),
            description: Some("d".into()),
            location: Some("l".into()),
            when: When::Times {
                start: "2026-03-02T08:00:00Z".parse().unwrap(),
                end: "2026-03-02T09:00:00Z".parse().unwrap(),
                start_zone: Some("Europe/Vienna".into()),
                end_zone: None,
            },
            recurrence: vec!["RRULE:FREQ=WEEKLY".into(), "EXDATE:20260309T080000Z".into()],
            free: true,
            visibility: Visibility::Public,
            colour: Some("3".into()),
            answer: Some(Answer::None),
        },
        tentative: true,
        uid: "whole@google.com".into(),
        organizer: false,
        others: 2,
        guests: vec![Guest { name: "Bob".into(), answer: Answer::Accepted, own: false }],
        join_link: Some("https://meet.example/x".into()),
        rights: Rights::ReadOnly,
        marker: Some("v9.someone.else".into()),
        tagged: true,
    };
    let mut exception = event("whole_20260316T080000Z", 2);
    exception.series = Some(("whole".into(), slot("20260316T080000Z")));
    let mut orphan = event("unseen_20260316", 2);
    orphan.series = Some(("unseen".into(), slot("20260316")));
    let cancelled = Change::Gone {
        id: "whole_20260323T080000Z".into(),
        series: Some(("whole".into(), slot("20260323T080000Z"))),
        etag: None,
        told: true,
    };
    let origins = vec![
        live(whole.clone()),
        live(exception.clone()),
        live(orphan),
        (cancelled, Owner::Person),
        // So sparse that only its id tells the series.
        gone("whole_20260330T080000Z"),
        gone("dead"),
        (Change::Live(Box::new(event("foreign", 1))), Owner::Foreign),
    ];
    desk.listing(desk.acme, true, "a1", origins).await;
    let key = copy_of("whole", None);
    let mut marked = event("copy", 1);
    (marked.marker, marked.tagged) = (Some("v1.x.y".into()), true);
    // The plain tag was taken off: it has to be put back.
    let mut untagged = event("twin", 1);
    untagged.marker = Some("v1.x.y".into());
    let inside = Owner::Ours(Provenance { key: key.at(slot("20260316T080000Z")), incarnation: 3, in_series: true });
    let copies = vec![
        (Change::Live(Box::new(marked.clone())), ours(key.clone())),
        (Change::Live(Box::new(untagged)), ours(key.clone())),
        (gone("buried").0, ours(key.clone())),
        (Change::Live(Box::new(event("copy_20260316T080000Z", 1))), inside),
    ];
    desk.listing(desk.home, true, "h1", copies).await;
    desk.store.remember(desk.user, &[(key.clone(), Face::Copy, Some(mapping("copy")))]).await.unwrap();

    let fresh = [(desk.acme, Freshness::Stale(Why::Revoked))].into();
    let snapshot = desk.store.snapshot(desk.user, &fresh, Policy::default()).await.unwrap();
    let Snapshot {
        user,
        email,
        now,
        calendars,
        origins,
        observed,
        mappings,
        foreign,
        policy,
        ids,
        refusals,
        flows,
        approved,
        generation,
    } = snapshot;
    assert!(refusals.is_empty() && flows.is_empty() && approved.is_empty() && foreign.is_empty());
    assert_eq!(generation, 2, "each calendar that was connected");
    assert_eq!((user, email.as_str(), now), (desk.user, HOME, beginning()));
    assert_eq!(policy.brake_count, Policy::default().brake_count);
    assert_eq!(mappings, [(key.clone(), mapping("copy"))].into());
    assert_eq!(ids.event_id(&key, 1), vault().item_ids("1001").event_id(&key, 1));
    let [acme, home] = calendars.values().collect::<Vec<_>>()[..] else { panic!("two calendars") };
    assert_eq!((acme.number, acme.role, acme.freshness), (desk.acme, Role::Client, Freshness::Stale(Why::Revoked)));
    assert_eq!((home.number, home.role, home.freshness), (desk.home, Role::Main, Freshness::Unseen));
    assert_eq!((home.id.as_str(), home.name.as_str(), home.zone.as_str()), (HOME, "Home", "Europe/Vienna"));

    assert_eq!(origins.keys().map(CalendarId::as_str).collect::<Vec<_>>(), [ACME]);
    let families = &origins[&ACME.into()];
    assert_eq!(families.keys().map(EventId::as_str).collect::<Vec<_>>(), ["dead", "unseen", "whole"]);
    assert!(matches!(families[&"dead".into()].head, Some(Origin::Gone)));
    assert!(families[&"unseen".into()].head.is_none());
    let family = &families[&"whole".into()];
    assert!(matches!(&family.head, Some(Origin::Live(event)) if **event == whole));
    assert_eq!(family.exceptions.len(), 3);
    assert!(matches!(family.exceptions[&slot("20260330T080000Z")], Origin::Gone));
    assert!(matches!(&family.exceptions[&slot("20260316T080000Z")], Origin::Live(event) if **event == exception));
    assert!(matches!(family.exceptions[&slot("20260323T080000Z")], Origin::Gone));

    assert_eq!(observed.len(), 2);
    let found: BTreeMap<&str, _> = observed[&key].iter().map(|o| (o.event.as_str(), o)).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["buried", "copy", "twin"]);
    let ObservedState::Live { etag, body, digest, marked: is_marked, updated: _ } = &found["copy"].state else {
        panic!("it is live")
    };
    assert_eq!((etag, body, *digest, *is_marked), (&marked.etag, &marked.body, marked.body.digest(), true));
    assert!(matches!(found["twin"].state, ObservedState::Live { marked: false, .. }));
    assert!(matches!(found["buried"].state, ObservedState::Gone { told: true }));
    assert_eq!((found["copy"].incarnation, found["copy"].in_series), (3, false));
    assert!(observed[&key.at(slot("20260316T080000Z"))][0].in_series);

    let nobody = desk.store.snapshot(UserId(99), &BTreeMap::new(), Policy::default()).await;
    assert!(matches!(nobody, Err(StoreError::NoSuchUser)));
}

#[tokio::test]
async fn one_users_snapshot_holds_nothing_of_anothers() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "a1", vec![live(event("adas", 1))]).await;
    let (bob, token) = person(&desk.store, "bob", "1002").await;
    let shared = desk.store.connect_calendar(bob, token, &ACME.into(), "Acme", Role::Client, "UTC").await.unwrap();
    assert_ne!(shared, desk.acme);
    let snapshot = desk.store.snapshot(bob, &BTreeMap::new(), Policy::default()).await.unwrap();
    assert_eq!(snapshot.calendars.len(), 1);
    assert!(snapshot.origins.is_empty());
}

#[tokio::test]
async fn what_was_sealed_elsewhere_is_not_believed() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "a1", vec![live(event("a", 1)), live(event("b", 1))]).await;
    desk.store.remember(desk.user, &[(copy_of("a", None), Face::Copy, Some(mapping("x")))]).await.unwrap();
    let snapshot = async || desk.store.snapshot(desk.user, &BTreeMap::new(), Policy::default()).await;
    assert!(snapshot().await.is_ok());
    desk.execute("UPDATE event_mappings SET origin_event_id = 'b'").await;
    assert!(matches!(snapshot().await, Err(StoreError::Sealed { table: "event_mappings", .. })));
    desk.execute("UPDATE event_mappings SET origin_event_id = 'a'").await;
    assert!(snapshot().await.is_ok());
    desk.execute(
        "UPDATE mirror_events SET event_encrypted = (SELECT event_encrypted FROM mirror_events WHERE event_id = 'a')
         WHERE event_id = 'b'",
    )
    .await;
    let error = snapshot().await.unwrap_err();
    assert!(matches!(error, StoreError::Sealed { table: "mirror_events", .. }), "{error:?}");
}

// ─── the journal ───────────────────────────────────────────────────────────────────────────────────────────────────────────

fn step(event: &str, action: Action) -> Step {
    Step {
        key: copy_of(event, Some("20260302")),
        face: Face::Copy,
        action,
        reason: Reason::ChangedAtOrigin,
        beside: false,
        when: Some(body("x").when),
        title: Some("Canary title".into()),
        undone: None,
    }
}

fn plan(user: UserId) -> Plan {
    let update = Action::Update {
        event: "copy".into(),
        etag: "\"1\"".into(),
        incarnation: 2,
        from: body("Canary before"),
        to: body("Canary after"),
    };
    let create = Action::Create { event: "new".into(), incarnation: 0, body: body("Canary body") };
    let from = Box::new(body("Canary gone"));
    let delete = Action::Delete { event: "old".into(), etag: "\"1\"".into(), incarnation: 0, from };
    Plan {
        user,
        email: HOME.into(),
        at: beginning(),
        names: [(CalendarId::from(ACME), "Acme".to_owned())].into(),
        zone: "Europe/Vienna".into(),
        unreadable: vec![Unreadable { calendar: "Globex".into(), why: Some(Why::Revoked) }],
        steps: vec![step("a", create), step("b", update), step("c", Action::Forget)],
        held: vec![Held { step: step("d", delete), reason: HeldReason::Brake }],
        in_sync: 41,
    }
}

/// The outcome columns of a plan's steps, in order.
async fn outcomes(desk: &Desk, plan: i64) -> Vec<(String, Option<String>, Option<String>, bool)> {
    sqlx::query_as(
        "SELECT action, outcome, outcome_reason, message_encrypted IS NOT NULL FROM plan_steps WHERE plan_id = ?
         ORDER BY number",
    )
    .bind(plan)
    .fetch_all(&desk.store.reader)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_plan_is_written_down_and_then_how_it_went() {
    let desk = Desk::new().await;
    let first = desk.store.record_plan(&plan(desk.user), None).await.unwrap();
    let second = desk.store.record_plan(&plan(desk.user), None).await.unwrap();
    assert_ne!(first, second);
    let not_yet = |action: &str| (action.to_owned(), None, None, false);
    assert_eq!(outcomes(&desk, first).await, ["create", "update", "forget"].map(not_yet));
    let failed = Outcome::Failed { class: ErrorClass::Transient, message: "Canary message".into() };
    desk.store.record_outcomes(first, &[(0, failed), (1, Outcome::Skipped(Skip::ChangedMeanwhile))]).await.unwrap();
    desk.store.record_outcomes(first, &[(2, Outcome::Done)]).await.unwrap();
    let row = |action: &str, outcome: &str, reason: Option<&str>, message| {
        (action.to_owned(), Some(outcome.to_owned()), reason.map(str::to_owned), message)
    };
    let expect = [
        row("create", "failed", Some("transient"), true),
        row("update", "skipped", Some("changed-meanwhile"), false),
        row("forget", "done", None, false),
    ];
    assert_eq!(outcomes(&desk, first).await, expect);
    assert_eq!(outcomes(&desk, second).await, ["create", "update", "forget"].map(not_yet), "only of the plan meant");
}

#[tokio::test]
async fn what_was_written_down_is_what_plan_json_prints_with_titles() {
    let desk = Desk::new().await;
    let plan = plan(desk.user);
    let number = desk.store.record_plan(&plan, None).await.unwrap();
    let open = |table, column, row: &str, sealed: &[u8]| -> Value {
        let place = crate::vault::Place { table, column, row };
        serde_json::from_slice(&desk.store.data_key.open(&place, sealed).unwrap()).unwrap()
    };
    let head: Vec<u8> =
        sqlx::query_scalar("SELECT plan_encrypted FROM plans").fetch_one(&desk.store.reader).await.unwrap();
    let steps: Vec<Vec<u8>> = sqlx::query_scalar("SELECT step_encrypted FROM plan_steps ORDER BY number")
        .fetch_all(&desk.store.reader)
        .await
        .unwrap();
    let mut stored = open("plans", "plan_encrypted", &number.to_string(), &head);
    let rows = steps.iter().enumerate();
    stored["steps"] = rows.map(|(n, s)| open("plan_steps", "step_encrypted", &format!("{number}/{n}"), s)).collect();
    let printed = desk.store.plan_json(&plan, true);
    assert_eq!(stored, printed);
    assert_eq!(printed["steps"][0]["title"], "Canary title");
    assert_eq!(printed["steps"][1]["changed"], serde_json::json!(["title"]));
    assert_eq!(printed["steps"][2]["action"], "forget");
    assert_eq!((&printed["held"][0]["reason"], &printed["in_sync"]), (&Value::from("brake"), &Value::from(41)));
    assert_eq!(printed["unreadable"][0]["calendar"], "Globex");
}

#[tokio::test]
async fn a_plan_printed_without_titles_holds_no_word_of_an_event() {
    let desk = Desk::new().await;
    let text = desk.store.plan_json(&plan(desk.user), false).to_string();
    assert!(!text.contains("Canary"), "{text}");
    assert!(text.contains("\"changed\":[\"title\"]"), "{text}");
    assert!(desk.store.plan_json(&plan(desk.user), true).to_string().contains("Canary"));
}

#[tokio::test]
async fn the_log_tells_the_newest_first_and_of_one_user() {
    let desk = Desk::new().await;
    let (bob, _) = person(&desk.store, "bob", "1002").await;
    for (user, calendar, action) in
        [(desk.user, None, "one"), (desk.user, Some(desk.acme), "two"), (bob, None, "three")]
    {
        desk.store.log(user, calendar, action, "success", &[("done", 3)]).await.unwrap();
        desk.clock.advance(TimeDelta::minutes(1));
    }
    let lines = desk.store.recent_log(desk.user, 10).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.action.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    assert_eq!((lines[1].status.as_str(), lines[1].details.as_str()), ("success", "{\"done\":3}"));
    assert_eq!(lines[1].at, "2026-03-01T08:00:00.000Z");
    assert_eq!(desk.store.recent_log(desk.user, 1).await.unwrap().len(), 1);
}

// ─── what lies on the disk ─────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn no_secret_and_no_word_of_an_event_lies_on_the_disk_in_the_open() {
    let desk = Desk::new().await;
    let store = &desk.store;
    store
        .set_organization("home.example", "canary-client-id", &Secret::new("canary-client-secret".into()))
        .await
        .unwrap();
    store.update_tokens(desk.token, &tokens("first"), &tokens("canary")).await.unwrap();
    let mut told = event("kickoff", 1);
    told.body.title = Some("Canary title".into());
    told.body.description = Some("Canary description".into());
    told.body.location = Some("Canary place".into());
    told.guests = vec![Guest { name: "Canary guest".into(), answer: Answer::None, own: false }];
    told.join_link = Some("https://meet.example/canary".into());
    desk.listing(desk.acme, true, "a1", vec![live(told)]).await;
    store.remember(desk.user, &[(copy_of("kickoff", None), Face::Copy, Some(mapping("copy")))]).await.unwrap();
    let number = store.record_plan(&plan(desk.user), None).await.unwrap();
    let failed = Outcome::Failed { class: ErrorClass::Rejected, message: "Canary message".into() };
    store.record_outcomes(number, &[(0, failed)]).await.unwrap();

    let found = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word.as_bytes()));
    let check = |bytes: &[u8]| {
        assert!(found(bytes, "kickoff"), "ids are in the open, so the search would find a title, too");
        assert!(!found(bytes, "canary"));
        assert!(!bytes.windows(16).any(|at| at == [7; 16]), "digests confirm guesses");
    };
    check(&desk.bytes());
    store.close().await;
    check(&desk.bytes());
}
