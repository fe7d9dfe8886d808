//! Every page in every state it can be in, with made-up people: rendered strictly here, and looked at by the browser's tests.
//!
//! The texts are as long and as odd as what people write: what a page does with them is seen where it hurts.

mod admin;
mod consultant;
mod setup;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::pages::{
    self, Page, Shell,
    consultant::State,
    plan::{ChangeLine, Group, HeldLine, PlanView, StepLine},
    shell::{Message, Person, Said, Way, When},
};

/// One page in one state.
pub struct Sample {
    /// What it shows, as a file's name.
    pub name: String,
    pub html: String,
}

/// What people call things, so that it hurts.
pub const LONG: &str = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz: Lenkungsausschuss";
pub const ODD: &str = "\"><img src=x onerror=alert(1)> {{7*191}} </script> \u{202e}gnirts";

/// All of them.
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    samples.extend(setup::samples());
    samples.extend(consultant::samples());
    samples.extend(admin::samples());
    samples.push(sample("message", shell("Nothing here", "/x", Who::Nobody), &message(None)));
    samples.push(sample("message-signed-in", shell("Not allowed", "/app", Who::Consultant), &message(Some("csrf"))));
    samples
}

fn message(code: Option<&'static str>) -> Message {
    Message {
        heading: "Nothing here".into(),
        text: "There is nothing here that you may see.".into(),
        link: Some(Way { href: "/".into(), text: "Go on".into() }),
        code,
        request: code.map(|_| "01JEXAMPLE0REQUEST".into()),
    }
}

fn sample<P: Page>(name: &str, shell: Shell, page: &P) -> Sample {
    Sample { name: name.into(), html: pages::html(&shell, page) }
}

/// Who looks.
#[derive(Clone, Copy)]
enum Who {
    Nobody,
    Consultant,
    Admin,
}

fn shell(title: &str, path: &str, who: Who) -> Shell {
    let mut shell = Shell::new(title, path);
    shell.csrf = "proof".into();
    shell.person = match who {
        Who::Nobody => None,
        Who::Consultant => Some(Person { email: "ada@home.example".into(), admin: false }),
        Who::Admin => Some(Person { email: "augusta-ada.king-noel@home.example".into(), admin: true }),
    };
    shell
}

fn said(mut shell: Shell, said: Said) -> Shell {
    shell.said = Some(said);
    shell
}

fn now() -> DateTime<Utc> {
    "2026-03-02T10:14:03Z".parse().unwrap()
}

/// So many minutes from now.
fn at(minutes: i64) -> When {
    When::new(now() + TimeDelta::minutes(minutes), now(), Tz::Europe__Vienna)
}

fn state(tone: &'static str, text: &str) -> State {
    State::new(tone, text)
}

fn step(sign: char, tone: &'static str, verb: &'static str, kind: &'static str, when: &str, why: &str) -> StepLine {
    StepLine {
        sign,
        tone,
        verb,
        kind,
        when: when.into(),
        title: None,
        repeats: false,
        why: why.into(),
        changes: Vec::new(),
        outcome: None,
    }
}

/// A plan with each kind of step, note and hold; `titles`: for its owner.
fn plan(titles: bool) -> PlanView {
    let title = |text: &str| titles.then(|| text.to_owned());
    let mut changed = step('~', "update", "Update", "copy", "Tue  3 Mar 11:00–12:00", "changed on acme");
    changed.title = title("Kick-off");
    changed.changes = vec![
        ChangeLine {
            field: "time", values: Some(("Tue 3 Mar 11:00–12:00".into(), "Tue 3 Mar 11:30–12:30".into()))
        },
        ChangeLine { field: "place", values: None },
    ];
    let mut new = step('+', "create", "Create", "copy", "Mon  2 Mar 09:00–10:00", "new on acme");
    (new.title, new.repeats) = (title(LONG), true);
    let mut odd = step('-', "delete", "Delete", "busy", "Wed  4 Mar", "no longer blocks time at home");
    odd.title = title(ODD);
    let back = step('↩', "origin", "At the origin", "event", "Thu  5 Mar 16:00–17:00", "you moved the copy at home");
    PlanView {
        notes: vec!["globex cannot be read: access was revoked".into()],
        held: vec![
            HeldLine { n: 3, calendar: "initech".into(), why: "access was revoked; they stay as they are", code: None },
            HeldLine { n: 48, calendar: "acme".into(), why: "many removals at once", code: Some("c0de".into()) },
        ],
        groups: vec![
            Group { calendar: "acme".into(), steps: vec![back], more: 0 },
            Group { calendar: "home".into(), steps: vec![new, changed, odd], more: 112 },
        ],
        bookkeeping: 3,
        summary: "+ create 1   ~ update 1   - delete 1   ↩ write back 1   ‖ held 51   in sync 118".into(),
        changes: 4,
    }
}

/// A plan that was carried out, with each kind of outcome.
fn played(titles: bool) -> PlanView {
    let mut plan = plan(titles);
    let outcomes = [
        ("✓", "done"),
        ("↷", "skipped: looked at again"),
        ("✕", "Google refused it (403: the calendar's usage limits are exceeded)"),
    ];
    let steps = plan.groups.iter_mut().flat_map(|group| &mut group.steps);
    for (step, (sign, text)) in steps.zip(outcomes.iter().cycle()) {
        step.outcome = Some((sign, (*text).into()));
    }
    plan
}

/// A plan without anything to do.
fn nothing() -> PlanView {
    let summary = "In sync. 121 items on 4 calendars match; nothing to do.".into();
    PlanView { summary, ..PlanView::default() }
}

#[test]
fn every_page_of_every_state_is_rendered_without_anything_that_a_strict_policy_forbids() {
    let samples = all();
    let mut names: Vec<&str> = samples.iter().map(|sample| sample.name.as_str()).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before, "each sample has a name of its own");
    let handler = regex::Regex::new(r#"(?i)<[^>]*\s(on[a-z]+|style)\s*="#).unwrap();
    let quoted = regex::Regex::new("\"[^\"]*\"").unwrap();
    let script = regex::Regex::new(r"(?i)<script(?P<rest>[^>]*)>(?P<text>[^<]*)").unwrap();
    for Sample { name, html } in &samples {
        // What people wrote is text.
        assert!(!html.contains("<img src=x") && !html.contains("1337"), "{name}");
        let bare = quoted.replace_all(html, "\"\"");
        assert!(!handler.is_match(&bare), "{name}: {:?}", handler.find(&bare));
        assert!(!html.contains("<style") && !html.contains("javascript:"), "{name}");
        for found in script.captures_iter(html) {
            assert!(found["rest"].contains("src=") && found["text"].trim().is_empty(), "{name}: {found:?}");
        }
        // Every form that changes something proves where it comes from.
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let changes = form.contains("method=\"post\"");
            assert_eq!(changes, form.contains("name=\"csrf\" value=\"proof\""), "{name}: {form}");
        }
    }
    // Each template is shown by one at least.
    let shown: std::collections::BTreeSet<&str> =
        samples.iter().map(|sample| sample.name.split("--").next().unwrap()).collect();
    for file in pages::TEMPLATES.iter().map(|(name, _)| *name) {
        let part = ["layout", "parts/", "mail/", "steps"].iter().any(|part| file.contains(part));
        let page = file.trim_end_matches(".html").replace('/', "-");
        assert!(part || shown.iter().any(|name| name.starts_with(&page)), "{file} has no sample");
    }
}
