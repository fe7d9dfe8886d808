//! The three-way merge: what is desired, what is observed and what we remember, item by item. The table is in [`super`].
//!
//! Items come in families: a single event, or a series with its exceptions, on one target. A family is judged as a whole,
//! because an exception lives inside its series at Google: its id is the series' id and its slot.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    desired::{self, Desired, Shape, Wish, Wishes},
    flows,
    hand::{self, Hand},
    horizon::{body_in_scope, may_begin, slot_in_scope},
};
use crate::model::{
    body::{Body, Digest, Field},
    calendar::{Calendar, Freshness, Role, Standing},
    event::{OriginKey, Slot},
    id::{CalendarId, Etag, EventId},
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
    let wishes = Wishes::new(snapshot);
    let mut families: BTreeMap<ItemKey, Group> = BTreeMap::new();
    let none = BTreeMap::new();
    for flow in &wishes.flows {
        for (event, family) in snapshot.origins.get(&flow.source).unwrap_or(&none) {
            let group = families.entry(series_key(flow, event)).or_default();
            group.wish = Some(wishes.wish(flow, event, family));
            group.flow = Some(flow);
        }
    }
    for (key, observed) in &snapshot.observed {
        let group = families.entry(key.series()).or_default();
        // An instance of ours stands where its series puts it; its item is named by the slot at the origin.
        let lead = group.wish.as_ref().map_or(TimeDelta::zero(), |wish| wish.lead);
        for one in observed {
            let slot = key.origin.instance.map(|slot| if one.in_series { later(slot, lead) } else { slot });
            group.observed.entry(slot).or_default().push(one);
        }
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
    // A block whose marker was off while no database knew it passes for an event. It is ours again when it is asked for under its id,
    // and what a person does to what was made of it goes no further.
    let asked = |step: &Step| match &step.action {
        Action::Create { event, .. } => Some((step.key.target.clone(), event.clone())),
        _ => None,
    };
    let asked: BTreeSet<(CalendarId, EventId)> = verdicts.steps.iter().filter_map(asked).collect();
    verdicts.steps.retain(|step| {
        let event = step.action.event().filter(|_| step.action.is_at_origin());
        event.is_none_or(|event| !asked.contains(&(step.calendar().clone(), event.clone())))
    });
    verdicts
}

fn series_key(flow: &flows::Flow, event: &EventId) -> ItemKey {
    let origin = OriginKey { calendar: flow.source.clone(), event: event.clone(), instance: None };
    ItemKey { target: flow.target.clone(), origin }
}

fn later(slot: Slot, by: TimeDelta) -> Slot {
    match slot {
        Slot::At(at) => Slot::At(at + by),
        day @ Slot::Day(_) => day,
    }
}

/// All that is known of one family on one target; `None` is the single event or the series itself.
#[derive(Default)]
struct Group<'a> {
    wish: Option<Wish<'a>>,
    flow: Option<&'a flows::Flow>,
    observed: BTreeMap<Option<Slot>, Vec<&'a Observed>>,
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
    updated: &'a str,
}

/// What we last asked and were shown of an event.
struct Base<'a> {
    applied: Digest,
    shown: Digest,
    mapping: Option<&'a Mapping>,
}

/// Where the series will stand once the plan is carried out.
enum Place<'a> {
    There {
        event: EventId,
        incarnation: u32,
        /// What it shows now; none if it is yet to be made.
        shown: Option<&'a Body>,
        /// The rule of its instances changes with this plan.
        changes: bool,
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
        let mut asked_anew: BTreeSet<Slot> = BTreeSet::new();
        // A series that is made anew, or gets another rule, may have slots that it had not.
        let turns = matches!(place, Place::There { shown: None, .. } | Place::There { changes: true, .. });
        if let Some(wish) = &group.wish {
            alone.extend(wish.alone.iter().map(|(slot, desired)| (*slot, Some(desired))));
            for (slot, shape) in &wish.exceptions {
                match (group.mappings.get(&Some(*slot)), shape) {
                    (Some(mapping), Shape::Present(_)) if mapping.alone && turns => {
                        asked_anew.insert(*slot);
                    }
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
        let settled = |slot: &&Option<Slot>| slot.is_none_or(|slot| !asked_anew.contains(&slot));
        for (slot, observed) in group.observed.iter().filter(|(slot, _)| settled(slot)) {
            let Some(slot) = slot else { continue };
            if observed.iter().any(|o| o.in_series) && !alone.contains_key(slot) {
                inside.insert(*slot);
            }
            if observed.iter().any(|o| !o.in_series) && !self.is_unsettled(slot) {
                alone.entry(*slot).or_insert(None);
            }
        }
        for (slot, mapping) in group.mappings.iter().filter(|(slot, _)| settled(slot)) {
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
            (Place::There { event, incarnation, shown, changes }, Some(head)) => {
                let lead = group.wish.as_ref().map_or(TimeDelta::zero(), |wish| wish.lead);
                for slot in asked_anew {
                    let action = Action::Doubt { event: event.instance(&later(slot, -lead)), incarnation };
                    self.bookkeeping(&self.key.at(slot), action, Reason::ChangedAtOrigin);
                }
                for slot in inside {
                    self.exception(head, &Series { event: &event, incarnation, shown, changes }, slot);
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

    /// Whether an event of ours stands beside the series where the exception could stand inside, and nothing tells whether the
    /// series has the slot, as after the loss of our database. It stays until that is known.
    fn is_unsettled(&self, slot: &Slot) -> bool {
        let group = self.group;
        let shape = group.wish.as_ref().filter(|wish| wish.head.is_some()).and_then(|wish| wish.exceptions.get(slot));
        matches!(shape, Some(Shape::Present(desired)) if !desired.implied)
            && group.mappings.get(&Some(*slot)).is_none_or(|m| m.applied == Digest::UNKNOWN)
            && group.observed.get(&Some(*slot)).is_some_and(|all| all.iter().any(|o| !o.in_series && live(o).is_some()))
    }

    /// Judges an event of its own: a single one, a series, or an exception that stands alone (`slot`).
    fn item(&mut self, key: &ItemKey, slot: Option<Slot>, wanted: Option<&Desired>, in_scope: bool) -> Place<'a> {
        let group = self.group;
        let observed = group.observed.get(&slot).map(Vec::as_slice).unwrap_or_default();
        let own = || observed.iter().copied().filter(|o| !o.in_series);
        let mapping = group.mappings.get(&slot).copied().filter(|m| slot.is_none() || own_event(m));
        let spent = own().map(|o| o.incarnation).chain(mapping.map(|m| m.incarnation)).max();
        let mut living: Vec<Live> = own().filter_map(live).collect();
        living.sort_by_key(|l| (mapping.is_some_and(|m| m.event == *l.event), l.incarnation));
        let kept = living.pop();
        for twin in living {
            self.delete(key, &twin, Reason::Duplicate);
        }
        if self.is_undone(mapping, wanted) {
            self.out.in_sync += 1;
            return kept.map_or(Place::No, |live| there(&live, false));
        }
        // What has left the span that is kept up to date is released, unless its copy still stands inside.
        let wanted_in_scope = in_scope || kept.is_some_and(|live| body_in_scope(live.body, self.edge));
        let Some(wanted) = wanted.filter(|_| wanted_in_scope) else {
            match kept {
                // A calendar that is left takes its history along.
                Some(live) if wanted.is_none() && (self.is_leaving() || body_in_scope(live.body, self.edge)) => {
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
        let Some(live) = kept else { return self.missing(key, wanted, mapping, own(), spent) };
        let base = mapping.filter(|m| m.event == *live.event).map(Base::of);
        let changes = self.compare(key, wanted, &live, base.as_ref(), None);
        match (self.target_current(), changes) {
            (false, _) => Place::No,
            // The person changed the series: its instances are looked at when that has arrived.
            (true, Change::AtOrigin) => Place::No,
            (true, change) => there(&live, change == Change::OfRule),
        }
    }

    /// Judges an event that should be there and is not.
    fn missing(
        &mut self,
        key: &ItemKey,
        wanted: &Desired,
        mapping: Option<&Mapping>,
        mut own: impl Iterator<Item = &'a Observed>,
        spent: Option<u32>,
    ) -> Place<'a> {
        let tombstone = own.find(|o| Some(o.incarnation) == spent);
        let told = tombstone.is_some_and(|o| matches!(o.state, ObservedState::Gone { told: true }));
        let reason = match mapping.map(|m| m.memory) {
            Some(Memory::Dismissed) => return Place::No,
            Some(Memory::Kept) if told && self.face() == Face::Copy => {
                self.removed(key, wanted, mapping.map(|m| (m.event.clone(), m.incarnation)));
                return Place::No;
            }
            Some(Memory::Kept) if told => Reason::Removed,
            Some(Memory::Kept) => Reason::Vanished,
            Some(Memory::Leaving | Memory::Undone) | None => Reason::NewAtOrigin,
        };
        // While the calendar that has the same meeting cannot be read, nothing is settled.
        let doubt = self.group.wish.as_ref().is_some_and(|wish| wish.doubt);
        let next = spent.map_or(0, |spent| spent + 1);
        #[cfg(test)]
        let next = match planted(Mutant::RandomIds) {
            true => next + u32::try_from(self.snapshot.now.timestamp() % 9973).unwrap_or(0),
            false => next,
        };
        let event = self.snapshot.ids.event_id(key, next);
        let action = Action::Create { event: event.clone(), incarnation: next, body: wanted.body.clone() };
        let step = self.step(key, action, reason, Some(wanted));
        let obstacle = match reason {
            Reason::Removed | Reason::Vanished if mapping.is_some_and(|m| m.is_given_up(self.snapshot.now)) => {
                Err(HeldReason::GivenUp)
            }
            _ if doubt => Err(HeldReason::OriginNotCurrent),
            _ => Ok(()),
        };
        match self.propose(step, obstacle) {
            true => Place::There { event, incarnation: next, shown: None, changes: false },
            false => Place::No,
        }
    }

    /// Judges one instance of a series of ours.
    fn exception(&mut self, head: &Desired, series: &Series, slot: Slot) {
        let key = self.key.at(slot);
        let lead = self.group.wish.as_ref().map_or(TimeDelta::zero(), |wish| wish.lead);
        let there = later(slot, -lead);
        let event = series.event.instance(&there);
        let incarnation = series.incarnation;
        let observed = self.group.observed.get(&Some(slot)).map(Vec::as_slice).unwrap_or_default();
        let observed = observed.iter().copied().rfind(|o| o.event == event);
        let remembered = self.group.mappings.get(&Some(slot)).copied();
        let mapping = remembered.filter(|m| m.event == event);
        let shape = self.group.wish.as_ref().and_then(|wish| wish.exceptions.get(&slot));
        let implied = desired::implied(&head.body, &there);
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
        let gone = observed.is_some_and(|o| matches!(o.state, ObservedState::Gone { .. }));
        // What is no series has no instances: becoming single takes them along. That this was our doing is remembered, because they
        // stay gone when the event repeats again.
        if head.body.recurrence.is_empty() && !matches!(shape, Some(Shape::Present(_))) {
            match mapping {
                known if gone && known.is_none_or(|m| m.applied != Digest::ABSENT) => {
                    let (applied, shown) = (Digest::ABSENT, Digest::ABSENT);
                    self.bookkeeping(&key, Action::Adopt { event, incarnation, applied, shown }, Reason::FoundOurs);
                }
                Some(_) if observed.is_none() => self.bookkeeping(&key, Action::Forget, Reason::NothingLeft),
                _ => {}
            }
            return;
        }
        // Google keeps the shape of an instance when the rule loses it; as its series says is then not to be there.
        if shape.is_none() && !may_begin(&head.body, &there) {
            match observed.and_then(live) {
                Some(live) => self.delete(&key, &live, Reason::NotWanted),
                None if mapping.is_some() => self.bookkeeping(&key, Action::Forget, Reason::NothingLeft),
                None => {}
            }
            return;
        }
        let told = observed.is_some_and(|o| matches!(o.state, ObservedState::Gone { told: true }));
        let asked = mapping.filter(|m| m.memory == Memory::Kept).map(|m| m.applied);
        let undone = |body: Option<&Body>| {
            let wanted = body.map_or(Digest::ABSENT, Body::digest);
            mapping.is_some_and(|m| m.memory == Memory::Undone && m.applied == wanted)
        };
        let wanted = match (shape, &implied) {
            (Some(Shape::Absent), _) if undone(None) => {
                self.out.in_sync += 1;
                return;
            }
            (Some(Shape::Absent), _) => {
                match observed.and_then(live) {
                    Some(live) => self.delete(&key, &live, Reason::NotWanted),
                    None if asked == Some(Digest::ABSENT) => self.out.in_sync += 1,
                    None if gone => {
                        let (applied, shown) = (Digest::ABSENT, Digest::ABSENT);
                        self.bookkeeping(&key, Action::Adopt { event, incarnation, applied, shown }, Reason::FoundOurs);
                    }
                    None => {
                        let reason = self.why_gone(&key);
                        let step = self.step(&key, Action::Cancel { event, incarnation }, reason, None);
                        let proven = self.proof(&key, step.action.event());
                        self.propose(step, proven);
                    }
                }
                return;
            }
            (Some(Shape::Present(desired)), _) => desired.clone(),
            (None, Some(body)) => Desired { body: body.clone(), title: head.title, event: head.event, implied: true },
            (None, None) => return,
        };
        if undone(Some(&wanted.body)) {
            self.out.in_sync += 1;
            return;
        }
        let plain = implied.as_ref().is_some_and(|implied| wanted.body.meets(implied));
        // What an instance without a shape of its own showed: as its series does. Only what changed since we know the series
        // can be somebody's doing; older differences may be our own, forgotten.
        let ours = self.group.mappings.get(&None).copied().filter(|m| m.memory == Memory::Kept);
        let as_series = |live: &Live| {
            let ours = ours?;
            let since = ours.since.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            let known = remembered.is_none() && since.as_str() <= live.updated;
            let shown = series.shown.filter(|_| known)?;
            let mut base = desired::implied(shown, &there)?.digest();
            // The series itself may have been changed by hand, too.
            for field in ours.shown.changed(&shown.digest()) {
                match field {
                    Field::Time => return None,
                    Field::Repetition => {}
                    field => base.take(field, &ours.shown),
                }
            }
            // And the series may have changed at the origin: then the instance has not followed yet.
            let mut applied = implied.as_ref().map_or(Digest::ABSENT, Body::digest);
            for field in ours.applied.changed(&head.body.digest()) {
                match field {
                    Field::Time => return None,
                    Field::Repetition => {}
                    field => applied.take(field, &ours.applied),
                }
            }
            Some(Base { applied, shown: base, mapping: None })
        };
        match observed.and_then(live) {
            // Like any other instance, but with a shape of its own: it will not follow its series, so it is remembered.
            Some(live) if plain && mapping.is_none() && wanted.body.meets(live.body) && live.marked => {
                let (applied, shown) = (wanted.body.digest(), live.digest);
                self.bookkeeping(&key, Action::Adopt { event, incarnation, applied, shown }, Reason::FoundOurs);
            }
            Some(live) => {
                let base = mapping.map(Base::of).or_else(|| as_series(&live));
                self.compare(&key, &wanted, &live, base.as_ref(), Some(series));
            }
            None if gone => {
                let reason = match mapping.map(|m| (m.memory, m.applied)) {
                    Some((Memory::Dismissed, _)) => return,
                    Some((Memory::Kept, Digest::ABSENT) | (Memory::Leaving | Memory::Undone, _)) => {
                        Reason::ChangedAtOrigin
                    }
                    known if self.face() == Face::Copy && told => {
                        if known.is_some() || ours.is_some() {
                            return self.removed(&key, &wanted, Some((event, incarnation)));
                        }
                        // Our memory is younger than the removal: like any copy that we do not remember it comes back, and
                        // nothing is done at the origin.
                        Reason::FoundOurs
                    }
                    _ => Reason::Removed,
                };
                self.amend(&key, event, incarnation, &wanted, reason, mapping);
            }
            // The series says it already, if it has the slot at all: Google keeps an exception whose slot the rule has lost. That
            // is asked when the rule changes, and once of a series that is new to us.
            None if plain && mapping.is_none_or(|m| m.applied != Digest::ABSENT && m.applied != Digest::UNKNOWN) => {
                let own = matches!(shape, Some(Shape::Present(desired)) if !desired.implied);
                let new = series.shown.is_none() || ours.is_none() || self.is_unsettled(&slot);
                if own && (series.changes || new && mapping.is_none()) {
                    self.bookkeeping(&key, Action::Doubt { event, incarnation }, Reason::ChangedAtOrigin);
                } else if mapping.is_some() {
                    self.bookkeeping(&key, Action::Forget, Reason::NothingLeft);
                }
            }
            None => {
                let reason = if asked.is_some() { Reason::ChangedAtOrigin } else { Reason::NewAtOrigin };
                self.amend(&key, event, incarnation, &wanted, reason, None);
            }
        }
    }

    /// Both are there: do they agree?
    fn compare(
        &mut self,
        key: &ItemKey,
        wanted: &Desired,
        live: &Live,
        base: Option<&Base>,
        series: Option<&Series>,
    ) -> Change {
        let applied = wanted.body.digest();
        let base = base.filter(|base| base.mapping.is_none_or(|m| m.memory != Memory::Dismissed));
        let origin_moved = base.map_or_else(|| Field::ALL.to_vec(), |base| base.applied.changed(&applied));
        let copy_moved = base.map_or_else(|| Field::ALL.to_vec(), |base| base.shown.changed(&live.digest));
        if origin_moved.is_empty() && copy_moved.is_empty() && live.marked {
            self.out.in_sync += 1;
            // It was to go, and stays after all: from now on its removal is somebody's doing again.
            if base.and_then(|base| base.mapping).is_some_and(|m| m.memory == Memory::Leaving) {
                let (event, incarnation) = (live.event.clone(), live.incarnation);
                let action = Action::Adopt { event, incarnation, applied, shown: live.digest };
                self.bookkeeping(key, action, Reason::FoundOurs);
            }
            return Change::None;
        }
        let (event, incarnation) = (live.event.clone(), live.incarnation);
        let differ = wanted.body.changed(live.body);
        let same = differ.is_empty();
        #[cfg(test)]
        let same = same && (base.is_none() || !planted(Mutant::EchoAsEdit));
        if live.marked && same {
            let action = Action::Adopt { event, incarnation, applied, shown: live.digest };
            self.bookkeeping(key, action, Reason::FoundOurs);
            return Change::None;
        }
        // What a person changed on a copy since we looked last.
        let by_hand: Vec<Field> = match base {
            Some(_) => copy_moved.into_iter().filter(|field| differ.contains(field)).collect(),
            None => Vec::new(),
        };
        // Where our memory may be older than what we did last, nobody knows whose doing it is: it is put back.
        let sure = base.and_then(|base| base.mapping).is_none_or(|m| m.memory != Memory::Leaving);
        if self.face() == Face::Copy
            && sure
            && !by_hand.is_empty()
            && let Some(hand) = self.hand(key, wanted)
        {
            let free: Vec<Field> = by_hand.iter().copied().filter(|field| !origin_moved.contains(field)).collect();
            if let Some(action) = hand.edited(&free, live.body, live.digest, incarnation) {
                let reason =
                    if matches!(action, Action::Respond { .. }) { Reason::Answered } else { Reason::EditedByHand };
                if !self.is_refused(key, &action) {
                    let step = self.step(key, action, reason, Some(wanted));
                    let seen = self.origin_current(key);
                    self.propose(step, seen);
                    return Change::AtOrigin;
                }
            }
        }
        let conflict = by_hand.iter().any(|field| origin_moved.contains(field) && hand::CARRIED.contains(field));
        let reason = match base {
            None => Reason::FoundOurs,
            Some(_) if self.face() == Face::Copy && conflict => Reason::Conflict,
            Some(_) if !origin_moved.is_empty() => Reason::ChangedAtOrigin,
            Some(_) => Reason::Drifted,
        };
        let rule = series.is_none() && (differ.contains(&Field::Repetition) || differ.contains(&Field::Time));
        let given_up = base.and_then(|base| base.mapping).is_some_and(|m| m.is_given_up(self.snapshot.now));
        let (from, to, etag) = (live.body.clone(), wanted.body.clone(), live.etag.clone());
        let step = self.step(key, Action::Update { event, etag, incarnation, from, to }, reason, Some(wanted));
        let obstacle = if reason == Reason::Drifted && given_up { Err(HeldReason::GivenUp) } else { Ok(()) };
        match self.propose(step, obstacle) {
            true if rule && !live.body.recurrence.is_empty() => Change::OfRule,
            _ => Change::None,
        }
    }

    /// What a person may do to the origin of a copy; none if it is not to be found.
    fn hand<'h>(&self, key: &'h ItemKey, wanted: &'h Desired<'h>) -> Option<Hand<'h>>
    where
        'a: 'h,
    {
        let flow = self.group.flow?;
        Some(Hand { snapshot: self.snapshot, flow, key, wanted })
    }

    /// The person removed the copy.
    fn removed(&mut self, key: &ItemKey, wanted: &Desired, copy: Option<(EventId, u32)>) {
        let Some((event, incarnation)) = copy else { return };
        let verdict = self.hand(key, wanted).map_or(hand::Removal::Dismiss, |hand| hand.removed(incarnation));
        match verdict {
            hand::Removal::Dismiss => {
                self.bookkeeping(key, Action::Dismiss { event, incarnation }, Reason::Removed);
            }
            hand::Removal::Act(action) => {
                let step = self.step(key, action, Reason::Removed, Some(wanted));
                let seen = self.origin_current(key);
                self.propose(step, seen);
            }
            hand::Removal::Ask(action) => {
                let step = self.step(key, action, Reason::Removed, Some(wanted));
                self.propose(step, Err(HeldReason::OthersInvited));
            }
        }
    }

    fn amend(
        &mut self,
        key: &ItemKey,
        event: EventId,
        incarnation: u32,
        wanted: &Desired,
        reason: Reason,
        mapping: Option<&Mapping>,
    ) {
        let action = Action::Amend { event, incarnation, to: wanted.body.clone() };
        let step = self.step(key, action, reason, Some(wanted));
        let given_up = reason == Reason::Removed && mapping.is_some_and(|m| m.is_given_up(self.snapshot.now));
        self.propose(step, if given_up { Err(HeldReason::GivenUp) } else { Ok(()) });
    }

    fn delete(&mut self, key: &ItemKey, live: &Live, reason: Reason) {
        let reason = match reason {
            // What stood beside a series stands inside it now.
            Reason::NotWanted if live.event.as_instance().is_none() && self.stands_inside(key) => Reason::SameMeeting,
            Reason::NotWanted => self.why_gone(key),
            other => other,
        };
        let (event, etag, incarnation) = (live.event.clone(), live.etag.clone(), live.incarnation);
        let from = Box::new(live.body.clone());
        let mut step = self.step(key, Action::Delete { event, etag, incarnation, from }, reason, None);
        step.when = Some(live.body.when.clone());
        // A twin goes because the other one stays; its origin does not matter.
        let proven = if reason == Reason::Duplicate { Ok(()) } else { self.proof(key, step.action.event()) };
        self.propose(step, proven);
    }

    fn stands_inside(&self, key: &ItemKey) -> bool {
        let observed = key.origin.instance.and_then(|slot| self.group.observed.get(&Some(slot)));
        let shape = key.origin.instance.and_then(|slot| self.group.wish.as_ref()?.exceptions.get(&slot));
        matches!(shape, Some(Shape::Present(_)))
            && observed.into_iter().flatten().any(|one| one.in_series && live(one).is_some())
    }

    fn why_gone(&self, key: &ItemKey) -> Reason {
        match self.fate(key) {
            _ if self.is_leaving() => Reason::CalendarLeaving,
            Fate::Gone => Reason::GoneAtOrigin,
            _ if self.group.wish.as_ref().is_some_and(|wish| wish.same) => Reason::SameMeeting,
            _ => Reason::NotWanted,
        }
    }

    fn propose(&mut self, step: Step, allowed: Result<(), HeldReason>) -> bool {
        let current = if step.action.is_at_origin() { true } else { self.target_current() };
        let refused = self.is_refused(&step.key, &step.action);
        let writable = self.calendar(step.calendar()).is_some_and(|calendar| calendar.writable);
        let obstacle = match allowed {
            _ if !current => Some(HeldReason::TargetNotCurrent),
            _ if !writable => Some(HeldReason::ReadOnly),
            Err(reason) => Some(reason),
            Ok(()) => refused.then_some(HeldReason::Refused),
        };
        match obstacle {
            None => self.out.steps.push(step),
            Some(reason) => self.out.held.push(Held { step, reason }),
        }
        obstacle.is_none()
    }

    /// Whether Google refused the very same not long ago.
    fn is_refused(&self, key: &ItemKey, action: &Action) -> bool {
        self.snapshot
            .refusals
            .get(key)
            .is_some_and(|refusal| action.asked() == Some(refusal.asked) && self.snapshot.now < refusal.until)
    }

    /// Whether a person took back what we did, and nothing else is asked since.
    fn is_undone(&self, mapping: Option<&Mapping>, wanted: Option<&Desired>) -> bool {
        mapping.is_some_and(|m| {
            m.memory == Memory::Undone && m.applied == wanted.map_or(Digest::ABSENT, |wanted| wanted.body.digest())
        }) && !self.is_leaving()
    }

    /// A change of our memory alone. It waits until the target is seen, and forgetting until both ends are: what was seen
    /// earlier may be gone, and a memory of it would make its absence look like a person's doing.
    fn bookkeeping(&mut self, key: &ItemKey, action: Action, reason: Reason) {
        let origin = self.snapshot.calendars.get(&key.origin.calendar);
        let origin_seen = origin.is_none_or(|calendar| calendar.freshness == Freshness::Current) || self.is_leaving();
        if !self.target_current() || (action == Action::Forget && !origin_seen) {
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
                Some(slot) => desired::implied(&head.body, &later(slot, -wish.lead))?,
                None => head.body.clone(),
            };
            Some(body.when)
        });
        let title = wanted.and_then(|wanted| wanted.title.map(str::to_owned));
        let beside = self.group.mappings.get(&key.origin.instance).is_some_and(|mapping| mapping.alone);
        Step { key: key.clone(), face: self.face(), action, reason, beside, when, title, undone: None }
    }

    /// How the family looks on this target; what has no flow any more is called as the calendars' roles say.
    fn face(&self) -> Face {
        let known = self.group.wish.as_ref().map(|wish| wish.face);
        known.unwrap_or_else(|| {
            let role = |id| self.calendar(id).map(|calendar| calendar.role);
            match (role(&self.key.origin.calendar), role(&self.key.target)) {
                (Some(Role::Personal), _) => Face::PersonalBusy,
                (_, Some(Role::Main)) => Face::Copy,
                _ => Face::Busy,
            }
        })
    }

    fn calendar(&self, id: &CalendarId) -> Option<&'a Calendar> {
        self.snapshot.calendars.get(id)
    }

    /// Whether one of the two calendars is to be left: then what is ours goes, whatever became of its origin.
    fn is_leaving(&self) -> bool {
        let leaves = |id| self.calendar(id).is_some_and(|calendar| calendar.standing == Standing::Leaving);
        leaves(&self.key.origin.calendar) || leaves(&self.key.target)
    }

    fn target_current(&self) -> bool {
        self.calendar(&self.key.target).is_some_and(|c| c.freshness == Freshness::Current)
    }

    fn origin_current(&self, key: &ItemKey) -> Result<(), HeldReason> {
        let current = self.calendar(&key.origin.calendar).is_some_and(|c| c.freshness == Freshness::Current);
        if current { Ok(()) } else { Err(HeldReason::OriginNotCurrent) }
    }

    /// Whether something may disappear: its origin must be seen, and be gone or not wanted. Where nobody can be asked any more, a
    /// person must agree.
    fn proof(&self, key: &ItemKey, event: Option<&EventId>) -> Result<(), HeldReason> {
        let doubt = self.group.wish.as_ref().is_some_and(|wish| wish.doubt);
        match self.calendar(&key.origin.calendar) {
            _ if self.is_leaving() => Ok(()),
            None if self.snapshot.is_approved(&key.target, event) => Ok(()),
            None => Err(HeldReason::NotConnected),
            Some(calendar) if calendar.freshness != Freshness::Current => Err(HeldReason::OriginNotCurrent),
            #[cfg(test)]
            Some(_) if planted(Mutant::UnknownIsDead) => Ok(()),
            Some(_) if self.fate(key) == Fate::Unknown => Err(HeldReason::OriginUnproven),
            Some(_) if doubt => Err(HeldReason::OriginNotCurrent),
            Some(_) => Ok(()),
        }
    }

    fn fate(&self, key: &ItemKey) -> Fate {
        let origin = &key.origin;
        let family = self.snapshot.origins.get(&origin.calendar).and_then(|events| events.get(&origin.event));
        // What is known to bear a mark was nobody's event, whatever was made of it while its marker was missing.
        let Some(family) = family else {
            return if self.snapshot.is_nobodys(&origin.calendar, &origin.event) { Fate::Gone } else { Fate::Unknown };
        };
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

/// What a comparison leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// The times of a series' instances change.
    OfRule,
    /// Something changes at the origin first.
    AtOrigin,
}

/// A series of ours, and where it will stand.
struct Series<'s> {
    event: &'s EventId,
    incarnation: u32,
    shown: Option<&'s Body>,
    changes: bool,
}

impl<'a> Base<'a> {
    fn of(mapping: &'a Mapping) -> Self {
        Base { applied: mapping.applied, shown: mapping.shown, mapping: Some(mapping) }
    }
}

fn there<'a>(live: &Live<'a>, changes: bool) -> Place<'a> {
    Place::There { event: live.event.clone(), incarnation: live.incarnation, shown: Some(live.body), changes }
}

/// Whether what is remembered of an exception is about an event of its own, rather than about an instance of our series.
fn own_event(mapping: &Mapping) -> bool {
    mapping.alone || mapping.event.as_instance().is_none()
}

fn live(observed: &Observed) -> Option<Live<'_>> {
    let Observed { event, incarnation, in_series: _, state } = observed;
    match state {
        ObservedState::Live { etag, body, digest, marked, updated } => {
            Some(Live { event, incarnation: *incarnation, etag, body, digest: *digest, marked: *marked, updated })
        }
        ObservedState::Gone { .. } => None,
    }
}
