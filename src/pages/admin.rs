//! Pages of admins: kinds, calendars, times and counts; never a title.

use serde::Serialize;

use super::{
    Page,
    consultant::{CalendarLine, LogLine, State},
    plan::PlanView,
    setup::{Fields, SmtpFields},
    shell::When,
};

/// A figure with its name.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub value: String,
    pub bad: bool,
}

/// An alert in a list.
#[derive(Clone, Debug, Serialize)]
pub struct AlertLine {
    pub state: State,
    pub person: Option<String>,
    pub calendar: Option<String>,
    pub message: String,
    pub advice: &'static str,
    pub raised: When,
    pub resolved: Option<When>,
}

#[derive(Debug, Serialize)]
pub struct Status {
    pub state: State,
    pub figures: Vec<Figure>,
    pub paused: bool,
    pub alerts: Vec<AlertLine>,
    pub waiting: Vec<(i64, String, usize)>,
    pub left_behind: Vec<String>,
}

impl Page for Status {
    const FILE: &'static str = "admin/status.html";
}

/// A user in a list.
#[derive(Clone, Debug, Serialize)]
pub struct UserLine {
    pub number: i64,
    pub email: String,
    pub name: String,
    pub admin: bool,
    pub calendars: usize,
    pub signed_in: Option<When>,
    pub state: State,
}

#[derive(Debug, Serialize)]
pub struct Users {
    pub users: Vec<UserLine>,
    pub search: String,
    pub all: usize,
}

impl Page for Users {
    const FILE: &'static str = "admin/users.html";
}

#[derive(Debug, Serialize)]
pub struct UserPage {
    pub line: UserLine,
    pub paused: bool,
    pub removing: bool,
    pub own: bool,
    pub calendars: Vec<CalendarLine>,
    pub log: Vec<LogLine>,
    pub zone: String,
}

impl Page for UserPage {
    const FILE: &'static str = "admin/user.html";
}

/// Asks whether a user is to be removed.
#[derive(Debug, Serialize)]
pub struct RemoveUser {
    pub number: i64,
    pub email: String,
    pub sentences: Vec<String>,
}

impl Page for RemoveUser {
    const FILE: &'static str = "admin/remove-user.html";
}

/// A run in the list of all.
#[derive(Clone, Debug, Serialize)]
pub struct AnyRunLine {
    pub number: i64,
    pub at: When,
    pub person: String,
    pub undoes: Option<i64>,
    pub done: u32,
    pub skipped: u32,
    pub failed: u32,
    pub held: u32,
}

#[derive(Debug, Serialize)]
pub struct Plans {
    pub users: Vec<(i64, String)>,
    pub waiting: Vec<(i64, String, usize)>,
    pub runs: Vec<AnyRunLine>,
    pub older: Option<String>,
    pub zone: String,
}

impl Page for Plans {
    const FILE: &'static str = "admin/plans.html";
}

#[derive(Debug, Serialize)]
pub struct RunPage {
    pub number: i64,
    pub person: String,
    pub at: When,
    pub undoes: Option<i64>,
    pub plan: PlanView,
}

impl Page for RunPage {
    const FILE: &'static str = "admin/run.html";
}

#[derive(Debug, Serialize)]
pub struct Settings {
    pub domain: String,
    pub client_id: String,
    pub client_wrong: Fields,
    pub smtp: SmtpFields,
    pub has_smtp: bool,
    pub sent: Option<String>,
    pub failed: Option<String>,
    pub paused: bool,
}

impl Page for Settings {
    const FILE: &'static str = "admin/settings.html";
}

/// The end of everything.
#[derive(Debug, Serialize)]
pub struct Reset {
    pub wrong: Option<String>,
    pub stuck: Vec<(String, String, String)>,
    pub users: u32,
    pub ours: u32,
}

impl Page for Reset {
    const FILE: &'static str = "admin/reset.html";
}
