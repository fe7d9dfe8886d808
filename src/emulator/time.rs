//! Instants, days and wall clocks of events, as Google's JSON has them.
//!
//! A time is `{"date"}` (all day; placed by the calendar's zone, A24) or `{"dateTime", "timeZone"?}`. Zones are IANA names
//! everywhere; a name that is none reads as UTC, since what is stored has been checked before.

use chrono::{
    DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, SecondsFormat, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::state::Object;

/// The zone of this IANA name, or UTC.
pub fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

/// The instant of a wall-clock time: the first of two, and in a spring gap shifted forward by the gap (C27).
pub fn instant_of(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant.with_timezone(&Utc),
        LocalResult::None => {
            // The offset of the day before carries the clock over the gap.
            let before = zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))).fix().local_minus_utc();
            (local - TimeDelta::seconds(i64::from(before))).and_utc()
        }
    }
}

/// The instant at which a day begins in a zone.
pub fn midnight(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    instant_of(day.and_time(NaiveTime::MIN), zone)
}

/// A moment of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// All day; as an end it is exclusive.
    Day(NaiveDate),
    /// An instant, and the zone attached to it.
    Instant(DateTime<Utc>, Tz),
}

impl Point {
    /// Reads `start`, `end` or `originalStartTime`. Without an offset the time is local in its own zone or else in the
    /// calendar's, which is also the zone attached to a time that names none (M01, M02).
    pub fn read(value: Option<&Value>, calendar_zone: &str) -> Option<Self> {
        let value = value?;
        if let Some(date) = value.get("date").and_then(Value::as_str) {
            return date.parse().ok().map(Point::Day);
        }
        let attached = zone(value.get("timeZone").and_then(Value::as_str).unwrap_or(calendar_zone));
        let text = value.get("dateTime").and_then(Value::as_str)?;
        let instant = match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => instant.with_timezone(&Utc),
            Err(_) => instant_of(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?, attached),
        };
        Some(Point::Instant(instant, attached))
    }

    /// The instant; a day begins at midnight in the calendar's zone.
    pub fn instant(self, calendar_zone: &str) -> DateTime<Utc> {
        match self {
            Point::Day(day) => midnight(day, zone(calendar_zone)),
            Point::Instant(instant, _) => instant,
        }
    }

    /// Google's JSON with the offset of the attached zone: the form in which times are stored.
    pub fn json(self) -> Value {
        match self {
            Point::Day(day) => json!({"date": day.to_string()}),
            Point::Instant(instant, zone) => json!({"dateTime": rfc3339(instant, zone), "timeZone": zone.name()}),
        }
    }
}

/// An instant with a zone's offset, to the second: `2026-03-02T09:00:00+01:00`, `…Z` where the offset is zero.
pub fn rfc3339(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// When an event starts. A tombstone without a start stands where it originally was.
pub fn start_instant(event: &Object, calendar_zone: &str) -> Option<DateTime<Utc>> {
    let start = Point::read(event.get("start"), calendar_zone);
    start.or_else(|| Point::read(event.get("originalStartTime"), calendar_zone)).map(|p| p.instant(calendar_zone))
}

/// When an event ends (exclusive); without an end, when it starts.
pub fn end_instant(event: &Object, calendar_zone: &str) -> Option<DateTime<Utc>> {
    match Point::read(event.get("end"), calendar_zone) {
        Some(end) => Some(end.instant(calendar_zone)),
        None => start_instant(event, calendar_zone),
    }
}
