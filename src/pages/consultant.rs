//! Consultants' pages.

use serde::Serialize;

use super::{
    Page,
    plan::PlanView,
    shell::{Way, When},
};

/// How something stands: a tone, a sign and a sentence; colour never speaks alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    pub tone: &'static str,
    pub sign: &'static str,
    pub text: String,
}

impl State {
    pub fn new(tone: &'static str, text: impl Into<String>) -> Self {
        let sign = match tone {
            "ok" => "✓",
            "working" => "◌",
            "late" => "◷",
            "attention" => "!",
            "failed" => "✕",
            "held" => "‖",
            "paused" => "⏸",
            _ => "○",
        };
        State { tone, sign, text: text.into() }
    }

    /// How much it asks for somebody: what is worse stands above.
    pub fn weight(&self) -> u8 {
        match self.tone {
            "attention" => 7,
            "failed" => 6,
            "held" => 5,
            "working" => 4,
            "late" => 3,
            "paused" => 2,
            "new" => 1,
            _ => 0,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Login {
    pub wrong: Option<String>,
    pub href: String,
    pub domain: String,
}

impl Page for Login {
    const FILE: &'static str = "consultant/login.html";
}

/// One calendar in a list.
#[derive(Clone, Debug, Serialize)]
pub struct CalendarLine {
    pub number: i64,
    pub name: String,
    pub account: String,
    pub personal: bool,
    pub state: State,
    /// What that means, where it needs more words.
    pub more: Option<String>,
    pub blocks: u32,
    pub read: Option<When>,
    /// What its person can do about its state.
    pub way: Option<Way>,
    /// It may be looked at now.
    pub can_check: bool,
    /// It may be disconnected.
    pub can_leave: bool,
}

/// Removals that wait for a word.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingLine {
    pub code: String,
    pub n: usize,
    pub calendar: String,
    pub why: &'static str,
    /// The person may also keep the copies away, or have them back.
    pub can_keep: bool,
}

/// How far a piece of work is.
#[derive(Clone, Debug, Serialize)]
pub struct ProgressLine {
    pub done: usize,
    pub all: usize,
}

#[derive(Debug, Serialize)]
pub struct Dashboard {
    pub state: State,
    pub next: Option<When>,
    pub progress: Option<ProgressLine>,
    /// What keeps a page looking again soon.
    pub live: &'static str,
    pub main: Option<CalendarLine>,
    pub clients: Vec<CalendarLine>,
    pub personal: Vec<CalendarLine>,
    pub waiting: Vec<WaitingLine>,
    pub held: Vec<(String, usize)>,
    pub left_behind: Vec<String>,
    pub dismissed: usize,
}

impl Page for Dashboard {
    const FILE: &'static str = "consultant/dashboard.html";
}

/// A calendar that may be chosen.
#[derive(Clone, Debug, Serialize)]
pub struct OfferedLine {
    pub id: String,
    pub name: String,
    pub primary: bool,
    /// Why it cannot be chosen.
    pub hindrance: Option<&'static str>,
}

/// The choice of a calendar of an account.
#[derive(Debug, Serialize)]
pub struct Choose {
    pub heading: String,
    pub text: &'static str,
    pub action: String,
    pub button: &'static str,
    pub offered: Vec<OfferedLine>,
    pub wrong: Option<String>,
}

impl Page for Choose {
    const FILE: &'static str = "consultant/choose.html";
}

/// What the first sync of a calendar would do.
#[derive(Debug, Serialize)]
pub struct Preview {
    pub number: i64,
    pub name: String,
    pub plan: PlanView,
    pub trouble: Option<String>,
}

impl Page for Preview {
    const FILE: &'static str = "consultant/preview.html";
}

/// One thing on a calendar.
#[derive(Clone, Debug, Serialize)]
pub struct ShownLine {
    pub when: String,
    pub title: String,
    pub repeats: bool,
    pub free: bool,
    pub href: String,
}

/// One calendar, with what stands there.
#[derive(Debug, Serialize)]
pub struct CalendarPage {
    pub line: CalendarLine,
    pub role: &'static str,
    pub zone: String,
    pub paused: bool,
    pub connected: bool,
    pub leaving: bool,
    pub main: bool,
    pub ours: Vec<ShownLine>,
    pub n_ours: usize,
    pub theirs: Vec<ShownLine>,
    pub n_theirs: usize,
    pub pulse: Vec<bool>,
    pub pulse_text: String,
}

impl Page for CalendarPage {
    const FILE: &'static str = "consultant/calendar.html";
}

/// What leaving a calendar means, in numbers.
#[derive(Debug, Serialize)]
pub struct Disconnect {
    pub number: i64,
    pub name: String,
    pub sentences: Vec<String>,
}

impl Page for Disconnect {
    const FILE: &'static str = "consultant/disconnect.html";
}

/// What leaving all calendars means.
#[derive(Debug, Serialize)]
pub struct DisconnectAll {
    pub sentences: Vec<String>,
}

impl Page for DisconnectAll {
    const FILE: &'static str = "consultant/disconnect-all.html";
}

/// Why something is here, or is not there.
#[derive(Debug, Serialize)]
pub struct WhyPage {
    pub heading: String,
    pub answers: Vec<Answer>,
    pub back: Way,
}

/// One answer, a sentence a line.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub name: Option<String>,
    pub lines: Vec<String>,
}

impl Page for WhyPage {
    const FILE: &'static str = "consultant/why.html";
}

/// One wish about mails.
#[derive(Clone, Debug, Serialize)]
pub struct PreferenceLine {
    pub word: &'static str,
    pub text: &'static str,
    pub wanted: bool,
}

/// One source calendar and its colour on main.
#[derive(Clone, Debug, Serialize)]
pub struct ColourLine {
    pub number: i64,
    pub name: String,
    pub colour: String,
}

/// A colour of Google's palette.
#[derive(Clone, Debug, Serialize)]
pub struct ColourName {
    pub id: &'static str,
    pub name: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Settings {
    pub main: Option<String>,
    pub preferences: Vec<PreferenceLine>,
    pub colours: Vec<ColourLine>,
    pub palette: Vec<ColourName>,
    pub tell_guests: bool,
    pub dismissed: usize,
    pub runs: Vec<RunLine>,
}

impl Page for Settings {
    const FILE: &'static str = "consultant/settings.html";
}

/// One run in a list.
#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    pub number: i64,
    pub at: When,
    pub changes: u32,
    pub undoes: Option<i64>,
    /// Whose it is, for admins.
    pub person: Option<String>,
}

/// A run, and what taking it back would do.
#[derive(Debug, Serialize)]
pub struct RunPage {
    pub number: i64,
    pub at: When,
    pub undoes: Option<i64>,
    /// What was done, and how it went.
    pub plan: PlanView,
    pub undo: PlanView,
    pub left_alone: Vec<(usize, &'static str)>,
    pub trouble: Option<String>,
}

impl Page for RunPage {
    const FILE: &'static str = "consultant/run.html";
}

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    pub at: When,
    pub state: State,
    pub action: String,
    pub calendar: Option<String>,
    pub person: Option<String>,
    pub details: String,
}

/// The log with its filters.
#[derive(Debug, Serialize)]
pub struct Log {
    pub heading: &'static str,
    pub path: &'static str,
    pub zone: String,
    pub lines: Vec<LogLine>,
    pub older: Option<String>,
    pub filtered: bool,
    pub status: String,
    pub calendar: String,
    pub calendars: Vec<(i64, String)>,
    /// For admins.
    pub people: Option<Vec<(i64, String)>>,
    pub person: String,
    pub action: String,
    pub from: String,
    pub to: String,
}

impl Page for Log {
    const FILE: &'static str = "consultant/log.html";
}

/// What would change now, and what waits.
#[derive(Debug, Serialize)]
pub struct PlanPage {
    pub heading: String,
    pub plan: PlanView,
    pub waiting: Vec<WaitingLine>,
    /// Where a word about what waits is sent.
    pub action: String,
    pub back: Way,
}

impl Page for PlanPage {
    const FILE: &'static str = "consultant/plan.html";
}
