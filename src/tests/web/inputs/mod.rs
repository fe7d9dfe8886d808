//! The catalogue of bad inputs (reliability §5.1–5.7), row by row, over raw sockets: what is sent, what is answered, and that nothing
//! else happens. Each case must leave every row of every table, everything at Google, the mails and the keys as they were, answer in
//! the form that the API promises, and leave the service well.

mod admin;
mod framing;
mod sessions;
mod user;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Browser, Site};
use crate::{
    emulator::{state::Role, with},
    model::id::UserId,
};

/// Rows that are tried by tests of their own, since they need a state or a Google of their own.
const ELSEWHERE: &[(u8, &str)] = &[
    (24, "what_came_in_the_clear_is_refused"),
    (35, "sessions_cannot_be_made_up_and_end_when_they_should"),
    (36, "a_session_ends_with_what_it_stood_for"),
    (37, "a_session_ends_with_what_it_stood_for"),
    (43, "a_way_to_google_is_good_once_in_one_browser_for_one_purpose"),
    (44, "a_way_to_google_is_good_once_in_one_browser_for_one_purpose"),
    (45, "a_way_to_google_is_good_once_in_one_browser_for_one_purpose"),
    (46, "what_google_says_is_never_repeated"),
    (48, "an_exchange_that_breaks_leaves_nothing"),
    (49, "an_exchange_that_breaks_leaves_nothing"),
    (50, "an_exchange_that_breaks_leaves_nothing"),
    (51, "no_forged_identity_gets_in"),
    (52, "a_way_to_google_is_good_once_in_one_browser_for_one_purpose"),
    (53, "what_is_not_allowed_at_google_is_told_and_leaves_nothing"),
    (54, "after_signing_in_one_is_on_our_own_pages"),
    (62, "what_is_asked_twice_is_done_once"),
    (63, "what_is_asked_twice_is_done_once"),
    (63, "an_account_that_took_its_permission_back_is_not_checked_by_hand"),
    (64, "what_is_asked_twice_is_done_once"),
    (67, "a_session_ends_with_what_it_stood_for"),
    (68, "nobody_reaches_what_is_not_theirs"),
    (70, "a_reset_without_google_forgets_nothing"),
    (72, "a_session_ends_with_what_it_stood_for"),
    (76, "a_mail_server_that_is_none_is_told_by_its_class"),
    (77, "what_is_asked_twice_is_done_once"),
    (78, "copies_of_the_database_are_few"),
    (79, "a_clock_that_jumped_forgets_nothing"),
    (86, "a_flood_of_notifications_leads_to_a_few_ticks"),
    (87, "before_the_set_up_only_the_set_up_is_open"),
    (88, "guessing_the_setup_token_is_slow"),
    (89, "the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was"),
    (90, "the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was"),
    (91, "no_forged_identity_sets_up"),
    (92, "the_wizard_refuses_what_makes_no_sense_and_goes_on_where_it_was"),
    (93, "killed_at_any_moment_a_first_start_leaves_what_starts"),
    (93, "the_service_starts_from_every_state_in_which_a_first_start_can_die"),
    (93, "a_first_start_without_room_or_right_leaves_nothing_and_the_next_one_is_a_first_start"),
    (93, "a_first_start_makes_everything_and_opens_the_set_up_to_who_reads_the_log"),
];

/// Where named tests stand.
pub const SOURCES: &[&str] = &[
    include_str!("../doors.rs"),
    include_str!("../matrix.rs"),
    include_str!("../api.rs"),
    include_str!("../callbacks.rs"),
    include_str!("../security.rs"),
    include_str!("../schema.rs"),
    include_str!("mod.rs"),
    include_str!("../../service.rs"),
    include_str!("../../binary/main.rs"),
    include_str!("../../binary/first.rs"),
    include_str!("../../binary/flood.rs"),
    include_str!("../../binary/rotation.rs"),
    include_str!("../../rotation.rs"),
    include_str!("../../client.rs"),
    include_str!("../../mail.rs"),
    include_str!("../../upkeep.rs"),
    include_str!("../../cli.rs"),
    include_str!("../../../store/tests.rs"),
    include_str!("../../../vault/mod.rs"),
    include_str!("../../../vault/data_key.rs"),
    include_str!("../../../vault/marker.rs"),
    include_str!("../../../controller/bell.rs"),
    include_str!("../../../cli/settings.rs"),
    include_str!("../../../google/throttle.rs"),
    include_str!("../../../web/limits.rs"),
    include_str!("../../../web/sign_in.rs"),
];

/// Whether there is a test of this name.
pub fn is_a_test(name: &str) -> bool {
    SOURCES.iter().any(|text| {
        text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
            let before = &text[..at];
            before.trim_end_matches("async ").trim_end().ends_with(']')
                && before.rfind("#[").is_some_and(|mark| before[mark..].contains("test"))
        })
    })
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    /// A user with a main, a client's and a personal calendar.
    Bob,
    /// An admin, with a client's calendar.
    Ada,
}

/// What cases are made of. By default of nothing, to be counted.
#[derive(Clone, Default)]
pub struct Facts {
    pub host: String,
    pub url: String,
    pub bob: Person,
    pub ada: Person,
    /// Bob's calendars.
    pub main: i64,
    pub client: i64,
    pub personal: i64,
    /// A client's calendar of Ada's.
    pub others: i64,
    /// Accounts: Bob's client's and personal one, and one of Ada's.
    pub token: i64,
    pub personal_token: i64,
    pub others_token: i64,
    /// The key of sessions, and the time.
    pub key: [u8; 32],
    pub now: i64,
    /// The browser that did the set-up.
    pub unlocked: String,
}

#[derive(Clone, Default)]
pub struct Person {
    pub session: String,
    pub csrf: String,
}

/// One bad input.
pub struct Case {
    row: u8,
    what: String,
    who: Who,
    method: String,
    path: String,
    /// In the place of what a program would send; none: left out.
    headers: Vec<(String, Option<String>)>,
    body: Vec<u8>,
    /// The whole request, to the byte.
    raw: Option<Vec<u8>>,
    statuses: Vec<u16>,
    code: &'static str,
    tells: Option<(&'static str, &'static str)>,
    /// Answered before our routes see it, or not at all.
    bare: bool,
    /// It is no bad input after all: something is read again, or noted in the log.
    stirs: bool,
}

/// A case of a row, by Bob unless said otherwise.
pub fn case(row: u8, what: impl Into<String>) -> Case {
    Case {
        row,
        what: what.into(),
        who: Who::Bob,
        method: "GET".into(),
        path: "/api/me".into(),
        headers: Vec::new(),
        body: Vec::new(),
        raw: None,
        statuses: Vec::new(),
        code: "",
        tells: None,
        bare: false,
        stirs: false,
    }
}

impl Case {
    pub fn by(self, who: Who) -> Self {
        Case { who, ..self }
    }

    pub fn send(self, method: &str, path: impl Into<String>) -> Self {
        Case { method: method.into(), path: path.into(), ..self }
    }

    /// With a body of this kind; of none: without saying so.
    pub fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let case = Case { body: body.into(), ..self };
        if kind.is_empty() { case } else { case.with("content-type", kind) }
    }

    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.body("application/json", body)
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.push((name.into(), None));
        self
    }

    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        Case { raw: Some(bytes.into()), ..self }
    }

    pub fn is(self, status: u16, code: &'static str) -> Self {
        Case { statuses: vec![status], code, ..self }
    }

    pub fn one_of(self, statuses: &[u16]) -> Self {
        Case { statuses: statuses.to_vec(), ..self }
    }

    pub fn tells(self, name: &'static str, value: &'static str) -> Self {
        Case { tells: Some((name, value)), ..self }
    }

    pub fn bare(self) -> Self {
        Case { bare: true, ..self }
    }

    pub fn stirs(self) -> Self {
        Case { stirs: true, ..self }
    }

    fn bytes(&self, facts: &Facts) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let person = match self.who {
            Who::Nobody => None,
            Who::Bob => Some(&facts.bob),
            Who::Ada => Some(&facts.ada),
        };
        let mut headers = vec![("host".to_owned(), facts.host.clone()), ("connection".into(), "close".into())];
        if let Some(Person { session, csrf }) = person {
            headers.push(("cookie".into(), format!("__Host-session={session}")));
            if self.method != "GET" {
                headers.push(("x-csrf-token".into(), csrf.clone()));
            }
        }
        if self.method != "GET" {
            headers.push(("content-length".into(), self.body.len().to_string()));
        }
        for (name, _) in &self.headers {
            headers.retain(|(known, _)| known != name);
        }
        for (name, value) in &self.headers {
            headers.extend(value.iter().map(|value| (name.clone(), value.clone())));
        }
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Answers in all.
    pub answers: usize,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends bytes and reads until the other side closes; none: it closed without a word.
pub async fn exchange(host: &str, bytes: &[u8]) -> Option<Answer> {
    let port = host.rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    // Who is refused early finds the connection closed.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let reading = async {
        let mut part = [0; 16 << 10];
        while let Ok(n) = stream.read(&mut part).await {
            if n == 0 {
                break;
            }
            all.extend_from_slice(&part[..n]);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the connection is closed at last");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    let answers = String::from_utf8_lossy(&all).matches("HTTP/1.1 ").count();
    Some(Answer { status, headers: headers.collect(), body: all[end + 4..].to_vec(), answers })
}

/// Headers that every answer of ours carries.
pub const PROTECTED: [&str; 7] = [
    "cache-control",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "x-content-type-options",
];

/// Every row of every table, what was asked to be written at Google, and the keys. Left out are the service's own bookkeeping, and when
/// a session was used last.
pub async fn fingerprint(site: &Site) -> BTreeMap<String, String> {
    use sqlx::Connection;
    let url = format!("sqlite://{}", site.app.store.path().display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '_sqlx%'
         AND m.name NOT IN ('api_usage', 'job_locks') AND c.name <> 'seen_at' ORDER BY 1, c.cid",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in columns {
        tables.entry(table).or_default().push(format!("quote({column})"));
    }
    let selects = tables.iter().map(|(table, columns)| {
        let row = columns.join(" || '|' || ");
        format!("SELECT '{table}', coalesce((SELECT group_concat(r, char(10)) FROM (SELECT {row} AS r FROM {table} ORDER BY 1)), '')")
    });
    let all = selects.collect::<Vec<_>>().join(" UNION ALL ");
    let rows: Vec<(String, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(all)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut state: BTreeMap<String, String> = rows.into_iter().collect();
    state.insert("written at Google".into(), with(&site.world.core, |core| core.writes.len()).to_string());
    for entry in std::fs::read_dir(site.front.key_file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        state.insert(path.display().to_string(), format!("{:?}", std::fs::read(&path).unwrap()));
    }
    state
}

/// What a reading that finds nothing may note.
const STIRRED: [&str; 3] = ["calendar_sync_state", "sync_log", "mirror_events"];

/// What differs between two states.
pub fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// Waits until the service has nothing to do.
pub async fn at_rest(site: &Site) -> BTreeMap<String, String> {
    let mut last = fingerprint(site).await;
    let mut same = 0;
    for _ in 0..1_500 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let now = fingerprint(site).await;
        let busy = (1..4).any(|user| site.front.desk.board.doing(UserId(user)).running);
        same = if now == last && !busy { same + 1 } else { 0 };
        last = now;
        if same >= 5 {
            return last;
        }
    }
    panic!("the service does not come to rest");
}

/// Checks one case; gives the state after it.
async fn check(site: &Site, facts: &Facts, case: &Case, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let name = format!("{} {} ({} {})", case.row, case.what, case.method, &case.path[..case.path.len().min(60)]);
    let answer = exchange(&facts.host, &case.bytes(facts)).await;
    let well = format!("GET /health HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", facts.host);
    let health = exchange(&facts.host, well.as_bytes()).await.expect("it answers");
    assert_eq!(health.status, 200, "{name}: it is not well afterwards");
    let after = match case.stirs {
        true => at_rest(site).await,
        false => fingerprint(site).await,
    };
    let mut differs = changed(before, &after);
    if case.stirs {
        differs.retain(|name| !STIRRED.contains(&name.as_str()));
    }
    assert!(differs.is_empty(), "{name}: changed {differs:?}");
    let Some(answer) = answer else {
        // Who goes on sending after a refusal may find the connection closed before reading it.
        assert!(case.bare || case.statuses.contains(&413), "{name}: there is no answer");
        return after;
    };
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(case.statuses.contains(&answer.status), "{name}: {} {text}", answer.status);
    assert_eq!(answer.answers, 1, "{name}: one request, one answer");
    assert!(answer.status < 500 || answer.status == 503, "{name}");
    for leak in ["sqlx", "SELECT ", "panicked", ".rs:", "/tmp/"] {
        assert!(!text.contains(leak) || answer.status == 200, "{name}: {text}");
    }
    if case.bare {
        return after;
    }
    for header in PROTECTED {
        assert!(answer.header(header).is_some(), "{name}: no {header}");
    }
    assert!(answer.header("server").is_none(), "{name}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
    assert!(!answer.headers.iter().any(|(header, _)| header.starts_with("access-control-")), "{name}");
    if let Some((header, value)) = case.tells {
        assert_eq!(answer.header(header), Some(value), "{name}");
    }
    if answer.status < 400 || answer.body.is_empty() {
        return after;
    }
    if case.path.starts_with("/api/") && case.raw.is_none() {
        assert!(answer.body.len() <= 4096, "{name}: {} bytes", answer.body.len());
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{name}");
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{name}: {text}"));
        let error = told["error"].as_object().unwrap_or_else(|| panic!("{name}: {text}"));
        assert_eq!(told.as_object().unwrap().len(), 1, "{name}");
        for (member, value) in error {
            assert!(["code", "message", "request_id", "field"].contains(&member.as_str()), "{name}: {member}");
            assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{name}: {member} of {text}");
        }
        assert!(error.len() >= 3, "{name}: {text}");
        if !case.code.is_empty() {
            assert_eq!(error["code"], case.code, "{name}: {text}");
        }
    } else {
        // A page has its frame around the sentence.
        assert!(answer.body.len() <= 8192, "{name}: {} bytes", answer.body.len());
        assert!(text.contains(case.code), "{name}: {text}");
    }
    after
}

/// All cases of all sections.
fn cases(facts: &Facts) -> Vec<Case> {
    let mut all = framing::cases(facts);
    all.extend(sessions::cases(facts));
    all.extend(super::callbacks::cases(facts));
    all.extend(user::cases(facts));
    all.extend(admin::cases(facts));
    all.extend(webhook::cases(facts));
    all
}

fn session(browser: &Browser) -> String {
    browser.jar["__Host-session"].clone()
}

async fn person(browser: &Browser) -> Person {
    let program = super::api::Program::of(browser).await;
    Person { session: session(browser), csrf: program.csrf.clone() }
}

/// A site with Ada and Bob, at rest.
pub async fn inhabited() -> (Site, Facts, Browser, Browser) {
    let (site, mut ada) = Site::ready().await;
    let unlocked = ada.jar["__Host-browser"].clone();
    ada.connect("client", "ada@acme.example").await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    bob.connect("client", "bob@globex.example").await;
    bob.connect("personal", "ada@gmail.example").await;
    with(&site.world.core, |core| {
        let mut share = |calendar: &str, role| {
            core.world.calendars.get_mut(calendar).unwrap().acl.insert("bob@home.example".into(), role);
            crate::emulator::calendars::enlist(&mut core.world, "bob@home.example", calendar);
        };
        share("cyd@home.example", Role::Reader);
        share("bob@globex.example", Role::Writer);
    });
    let rows = site.app.store.calendars_of(UserId(2)).await.unwrap();
    let others = site.app.store.calendars_of(UserId(1)).await.unwrap();
    let facts = Facts {
        host: site.url.trim_start_matches("http://").to_owned(),
        url: site.url.clone(),
        bob: person(&bob).await,
        ada: person(&ada).await,
        main: rows[0].number,
        client: rows[1].number,
        personal: rows[2].number,
        others: others[1].number,
        token: rows[1].token.0,
        personal_token: rows[2].token.0,
        others_token: others[1].token.0,
        key: *site.app.vault.session_key().reveal(),
        now: site.app.clock.now().timestamp(),
        unlocked,
    };
    at_rest(&site).await;
    (site, facts, ada, bob)
}

#[test]
fn every_row_of_the_catalogue_is_tried() {
    let mut rows: BTreeSet<u8> = cases(&Facts::default()).iter().map(|case| case.row).collect();
    for (row, name) in ELSEWHERE {
        assert!(is_a_test(name), "{row}: there is no test {name}");
        rows.insert(*row);
    }
    let missing: Vec<u8> = (1..=94).filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "rows {missing:?} are not tried");
    let none = case(0, "");
    assert!(none.statuses.is_empty() && cases(&Facts::default()).iter().all(|case| !case.statuses.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_is_refused_and_changes_nothing() {
    let (site, facts, _ada, _bob) = inhabited().await;
    let all = cases(&facts);
    let mut state = at_rest(&site).await;
    for case in &all {
        state = check(&site, &facts, case, &state).await;
    }
    assert!(all.len() >= 200, "{}", all.len());
    // And what is good is still taken.
    let good = case(0, "what is good").send("GET", "/api/me").is(200, "");
    check(&site, &facts, &good, &state).await;
    let told = json!({"tried": all.len()});
    println!("{told}");
}
