//! The same meeting on several calendars. One meeting has one `iCalUID` everywhere it stands, so that the person's calendars at
//! home and at two clients may each show it: then it is shown nowhere a second time. Where the person is natively, nothing of ours
//! stands beside; elsewhere one calendar speaks for it, main before clients before personal ones (design, "same meeting twice").
//!
//! When in doubt, nothing is left out: times and rules have to be equal, and what is declined, cancelled or free stands for nothing.

use std::collections::BTreeMap;

use super::{desired, flows::Flow, horizon};
use crate::model::{
    body::{Body, When},
    event::{Event, Slot},
    id::CalendarId,
    snapshot::{Family, Origin, Snapshot},
};

/// All families by `iCalUID`.
pub struct Index<'a> {
    by_uid: BTreeMap<&'a str, Vec<(&'a CalendarId, &'a Family)>>,
}

/// The same meeting as another calendar has it, and the flow that would show it; none where it is native.
pub struct Rival<'a, 'f> {
    pub calendar: &'a CalendarId,
    pub family: &'a Family,
    flow: Option<&'f Flow>,
    /// The flow whose target is looked at.
    for_flow: &'f Flow,
}

/// The `iCalUID` of a family; none if Google gave none.
pub fn uid(family: &Family) -> Option<&str> {
    let of = |origin: &'_ Origin| match origin {
        Origin::Live(event) => Some(()).filter(|()| !event.uid.is_empty()),
        Origin::Gone => None,
    };
    let origin = family.head.iter().chain(family.exceptions.values()).find(|origin| of(origin).is_some())?;
    match origin {
        Origin::Live(event) => Some(&event.uid),
        Origin::Gone => None,
    }
}

impl<'a> Index<'a> {
    /// Of all origins.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut by_uid: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        if snapshot.calendars.len() > 1 {
            for (calendar, families) in &snapshot.origins {
                for family in families.values() {
                    if let Some(uid) = uid(family) {
                        by_uid.entry(uid).or_default().push((calendar, family));
                    }
                }
            }
            by_uid.retain(|_, members| members.len() > 1);
        }
        Index { by_uid }
    }

    /// Who speaks for this family on the flow's target in its place, if what they have is the same.
    pub fn rivals<'f>(&self, family: &Family, flow: &'f Flow, flows: &'f [Flow]) -> Vec<Rival<'a, 'f>> {
        let members = uid(family).and_then(|uid| self.by_uid.get(uid)).map(Vec::as_slice).unwrap_or_default();
        members
            .iter()
            .filter(|(calendar, _)| **calendar != flow.source)
            .filter_map(|(calendar, family)| {
                if **calendar == flow.target {
                    return Some(Rival { calendar, family, flow: None, for_flow: flow });
                }
                let other = flows.iter().find(|f| f.source == **calendar && f.target == flow.target)?;
                let first = other.rank < flow.rank;
                first.then_some(Rival { calendar, family, flow: Some(other), for_flow: flow })
            })
            .collect()
    }
}

impl Rival<'_, '_> {
    /// Whether what the rival has is the same single event or series.
    pub fn has_head(&self, head: &Event) -> bool {
        match &self.family.head {
            Some(Origin::Live(event)) => {
                self.stands(event)
                    && same_time(&event.body, &head.body)
                    && event.body.recurrence == head.body.recurrence
            }
            _ => false,
        }
    }

    /// Whether the rival has an occurrence of that slot at that time.
    pub fn has_occurrence(&self, slot: &Slot, body: &Body) -> bool {
        match (self.family.exceptions.get(slot), &self.family.head) {
            // With the series went its occurrences, whatever was said of them before (checklist B20).
            (_, Some(Origin::Gone)) => false,
            (Some(Origin::Live(event)), _) => self.stands(event) && same_time(&event.body, body),
            (Some(Origin::Gone), _) => false,
            (None, Some(Origin::Live(series))) => {
                let implied = desired::implied(&series.body, slot);
                self.stands(series)
                    && horizon::may_begin(&series.body, slot)
                    && implied.is_some_and(|implied| same_time(&implied, body))
            }
            (None, _) => false,
        }
    }

    /// Whether the event takes the person's time there, or will be shown there.
    fn stands(&self, event: &Event) -> bool {
        // A free copy takes no time, whatever it is a copy of.
        self.flow.is_none_or(|flow| flow.admits(event).is_ok()) && self.for_flow.shows(event).is_ok()
    }
}

fn same_time(a: &Body, b: &Body) -> bool {
    let days = |body: &Body| matches!(body.when, When::Days { .. });
    days(a) == days(b) && a.when.start() == b.when.start() && a.when.end() == b.when.end()
}
