//! Recurring series: slots, instances, and what Google refuses as a rule.
//!
//! A series is expanded on the wall clock of its own zone (C26), so that its slots keep their local time over changes of the
//! clock; a slot in a spring gap moves forward by the gap (C27). The set is DTSTART ∪ RRULE ∪ RDATE − EXRULE − EXDATE:
//! a start that its rule would not make counts as the first instance, also towards COUNT (RFC 5545, 3.3.10). UNTIL is
//! inclusive (C24); a date as UNTIL of a timed series lasts to the end of that day (M07). Every expansion has a limit.

use std::iter::Peekable;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rrule::{RRule, RRuleSet, Unvalidated};
use serde_json::Value;

use super::{
    http::ApiError,
    state::{Calendar, Object},
    time::{self, Point, instant_of},
};

/// How many dates of a rule are looked at in one expansion, so that a rule for every second ends somewhere.
const STEPS_MAX: usize = 100_000;

/// A place of a series in time, whether or not an exception has moved what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When it begins; of an all-day series midnight in the calendar's zone.
    pub start: DateTime<Utc>,
    /// The day of an all-day series.
    pub day: Option<NaiveDate>,
}

/// The ending that a slot's id has after `<master>_`: `20260302T080000Z` (C03), `20260302` for a day (C04).
pub fn stamp(slot: &Slot) -> String {
    match slot.day {
        Some(day) => day.format("%Y%m%d").to_string(),
        None => slot.start.format("%Y%m%dT%H%M%SZ").to_string(),
    }
}

/// Whether this is the master of a series: it has recurrence lines and is nobody's instance.
pub fn is_master(event: &Object) -> bool {
    let lines = event.get("recurrence").and_then(Value::as_array);
    lines.is_some_and(|lines| !lines.is_empty()) && !event.contains_key("recurringEventId")
}

/// The slots of a master that start at or after `from` and before `to`, ascending, at most `limit` of them. No bound on
/// either side means the series' own; EXDATEs are left out, exceptions are not looked at.
pub fn slots(
    master: &Object,
    calendar_zone: &str,
    from: impl Into<Option<DateTime<Utc>>>,
    to: impl Into<Option<DateTime<Utc>>>,
    limit: usize,
) -> Vec<Slot> {
    let (from, to) = (from.into(), to.into());
    let Some(series) = Series::read(master, calendar_zone) else { return Vec::new() };
    let mut found: Vec<Slot> = Vec::new();
    for local in series.dates().take(STEPS_MAX) {
        let slot = series.slot(local);
        if to.is_some_and(|to| slot.start >= to) || found.len() >= limit {
            break;
        }
        // Two wall-clock times around a spring gap can mean one instant.
        if from.is_none_or(|from| slot.start >= from) && found.last() != Some(&slot) {
            found.push(slot);
        }
    }
    found
}

/// The computed instance of this id: the master's fields without its recurrence, at the slot, unrendered. None for a stored
/// event, for a slot that the series does not have (C12), and when the master is absent or cancelled.
pub fn instance(calendar: &Calendar, event_id: &str) -> Option<Object> {
    if calendar.events.contains_key(event_id) {
        return None;
    }
    let (master_id, stamped) = event_id.rsplit_once('_')?;
    let master = calendar.events.get(master_id).filter(|m| !m.cancelled() && is_master(&m.fields))?;
    let start = match stamped.len() {
        8 => time::midnight(NaiveDate::parse_from_str(stamped, "%Y%m%d").ok()?, time::zone(&calendar.time_zone)),
        _ => NaiveDateTime::parse_from_str(stamped, "%Y%m%dT%H%M%SZ").ok()?.and_utc(),
    };
    let slots = slots(&master.fields, &calendar.time_zone, start, start + TimeDelta::seconds(1), 1);
    let slot = slots.into_iter().find(|slot| stamp(slot) == stamped)?;
    Some(at_slot(&master.fields, &calendar.time_zone, &slot))
}

/// The instance of a master at one of its slots, unrendered.
pub fn at_slot(master: &Object, calendar_zone: &str, slot: &Slot) -> Object {
    let mut event = master.clone();
    event.remove("recurrence");
    let id = master.get("id").and_then(Value::as_str).unwrap_or_default();
    event.insert("id".into(), format!("{id}_{}", stamp(slot)).into());
    event.insert("recurringEventId".into(), id.into());
    let start = Point::read(master.get("start"), calendar_zone);
    let end = Point::read(master.get("end"), calendar_zone);
    let (start, end) = match (slot.day, start, end) {
        (Some(day), Some(Point::Day(first)), Some(Point::Day(last))) => {
            (Point::Day(day), Point::Day(day + (last - first)))
        }
        (Some(day), ..) => (Point::Day(day), Point::Day(day + TimeDelta::days(1))),
        (None, Some(Point::Instant(first, zone)), Some(Point::Instant(last, end_zone))) => {
            (Point::Instant(slot.start, zone), Point::Instant(slot.start + (last - first), end_zone))
        }
        (None, ..) => (Point::Instant(slot.start, Tz::UTC), Point::Instant(slot.start, Tz::UTC)),
    };
    event.insert("originalStartTime".into(), start.json());
    event.insert("start".into(), start.json());
    event.insert("end".into(), end.json());
    event
}

/// Checks the lines of a new or changed `recurrence` against the event's `start` as the client gave it.
///
/// # Errors
/// 400 `required` for a timed start without a zone (C01); 400 `invalid` for DTSTART and DTEND (C02), COUNT together with
/// UNTIL (C25), and whatever is no RRULE, EXRULE, RDATE or EXDATE of RFC 5545.
pub fn check(lines: &[String], start: &Value) -> Result<(), ApiError> {
    if lines.is_empty() {
        return Ok(());
    }
    if start.get("dateTime").is_some() && start.get("timeZone").and_then(Value::as_str).is_none() {
        return Err(ApiError::new(400, "required", "Missing time zone definition for start time."));
    }
    let wrong = || ApiError::new(400, "invalid", "Invalid recurrence rule.");
    let start = Point::read(Some(start), "UTC").ok_or_else(wrong)?;
    let frame = Frame::of(start, "UTC");
    for line in lines {
        match Line::read(line, &frame).ok_or_else(wrong)? {
            Line::Rule { count: Some(_), until: Some(_), .. } => return Err(wrong()),
            Line::Rule { rule, .. } | Line::Exclusion { rule, .. } => {
                rule.validate(utc(frame.first)).map_err(|_| wrong())?;
            }
            Line::Dates(_) | Line::Exceptions(_) => {}
        }
    }
    Ok(())
}

/// What wall-clock times of a series mean.
#[derive(Clone, Copy)]
struct Frame {
    /// DTSTART on the wall clock; midnight for a day.
    first: NaiveDateTime,
    all_day: bool,
    /// The series' zone; of an all-day series the calendar's.
    zone: Tz,
}

impl Frame {
    fn of(start: Point, calendar_zone: &str) -> Self {
        match start {
            Point::Day(day) => {
                Frame { first: day.and_time(NaiveTime::MIN), all_day: true, zone: time::zone(calendar_zone) }
            }
            Point::Instant(instant, zone) => {
                Frame { first: instant.with_timezone(&zone).naive_local(), all_day: false, zone }
            }
        }
    }
}

/// A date or time of RDATE, EXDATE or UNTIL on the series' wall clock.
#[derive(Clone, Copy)]
enum Stamp {
    Day(NaiveDate),
    Local(NaiveDateTime),
}

impl Stamp {
    /// Reads `20260302`, `20260302T090000` (local in `zone`), `20260302T080000Z`; of a period its start counts.
    fn read(text: &str, zone: Tz, frame: &Frame) -> Option<Self> {
        let text = text.split('/').next().unwrap_or(text);
        if text.len() == 8 {
            return NaiveDate::parse_from_str(text, "%Y%m%d").ok().map(Stamp::Day);
        }
        let local = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y%m%dT%H%M%S").ok()?;
        if frame.all_day {
            // A time on an all-day series is read by its date.
            return Some(Stamp::Day(local.date()));
        }
        let instant = if text.ends_with('Z') { local.and_utc() } else { instant_of(local, zone) };
        Some(Stamp::Local(instant.with_timezone(&frame.zone).naive_local()))
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        match self {
            Stamp::Day(day) => local.date() == *day,
            Stamp::Local(at) => local == *at,
        }
    }
}

/// One line of `recurrence`, COUNT and UNTIL taken out of the rule.
enum Line {
    Rule { rule: RRule<Unvalidated>, count: Option<usize>, until: Option<NaiveDateTime> },
    Exclusion { rule: RRule<Unvalidated>, count: Option<usize>, until: Option<NaiveDateTime> },
    Dates(Vec<Stamp>),
    Exceptions(Vec<Stamp>),
}

impl Line {
    fn read(line: &str, frame: &Frame) -> Option<Self> {
        let (head, value) = line.trim().split_once(':')?;
        let mut parameters = head.split(';');
        let name = parameters.next()?.to_ascii_uppercase();
        match name.as_str() {
            "RRULE" => rule(value, frame).map(|(rule, count, until)| Line::Rule { rule, count, until }),
            "EXRULE" => rule(value, frame).map(|(rule, count, until)| Line::Exclusion { rule, count, until }),
            "RDATE" | "EXDATE" => {
                let mut zone = frame.zone;
                for parameter in parameters {
                    match parameter.split_once('=')? {
                        ("TZID", named) => zone = named.parse().ok()?,
                        ("VALUE", "DATE" | "DATE-TIME" | "PERIOD") => {}
                        _ => return None,
                    }
                }
                let stamps =
                    value.split(',').map(|text| Stamp::read(text.trim(), zone, frame)).collect::<Option<_>>()?;
                Some(if name == "RDATE" { Line::Dates(stamps) } else { Line::Exceptions(stamps) })
            }
            _ => None,
        }
    }
}

type Rule = (RRule<Unvalidated>, Option<usize>, Option<NaiveDateTime>);

fn rule(value: &str, frame: &Frame) -> Option<Rule> {
    let (mut count, mut until, mut rest) = (None, None, Vec::new());
    for part in value.trim_end_matches(';').split(';') {
        let (name, given) = part.split_once('=')?;
        match name.to_ascii_uppercase().as_str() {
            "COUNT" => count = Some(given.parse().ok().filter(|count| *count > 0)?),
            "UNTIL" => {
                until = Some(match Stamp::read(given, frame.zone, frame)? {
                    // The whole of that day, on the series' wall clock (M07).
                    Stamp::Day(day) => day.and_hms_opt(23, 59, 59)?,
                    Stamp::Local(local) => local,
                });
            }
            // RFC 5545 wants it positive; the expansion would silently end.
            "INTERVAL" if given.parse::<u16>().is_ok_and(|interval| interval == 0) => return None,
            _ => rest.push(part.to_ascii_uppercase()),
        }
    }
    Some((rest.join(";").parse().ok()?, count, until))
}

/// A wall-clock time dressed as UTC: the expansion itself must not know of zones.
fn utc(local: NaiveDateTime) -> DateTime<rrule::Tz> {
    local.and_utc().with_timezone(&rrule::Tz::UTC)
}

type Dates = Box<dyn Iterator<Item = NaiveDateTime>>;

struct Series {
    frame: Frame,
    lines: Vec<Line>,
}

impl Series {
    /// Lines that cannot be read are passed over: what was stored has been checked.
    fn read(master: &Object, calendar_zone: &str) -> Option<Self> {
        let frame = Frame::of(Point::read(master.get("start"), calendar_zone)?, calendar_zone);
        let lines = master.get("recurrence")?.as_array()?;
        let lines = lines.iter().filter_map(Value::as_str).filter_map(|line| Line::read(line, &frame)).collect();
        Some(Series { frame, lines })
    }

    fn slot(&self, local: NaiveDateTime) -> Slot {
        let start = instant_of(local, self.frame.zone);
        Slot { start, day: self.frame.all_day.then(|| local.date()) }
    }

    /// All dates of the set, ascending on the wall clock.
    fn dates(&self) -> impl Iterator<Item = NaiveDateTime> {
        let (mut made, mut excluded, mut exceptions): (Vec<Peekable<Dates>>, Vec<Peekable<Dates>>, Vec<Stamp>) =
            Default::default();
        let first = self.frame.first;
        let mut has_rule = false;
        for line in &self.lines {
            match line {
                Line::Rule { rule, count, until } => {
                    has_rule = true;
                    made.push(expansion(rule, first, true, *count, *until).peekable());
                }
                Line::Exclusion { rule, count, until } => {
                    excluded.push(expansion(rule, first, false, *count, *until).peekable());
                }
                Line::Dates(stamps) => {
                    let mut dates: Vec<NaiveDateTime> = stamps.iter().map(|stamp| self.date(*stamp)).collect();
                    dates.sort_unstable();
                    made.push((Box::new(dates.into_iter()) as Dates).peekable());
                }
                Line::Exceptions(stamps) => exceptions.extend(stamps),
            }
        }
        if !has_rule && !made.is_empty() {
            // A series of RDATEs alone begins with its start.
            made.push((Box::new(std::iter::once(first)) as Dates).peekable());
        }
        std::iter::from_fn(move || {
            loop {
                let next = made.iter_mut().filter_map(|dates| dates.peek().copied()).min()?;
                made.iter_mut().for_each(|dates| pass(dates, next));
                let by_rule = excluded.iter_mut().any(|dates| {
                    while dates.next_if(|date| *date < next).is_some() {}
                    dates.peek() == Some(&next)
                });
                if !by_rule && !exceptions.iter().any(|stamp| stamp.matches(next)) {
                    return Some(next);
                }
            }
        })
    }

    /// An RDATE; a bare day on a timed series takes the time of its start.
    fn date(&self, stamp: Stamp) -> NaiveDateTime {
        match stamp {
            Stamp::Day(day) => day.and_time(self.frame.first.time()),
            Stamp::Local(local) => local,
        }
    }
}

fn pass(dates: &mut Peekable<Dates>, until: NaiveDateTime) {
    while dates.next_if(|date| *date <= until).is_some() {}
}

/// The dates of one rule; `with_first` puts a start before them that the rule itself does not make.
fn expansion(
    rule: &RRule<Unvalidated>,
    first: NaiveDateTime,
    with_first: bool,
    count: Option<usize>,
    until: Option<NaiveDateTime>,
) -> Dates {
    let Ok(set) = rule.clone().build(utc(first)).map(RRuleSet::limit) else { return Box::new(std::iter::empty()) };
    let made = set.into_iter().map(|date| date.naive_utc()).skip_while(move |date| with_first && *date <= first);
    let dates: Dates = if with_first { Box::new(std::iter::once(first).chain(made)) } else { Box::new(made) };
    Box::new(
        dates
            .take_while(move |date| until.is_none_or(|until| *date <= until))
            .take(count.unwrap_or(usize::MAX))
            .take(STEPS_MAX),
    )
}
