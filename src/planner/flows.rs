//! Which calendar is shown on which, and with what face. Nothing else in the planner knows the roles of calendars.

use std::collections::BTreeMap;

use crate::model::{
    calendar::{Calendar, Role},
    id::CalendarId,
    item::Face,
};

/// One rule: origins of `source` appear on `target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub source: CalendarId,
    pub target: CalendarId,
    pub face: Face,
}

/// The flows of main, client and personal calendars (specification, "Sync Rules"): client → main in full; main → each client
/// and client → each *other* client as busy; personal → main and each client as personal. A personal calendar is never a
/// target.
pub fn flows(calendars: &BTreeMap<CalendarId, Calendar>) -> Vec<Flow> {
    let mut flows = Vec::new();
    for source in calendars.values() {
        for target in calendars.values().filter(|target| target.id != source.id) {
            let face = match (source.role, target.role) {
                (Role::Client, Role::Main) => Face::Copy,
                (Role::Main | Role::Client, Role::Client) => Face::Busy,
                (Role::Personal, Role::Main | Role::Client) => Face::PersonalBusy,
                (Role::Main, Role::Main) | (_, Role::Personal) => continue,
            };
            flows.push(Flow { source: source.id.clone(), target: target.id.clone(), face });
        }
    }
    flows
}
