//! What should stand on each calendar: the rules of the specification and nothing else.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{
    face,
    flows::{self, Flow},
    horizon,
    sameness::Index,
};
use crate::model::{
    body::{Body, Digest, When},
    calendar::{Calendar, Freshness, Role},
    event::{Event, Kind, OriginKey, Rights, Slot},
    id::{CalendarId, EventId},
    item::{Face, ItemKey},
    snapshot::{Family, Origin, Snapshot},
};

/// One thing that should be there.
#[derive(Clone, Debug)]
pub struct Desired<'a> {
    pub body: Body,
    /// The origin's title, for people.
    pub title: Option<&'a str>,
    /// The event that it shows, or the series whose instance it shows.
    pub event: &'a Event,
    /// The instance is as its series says: it has no event of its own at the origin.
    pub implied: bool,
}

/// What should stand for one exception within the copied series.
#[derive(Clone, Debug)]
pub enum Shape<'a> {
    Present(Desired<'a>),
    /// Cancelled at the origin, or not to be shown.
    Absent,
}

/// What should stand on one target for one single event or series.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    pub face: Face,
    /// Whether any of it is recent enough to be kept up to date.
    pub in_scope: bool,
    /// The single event or the series.
    pub head: Option<Desired<'a>>,
    /// Exceptions of the series, when it is shown.
    pub exceptions: BTreeMap<Slot, Shape<'a>>,
    /// Exceptions shown as events of their own, because their series is not.
    pub alone: BTreeMap<Slot, Desired<'a>>,
    /// How much earlier than at the origin the instances of the series begin.
    pub lead: TimeDelta,
    /// Something is left out because the same meeting is shown otherwise.
    pub same: bool,
    /// And the calendar that has it could not be read now: nothing is made, and nothing is deleted.
    pub doubt: bool,
}

/// All that wishes are made from.
pub struct Wishes<'a> {
    snapshot: &'a Snapshot,
    pub flows: Vec<Flow>,
    same: Index<'a>,
    /// When targets are taken by single events of their own, merged and in order; for flows that ask.
    taken: BTreeMap<CalendarId, Vec<(DateTime<Utc>, DateTime<Utc>)>>,
}

impl<'a> Wishes<'a> {
    /// Of a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let flows = flows::flows(&snapshot.calendars, &snapshot.flows);
        let asked: BTreeSet<&CalendarId> =
            flows.iter().filter(|flow| flow.shape.skip_if_covered).map(|flow| &flow.target).collect();
        let taken = asked.into_iter().map(|target| (target.clone(), taken(snapshot, target))).collect();
        Wishes { snapshot, flows, same: Index::new(snapshot), taken }
    }

    /// What `flow` wants for one family of its source.
    pub fn wish(&self, flow: &Flow, event: &EventId, family: &'a Family) -> Wish<'a> {
        let snapshot = self.snapshot;
        let key = ItemKey {
            target: flow.target.clone(),
            origin: OriginKey { calendar: flow.source.clone(), event: event.clone(), instance: None },
        };
        let edge = snapshot.now - snapshot.policy.horizon;
        let mut wish = Wish {
            face: flow.face,
            in_scope: horizon::family_in_scope(family, edge),
            head: None,
            exceptions: BTreeMap::new(),
            alone: BTreeMap::new(),
            lead: TimeDelta::zero(),
            same: false,
            doubt: false,
        };
        let head = match &family.head {
            // With the series go its exceptions.
            Some(Origin::Gone) => return wish,
            Some(Origin::Live(head)) => Some(&**head).filter(|head| flow.admits(head).is_ok()),
            None => None,
        };
        let rivals = self.same.rivals(family, flow, &self.flows);
        let doubtful = |calendar: &CalendarId| {
            snapshot.calendars.get(calendar).is_none_or(|calendar| calendar.freshness != Freshness::Current)
        };
        let head_rival = head.and_then(|head| rivals.iter().find(|rival| rival.has_head(head)));
        if let Some(rival) = head_rival {
            wish.same = true;
            wish.doubt |= doubtful(rival.calendar);
        } else if let Some(head) = head
            && !self.is_covered(flow, &head.body)
        {
            let (desired, lead) = self.dress(flow, &key, head, None);
            wish.head = Some(desired);
            wish.lead = lead;
        }
        let mut slots: Vec<Slot> = family.exceptions.keys().copied().collect();
        if !rivals.is_empty() {
            slots.extend(rivals.iter().flat_map(|rival| rival.family.exceptions.keys()));
            slots.sort();
            slots.dedup();
        }
        for slot in slots {
            let own = family.exceptions.get(&slot);
            let unit = match own {
                Some(Origin::Live(event)) => Some((&**event, None)).filter(|_| flow.admits(event).is_ok()),
                Some(Origin::Gone) => None,
                None => head.filter(|head| !head.body.recurrence.is_empty()).map(|head| (head, Some(slot))),
            };
            let shown = unit.and_then(|(event, slot)| match slot {
                Some(slot) => implied(&event.body, &slot),
                None => Some(event.body.clone()),
            });
            let rival = shown.as_ref().and_then(|body| rivals.iter().find(|rival| rival.has_occurrence(&slot, body)));
            if let Some(rival) = rival {
                wish.same = true;
                wish.doubt |= doubtful(rival.calendar);
            }
            if own.is_none() && rival.is_none() && head_rival.is_none() {
                continue;
            }
            let unit = unit.filter(|_| rival.is_none() && shown.is_some());
            if wish.head.is_some() {
                let shape = unit.map_or(Shape::Absent, |(event, implied)| {
                    Shape::Present(self.dress(flow, &key.at(slot), event, implied).0)
                });
                wish.exceptions.insert(slot, shape);
            } else if let Some((event, implied)) = unit
                && (own.is_some() || head_rival.is_some())
                && !shown.is_some_and(|body| self.is_covered(flow, &body))
            {
                wish.alone.insert(slot, self.dress(flow, &key.at(slot), event, implied).0);
            }
        }
        wish
    }

    /// How an event, or the instance of a series at `slot`, looks by this flow.
    fn dress(&self, flow: &Flow, key: &ItemKey, event: &'a Event, slot: Option<Slot>) -> (Desired<'a>, TimeDelta) {
        let snapshot = self.snapshot;
        let (body, lead) = match flow.face {
            Face::Copy => {
                let why = why_link(snapshot, key);
                let body = match slot.and_then(|slot| implied(&event.body, &slot)) {
                    Some(body) => face::copy(&Event { body, ..event.clone() }, about(snapshot, flow, event, &why)),
                    None => face::copy(event, about(snapshot, flow, event, &why)),
                };
                (body, TimeDelta::zero())
            }
            Face::Busy | Face::PersonalBusy => {
                let implied = slot.and_then(|slot| implied(&event.body, &slot));
                let Body { when, recurrence, .. } = implied.as_ref().unwrap_or(&event.body);
                #[cfg(test)]
                if planted(Mutant::TitleInBlock) && event.body.title.is_some() {
                    let (mut body, lead) =
                        face::block(flow.face, &snapshot.policy.prefix, &flow.shape, when, recurrence);
                    body.title.clone_from(&event.body.title);
                    let title = event.body.title.as_deref();
                    return (Desired { body, title, event, implied: slot.is_some() }, lead);
                }
                face::block(flow.face, &snapshot.policy.prefix, &flow.shape, when, recurrence)
            }
        };
        (Desired { body, title: event.body.title.as_deref(), event, implied: slot.is_some() }, lead)
    }

    /// Whether the target is taken at that time by single events of its own, and the flow asks for it.
    fn is_covered(&self, flow: &Flow, body: &Body) -> bool {
        if !flow.shape.skip_if_covered || flow.face == Face::Copy || !body.recurrence.is_empty() {
            return false;
        }
        let (start, end) = span(&body.when, flow.zone);
        let taken = self.taken.get(&flow.target).map(Vec::as_slice).unwrap_or_default();
        taken.iter().any(|(from, until)| *from <= start && end <= *until)
    }
}

/// What is desired of one item now: the digest of its body, or of its absence.
pub fn wanted(wishes: &Wishes, key: &ItemKey) -> Digest {
    let snapshot = wishes.snapshot;
    let flow = wishes.flows.iter().find(|flow| flow.source == key.origin.calendar && flow.target == key.target);
    let family = snapshot.origins.get(&key.origin.calendar).and_then(|families| families.get(&key.origin.event));
    let (Some(flow), Some(family)) = (flow, family) else { return Digest::ABSENT };
    let wish = wishes.wish(flow, &key.origin.event, family);
    let body = |desired: &Desired| desired.body.digest();
    let Some(slot) = key.origin.instance else { return wish.head.as_ref().map_or(Digest::ABSENT, body) };
    match (wish.exceptions.get(&slot), wish.alone.get(&slot), &wish.head) {
        (Some(Shape::Present(desired)), _, _) | (None, Some(desired), _) => body(desired),
        (Some(Shape::Absent), _, _) | (None, None, None) => Digest::ABSENT,
        // As the series says.
        (None, None, Some(head)) => {
            let there = match slot {
                Slot::At(at) => Slot::At(at - wish.lead),
                day @ Slot::Day(_) => day,
            };
            implied(&head.body, &there).map_or(Digest::ABSENT, |body| body.digest())
        }
    }
}

/// The address of the page that says why an item is where it is.
pub fn why_link(snapshot: &Snapshot, key: &ItemKey) -> String {
    format!("{}/app/why/{}", snapshot.policy.public_url, snapshot.ids.item_id(key))
}

/// What a copy of this event says besides it.
pub fn about<'s>(snapshot: &'s Snapshot, flow: &'s Flow, event: &Event, why: &'s str) -> face::About<'s> {
    let source = snapshot.calendars.get(&flow.source);
    let target = snapshot.calendars.get(&flow.target);
    face::About {
        calendar: source.map_or("", |calendar| &calendar.name),
        why,
        editable: source.is_some_and(|calendar| is_editable(event, calendar)),
        answerable: target.is_some_and(|calendar| calendar.own) && event.body.answer.is_some() && !event.organizer,
        shape: &flow.shape,
    }
}

/// Whether Google will take a change of this event from the person (specification, "Determining Edit Rights").
pub fn is_editable(event: &Event, calendar: &Calendar) -> bool {
    event.rights == Rights::Editable && calendar.writable && calendar.role != Role::Personal
}

/// What an instance of a series looks like that has no shape of its own; none when the slot is not of the series' sort (a
/// day for a timed series).
pub fn implied(series: &Body, slot: &Slot) -> Option<Body> {
    let when = match (&series.when, slot) {
        (When::Days { first, end }, Slot::Day(day)) => When::Days { first: *day, end: *day + (*end - *first) },
        (When::Times { start, end, start_zone, end_zone }, Slot::At(at)) => When::Times {
            start: *at,
            end: *at + (*end - *start),
            start_zone: start_zone.clone(),
            end_zone: end_zone.clone(),
        },
        _ => return None,
    };
    Some(Body { when, recurrence: Vec::new(), ..series.clone() })
}

/// How long an instance of a series lasts.
pub fn length(series: &Body) -> TimeDelta {
    series.when.end() - series.when.start()
}

/// From when to when, with days in a zone.
fn span(when: &When, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    match when {
        When::Times { start, end, .. } => (*start, *end),
        When::Days { first, end } => {
            let midnight = |day: chrono::NaiveDate| {
                let local = day.and_time(chrono::NaiveTime::MIN);
                zone.from_local_datetime(&local).earliest().map_or(local.and_utc(), |at| at.to_utc())
            };
            (midnight(*first), midnight(*end))
        }
    }
}

/// When a calendar is taken by single events of its own. Series are not looked at: no rule is expanded, and a block too many is
/// better than one too few.
fn taken(snapshot: &Snapshot, target: &CalendarId) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let zone: Tz = snapshot.calendars.get(target).and_then(|calendar| calendar.zone.parse().ok()).unwrap_or(Tz::UTC);
    let families = snapshot.origins.get(target).into_iter().flat_map(|families| families.values());
    let origins = families.flat_map(|family| family.head.iter().chain(family.exceptions.values()));
    let mut spans: Vec<_> = origins
        .filter_map(|origin| match origin {
            Origin::Live(event) => Some(event),
            Origin::Gone => None,
        })
        .filter(|event| event.body.recurrence.is_empty() && !event.body.free)
        .filter(|event| !matches!(event.kind, Kind::WorkingLocation | Kind::Birthday))
        .filter(|event| event.body.answer != Some(crate::model::body::Answer::Declined))
        .map(|event| span(&event.body.when, zone))
        .collect();
    spans.sort();
    let mut merged: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in spans {
        match merged.last_mut() {
            Some((_, until)) if start <= *until => *until = end.max(*until),
            _ => merged.push((start, end)),
        }
    }
    merged
}
