//! A plan as a page: the same grammar as the text of [`crate::planner::render`].

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::Serialize;

use crate::{
    model::{
        body::{Field, When},
        id::CalendarId,
        plan::{Action, ActionKind, Outcome, Plan, Step},
        run::{PastOutcome, PastPlan, PastStep},
    },
    planner::render::{self, Lens},
};

/// A plan, ready to print.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlanView {
    pub notes: Vec<String>,
    pub held: Vec<HeldLine>,
    pub groups: Vec<Group>,
    pub bookkeeping: usize,
    pub summary: String,
    pub changes: usize,
}

/// Steps that wait, and why.
#[derive(Clone, Debug, Serialize)]
pub struct HeldLine {
    pub n: usize,
    pub calendar: String,
    pub why: &'static str,
    /// The code under which they may be approved.
    pub code: Option<String>,
}

/// Steps of one calendar.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    pub calendar: String,
    pub steps: Vec<StepLine>,
    /// Those that are not printed.
    pub more: usize,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    pub sign: char,
    pub tone: &'static str,
    pub verb: &'static str,
    pub kind: &'static str,
    pub when: String,
    pub title: Option<String>,
    pub repeats: bool,
    pub why: String,
    pub changes: Vec<ChangeLine>,
    pub outcome: Option<(&'static str, String)>,
}

/// One field that changes.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeLine {
    pub field: &'static str,
    /// None: only that it changes is told.
    pub values: Option<(String, String)>,
}

impl PlanView {
    /// A plan for these eyes, with at most so many steps of each calendar.
    pub fn new(plan: &Plan, lens: Lens, most: usize) -> Self {
        Self::with(plan, &[], lens, most)
    }

    /// A plan with what came of it.
    pub fn with(plan: &Plan, outcomes: &[Outcome], lens: Lens, most: usize) -> Self {
        let zone: Tz = plan.zone.parse().unwrap_or(Tz::UTC);
        let name = |id: &CalendarId| {
            plan.names.get(id).cloned().unwrap_or_else(|| "a calendar that is no longer connected".into())
        };
        let notes = plan.unreadable.iter().map(|unreadable| {
            let why = unreadable.why.map_or("it was never read to the end", |why| why.sentence());
            format!("{} cannot be read: {why}", unreadable.calendar)
        });
        let mut held = BTreeMap::new();
        for one in &plan.held {
            *held.entry((one.reason, one.step.calendar().clone())).or_insert(0) += 1;
        }
        let held = held.into_iter().map(|((reason, calendar), n)| HeldLine {
            n,
            code: render::code_of(plan, reason, &calendar),
            calendar: name(&calendar),
            why: reason.sentence(),
        });
        let mut groups: BTreeMap<String, Vec<(&Step, Option<&Outcome>)>> = BTreeMap::new();
        for (n, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.action.writes()) {
            groups.entry(name(step.calendar())).or_default().push((step, outcomes.get(n)));
        }
        let groups = groups.into_iter().map(|(calendar, mut steps)| {
            steps.sort_by_key(|(step, _)| (step.when.as_ref().map(When::start), &step.key));
            let more = steps.len().saturating_sub(most);
            let line = |(step, outcome): &(&Step, Option<&Outcome>)| StepLine {
                outcome: outcome.map(told),
                ..step_line(plan, step, lens, zone)
            };
            Group { calendar, steps: steps.iter().take(most).map(line).collect(), more }
        });
        PlanView {
            notes: notes.collect(),
            held: held.collect(),
            groups: groups.collect(),
            bookkeeping: plan.steps.iter().filter(|step| !step.action.writes()).count(),
            summary: render::summary(plan),
            changes: plan.steps.iter().filter(|step| step.action.writes()).count(),
        }
    }
}

impl PlanView {
    /// A plan that was carried out, with what came of it.
    pub fn of_past(past: &PastPlan, lens: Lens, most: usize) -> Self {
        let zone: Tz = past.zone.parse().unwrap_or(Tz::UTC);
        let mut held = BTreeMap::new();
        for (reason, calendar) in &past.held {
            *held.entry((*reason, past.name(calendar))).or_insert(0) += 1;
        }
        let mut groups: BTreeMap<&str, Vec<&PastStep>> = BTreeMap::new();
        for step in past.steps.iter().filter(|step| step.kind.writes()) {
            groups.entry(past.name(step.calendar())).or_default().push(step);
        }
        let count = |test: fn(&PastOutcome) -> bool| {
            past.steps.iter().filter(|step| step.kind.writes() && step.outcome.as_ref().is_some_and(test)).count()
        };
        let changes = past.steps.iter().filter(|step| step.kind.writes()).count();
        let told = [
            (count(|outcome| *outcome == PastOutcome::Done), "done"),
            (count(|outcome| matches!(outcome, PastOutcome::Skipped(_))), "skipped"),
            (count(|outcome| matches!(outcome, PastOutcome::Failed { .. })), "failed"),
            (past.held.len(), "held"),
        ];
        let told: Vec<String> = told.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        PlanView {
            notes: past.unreadable.iter().map(|(name, why)| format!("{name} could not be read: {why}")).collect(),
            held: held
                .into_iter()
                .map(|((reason, calendar), n)| HeldLine {
                    n,
                    calendar: calendar.to_owned(),
                    why: reason.sentence(),
                    code: None,
                })
                .collect(),
            groups: groups
                .into_iter()
                .map(|(calendar, mut steps)| {
                    steps.sort_by_key(|step| step.when.as_ref().map(When::start));
                    Group {
                        calendar: calendar.to_owned(),
                        more: steps.len().saturating_sub(most),
                        steps: steps.iter().take(most).map(|step| past_line(past, step, lens, zone)).collect(),
                    }
                })
                .collect(),
            bookkeeping: past.steps.len() - changes,
            summary: if told.is_empty() { "Nothing was changed.".into() } else { format!("{}.", told.join(", ")) },
            changes,
        }
    }
}

/// A step of the past.
fn past_line(past: &PastPlan, step: &PastStep, lens: Lens, zone: Tz) -> StepLine {
    let PastStep { kind, face, target: _, origin, when, title, repeats, changed, reason, outcome } = step;
    let (tone, verb) = manner(*kind);
    let outcome = match outcome {
        None => ("◌", "not reached".to_owned()),
        Some(PastOutcome::Done) => ("✓", "done".to_owned()),
        Some(PastOutcome::Skipped(why)) => ("↷", format!("skipped: {why}")),
        Some(PastOutcome::Failed { class: _, message: Some(message) }) if lens == Lens::Owner => {
            ("✕", format!("failed: {message}"))
        }
        Some(PastOutcome::Failed { class, message: _ }) => ("✕", format!("failed: {class}")),
    };
    StepLine {
        sign: render::symbol(*kind),
        tone,
        verb,
        kind: face.word(),
        when: when.as_ref().map(|when| render::span(when, zone, past.at)).unwrap_or_default(),
        title: title.clone().filter(|_| lens == Lens::Owner),
        repeats: *repeats,
        why: render::reason(*reason, past.name(origin)),
        changes: changed.iter().map(|field| ChangeLine { field: field.word(), values: None }).collect(),
        outcome: Some(outcome),
    }
}

fn told(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Done => ("✓", "done".into()),
        Outcome::Skipped(_) => ("↷", "skipped: looked at again".into()),
        Outcome::Failed { message, .. } => ("✕", message.clone()),
    }
}

/// The colour and the verb of a step.
fn manner(kind: ActionKind) -> (&'static str, &'static str) {
    match kind {
        ActionKind::Create => ("create", "Create"),
        ActionKind::Update | ActionKind::Amend => ("update", "Update"),
        ActionKind::Delete | ActionKind::Cancel => ("delete", "Delete"),
        ActionKind::WriteBack | ActionKind::Respond | ActionKind::Withdraw | ActionKind::Restore => {
            ("origin", "At the origin")
        }
        ActionKind::Doubt | ActionKind::Adopt | ActionKind::Dismiss | ActionKind::Forget => ("held", "Remember"),
    }
}

fn step_line(plan: &Plan, step: &Step, lens: Lens, zone: Tz) -> StepLine {
    let (tone, verb) = manner(step.action.kind());
    let changes = match &step.action {
        Action::Update { from, to, .. } => to.changed(from).into_iter().map(|field| (field, from, to)).collect(),
        Action::WriteBack { from, to, fields, .. } => fields.iter().map(|field| (*field, &**from, &**to)).collect(),
        _ => Vec::new(),
    };
    let changes = changes.into_iter().map(|(field, from, to)| ChangeLine {
        field: field.word(),
        values: match field {
            Field::Time => Some((render::span(&from.when, zone, plan.at), render::span(&to.when, zone, plan.at))),
            Field::Title if lens == Lens::Owner => {
                let text = |title: &Option<String>| title.clone().unwrap_or_else(|| "untitled".into());
                Some((text(&from.title), text(&to.title)))
            }
            _ => None,
        },
    });
    StepLine {
        sign: render::symbol(step.action.kind()),
        tone,
        verb,
        kind: step.face.word(),
        when: step.when.as_ref().map(|when| render::span(when, zone, plan.at)).unwrap_or_default(),
        title: step.title.clone().filter(|_| lens == Lens::Owner),
        repeats: render::repeats(&step.action),
        why: render::why(plan, step),
        changes: changes.collect(),
        outcome: None,
    }
}
