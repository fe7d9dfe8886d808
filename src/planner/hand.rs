//! What a person did to a copy, carried to its origin: changes of an editable copy field by field, answers to an invitation, and
//! removals (specification, "Client Calendar → Main Calendar", "Edit Rights"; design, "removing a copy on main").
//!
//! Invariants: a personal calendar is never written; what the person may not change at the origin is put back on the copy; a
//! meeting with guests is never removed without the person's word.

use super::{
    desired::{self, Desired},
    face,
    flows::Flow,
};
use crate::model::{
    body::{Body, Digest, Field},
    calendar::{Calendar, Role},
    event::{Kind, Slot},
    id::{Etag, EventId},
    item::ItemKey,
    plan::Action,
    snapshot::Snapshot,
};

/// What is carried from an editable copy to its origin. The rest is put back.
pub const CARRIED: [Field; 5] = [Field::Time, Field::Repetition, Field::Title, Field::Place, Field::Description];

/// A person's hand on one copy.
pub struct Hand<'a> {
    pub snapshot: &'a Snapshot,
    pub flow: &'a Flow,
    pub key: &'a ItemKey,
    pub wanted: &'a Desired<'a>,
}

/// What the removal of a copy means.
pub enum Removal {
    /// It stays away; nothing happens at the origin.
    Dismiss,
    Act(Action),
    /// The person is asked first.
    Ask(Action),
}

impl Hand<'_> {
    /// What changing these fields of the copy means for the origin; none if nothing of it can be carried there. `copy` is what
    /// the copy shows, `seen` its digest. An answer goes first, and alone.
    pub fn edited(&self, fields: &[Field], copy: &Body, seen: Digest, incarnation: u32) -> Option<Action> {
        let calendar = self.calendar()?;
        let (event, etag, from) = self.origin()?;
        if fields.contains(&Field::Answer)
            && let Some(to) = copy.answer
            && self.is_invited()
            && calendar.writable
            && calendar.role != Role::Personal
        {
            return Some(Action::Respond { event, etag, incarnation, from: from.answer, to, seen: Some(seen) });
        }
        if !desired::is_editable(self.wanted.event, calendar) {
            return None;
        }
        let mut to = from.clone();
        let mut carried = Vec::new();
        let why = desired::why_link(self.snapshot, self.key);
        let about = desired::about(self.snapshot, self.flow, self.wanted.event, &why);
        for field in fields.iter().copied().filter(|field| CARRIED.contains(field)) {
            match field {
                Field::Title => to.title = face::title_of(copy.title.as_deref(), about),
                Field::Description => {
                    let text = face::description_of(copy.description.as_deref(), self.wanted.event, about);
                    let Some(text) = text else { continue };
                    to.description = text;
                }
                // An instance has no rule of its own, and where others are invited a series is not cut short for them.
                Field::Repetition if self.slot().is_some() || (self.is_others_too() && is_cut(&from, copy)) => continue,
                field => to.take(field, copy),
            }
            carried.push(field);
        }
        let to = to.canonical();
        carried.retain(|field| to.changed(&from).contains(field));
        if carried.is_empty() {
            return None;
        }
        Some(Action::WriteBack {
            event,
            etag,
            incarnation,
            fields: carried,
            from: Box::new(from),
            to: Box::new(to),
            seen,
        })
    }

    /// What removing the copy means for the origin.
    pub fn removed(&self, incarnation: u32) -> Removal {
        let (Some(calendar), Some((event, etag, from))) = (self.calendar(), self.origin()) else {
            return Removal::Dismiss;
        };
        if !calendar.writable || calendar.role == Role::Personal {
            return Removal::Dismiss;
        }
        let own = self.wanted.event.organizer
            && self.wanted.event.kind == Kind::Ordinary
            && desired::is_editable(self.wanted.event, calendar);
        let withdraw = || Action::Withdraw { event: event.clone(), etag: etag.clone(), incarnation };
        // What stands on a calendar that is not the account's own is others', too.
        if own && !self.is_others_too() {
            return Removal::Act(withdraw());
        }
        if own {
            let agreed = self.snapshot.approved.contains(&(self.key.origin.calendar.clone(), event.clone()));
            return if agreed { Removal::Act(withdraw()) } else { Removal::Ask(withdraw()) };
        }
        if self.is_invited() {
            let to = crate::model::body::Answer::Declined;
            return Removal::Act(Action::Respond { event, etag, incarnation, from: from.answer, to, seen: None });
        }
        Removal::Dismiss
    }

    fn calendar(&self) -> Option<&Calendar> {
        self.snapshot.calendars.get(&self.key.origin.calendar)
    }

    /// The instance that is meant, where it has no event of its own.
    fn slot(&self) -> Option<Slot> {
        self.key.origin.instance
    }

    /// The event to write at the origin, its version, and what it says now.
    fn origin(&self) -> Option<(EventId, Option<Etag>, Body)> {
        let event = self.wanted.event;
        match self.slot().filter(|_| self.wanted.implied) {
            Some(slot) => Some((event.id.instance(&slot), None, desired::implied(&event.body, &slot)?)),
            None => Some((event.id.clone(), Some(event.etag.clone()), event.body.clone())),
        }
    }

    /// The person is a guest, and not the one who invites.
    fn is_invited(&self) -> bool {
        self.wanted.event.body.answer.is_some() && !self.wanted.event.organizer
    }

    fn is_others_too(&self) -> bool {
        self.wanted.event.others > 0 || !self.calendar().is_some_and(|calendar| calendar.own)
    }
}

/// Whether a rule differs from another only in that it ends earlier: the first half of a "this and following".
fn is_cut(from: &Body, to: &Body) -> bool {
    let without_end = |line: &String| {
        let parts: Vec<&str> =
            line.split(';').filter(|part| !part.starts_with("UNTIL=") && !part.starts_with("COUNT=")).collect();
        parts.join(";")
    };
    let rules = |body: &Body| body.recurrence.iter().map(without_end).collect::<Vec<_>>();
    let ends = to.recurrence.iter().any(|line| line.contains("UNTIL=") || line.contains("COUNT="));
    from.recurrence != to.recurrence && ends && rules(from) == rules(to)
}
