//! The three-way merge: what is desired, what is observed and what we remember, item by item. The table is in [`super`].
//!
//! Items come in families: a single event, or a series with its exceptions, on one target. A family is judged as a whole,
//! because an exception lives inside its series at Google: its id is the series' id and its slot.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    desired::{self, Desired, Shape, Wish},
    flows,
    horizon::{body_in_scope, slot_in_scope},
};
use crate::model::{
    body::{Body, Digest},
    calendar::Freshness,
    event::Slot,
    id::{Etag, EventId},
    item::{Face, ItemKey, Observed, ObservedState},
    mapping::{Mapping, Memory},
    plan::{Action, Held, HeldReason, Reason, Step},
    snapshot::{Origin, Snapshot},
};

/// What the merge found.
#[derive(Default)]
pub struct Verdicts {
    pub steps: Vec<Step>,
    pub held: Vec<Held>,
    pub in_sync: usize,
}

/// Merges all families on all targets.
pub fn diff(snapshot: &Snapshot) -> Verdicts {
    let mut families: BTreeMap<ItemKey, Group> = BTreeMap::new();
    let none = BTreeMap::new();
    for flow in flows::flows(&snapshot.calendars) {
        for (event, family) in snapshot.origins.get(&flow.source).unwrap_or(&none) {
            let key = series_key(&flow, event);
            families.entry(key).or_default().wish = Some(desired::wish(snapshot, &flow, event, family));
        }
    }
    for (key, observed) in &snapshot.observed {
        let group = families.entry(key.series()).or_default();
        group.observed.insert(key.origin.instance, observed);
    }
    for (key, mapping) in &snapshot.mappings {
        let group = families.entry(key.series()).or_default();
        group.mappings.insert(key.origin.instance, mapping);
    }
    let mut verdicts = Verdicts::default();
    for (key, group) in &families {
        if snapshot.calendars.contains_key(&key.target) {
            Judge { snapshot, key, group, edge: snapshot.now - snapshot.policy.horizon, out: &mut verdicts }.family();
        }
    }
    verdicts
}

fn series_key(flow: &flows::Flow, event: &EventId) -> ItemKey {
    let origin = crate::model::event::OriginKey { calendar: flow.source.clone(), event: event.clone(), instance: None };
    ItemKey { target: flow.target.clone(), origin }
}

/// All that is known of one family on one target; `None` is the single event or the series itself.
#[derive(Default)]
struct Group<'a> {
    wish: Option<Wish>,
    observed: BTreeMap<Option<Slot>, &'a [Observed]>,
    mappings: BTreeMap<Option<Slot>, &'a Mapping>,
}

/// A live event of ours.
#[derive(Clone, Copy)]
struct Live<'a> {
    event: &'a EventId,
    incarnation: u32,
    etag: &'a Etag,
    body: &'a Body,
    digest: Digest,
    marked: bool,
}

/// Where the series will stand once the plan is carried out.
enum Place {
    There {
        event: EventId,
        incarnation: u32,
    },
    /// Not there, or not to be touched in this plan.
    No,
}

/// What we know of an origin's fate.
#[derive(PartialEq)]
enum Fate {
    Live,
    Gone,
    Unknown,
}

struct Judge<'a, 'b> {
    snapshot: &'a Snapshot,
    key: &'a ItemKey,
    group: &'a Group<'a>,
    /// What ended before is history.
    edge: DateTime<Utc>,
    out: &'b mut Verdicts,
}

impl<'a> Judge<'a, '_> {
    fn family(&mut self) {
        let group = self.group;
        let head = group.wish.as_ref().and_then(|wish| wish.head.as_ref());
        let in_scope = group.wish.as_ref().is_some_and(|wish| wish.in_scope);
        let place = self.item(self.key, None, head, in_scope);
        let mut alone: BTreeMap<Slot, Option<&Desired>> = BTreeMap::new();
        let mut inside: BTreeSet<Slot> = BTreeSet::new();
        if let Some(wish) = &group.wish {
            alone.extend(wish.alone.iter().map(|(slot, desired)| (*slot, Some(desired))));
            for (slot, shape) in &wish.exceptions {
                match (group.mappings.get(&Some(*slot)), shape) {
                    // The target's series has no such slot: it stands beside it.
                    (Some(mapping), Shape::Present(desired)) if mapping.alone => {
                        alone.insert(*slot, Some(desired));
                    }
                    _ => {
                        inside.insert(*slot);
                    }
                }
            }
        }
        for (slot, observed) in &group.observed {
            let Some(slot) = slot else { continue };
            if observed.iter().any(|o| o.in_series) && !alone.contains_key(slot) {
                inside.insert(*slot);
            }
            if observed.iter().any(|o| !o.in_series) {
                alone.entry(*slot).or_insert(None);
            }
        }
        for (slot, mapping) in &group.mappings {
            let Some(slot) = slot else { continue };
            if own_event(mapping) {
                alone.entry(*slot).or_insert(None);
            } else if !alone.contains_key(slot) {
                inside.insert(*slot);
            }
        }
        for (slot, wanted) in alone {
            let in_scope = wanted.is_some_and(|desired| body_in_scope(&desired.body, self.edge));
            self.item(&self.key.at(slot), Some(slot), wanted, in_scope);
        }
        match (place, head) {
            (Place::There { event, incarnation }, Some(head)) => {
                for slot in inside {
                    self.exception(head, &event, incarnation, slot);
                }
            }
            // With the series go its exceptions; of an untouched series nothing is touched.
            _ => {
                if head.is_none() {
                    for slot in inside.into_iter().filter(|slot| group.mappings.contains_key(&Some(*slot))) {
                        self.bookkeeping(&self.key.at(slot), Action::Forget, Reason::NothingLeft);
                    }
                }
            }
        }
    }

    /// Judges an event of its own: a single one, a series, or an exception that stands alone (`slot`).
    fn item(&mut self, key: &ItemKey, slot: Option<Slot>, wanted: Option<&Desired>, in_scope: bool) -> Place {
        let observed = self.group.observed.get(&slot).copied().unwrap_or_default();
        let own = observed.iter().filter(|o| !o.in_series);
        let mapping = self.group.mappings.get(&slot).copied().filter(|m| slot.is_none() || own_event(m));
        let spent = own.clone().map(|o| o.incarnation).chain(mapping.map(|m| m.incarnation)).max();
        let mut live: Vec<Live> = own.clone().filter_map(live).collect();
        live.sort_by_key(|l| (mapping.is_some_and(|m| m.event == *l.event), l.incarnation));
        let kept = live.pop();
        for twin in live {
            self.delete(key, &twin, Reason::Duplicate);
        }
        // What has left the span that is kept up to date is released, unless its copy still stands inside.
        let wanted_in_scope = in_scope || kept.is_some_and(|live| body_in_scope(live.body, self.edge));
        let Some(wanted) = wanted.filter(|_| wanted_in_scope) else {
            match kept {
                Some(live) if wanted.is_none() && body_in_scope(live.body, self.edge) => {
                    self.delete(key, &live, Reason::NotWanted)
                }
                _ => {
                    if mapping.is_some() {
                        self.bookkeeping(key, Action::Forget, Reason::NothingLeft);
                    }
                }
            }
            return Place::No;
        };
        let Some(live) = kept else {
            let next = spent.map_or(0, |spent| spent + 1);
            let reason = match mapping.map(|m| m.memory) {
                Some(Memory::Dismissed) => return Place::No,
                Some(Memory::Kept) if own.clone().any(|o| Some(o.incarnation) == spent) => {
                    if let (Face::Copy, Some(m)) = (self.face(), mapping) {
                        let action = Action::Dismiss { event: m.event.clone(), incarnation: m.incarnation };
                        self.bookkeeping(key, action, Reason::Removed);
                        return Place::No;
                    }
                    Reason::Removed
                }
                Some(Memory::Kept) => Reason::Vanished,
                Some(Memory::Leaving) | None => Reason::NewAtOrigin,
            };
            let event = self.snapshot.ids.event_id(key, next);
            let action = Action::Create { event: event.clone(), incarnation: next, body: wanted.body.clone() };
            return match self.write(key, action, reason, wanted) {
                true => Place::There { event, incarnation: next },
                false => Place::No,
            };
        };
        let mapping = mapping.filter(|m| m.event == *live.event);
        self.compare(key, wanted, &live, mapping);
        match self.target_current() {
            true => Place::There { event: live.event.clone(), incarnation: live.incarnation },
            false => Place::No,
        }
    }

    /// Judges one instance of a series of ours that stands at `series`.
    fn exception(&mut self, head: &Desired, series: &EventId, incarnation: u32, slot: Slot) {
        let key = self.key.at(slot);
        let event = series.instance(&slot);
        let observed = self.group.observed.get(&Some(slot)).copied().unwrap_or_default();
        let observed = observed.iter().rfind(|o| o.event == event);
        let mapping = self.group.mappings.get(&Some(slot)).copied().filter(|m| m.event == event);
        let shape = self.group.wish.as_ref().and_then(|wish| wish.exceptions.get(&slot));
        let implied = desired::implied(&head.body, &slot);
        let ends_late = |body: &Body| body_in_scope(body, self.edge);
        let recent = slot_in_scope(&slot, desired::length(&head.body), self.edge)
            || matches!(shape, Some(Shape::Present(desired)) if ends_late(&desired.body))
            || observed.and_then(live).is_some_and(|live| ends_late(live.body));
        if !recent {
            if mapping.is_some() {
                self.bookkeeping(&key, Action::Forget, Reason::NothingLeft);
            }
            return;
        }
        let gone = observed.is_some_and(|o| matches!(o.state, ObservedState::Gone));
        let asked = mapping.filter(|m| m.memory == Memory::Kept).map(|m| m.applied);
        match shape {
            Some(Shape::Absent) => match observed.and_then(live) {
                Some(live) => self.delete(&key, &live, Reason::NotWanted),
                None if asked == Some(Digest::ABSENT) => self.out.in_sync += 1,
                None if gone => {
                    let (applied, shown) = (Digest::ABSENT, Digest::ABSENT);
                    self.bookkeeping(&key, Action::Adopt { event, incarnation, applied, shown }, Reason::FoundOurs);
                }
                None => {
                    let reason = if self.fate(&key) == Fate::Gone { Reason::GoneAtOrigin } else { Reason::NotWanted };
                    let step = self.step(&key, Action::Cancel { event, incarnation }, reason, None);
                    let proven = self.proof(&key);
                    self.propose(step, proven);
                }
            },
            shape => {
                let wanted = match (shape, &implied) {
                    (Some(Shape::Present(desired)), _) => desired.clone(),
                    (_, Some(body)) => Desired { body: body.clone(), title: head.title.clone() },
                    (_, None) => return,
                };
                let plain = implied.as_ref().is_some_and(|implied| wanted.body.meets(implied));
                match observed.and_then(live) {
                    // Like any other instance, and never touched by us.
                    Some(live) if plain && mapping.is_none() && wanted.body.meets(live.body) => {}
                    Some(live) => self.compare(&key, &wanted, &live, mapping),
                    None if gone => {
                        let reason = match mapping.map(|m| (m.memory, m.applied)) {
                            Some((Memory::Dismissed, _)) => return,
                            Some((Memory::Kept, Digest::ABSENT)) => Reason::ChangedAtOrigin,
                            Some((Memory::Leaving, _)) => Reason::ChangedAtOrigin,
                            _ if self.face() == Face::Copy => {
                                let action = Action::Dismiss { event, incarnation };
                                return self.bookkeeping(&key, action, Reason::Removed);
                            }
                            _ => Reason::Removed,
                        };
                        self.amend(&key, event, incarnation, &wanted, reason);
                    }
                    // The series says it already.
                    None if plain && mapping.is_none_or(|m| m.applied != Digest::ABSENT) => {
                        if mapping.is_some() {
                            self.bookkeeping(&key, Action::Forget, Reason::NothingLeft);
                        }
                    }
                    None => {
                        let reason = if asked.is_some() { Reason::ChangedAtOrigin } else { Reason::NewAtOrigin };
                        self.amend(&key, event, incarnation, &wanted, reason);
                    }
                }
            }
        }
    }

    /// Both are there: do they agree?
    fn compare(&mut self, key: &ItemKey, wanted: &Desired, live: &Live, mapping: Option<&Mapping>) {
        let applied = wanted.body.digest();
        let remembered = mapping.filter(|m| m.memory != Memory::Dismissed);
        let origin_moved = remembered.is_none_or(|m| m.applied != applied);
        let copy_moved = remembered.is_none_or(|m| m.shown != live.digest) || !live.marked;
        if !origin_moved && !copy_moved {
            self.out.in_sync += 1;
            return;
        }
        let (event, incarnation) = (live.event.clone(), live.incarnation);
        if live.marked && wanted.body.meets(live.body) {
            let action = Action::Adopt { event, incarnation, applied, shown: live.digest };
            return self.bookkeeping(key, action, Reason::FoundOurs);
        }
        let reason = match remembered {
            None => Reason::FoundOurs,
            Some(_) if origin_moved => Reason::ChangedAtOrigin,
            Some(_) => Reason::Drifted,
        };
        let (from, to, etag) = (live.body.clone(), wanted.body.clone(), live.etag.clone());
        self.write(key, Action::Update { event, etag, incarnation, from, to }, reason, wanted);
    }

    fn amend(&mut self, key: &ItemKey, event: EventId, incarnation: u32, wanted: &Desired, reason: Reason) {
        self.write(key, Action::Amend { event, incarnation, to: wanted.body.clone() }, reason, wanted);
    }

    fn delete(&mut self, key: &ItemKey, live: &Live, reason: Reason) {
        let reason = match reason {
            Reason::NotWanted if self.fate(key) == Fate::Gone => Reason::GoneAtOrigin,
            reason => reason,
        };
        let (event, etag, incarnation) = (live.event.clone(), live.etag.clone(), live.incarnation);
        let mut step = self.step(key, Action::Delete { event, etag, incarnation }, reason, None);
        step.when = Some(live.body.when.clone());
        // A twin goes because the other one stays; its origin does not matter.
        let proven = if reason == Reason::Duplicate { Ok(()) } else { self.proof(key) };
        self.propose(step, proven);
    }

    /// Proposes a step that destroys nothing; false when it is held.
    fn write(&mut self, key: &ItemKey, action: Action, reason: Reason, wanted: &Desired) -> bool {
        let step = self.step(key, action, reason, Some(wanted));
        self.propose(step, Ok(()))
    }

    fn propose(&mut self, step: Step, proven: Result<(), HeldReason>) -> bool {
        let obstacle = if self.target_current() { proven.err() } else { Some(HeldReason::TargetNotCurrent) };
        match obstacle {
            None => self.out.steps.push(step),
            Some(reason) => self.out.held.push(Held { step, reason }),
        }
        obstacle.is_none()
    }

    /// A change of our memory alone. Only forgetting waits until both ends are seen: while they are not, nothing is settled.
    fn bookkeeping(&mut self, key: &ItemKey, action: Action, reason: Reason) {
        let origin = self.snapshot.calendars.get(&key.origin.calendar);
        let origin_seen = origin.is_none_or(|calendar| calendar.freshness == Freshness::Current);
        if action == Action::Forget && !(self.target_current() && origin_seen) {
            return;
        }
        let step = self.step(key, action, reason, None);
        self.out.steps.push(step);
    }

    fn step(&self, key: &ItemKey, action: Action, reason: Reason, wanted: Option<&Desired>) -> Step {
        let when = wanted.map(|wanted| wanted.body.when.clone()).or_else(|| {
            let wish = self.group.wish.as_ref()?;
            let head = wish.head.as_ref()?;
            let body = match key.origin.instance {
                Some(slot) => desired::implied(&head.body, &slot)?,
                None => head.body.clone(),
            };
            Some(body.when)
        });
        let title = wanted.and_then(|wanted| wanted.title.clone());
        let beside = self.group.mappings.get(&key.origin.instance).is_some_and(|mapping| mapping.alone);
        Step { key: key.clone(), face: self.face(), action, reason, beside, when, title }
    }

    /// How the family looks on this target; what has no flow any more is called a block.
    fn face(&self) -> Face {
        let known = self.group.wish.as_ref().map(|wish| wish.face);
        known.unwrap_or_else(|| {
            let role = |id| self.snapshot.calendars.get(id).map(|calendar| calendar.role);
            match (role(&self.key.origin.calendar), role(&self.key.target)) {
                (Some(crate::model::calendar::Role::Personal), _) => Face::PersonalBusy,
                (_, Some(crate::model::calendar::Role::Main)) => Face::Copy,
                _ => Face::Busy,
            }
        })
    }

    fn target_current(&self) -> bool {
        self.snapshot.calendars.get(&self.key.target).is_some_and(|c| c.freshness == Freshness::Current)
    }

    /// Whether something may disappear: its origin must be seen, and be gone or not wanted.
    fn proof(&self, key: &ItemKey) -> Result<(), HeldReason> {
        match self.snapshot.calendars.get(&key.origin.calendar) {
            None => Err(HeldReason::OriginUnproven),
            Some(calendar) if calendar.freshness != Freshness::Current => Err(HeldReason::OriginNotCurrent),
            Some(_) if self.fate(key) == Fate::Unknown => Err(HeldReason::OriginUnproven),
            Some(_) => Ok(()),
        }
    }

    fn fate(&self, key: &ItemKey) -> Fate {
        let origin = &key.origin;
        let family = self.snapshot.origins.get(&origin.calendar).and_then(|events| events.get(&origin.event));
        let Some(family) = family else { return Fate::Unknown };
        let known = |origin: &Origin| match origin {
            Origin::Live(_) => Fate::Live,
            Origin::Gone => Fate::Gone,
        };
        let head = family.head.as_ref().map_or(Fate::Unknown, known);
        match origin.instance {
            _ if head == Fate::Gone => Fate::Gone,
            Some(slot) => family.exceptions.get(&slot).map_or(head, known),
            None => head,
        }
    }
}

/// Whether what is remembered of an exception is about an event of its own, rather than about an instance of our series.
fn own_event(mapping: &Mapping) -> bool {
    mapping.alone || mapping.event.as_instance().is_none()
}

fn live(observed: &Observed) -> Option<Live<'_>> {
    let Observed { event, incarnation, in_series: _, state } = observed;
    match state {
        ObservedState::Live { etag, body, digest, marked } => {
            Some(Live { event, incarnation: *incarnation, etag, body, digest: *digest, marked: *marked })
        }
        ObservedState::Gone => None,
    }
}
