//! A plan as text: one grammar for the command line, the log, pages and tests.
//!
//! ```text
//!  Plan for ada@home.example                     observed 10:14:03 · dry run, nothing has been changed
//!
//!  ! Acme cannot be read: access was revoked
//!  ‖ held     3 on Initech       the calendar cannot be read; they stay as they are
//!
//!    home
//!    + copy      Mon  2 Mar 09:00–10:00          "Kick-off"  new on Acme
//!    ~ copy      Tue  3 Mar 11:00–12:00          changed on Acme
//!                  time     11:00–12:00 → 11:30–12:30
//!                  (7 fields unchanged)
//!
//!  + create 1   ~ update 1   ‖ held 3   in sync 118
//! ```

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::approval;
use crate::model::{
    body::{Answer, Field, When},
    id::CalendarId,
    plan::{Action, ActionKind, HeldReason, Plan, Reason, Step},
};

/// Whose eyes: an owner sees titles, everybody else only kinds, calendars, times and which fields changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lens {
    Owner,
    Redacted,
}

/// How many steps to show of each calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    All,
    AtMost(usize),
}

/// The whole plan with its head.
pub fn text(plan: &Plan, lens: Lens, length: Length) -> String {
    let zone: Tz = plan.zone.parse().unwrap_or(Tz::UTC);
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            "Plan for {}          observed {} · dry run, nothing has been changed",
            plan.email,
            plan.at.with_timezone(&zone).format("%H:%M:%S")
        ),
    );
    line(&mut out, format_args!(""));
    out.push_str(&body(plan, lens, length));
    out
}

/// The plan without its head: notes, held, steps, summary.
pub fn body(plan: &Plan, lens: Lens, length: Length) -> String {
    let zone: Tz = plan.zone.parse().unwrap_or(Tz::UTC);
    let mut out = String::new();
    for unreadable in &plan.unreadable {
        let why = unreadable.why.map_or("it was never read to the end", |why| why.sentence());
        line(&mut out, format_args!("! {} cannot be read: {why}", unreadable.calendar));
    }
    let mut held = BTreeMap::new();
    for one in &plan.held {
        *held.entry((one.reason, name(plan, one.step.calendar()))).or_insert(0) += 1;
    }
    let waiting = approval::waiting(plan);
    for ((reason, target), n) in held {
        let code = waiting.iter().find(|one| one.reason == reason && name(plan, &one.calendar) == target);
        let code = code.map_or(String::new(), |one| format!(" (code {})", one.code));
        line(&mut out, format_args!("‖ held      {n} on {target}      {}{code}", reason.sentence()));
    }
    let mut groups: BTreeMap<&CalendarId, Vec<&Step>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.action.writes()) {
        groups.entry(step.calendar()).or_default().push(step);
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(target, steps)| (name(plan, target), steps)).collect();
    groups.sort_by_key(|(name, _)| *name);
    for (name, mut steps) in groups {
        line(&mut out, format_args!("  {name}"));
        steps.sort_by_key(|step| (step.when.as_ref().map(When::start), &step.key));
        let shown = match length {
            Length::All => steps.len(),
            Length::AtMost(n) => n,
        };
        for step in steps.iter().take(shown) {
            step_lines(&mut out, plan, step, lens, zone);
        }
        if steps.len() > shown {
            line(&mut out, format_args!("  … and {} more", steps.len() - shown));
        }
    }
    let bookkeeping = plan.steps.iter().filter(|step| !step.action.writes()).count();
    if bookkeeping > 0 {
        let plural = if bookkeeping == 1 { "" } else { "s" };
        line(&mut out, format_args!("  = {bookkeeping} bookkeeping step{plural}"));
    }
    out.push_str(&summary(plan));
    out.push('\n');
    out
}

/// One line of counts, or the sentence that all is well.
pub fn summary(plan: &Plan) -> String {
    let count = |test: fn(&Action) -> bool| plan.steps.iter().filter(|step| test(&step.action)).count();
    let creates = count(|a| matches!(a, Action::Create { .. }));
    let updates = count(|a| matches!(a, Action::Update { .. } | Action::Amend { .. }));
    let deletes = count(|a| a.deletes() && !a.is_at_origin());
    let at_origin = count(Action::is_at_origin);
    // What is only to be remembered matches, too.
    let matching = plan.in_sync + count(|a| matches!(a, Action::Adopt { .. }));
    if creates + updates + deletes + at_origin + plan.held.len() == 0 {
        let items = if matching == 1 { "item matches" } else { "items match" };
        let calendars = if plan.names.len() == 1 { "calendar" } else { "calendars" };
        let sight = if plan.unreadable.is_empty() { "" } else { " as far as can be seen" };
        return format!("In sync{sight}. {matching} {items} on {} {calendars}; nothing to do.", plan.names.len());
    }
    let mut parts = Vec::new();
    for (n, word) in [
        (creates, "+ create"),
        (updates, "~ update"),
        (deletes, "- delete"),
        (at_origin, "← at the origin"),
        (plan.held.len(), "‖ held"),
    ] {
        if n > 0 {
            parts.push(format!("{word} {n}"));
        }
    }
    parts.push(format!("in sync {matching}"));
    parts.join("   ")
}

fn step_lines(out: &mut String, plan: &Plan, step: &Step, lens: Lens, zone: Tz) {
    let when = step.when.as_ref().map(|w| span(w, zone, plan.at)).unwrap_or_default();
    let mut text = format!("  {} {:<9} {when:<27}", symbol(step.action.kind()), step.face.word());
    if let (Lens::Owner, Some(title)) = (lens, &step.title) {
        let _ = write!(text, " \"{title}\" ");
    }
    if repeats(&step.action) {
        text.push_str(" repeating,");
    }
    let _ = write!(text, " {}", why(plan, step));
    line(out, format_args!("{text}"));
    let (from, to, changed) = match &step.action {
        Action::Update { from, to, .. } => (from, to, to.changed(from)),
        Action::WriteBack { from, to, fields, .. } => (&**from, &**to, fields.clone()),
        _ => return,
    };
    for field in &changed {
        let value = match *field {
            Field::Time => format!("{} → {}", span(&from.when, zone, plan.at), span(&to.when, zone, plan.at)),
            Field::Title if lens == Lens::Owner => format!("{} → {}", quoted(&from.title), quoted(&to.title)),
            _ => "changed".to_owned(),
        };
        line(out, format_args!("                {:<11} {value}", field.word()));
    }
    let same = Field::ALL.len() - changed.len();
    line(out, format_args!("                ({same} fields unchanged)"));
}

/// The code under which what waits on a calendar for this reason may be approved; none: nobody's word changes it.
pub fn code_of(plan: &Plan, reason: HeldReason, calendar: &CalendarId) -> Option<String> {
    let waiting = approval::waiting(plan).into_iter();
    waiting.filter(|one| one.reason == reason && one.calendar == *calendar).map(|one| one.code).next()
}

/// Why a step is to be taken, in words.
pub fn why(plan: &Plan, step: &Step) -> String {
    let origin = name(plan, &step.key.origin.calendar);
    let target = name(plan, &step.key.target);
    match (&step.action, step.reason) {
        (_, Reason::Undone) => "taken back".to_owned(),
        (Action::WriteBack { .. }, _) => format!("changed on {target}; changed here, too"),
        (Action::Respond { to, .. }, Reason::Removed) => format!("removed from {target}; {}", answered(*to)),
        (Action::Respond { to, .. }, _) => format!("answered on {target}; {}", answered(*to)),
        (Action::Withdraw { .. }, _) => format!("removed from {target}; removed here, too"),
        (_, why) => reason(why, origin),
    }
}

fn answered(answer: Answer) -> &'static str {
    match answer {
        Answer::Accepted => "accepted here, too",
        Answer::Maybe => "answered maybe here, too",
        Answer::Declined => "declined here",
        Answer::None => "the answer is taken back here, too",
    }
}

fn quoted(title: &Option<String>) -> String {
    title.as_ref().map_or("untitled".into(), |title| format!("\"{title}\""))
}

/// Whether what it makes repeats.
pub fn repeats(action: &Action) -> bool {
    match action {
        Action::Create { body, .. } | Action::Update { to: body, .. } => !body.recurrence.is_empty(),
        _ => false,
    }
}

/// The sign of an action; it never varies.
pub fn symbol(kind: ActionKind) -> char {
    match kind {
        ActionKind::Create => '+',
        ActionKind::Update | ActionKind::Amend => '~',
        ActionKind::Delete | ActionKind::Cancel => '-',
        ActionKind::WriteBack | ActionKind::Respond | ActionKind::Withdraw | ActionKind::Restore => '←',
        ActionKind::Doubt | ActionKind::Adopt | ActionKind::Dismiss | ActionKind::Forget => '=',
    }
}

/// A reason in words, with the name of the origin's calendar.
pub fn reason(reason: Reason, origin: &str) -> String {
    match reason {
        Reason::NewAtOrigin => format!("new on {origin}"),
        Reason::ChangedAtOrigin => format!("changed on {origin}"),
        Reason::GoneAtOrigin => format!("gone from {origin}"),
        Reason::NotWanted => format!("no longer counts on {origin}"),
        Reason::Drifted => "somebody changed it; put back".into(),
        Reason::EditedByHand => "changed by hand".into(),
        Reason::Conflict => format!("changed here and on {origin}; {origin} wins"),
        Reason::Answered => "answered by hand".into(),
        Reason::Removed => "somebody removed it".into(),
        Reason::SameMeeting => "the same meeting stands there already".into(),
        Reason::CalendarLeaving => "its calendar is to be left".into(),
        Reason::Undone => "taken back".into(),
        Reason::Vanished => "out of sight; made anew".into(),
        Reason::FoundOurs => "found, and brought up to date".into(),
        Reason::Duplicate => "there is another one".into(),
        Reason::NothingLeft => "nothing left of it".into(),
    }
}

/// A span of time for people, in `zone`; the year only where it is not that of `now`.
pub fn span(when: &When, zone: Tz, now: DateTime<Utc>) -> String {
    let this_year = now.with_timezone(&zone).year();
    let day = |day: NaiveDate| {
        let text = format!("{} {:>2} {}", day.format("%a"), day.day(), day.format("%b"));
        if day.year() == this_year { text } else { format!("{text} {}", day.year()) }
    };
    match when {
        When::Days { first, end } => {
            let last = *end - TimeDelta::days(1);
            if last <= *first { day(*first) } else { format!("{} – {}", day(*first), day(last)) }
        }
        When::Times { start, end, .. } => {
            let (start, end) = (start.with_timezone(&zone), end.with_timezone(&zone));
            let (from, to) = (start.format("%H:%M"), end.format("%H:%M"));
            if start.date_naive() == end.date_naive() {
                format!("{} {from}–{to}", day(start.date_naive()))
            } else {
                format!("{} {from} – {} {to}", day(start.date_naive()), day(end.date_naive()))
            }
        }
    }
}

fn name<'a>(plan: &'a Plan, calendar: &CalendarId) -> &'a str {
    plan.names.get(calendar).map_or("a calendar that is no longer connected", String::as_str)
}

/// Writes a line without blanks at its end.
fn line(out: &mut String, text: fmt::Arguments) {
    out.push_str(text.to_string().trim_end());
    out.push('\n');
}
