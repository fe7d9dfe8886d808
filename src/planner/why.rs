//! Why something of ours stands where it stands, and why something does not. Answers come from the planner's own decisions (the
//! flows, the wish and the plan for this very snapshot), so that they cannot disagree with what is done.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{
    desired::{Shape, Wishes},
    flows::Hindrance,
    plan,
    render::{self, Lens},
};
use crate::model::{
    body::When,
    calendar::{Role, Standing},
    event::{Event, OriginKey, Slot},
    id::{CalendarId, EventId},
    item::{Face, ItemKey, ObservedState},
    mapping::Memory,
    plan::{HeldReason, Plan, Reason},
    run::Written,
    snapshot::{Origin, Snapshot},
};

/// Why an event of ours is there.
#[derive(Clone, Debug)]
pub struct Because {
    pub key: ItemKey,
    pub face: Face,
    /// A person declared the flow; otherwise it follows from the calendars' roles. None: no flow leads there any more.
    pub declared: Option<bool>,
    /// When the origin takes place, and its title, for its owner; none if the origin is not known.
    pub when: Option<When>,
    pub title: Option<String>,
    pub state: State,
}

/// How it stands with an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    InSync,
    /// The next tick does something about it.
    Due(Reason),
    /// It waits.
    Held(HeldReason),
    /// A person took our last step back.
    Undone,
}

/// Why something of a calendar is not to be seen on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is: under this id.
    There(EventId),
    /// It is, within the series of this id, as the series says.
    InSeries(EventId),
    SameCalendar,
    NotConnected,
    /// Nothing is ever written to a personal calendar.
    Personal,
    Leaving,
    /// No flow leads from the one to the other, or a person switched it off.
    NoFlow {
        declared: bool,
    },
    Unknown,
    Cancelled,
    Hindered(Hindrance),
    /// The same meeting is there natively, or is shown from another calendar.
    SameMeeting,
    /// The target is taken at that time by events of its own, and the flow asks for that.
    Covered,
    /// It ended too long ago.
    Past,
    Dismissed,
    Undone,
    Held(HeldReason),
    /// Google refuses it, and is asked again then.
    Refused {
        tries: u32,
        until: DateTime<Utc>,
    },
    /// The next tick makes it.
    Due,
    /// Left for another time, because only a range of days was asked for.
    Later,
}

/// Why an event of ours stands on a calendar; none if there is no such event of ours.
pub fn why(snapshot: &Snapshot, target: &CalendarId, event: &EventId) -> Option<Because> {
    let mut all = snapshot.observed.iter().filter(|(key, _)| key.target == *target);
    let (key, _) = all.find(|(_, observed)| {
        observed.iter().any(|one| one.event == *event && matches!(one.state, ObservedState::Live { .. }))
    })?;
    let plan = plan(snapshot);
    let declared = snapshot.flows.iter().any(|flow| flow.source == key.origin.calendar && flow.target == *target);
    let wishes = Wishes::new(snapshot);
    let flow = wishes.flows.iter().find(|flow| flow.source == key.origin.calendar && flow.target == *target);
    let origin = origin(snapshot, &key.origin);
    let step = plan.steps.iter().find(|step| step.key == *key);
    let held = plan.held.iter().find(|held| held.step.key == *key);
    let undone = snapshot.mappings.get(key).is_some_and(|mapping| mapping.memory == Memory::Undone);
    let state = match (step, held) {
        (Some(step), _) => State::Due(step.reason),
        (None, Some(held)) => State::Held(held.reason),
        (None, None) if undone => State::Undone,
        (None, None) => State::InSync,
    };
    let face = step.or(held.map(|held| &held.step)).map(|step| step.face).or(flow.map(|flow| flow.face));
    Some(Because {
        key: key.clone(),
        face: face.unwrap_or(Face::Busy),
        declared: flow.map(|_| declared),
        when: origin.map(|event| event.body.when.clone()),
        title: origin.and_then(|event| event.body.title.clone()),
        state,
    })
}

/// Why an event of `origin.calendar` is not to be seen on `target`; it may turn out that it is.
pub fn why_not(snapshot: &Snapshot, origin: &OriginKey, target: &CalendarId) -> Absence {
    let key = ItemKey { target: target.clone(), origin: origin.clone() };
    if origin.calendar == *target {
        return Absence::SameCalendar;
    }
    let (Some(from), Some(to)) = (snapshot.calendars.get(&origin.calendar), snapshot.calendars.get(target)) else {
        return Absence::NotConnected;
    };
    if to.role == Role::Personal {
        return Absence::Personal;
    }
    // What stands there counts before any reason why it should not.
    let live = snapshot.observed.get(&key).into_iter().flatten();
    let mut live =
        live.filter(|observed| matches!(observed.state, ObservedState::Live { .. })).map(|o| o.event.clone());
    let plan = plan(snapshot);
    if let Some(held) = plan.held.iter().find(|held| held.step.key == key && !held.step.action.deletes()) {
        return match snapshot.refusals.get(&key) {
            Some(refusal) if held.reason == HeldReason::Refused => {
                Absence::Refused { tries: refusal.tries, until: refusal.until }
            }
            _ => Absence::Held(held.reason),
        };
    }
    if let Some(event) = live.next_back() {
        return Absence::There(event);
    }
    if [from, to].iter().any(|calendar| calendar.standing == Standing::Leaving) {
        return Absence::Leaving;
    }
    let wishes = Wishes::new(snapshot);
    let Some(flow) = wishes.flows.iter().find(|flow| flow.source == origin.calendar && flow.target == *target) else {
        let declared = snapshot.flows.iter().any(|flow| flow.source == origin.calendar && flow.target == *target);
        return Absence::NoFlow { declared };
    };
    let family = snapshot.origins.get(&origin.calendar).and_then(|families| families.get(&origin.event));
    let Some(family) = family else { return Absence::Unknown };
    let exception = origin.instance.and_then(|slot| family.exceptions.get(&slot));
    let event = match (&family.head, exception, origin.instance) {
        (Some(Origin::Gone), _, _) | (_, Some(Origin::Gone), _) => return Absence::Cancelled,
        (_, Some(Origin::Live(event)), _) | (Some(Origin::Live(event)), None, _) => event,
        (None, None, _) => return Absence::Unknown,
    };
    if let Err(hindrance) = flow.admits(event) {
        return Absence::Hindered(hindrance);
    }
    match snapshot.mappings.get(&key).map(|mapping| mapping.memory) {
        Some(Memory::Dismissed) => return Absence::Dismissed,
        Some(Memory::Undone) => return Absence::Undone,
        _ => {}
    }
    let wish = wishes.wish(flow, &origin.event, family);
    let wanted = match origin.instance {
        None => wish.head.is_some(),
        Some(slot) => match wish.exceptions.get(&slot) {
            Some(Shape::Present(_)) => true,
            Some(Shape::Absent) => false,
            None => wish.alone.contains_key(&slot) || wish.head.is_some(),
        },
    };
    if !wanted {
        return if wish.same { Absence::SameMeeting } else { Absence::Covered };
    }
    if plan.steps.iter().any(|step| step.key == key && step.action.writes()) {
        return Absence::Due;
    }
    if let Some(series) = origin.instance.and_then(|_| standing_series(snapshot, &key.series())) {
        return Absence::InSeries(series);
    }
    if !wish.in_scope {
        return Absence::Past;
    }
    Absence::Later
}

fn standing_series(snapshot: &Snapshot, key: &ItemKey) -> Option<EventId> {
    let mut observed = snapshot.observed.get(key)?.iter();
    observed.find(|one| matches!(one.state, ObservedState::Live { .. })).map(|one| one.event.clone())
}

fn origin<'a>(snapshot: &'a Snapshot, key: &OriginKey) -> Option<&'a Event> {
    let family = snapshot.origins.get(&key.calendar)?.get(&key.event)?;
    let exception = key.instance.and_then(|slot| family.exceptions.get(&slot));
    match exception.or(family.head.as_ref())? {
        Origin::Live(event) => Some(event),
        Origin::Gone => None,
    }
}

/// The answer for people: one sentence a line. `written` are the item's writes, newest first.
pub fn because(snapshot: &Snapshot, because: &Because, written: &[Written], lens: Lens) -> String {
    let calm = plan(snapshot);
    let zone: Tz = calm.zone.parse().unwrap_or(Tz::UTC);
    let name = |id: &CalendarId| snapshot.calendars.get(id).map_or("a calendar that is not connected", |c| &c.name);
    let Because { key, face, declared, when, title, state } = because;
    let mut out = String::new();
    let what = match face {
        Face::Copy => "a copy of an event",
        Face::Busy => "a block for an event",
        Face::PersonalBusy => "a block for a personal event",
    };
    let of = match (title, lens) {
        (Some(title), Lens::Owner) if *face != Face::PersonalBusy => format!(" \"{title}\""),
        _ => String::new(),
    };
    let at = when.as_ref().map(|when| format!(", {}", render::span(when, zone, snapshot.now))).unwrap_or_default();
    let instance =
        key.origin.instance.map_or(String::new(), |slot| format!(" (occurrence {})", slot_text(&slot, zone)));
    let _ = writeln!(out, "It is {what}{of} on {}{at}{instance}.", name(&key.origin.calendar));
    let flow = match declared {
        Some(true) => "as you declared",
        Some(false) => "as usual",
        None => "though nothing flows any more",
    };
    let _ = writeln!(out, "Flow: {} → {}, {flow}.", name(&key.origin.calendar), name(&key.target));
    let state = match state {
        State::InSync => "as it should be".to_owned(),
        State::Due(reason) => format!("the next tick does something about it: {}", due(*reason, &calm, key)),
        State::Held(reason) => format!("it waits: {}", reason.sentence()),
        State::Undone => "as you took it back".to_owned(),
    };
    let _ = writeln!(out, "State: {state}.");
    out.push_str(&history(written, zone, snapshot.now));
    out
}

fn due(reason: Reason, plan: &Plan, key: &ItemKey) -> String {
    let origin = plan.names.get(&key.origin.calendar).map_or("its calendar", String::as_str);
    render::reason(reason, origin)
}

/// Every write of an item with time and reason.
pub fn history(written: &[Written], zone: Tz, now: DateTime<Utc>) -> String {
    let mut out = String::new();
    for Written { run, at, action, reason, outcome } in written {
        let at = at.map_or("some time".to_owned(), |at| {
            let when = When::Times { start: at, end: at, start_zone: None, end_zone: None };
            let span = render::span(&when, zone, now);
            span.split('–').next().unwrap_or_default().to_owned()
        });
        let outcome = outcome.as_deref().unwrap_or("not noted");
        let _ = writeln!(out, "  {at}  run {run}: {action} ({reason}), {outcome}");
    }
    out
}

fn slot_text(slot: &Slot, zone: Tz) -> String {
    match slot {
        Slot::Day(day) => day.to_string(),
        Slot::At(at) => at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
    }
}

/// The answer for people.
pub fn absence(snapshot: &Snapshot, absence: &Absence) -> String {
    let zone: Tz = plan(snapshot).zone.parse().unwrap_or(Tz::UTC);
    match absence {
        Absence::There(event) => format!("It is there, as {}.", event.as_str()),
        Absence::InSeries(event) => format!("It is there, within the series {}.", event.as_str()),
        Absence::SameCalendar => "A calendar is not shown on itself.".into(),
        Absence::NotConnected => "One of the two calendars is not connected.".into(),
        Absence::Personal => "Nothing is ever written to a personal calendar.".into(),
        Absence::Leaving => "One of the two calendars is to be left.".into(),
        Absence::NoFlow { declared: true } => "You switched off what flows from the one to the other.".into(),
        Absence::NoFlow { declared: false } => "Nothing flows from the one to the other.".into(),
        Absence::Unknown => format!(
            "Google told of no such event; or it ended more than {} days ago, which is too long to be kept up to date.",
            snapshot.policy.horizon.num_days()
        ),
        Absence::Cancelled => "It is cancelled.".into(),
        Absence::Hindered(hindrance) => match hindrance {
            Hindrance::Declined => "The invitation is declined.".into(),
            Hindrance::Free => "It is shown as free, and blocks nobody.".into(),
            Hindrance::Kind => "It is a working location or a birthday, and no appointment.".into(),
            Hindrance::Guests => "The flow asks for another number of guests.".into(),
            Hindrance::State => "The flow asks for another answer or state.".into(),
            Hindrance::Type => "The flow asks for other types of event.".into(),
            Hindrance::Title => "The flow asks for another title.".into(),
            Hindrance::Hours => "The flow asks for other days or hours.".into(),
        },
        Absence::SameMeeting => "The same meeting is there already, or is shown from another calendar.".into(),
        Absence::Covered => "The time is taken there already by events of the calendar's own.".into(),
        Absence::Past => "It ended too long ago to be kept up to date.".into(),
        Absence::Dismissed => "You removed it, and it stays away until you bring it back.".into(),
        Absence::Undone => "You took it back, and it stays so until something changes at its origin.".into(),
        Absence::Held(reason) => format!("It waits: {}.", reason.sentence()),
        Absence::Refused { tries, until } => format!(
            "Google refused it {tries} times; it is asked again at {}.",
            until.with_timezone(&zone).format("%H:%M")
        ),
        Absence::Due => "The next tick makes it.".into(),
        Absence::Later => "It is left for another time.".into(),
    }
}
