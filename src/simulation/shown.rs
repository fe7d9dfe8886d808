//! What a calendar shows: series are expanded here by the `rrule` crate alone; neither the planner, which never expands, nor the
//! emulator's own expansion is asked.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use rrule::RRuleSet;
use serde_json::Value;

/// One thing that stands on a calendar: seconds since 1970, end exclusive; days are days of UTC on both sides of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    pub start: i64,
    pub end: i64,
    pub title: String,
    pub free: bool,
    /// What is the same for one meeting on all calendars.
    pub uid: String,
    /// Of an occurrence, the time which its series gave it: two may have been moved to one time.
    pub slot: i64,
}

impl Shown {
    /// Whether both are one meeting at one time.
    pub fn is(&self, other: &Shown) -> bool {
        (self.start, self.end, &self.uid, self.slot) == (other.start, other.end, &other.uid, other.slot)
    }
}

/// The span in which calendars are compared: eight weeks with the change of clocks in both zones.
pub fn span() -> (DateTime<Utc>, DateTime<Utc>) {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    // 20 February and 20 April 2026.
    (at(1_771_545_600), at(1_776_643_200))
}

fn zone_of(time: &Value) -> Tz {
    time["timeZone"].as_str().unwrap_or("Europe/Vienna").parse().unwrap_or(Tz::UTC)
}

/// The instant of a time; a day begins at midnight in UTC.
pub fn instant(time: &Value) -> DateTime<Utc> {
    let day = time["date"].as_str().and_then(|day| day.parse::<NaiveDate>().ok());
    let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc());
    let timed = || DateTime::parse_from_rfc3339(time["dateTime"].as_str()?).ok().map(|at| at.to_utc());
    midnight.or_else(timed).unwrap_or_default()
}

/// The crate wants the last day of a series of days as an instant.
fn with_instant(line: &str) -> String {
    let Some(at) = line.find("UNTIL=") else { return line.to_owned() };
    let end = at + "UNTIL=".len() + 8;
    match line.as_bytes().get(end) {
        Some(b'T') => line.to_owned(),
        _ => format!("{}T000000Z{}", &line[..end], &line[end..]),
    }
}

/// Takes series apart; `items` as Google lists them to the owner, unexpanded.
pub fn expand(items: &[Value]) -> Vec<Shown> {
    let (from, to) = span();
    let mut shown = Vec::new();
    let mut changed: BTreeMap<String, Vec<DateTime<Utc>>> = BTreeMap::new();
    for item in items {
        if let Some(series) = item["recurringEventId"].as_str() {
            changed.entry(series.into()).or_default().push(instant(&item["originalStartTime"]));
        }
    }
    for item in items {
        // Cancelled, declined and places of work are not there.
        let guests = item["attendees"].as_array().into_iter().flatten();
        let declined = guests.into_iter().any(|g| g["self"] == true && g["responseStatus"] == "declined");
        if item["status"] == "cancelled" || declined || item["eventType"] == "workingLocation" {
            continue;
        }
        let (start, end) = (instant(&item["start"]), instant(&item["end"]));
        let title = item["summary"].as_str().unwrap_or("").trim_start_matches("🔒 ").to_owned();
        let free = item["transparency"] == "transparent";
        let mut starts = vec![start];
        if let Some(lines) = item["recurrence"].as_array() {
            let zone = if item["start"]["date"].is_string() { Tz::UTC } else { zone_of(&item["start"]) };
            let local = start.with_timezone(&zone).format("%Y%m%dT%H%M%S");
            let mut text = match zone {
                Tz::UTC => format!("DTSTART:{local}Z"),
                zone => format!("DTSTART;TZID={zone}:{local}"),
            };
            for line in lines {
                text = format!("{text}\n{}", with_instant(line.as_str().unwrap_or_default()));
            }
            let Ok(set) = text.parse::<RRuleSet>() else { continue };
            let before = rrule::Tz::UTC.from_utc_datetime(&to.naive_utc());
            starts = set.before(before).all(1000).dates.iter().map(|date| date.with_timezone(&Utc)).collect();
            let slots = item["id"].as_str().and_then(|id| changed.get(id)).cloned().unwrap_or_default();
            starts.retain(|start| !slots.contains(start));
        }
        for begin in starts {
            let finish = begin + (end - start);
            if finish > from && begin < to {
                let (start, end) = (begin.timestamp(), finish.timestamp());
                let uid = item["iCalUID"].as_str().unwrap_or_default().to_owned();
                let given = &item["originalStartTime"];
                let slot = if given.is_null() { start } else { instant(given).timestamp() };
                shown.push(Shown { start, end, title: title.clone(), free, uid, slot });
            }
        }
    }
    shown.sort();
    shown
}

/// The union of times, as disjoint spans in order.
pub fn union<'a>(shown: impl IntoIterator<Item = &'a Shown>) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = shown.into_iter().map(|s| (s.start, s.end)).collect();
    spans.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}
