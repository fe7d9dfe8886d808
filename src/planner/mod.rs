//! Decides what to do. Snapshot in, plan out; total, synchronous and deterministic: equal snapshots give equal plans, byte
//! for byte, and nothing here can wait, fail or look at a clock.
//!
//! The heart is a three-way merge for each item (◆ live, † tombstone, – out of sight). *Origin moved*: what is desired is not
//! what we last asked for. *Copy moved*: what is observed is not what Google answered then.
//!
//! ```text
//!  desired  observed    memory         meaning                          step
//!  ───────  ──────────  ─────────────  ───────────────────────────────  ───────────────────────────────────────────
//!  yes      –           –              new at the origin                Create
//!  yes      ◆           nothing moved  in sync                          –
//!  yes      ◆           origin moved   the origin changed               Update
//!  yes      ◆           copy moved     somebody edited ours             editable copy → WriteBack; an answer → Respond;
//!                                                                       else Update: put back
//!  yes      ◆           both moved     both changed                     field by field: the origin wins where both did
//!  yes      ◆ as asked  something      they meet anyway                 Adopt
//!  yes      ◆           –              our database forgot              Adopt if as asked, else Update
//!  yes      †           kept           somebody removed ours            copy → Withdraw, Respond, held or Dismiss
//!                                                                       (table below); block → Create, next incarnation
//!  yes      †           leaving, –     we removed it; wanted again      Create, next incarnation
//!  yes      –           kept           lost from sight, no tombstone    Create, next incarnation
//!  yes      – †         dismissed      the person does not want it      –
//!  any      any         undone         a person took our step back      – until something else is asked
//!  no       ◆           any            gone, free, declined, leaving    Delete, if that is proven; else held
//!  no       – †         any            nothing left                     Forget
//! ```
//!
//! What the removal of a copy means ([`hand`]): the person's own meeting without guests → it is deleted; an invitation →
//! declined; the person's own meeting with guests → held for their word; anything else → dismissed. Only a tombstone that Google
//! itself told counts, never an absence.
//!
//! What is put back is put back three times a day, then it is left alone and shown.
//!
//! Two guards stand above the table: *target not current → held*, and *origin not current, or nothing proves that it is gone →
//! nothing destructive*. After it stands the brake ([`policy`]). What left the horizon is released: forgotten and left as
//! history, never deleted.
//!
//! A series and its exceptions are judged together ([`diff`]): the series is made first, a deleted series takes its exceptions
//! with it, and an exception that is cancelled, declined or free is *desired absent*, which at Google is a cancelled instance,
//! not nothing. No rule is ever expanded.

pub mod alerts;
pub mod approval;
pub mod channels;
pub mod check;
pub mod desired;
pub mod diff;
pub mod face;
pub mod flows;
mod hand;
pub mod horizon;
pub mod order;
pub mod policy;
pub mod polling;
pub mod render;
mod sameness;
pub mod undo;
pub mod why;

use crate::model::{
    calendar::{Freshness, Role},
    plan::{Plan, Unreadable},
    snapshot::Snapshot,
};

/// The plan for this snapshot.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let diff::Verdicts { steps, held, in_sync } = diff::diff(snapshot);
    let (steps, braked) = policy::brake(snapshot, order::order(policy::within_range(snapshot, steps)));
    let mut held: Vec<_> = held.into_iter().chain(braked).collect();
    held.sort_by(|a, b| (a.reason, &a.step.key).cmp(&(b.reason, &b.step.key)));
    Plan { steps, held, in_sync, ..empty(snapshot) }
}

/// A plan that does nothing, with all that people should know.
fn empty(snapshot: &Snapshot) -> Plan {
    let unreadable = snapshot
        .calendars
        .values()
        .filter_map(|calendar| {
            let why = match calendar.freshness {
                Freshness::Current => return None,
                Freshness::Stale(why) => Some(why),
                Freshness::Unseen => None,
            };
            Some(Unreadable { calendar: calendar.name.clone(), why })
        })
        .collect();
    let main = snapshot.calendars.values().find(|calendar| calendar.role == Role::Main);
    Plan {
        user: snapshot.user,
        email: snapshot.email.clone(),
        at: snapshot.now,
        names: snapshot.calendars.values().map(|c| (c.id.clone(), c.name.clone())).collect(),
        zone: main.or(snapshot.calendars.values().next()).map_or("UTC", |c| &c.zone).to_owned(),
        unreadable,
        steps: Vec::new(),
        held: Vec::new(),
        in_sync: 0,
    }
}
