//! What waits for a person's word: groups of held removals, each under a code that names exactly these events, so that nobody
//! agrees to something else than what they saw.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::{
    id::{CalendarId, EventId},
    plan::{Held, HeldReason, Plan},
};

/// Removals on one calendar that wait for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: HeldReason,
    pub calendar: CalendarId,
    /// Six characters; another set of events has another code.
    pub code: String,
    pub events: Vec<(CalendarId, EventId)>,
}

impl Waiting {
    /// Whether a held step is one of these.
    pub fn holds(&self, held: &Held) -> bool {
        held.reason == self.reason && *held.step.calendar() == self.calendar
    }
}

/// Everything in a plan that waits for a word.
pub fn waiting(plan: &Plan) -> Vec<Waiting> {
    let mut groups: BTreeMap<(HeldReason, &CalendarId), Vec<(CalendarId, EventId)>> = BTreeMap::new();
    for held in plan.held.iter().filter(|held| held.reason.waits_for_a_word()) {
        let calendar = held.step.calendar();
        if let Some(event) = held.step.action.event() {
            groups.entry((held.reason, calendar)).or_default().push((calendar.clone(), event.clone()));
        }
    }
    groups
        .into_iter()
        .map(|((reason, calendar), mut events)| {
            events.sort();
            let mut hash = Sha256::new();
            for (calendar, event) in &events {
                for part in [calendar.as_str(), event.as_str()] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part.as_bytes());
                }
            }
            let text = data_encoding::BASE32_DNSCURVE.encode(&hash.finalize()[..5]);
            Waiting { reason, calendar: calendar.clone(), code: text[..6].to_owned(), events }
        })
        .collect()
}
