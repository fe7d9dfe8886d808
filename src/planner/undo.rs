//! Takes a run back: a plan of its own, of the opposite steps, that leaves alone what changed since.
//!
//! What is taken back stays so: each item remembers what was desired of it at that moment ([`Memory::Undone`]), and is left alone
//! until something else is.
//!
//! [`Memory::Undone`]: crate::model::mapping::Memory::Undone

use super::desired::{self, Wishes};
use crate::model::{
    body::{Answer, Digest, Field},
    calendar::{Calendar, Freshness, Role, Standing},
    event::Event,
    item::{ItemKey, Observed, ObservedState},
    plan::{Action, Held, HeldReason, Plan, Reason, Step},
    run::{Deed, Done, Run},
    snapshot::{Origin, Snapshot},
};

/// Why a step of a run is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// It was changed since.
    Changed,
    /// It is not there any more.
    Gone,
    /// It is there again.
    Back,
    /// Its calendar is no longer connected.
    Left,
}

impl Since {
    /// The end of the sentence "… is left alone: …".
    pub fn sentence(self) -> &'static str {
        match self {
            Since::Changed => "it was changed since",
            Since::Gone => "it is not there any more",
            Since::Back => "it is there again",
            Since::Left => "its calendar is no longer connected",
        }
    }
}

/// A run taken back.
#[derive(Clone, Debug)]
pub struct Undo {
    pub plan: Plan,
    /// What is left alone, and why.
    pub skipped: Vec<(ItemKey, Since)>,
}

/// The plan that takes a run back. The last step first, where they concern one event.
pub fn undo(snapshot: &Snapshot, run: &Run) -> Undo {
    let wishes = Wishes::new(snapshot);
    let mut undo = Undo { plan: super::empty(snapshot), skipped: Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    for done in run.done.iter().rev().filter(|done| !done.twin) {
        // Of several steps on one event only the last is what stands there.
        if !seen.insert((done.key.clone(), done.event.clone(), matches!(done.deed, Deed::Ours))) {
            continue;
        }
        let calendar = match done.deed {
            Deed::Ours => &done.key.target,
            _ => &done.key.origin.calendar,
        };
        let action = match snapshot.calendars.get(calendar) {
            Some(calendar) if calendar.standing == Standing::Connected => match done.deed {
                Deed::Ours => ours(snapshot, done),
                _ => at_origin(snapshot, done),
            },
            _ => Err(Since::Left),
        };
        match action {
            Ok(None) => {}
            Ok(Some(action)) => {
                let when = action_time(&action).cloned();
                let undone = matches!(done.deed, Deed::Ours).then(|| desired::wanted(&wishes, &done.key));
                let step = Step {
                    key: done.key.clone(),
                    face: done.face,
                    action,
                    reason: Reason::Undone,
                    beside: done.beside,
                    when,
                    title: None,
                    undone,
                };
                match obstacle(snapshot.calendars.get(calendar)) {
                    None => undo.plan.steps.push(step),
                    Some(reason) => undo.plan.held.push(Held { step, reason }),
                }
            }
            Err(why) => undo.skipped.push((done.key.clone(), why)),
        }
    }
    undo.plan.steps = super::order::order(std::mem::take(&mut undo.plan.steps));
    undo.skipped.sort();
    undo
}

fn action_time(action: &Action) -> Option<&crate::model::body::When> {
    match action {
        Action::Create { body, .. } => Some(&body.when),
        Action::Update { to, .. } | Action::Amend { to, .. } => Some(&to.when),
        Action::Delete { from, .. } => Some(&from.when),
        Action::WriteBack { to, .. } => Some(&to.when),
        _ => None,
    }
}

fn obstacle(calendar: Option<&Calendar>) -> Option<HeldReason> {
    match calendar {
        Some(calendar) if calendar.freshness != Freshness::Current => Some(HeldReason::TargetNotCurrent),
        Some(calendar) if !calendar.writable || calendar.role == Role::Personal => Some(HeldReason::ReadOnly),
        _ => None,
    }
}

/// The opposite of what was done to something of ours.
fn ours(snapshot: &Snapshot, done: &Done) -> Result<Option<Action>, Since> {
    let here = snapshot.observed.iter().filter(|(key, _)| key.target == done.key.target);
    let now = here.flat_map(|(_, observed)| observed).find(|observed| observed.event == done.event);
    let (event, incarnation) = (done.event.clone(), done.incarnation);
    let live = now.and_then(|now| match &now.state {
        ObservedState::Live { etag, body, digest, .. } => Some((etag, body, *digest)),
        ObservedState::Gone { .. } => None,
    });
    match (&done.effect.before, &done.effect.after) {
        (None, None) => Ok(None),
        (before, Some(after)) => {
            let (etag, body, digest) = live.ok_or(Since::Gone)?;
            if digest != after.digest() {
                return Err(Since::Changed);
            }
            let (etag, from) = (etag.clone(), body.clone());
            Ok(Some(match before {
                None => Action::Delete { event, etag, incarnation, from: Box::new(from) },
                Some(to) if to.digest() == digest => return Ok(None),
                Some(to) => Action::Update { event, etag, incarnation, from, to: to.clone() },
            }))
        }
        (Some(before), None) => {
            if live.is_some() || (event.as_instance().is_none() && is_there(snapshot, &done.key)) {
                return Err(Since::Back);
            }
            if event.as_instance().is_some() {
                return Ok(Some(Action::Amend { event, incarnation, to: before.clone() }));
            }
            let all = snapshot.observed.get(&done.key).into_iter().flatten();
            let spent = all.map(|observed| observed.incarnation).max().unwrap_or(0).max(incarnation);
            let event = snapshot.ids.event_id(&done.key, spent + 1);
            Ok(Some(Action::Create { event, incarnation: spent + 1, body: before.clone() }))
        }
    }
}

/// Whether an event of its own stands for this item.
fn is_there(snapshot: &Snapshot, key: &ItemKey) -> bool {
    let live = |observed: &Observed| !observed.in_series && matches!(observed.state, ObservedState::Live { .. });
    snapshot.observed.get(key).into_iter().flatten().any(live)
}

/// The opposite of what was done to an origin.
fn at_origin(snapshot: &Snapshot, done: &Done) -> Result<Option<Action>, Since> {
    let (event, incarnation) = (done.event.clone(), done.incarnation);
    let now = origin(snapshot, done);
    let copy = snapshot.observed.get(&done.key).into_iter().flatten().find_map(|observed| match &observed.state {
        ObservedState::Live { digest, .. } => Some(*digest),
        ObservedState::Gone { .. } => None,
    });
    let Done { effect, deed, .. } = done;
    match (deed, &effect.before, &effect.after) {
        (Deed::WroteBack(fields), Some(before), Some(after)) => {
            let now = now.ok_or(Since::Gone)?;
            if after.changed(&now.body).iter().any(|field| fields.contains(field)) {
                return Err(Since::Changed);
            }
            let mut to = now.body.clone();
            for field in fields {
                to.take(*field, before);
            }
            let fields: Vec<Field> = to.changed(&now.body);
            if fields.is_empty() {
                return Ok(None);
            }
            Ok(Some(Action::WriteBack {
                event,
                etag: Some(now.etag.clone()),
                incarnation,
                fields,
                from: Box::new(now.body.clone()),
                to: Box::new(to),
                seen: copy.unwrap_or(Digest::UNKNOWN),
            }))
        }
        (Deed::Responded, Some(before), Some(after)) => {
            let now = now.ok_or(Since::Gone)?;
            if now.body.answer != after.answer {
                return Err(Since::Changed);
            }
            let to = before.answer.unwrap_or(Answer::None);
            let from = now.body.answer;
            Ok(Some(Action::Respond { event, etag: Some(now.etag.clone()), incarnation, from, to, seen: copy }))
        }
        (Deed::Withdrew, Some(before), None) => match now {
            Some(_) => Err(Since::Back),
            None => Ok(Some(Action::Restore { event, incarnation, body: Box::new(before.clone()) })),
        },
        (Deed::Restored, None, Some(after)) => {
            let now = now.ok_or(Since::Gone)?;
            if after.changed(&now.body).is_empty() {
                return Ok(Some(Action::Withdraw { event, etag: Some(now.etag.clone()), incarnation }));
            }
            Err(Since::Changed)
        }
        _ => Ok(None),
    }
}

/// The origin that a step wrote, as it is now.
fn origin<'a>(snapshot: &'a Snapshot, done: &Done) -> Option<&'a Event> {
    let family = snapshot.origins.get(&done.key.origin.calendar)?.get(&done.key.origin.event)?;
    family.head.iter().chain(family.exceptions.values()).find_map(|origin| match origin {
        Origin::Live(event) if event.id == done.event => Some(&**event),
        _ => None,
    })
}
