//! What the API speaks of. Times are RFC 3339 in UTC.

use chrono::{DateTime, SecondsFormat, Utc};
use salvo::oapi::{Components, EndpointOutRegister, Operation, ToSchema};
use serde::{Deserialize, Serialize};

use super::{super::error::Refusal, body::Body};

/// A time as the API tells it.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Why something was refused.
#[derive(Serialize, ToSchema)]
pub struct Error {
    error: ErrorBody,
}

/// A refusal in one plain sentence.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// A word that does not change.
    code: String,
    message: String,
    /// What the log calls the request.
    request_id: String,
    /// The field that is wrong.
    field: Option<String>,
}

impl EndpointOutRegister for Refusal {
    fn register(components: &mut Components, operation: &mut Operation) {
        let schema = Error::to_schema(components);
        for (status, text) in [
            ("400", "Malformed"),
            ("401", "Not signed in"),
            ("403", "Not allowed"),
            ("404", "Not there, or somebody else's"),
            ("409", "It does not fit how things stand"),
            ("422", "Understood, and refused"),
            ("429", "Too often"),
            ("503", "Not now"),
        ] {
            let content = salvo::oapi::Content::new(schema.clone());
            let response = salvo::oapi::Response::new(text).add_content("application/json", content);
            operation.responses.insert(status, response);
        }
    }
}

/// The person whose session it is.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    pub id: i64,
    pub email: String,
    pub name: String,
    pub is_admin: bool,
    /// The number of the main calendar.
    pub main_calendar: Option<i64>,
    /// To be sent as `X-CSRF-Token` with whatever changes something.
    pub csrf_token: String,
}

/// A Google account of the person.
#[derive(Serialize, ToSchema)]
pub struct Account {
    pub id: i64,
    pub email: String,
    /// `home`, `client` or `personal`.
    pub kind: String,
    /// It has to be connected again.
    pub needs_reauth: bool,
}

/// A connected calendar.
#[derive(Serialize, ToSchema)]
pub struct Calendar {
    pub id: i64,
    pub name: String,
    pub account: String,
    /// `main`, `client` or `personal`.
    pub role: String,
    /// `offered` (not begun), `connected` or `leaving`.
    pub standing: String,
    /// `ok`, `working`, `late`, `attention`, `failed`, `held`, `paused` or `new`.
    pub state: String,
    /// The state in words.
    pub sentence: String,
    /// Events that we keep there.
    pub events: u32,
    pub last_checked: Option<String>,
    pub next_check: Option<String>,
    /// How the last readings went, oldest first.
    pub readings: Vec<bool>,
}

/// A calendar that an account shows.
#[derive(Serialize, ToSchema)]
pub struct Offered {
    pub id: String,
    pub name: String,
    pub time_zone: String,
    pub primary: bool,
    pub writable: bool,
    /// What it is used for already.
    pub used_as: Option<String>,
}

/// Which calendar.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichCalendar {
    /// Google's id of the calendar.
    pub calendar_id: String,
}

impl Body for WhichCalendar {
    const FIELDS: &'static [&'static str] = &["calendar_id"];
}

/// Which calendar of which account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCalendar {
    /// The account, as `GET /api/accounts` numbers it.
    pub token_id: i64,
    /// Google's id of the calendar.
    pub calendar_id: String,
}

impl Body for NewCalendar {
    const FIELDS: &'static [&'static str] = &["token_id", "calendar_id"];
}

/// Which mails are wanted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    pub preferences: Vec<Preference>,
}

impl Body for Preferences {
    const FIELDS: &'static [&'static str] = &["preferences"];
}

/// Whether mails of a type are wanted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    pub alert_type: String,
    pub enabled: bool,
}

/// How it is with a person's calendars.
#[derive(Serialize, ToSchema)]
pub struct SyncStatus {
    /// Changes are being made.
    pub running: bool,
    /// Of the changes in hand: those that are made, and all.
    pub done: Option<usize>,
    pub all: Option<usize>,
    pub paused: bool,
    pub calendars: Vec<Calendar>,
    /// Removals that wait for a word.
    pub waiting: Vec<WaitingRemovals>,
}

/// Removals that wait for a word.
#[derive(Serialize, ToSchema)]
pub struct WaitingRemovals {
    /// Names exactly these.
    pub code: String,
    pub calendar: String,
    pub removals: usize,
    pub why: String,
}

/// A word about removals that wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    pub code: String,
    /// `approve`, `bring-back` or `keep-away`.
    pub word: String,
}

impl Body for AnswerBody {
    const FIELDS: &'static [&'static str] = &["code", "word"];
}

/// Exactly these removals.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    pub code: String,
}

impl Body for CodeBody {
    const FIELDS: &'static [&'static str] = &["code"];
}

/// One line of the log.
#[derive(Serialize, ToSchema)]
pub struct LogLine {
    pub id: i64,
    pub at: String,
    pub user_id: Option<i64>,
    pub calendar_id: Option<i64>,
    pub action: String,
    pub status: String,
    /// Numbers by name.
    pub details: serde_json::Value,
}

/// A part of the log.
#[derive(Serialize, ToSchema)]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Send it as `before` for what is older.
    pub older: Option<i64>,
}

/// A plan: what would change. Its own stored format, without titles.
#[derive(Serialize, ToSchema)]
pub struct PlanBody {
    /// One line of counts, or the sentence that all is well.
    pub summary: String,
    /// Writes at Google.
    pub changes: usize,
    /// Removals that wait for a word.
    pub waiting: Vec<WaitingRemovals>,
    /// Notes, steps and held steps.
    pub plan: serde_json::Value,
}

/// A run of the past.
#[derive(Serialize, ToSchema)]
pub struct RunLine {
    pub id: i64,
    pub at: String,
    pub changes: u32,
    /// The run that it took back.
    pub undoes: Option<i64>,
}

/// A run, and what taking it back would do.
#[derive(Serialize, ToSchema)]
pub struct RunBody {
    pub id: i64,
    pub at: String,
    pub changes: usize,
    pub undo: PlanBody,
}

/// What taking back came to.
#[derive(Serialize, ToSchema)]
pub struct Undone {
    pub done: usize,
    pub failed: usize,
    pub left_alone: usize,
}

/// Why something is here.
#[derive(Serialize, ToSchema)]
pub struct WhyBody {
    /// It is one of ours.
    pub ours: bool,
    pub lines: Vec<String>,
}

/// A user, for admins.
#[derive(Serialize, ToSchema)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub name: String,
    pub is_admin: bool,
    pub paused: bool,
    pub removing: bool,
    pub calendars: usize,
    pub last_sign_in: Option<String>,
}

/// A user with calendars.
#[derive(Serialize, ToSchema)]
pub struct UserBody {
    pub user: User,
    pub calendars: Vec<Calendar>,
}

/// Whether somebody is an admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminBody {
    pub is_admin: bool,
}

impl Body for AdminBody {
    const FIELDS: &'static [&'static str] = &["is_admin"];
}

/// How it is with the installation.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or the code of the trouble.
    pub status: String,
    pub version: String,
    pub users: u32,
    pub calendars: u32,
    pub events: u32,
    pub calendars_failing: u32,
    /// Of the last day's lines in the log.
    pub error_rate: f64,
    pub queue: i64,
    pub webhook_channels: u32,
    pub open_alerts: usize,
    pub paused: bool,
    pub requests_today: u64,
    pub requests_limit: u64,
    pub requests_forecast: u64,
}

/// A run of anybody's, in counts.
#[derive(Serialize, ToSchema)]
pub struct AnyRun {
    pub id: i64,
    pub user_id: i64,
    pub at: String,
    pub undoes: Option<i64>,
    pub done: u32,
    pub skipped: u32,
    pub failed: u32,
    pub held: u32,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
pub struct Cleaned {
    pub tombstones: u64,
    pub log: u64,
    pub runs: u64,
    pub calendars: u64,
    pub others: u64,
}

/// The installation's settings, without secrets.
#[derive(Serialize, ToSchema)]
pub struct Settings {
    pub domain: String,
    pub google_client_id: String,
    pub smtp_host: Option<String>,
    pub smtp_port: Option<u16>,
    /// `starttls`, `tls` or `none`.
    pub smtp_security: Option<String>,
    pub smtp_username: Option<String>,
    /// `********` where one is kept.
    pub smtp_password: Option<String>,
    pub smtp_from_address: Option<String>,
    pub alert_emails: Vec<String>,
}

/// Settings that are to change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSettings {
    pub google_client_id: Option<String>,
    pub google_client_secret: Option<String>,
    pub smtp_host: Option<String>,
    pub smtp_port: Option<i64>,
    pub smtp_security: Option<String>,
    pub smtp_username: Option<String>,
    /// `********` keeps the one that is there.
    pub smtp_password: Option<String>,
    pub smtp_from_address: Option<String>,
    pub alert_emails: Option<Vec<String>>,
}

impl Body for NewSettings {
    const FIELDS: &'static [&'static str] = &[
        "google_client_id",
        "google_client_secret",
        "smtp_host",
        "smtp_port",
        "smtp_security",
        "smtp_username",
        "smtp_password",
        "smtp_from_address",
        "alert_emails",
    ];
}

/// The word that ends everything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    /// `RESET`.
    #[serde(default)]
    pub confirmation: String,
    /// Leave behind what cannot be removed from Google.
    #[serde(default)]
    pub abandon_remote: bool,
}

impl Body for ResetBody {
    const FIELDS: &'static [&'static str] = &["confirmation", "abandon_remote"];
}
