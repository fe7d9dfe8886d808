//! Calendar exports (.ics) as Google events: what Google's own import makes of them.
//!
//! ```text
//!   bytes ─► calcard ─► one VEVENT at a time ─► zone, start, end ─► Google's JSON
//!                                              ╲ what Google cannot hold: repaired or skipped, and reported
//! ```
//!
//! Promises: a file that can be read at all is read to its end; every event of it is in `events`, or its reason not to be is
//! in `skipped`. Ids are Google's: a Google UID keeps its id, a foreign one becomes `_` and its base32hex (semantics §2.2).
//! Deliberately absent: alarms (reminders belong to the reader of a calendar), tasks, journals, attachments.

use std::collections::{BTreeMap, BTreeSet};

use calcard::{
    Entry, Parser,
    common::{PartialDateTime, timezone::Tz as ForeignTz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDuration, ICalendarEntry,
        ICalendarParameterName, ICalendarParticipationStatus, ICalendarPeriod, ICalendarProperty, ICalendarValue,
    },
};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use data_encoding::BASE32HEX_NOPAD;
use serde_json::{Value, json};

use super::{
    state::Object,
    time::{instant_of, rfc3339},
};

/// A calendar export.
#[derive(Clone, Debug, Default)]
pub struct IcsCalendar {
    /// `X-WR-CALNAME`.
    pub name: Option<String>,
    /// `X-WR-TIMEZONE`, as an IANA name.
    pub time_zone: Option<String>,
    /// Google's JSON, with `id` and `iCalUID`; masters and single events first, exceptions after them.
    pub events: Vec<Object>,
    /// Sentences about events that Google could not hold as they were and that got the shortest legal length.
    pub repaired: Vec<String>,
    /// Sentences about events that are not in `events`.
    pub skipped: Vec<String>,
}

/// Why a file is no calendar.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum IcsError {
    #[error("This is not a calendar export: it is not text in UTF-8.")]
    NotText,
    #[error("This is not a calendar export: it does not begin with BEGIN:VCALENDAR.")]
    NotACalendar,
    #[error("This calendar export is cut off: END:VCALENDAR is missing.")]
    CutOff,
}

/// Reads an export. Times that float, in a file that names no zone of its own, are in UTC.
///
/// # Errors
/// When it is no calendar export, or ends before its end.
#[cfg(test)]
pub fn read(bytes: &[u8]) -> Result<IcsCalendar, IcsError> {
    read_in(bytes, Tz::UTC)
}

/// The same for a calendar whose zone is known.
///
/// # Errors
/// As [`read`].
pub fn read_in(bytes: &[u8], floating: Tz) -> Result<IcsCalendar, IcsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| IcsError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new(text);
    let mut calendar = IcsCalendar::default();
    let mut found = Found::default();
    let mut any = false;
    loop {
        match parser.entry() {
            Entry::ICalendar(part) if part.components.first().is_some_and(is_calendar) => {
                any = true;
                collect(&part, floating, &mut calendar, &mut found);
            }
            Entry::Eof => break,
            // Lines between calendars are noise, as is a component outside of any.
            Entry::TooManyComponents => break,
            _ if any => {}
            _ => return Err(IcsError::NotACalendar),
        }
    }
    if !any {
        return Err(IcsError::NotACalendar);
    }
    // The reader forgives a missing end; whoever cut the file off may have lost half of it.
    let ends = text.lines().rev().map(str::trim_end).find(|line| !line.is_empty());
    if !ends.is_some_and(|line| line.eq_ignore_ascii_case("END:VCALENDAR")) {
        return Err(IcsError::CutOff);
    }
    calendar.events = found.masters.into_values().chain(found.exceptions.into_values()).map(|(_, e)| e).collect();
    Ok(calendar)
}

fn is_calendar(component: &ICalendarComponent) -> bool {
    component.component_type == ICalendarComponentType::VCalendar
}

/// Events by id, each with its sequence number.
#[derive(Default)]
struct Found {
    masters: BTreeMap<String, (i64, Object)>,
    exceptions: BTreeMap<String, (i64, Object)>,
}

/// What a whole file says about its times.
struct Zones<'a> {
    /// The calendar's own zone.
    calendar: Option<Tz>,
    /// The zone of times that float where the calendar has none.
    floating: Tz,
    /// Google writes single events in UTC although they belong to the calendar's zone.
    google: bool,
    file: &'a ICalendar,
}

fn collect(file: &ICalendar, floating: Tz, calendar: &mut IcsCalendar, found: &mut Found) {
    let head = &file.components[0];
    let head_text = |name: &str| {
        let wanted = ICalendarProperty::Other(name.into());
        head.entries.iter().find(|e| e.name == wanted).and_then(|e| e.values.first()).and_then(ICalendarValue::as_text)
    };
    let name = head_text("X-WR-CALNAME").or(text(head, &ICalendarProperty::Name));
    calendar.name = calendar.name.take().or(name.map(String::from));
    let mut zones = Zones {
        calendar: None,
        floating,
        google: text(head, &ICalendarProperty::Prodid).is_some_and(|p| p.contains("Google")),
        file,
    };
    zones.calendar = head_text("X-WR-TIMEZONE").and_then(|name| zones.named(name));
    calendar.time_zone = calendar.time_zone.take().or(zones.calendar.map(|tz| tz.name().into()));
    for component in file.components.iter().filter(|c| c.component_type == ICalendarComponentType::VEvent) {
        let mut event = match event(component, &zones) {
            Ok(event) => event,
            Err(reason) => {
                let title = text(component, &ICalendarProperty::Summary).unwrap_or("(no title)");
                let uid = component.uid().unwrap_or("(no UID)");
                calendar.skipped.push(format!("\"{title}\" ({uid}): {reason}."));
                continue;
            }
        };
        if let Some(sentence) = event.repaired.take() {
            calendar.repaired.push(sentence);
        }
        let shelf = if event.exception { &mut found.exceptions } else { &mut found.masters };
        let id = event.fields["id"].as_str().expect("an event read here has an id").to_owned();
        let title = event.fields.get("summary").and_then(Value::as_str).unwrap_or("(no title)").to_owned();
        // A UID means one event: of two versions the later one counts (RFC 5545 §3.8.7.4), and of equals the last.
        let newer = shelf.get(&id).is_none_or(|(sequence, _)| *sequence <= event.sequence);
        let lost = if newer { shelf.insert(id, (event.sequence, event.fields)).is_some() } else { true };
        if lost {
            calendar.skipped.push(format!("\"{title}\": the file has two versions of it; the later one counts."));
        }
    }
}

struct Read {
    fields: Object,
    exception: bool,
    sequence: i64,
    repaired: Option<String>,
}

/// A moment of an export.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Day(NaiveDate),
    /// An instant, and the zone in which it is meant.
    Timed(DateTime<Utc>, Tz),
}

impl Moment {
    /// Google's `start` or `end`.
    fn json(self) -> Value {
        match self {
            Moment::Day(day) => json!({"date": day.to_string()}),
            Moment::Timed(at, tz) => json!({"dateTime": rfc3339(at, tz), "timeZone": tz.name()}),
        }
    }

    /// The suffix of an instance's id: the slot in UTC, or the day.
    fn stamp(self) -> String {
        match self {
            Moment::Day(day) => day.format("%Y%m%d").to_string(),
            Moment::Timed(at, _) => at.format("%Y%m%dT%H%M%SZ").to_string(),
        }
    }
}

impl Zones<'_> {
    /// The IANA zone behind a name: itself in any case, what the file's own zone of that name says, or a Windows name.
    fn named(&self, name: &str) -> Option<Tz> {
        let iana = |name: &str| chrono_tz::TZ_VARIANTS.iter().copied().find(|tz| tz.name().eq_ignore_ascii_case(name));
        let foreign = |tz: ForeignTz| match tz {
            ForeignTz::Tz(tz) => iana(tz.name()),
            ForeignTz::Fixed(_) | ForeignTz::Floating => None,
        };
        let defined = || self.file.build_tz_resolver().resolve(name).and_then(foreign);
        let spelled = || {
            let zone = self.file.timezones().find(|z| text(z, &ICalendarProperty::Tzid) == Some(name))?;
            let location = ICalendarProperty::Other("X-LIC-LOCATION".into());
            iana(text(zone, &location)?)
        };
        iana(name.trim()).or_else(defined).or_else(spelled)
    }

    /// A date or time of an entry. `series`: whether it recurs, so that its zone matters beyond one instant.
    fn moment(&self, entry: &ICalendarEntry, value: &PartialDateTime, series: bool) -> Result<Moment, String> {
        let (Some(year), Some(month), Some(day)) = (value.year, value.month, value.day) else {
            return Err("a date is unreadable".into());
        };
        let date = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day));
        let date = date.ok_or_else(|| format!("there is no day {year}-{month:02}-{day:02}"))?;
        let Some(hour) = value.hour else { return Ok(Moment::Day(date)) };
        let minute = u32::from(value.minute.unwrap_or(0));
        // A leap second is the last one of its minute.
        let second = u32::from(value.second.unwrap_or(0)).min(59);
        let time = NaiveTime::from_hms_opt(u32::from(hour), minute, second);
        let local = date.and_time(time.ok_or_else(|| format!("there is no time {hour}:{minute:02}"))?);
        if value.tz_hour.is_some() {
            let minutes = i64::from(value.tz_hour.unwrap_or(0)) * 60 + i64::from(value.tz_minute.unwrap_or(0));
            let at = (local - TimeDelta::minutes(if value.tz_minus { -minutes } else { minutes })).and_utc();
            return Ok(Moment::Timed(at, self.calendar.filter(|_| self.google && !series).unwrap_or(Tz::UTC)));
        }
        let tz = match entry.tz_id() {
            Some(name) => self.named(name).or(self.calendar).ok_or_else(|| format!("its zone {name} is unknown"))?,
            None => self.calendar.unwrap_or(self.floating),
        };
        Ok(Moment::Timed(instant_of(local, tz), tz))
    }
}

fn event(component: &ICalendarComponent, zones: &Zones) -> Result<Read, String> {
    use ICalendarProperty as P;
    let uid = component.uid().filter(|u| !u.is_empty()).ok_or("it has no UID")?;
    let recurs = [P::Rrule, P::Rdate].iter().any(|p| component.has_property(p));
    let moment = |name: &P, series| {
        let entry = component.property(name)?;
        let value = entry.values.first()?.as_partial_date_time()?;
        Some(zones.moment(entry, value, series))
    };
    let start = moment(&P::Dtstart, recurs).ok_or("it has no start")??;
    let end = match moment(&P::Dtend, recurs) {
        Some(end) => end?,
        None => default_end(start, duration(component)),
    };
    let title = text(component, &P::Summary).unwrap_or("");
    let (end, repaired) = legal_end(start, end);
    let repaired =
        repaired.then(|| format!("\"{title}\" ({uid}) ends when it starts or before; it got the shortest length."));
    let base = event_id(uid);
    let slot = match moment(&P::RecurrenceId, true) {
        Some(slot) => Some(same_kind(slot?, start)),
        None => None,
    };

    let mut fields = Object::new();
    let id = slot.map_or(base.clone(), |slot| format!("{base}_{}", slot.stamp()));
    fields.insert("id".into(), id.into());
    fields.insert("iCalUID".into(), uid.into());
    fields.insert("start".into(), start.json());
    fields.insert("end".into(), end.json());
    for (name, property) in [("summary", P::Summary), ("description", P::Description), ("location", P::Location)] {
        if let Some(value) = text(component, &property).filter(|v| !v.is_empty()) {
            fields.insert(name.into(), value.into());
        }
    }
    let status = text(component, &P::Status).unwrap_or("CONFIRMED").to_ascii_uppercase();
    let status = match status.as_str() {
        "TENTATIVE" => "tentative",
        "CANCELLED" => "cancelled",
        _ => "confirmed",
    };
    fields.insert("status".into(), status.into());
    if free(component) {
        fields.insert("transparency".into(), "transparent".into());
    }
    match text(component, &P::Class).map(str::to_ascii_uppercase).as_deref() {
        Some("PRIVATE") => fields.insert("visibility".into(), "private".into()),
        Some("CONFIDENTIAL") => fields.insert("visibility".into(), "confidential".into()),
        Some("PUBLIC") => fields.insert("visibility".into(), "public".into()),
        _ => None,
    };
    if let Some(organizer) = component.property(&P::Organizer).and_then(person) {
        fields.insert("organizer".into(), organizer.into());
    }
    let attendees = attendees(component);
    if !attendees.is_empty() {
        fields.insert("attendees".into(), attendees.into());
    }
    let sequence = component.property(&P::Sequence).and_then(|e| e.values.first()).and_then(ICalendarValue::as_integer);
    let sequence = sequence.unwrap_or(0);
    if sequence > 0 {
        fields.insert("sequence".into(), sequence.into());
    }
    if let Some(Ok(Moment::Timed(at, _))) = moment(&P::Created, true)
        // Google exports the year 0 for what it does not know.
        && at.year() > 1970
    {
        let created = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        fields.insert("created".into(), created.into());
    }
    if let Some(slot) = slot {
        fields.insert("recurringEventId".into(), base.into());
        fields.insert("originalStartTime".into(), slot.json());
    } else {
        let lines = recurrence(component, zones, start)?;
        if !lines.is_empty() {
            fields.insert("recurrence".into(), lines.into());
        }
    }
    Ok(Read { fields, exception: slot.is_some(), sequence, repaired })
}

/// Google's id for an imported UID (semantics §2.2).
fn event_id(uid: &str) -> String {
    let legal = |id: &str| {
        // A split series carries `_R…` and its stamp after the base.
        let base = id.split_once("_R").map_or(id, |(base, _)| base).trim_start_matches('_');
        (5..=1024).contains(&id.len()) && base.bytes().all(|b| matches!(b, b'a'..=b'v' | b'0'..=b'9'))
    };
    match uid.strip_suffix("@google.com").filter(|id| legal(id)) {
        Some(id) => id.into(),
        None => format!("_{}", BASE32HEX_NOPAD.encode(uid.as_bytes()).to_ascii_lowercase()),
    }
}

/// RFC 5545 §3.6.1: without an end, a day lasts a day and a time takes no time.
fn default_end(start: Moment, duration: Option<&ICalendarDuration>) -> Moment {
    match (start, duration) {
        (Moment::Day(day), None) => Moment::Day(day + Days::new(1)),
        // What lies beyond all dates is as good as no length.
        (Moment::Day(day), Some(d)) => {
            let length = TimeDelta::try_days(d.as_seconds().div_euclid(86_400));
            Moment::Day(length.and_then(|length| day.checked_add_signed(length)).unwrap_or(day))
        }
        (Moment::Timed(..), None) => start,
        (Moment::Timed(at, tz), Some(d)) => {
            let length = TimeDelta::try_seconds(d.as_seconds());
            Moment::Timed(length.and_then(|length| at.checked_add_signed(length)).unwrap_or(at), tz)
        }
    }
}

/// The end, and whether it had to be moved: Google holds no event that ends when it starts, or before (D23).
fn legal_end(start: Moment, end: Moment) -> (Moment, bool) {
    let day_of = |at: DateTime<Utc>, tz: Tz| at.with_timezone(&tz).date_naive();
    match (start, end) {
        (Moment::Day(from), Moment::Day(to)) if to > from => (end, false),
        (Moment::Day(from), Moment::Timed(to, tz)) if day_of(to, tz) > from => (Moment::Day(day_of(to, tz)), false),
        (Moment::Day(from), _) => (Moment::Day(from + Days::new(1)), true),
        (Moment::Timed(from, _), Moment::Timed(to, _)) if to > from => (end, false),
        (Moment::Timed(from, tz), Moment::Day(to)) if to > day_of(from, tz) => {
            (Moment::Timed(instant_of(to.and_time(NaiveTime::MIN), tz), tz), false)
        }
        (Moment::Timed(from, tz), _) => (Moment::Timed(from + TimeDelta::minutes(1), tz), true),
    }
}

/// A slot in the zone of the exception's start. An exception of a timed series may itself be all-day: then the slot keeps
/// its own.
fn same_kind(slot: Moment, start: Moment) -> Moment {
    match (slot, start) {
        (Moment::Timed(at, _), Moment::Timed(_, own)) => Moment::Timed(at, own),
        (slot, _) => slot,
    }
}

fn duration(component: &ICalendarComponent) -> Option<&ICalendarDuration> {
    match component.property(&ICalendarProperty::Duration)?.values.first()? {
        ICalendarValue::Duration(duration) => Some(duration),
        _ => None,
    }
}

/// The lines of `recurrence`, in Google's form: rules as they are, dates in the zone of the start.
fn recurrence(component: &ICalendarComponent, zones: &Zones, start: Moment) -> Result<Vec<Value>, String> {
    use ICalendarProperty as P;
    let mut lines = Vec::new();
    for entry in component.entries.iter().filter(|e| matches!(e.name, P::Rrule | P::Exrule)) {
        let name = entry.name.as_str();
        for value in &entry.values {
            lines.push(match value {
                ICalendarValue::RecurrenceRule(rule) => {
                    let mut rule = rule.clone();
                    let bound = rule.until.take().map(|u| until(&u, start)).transpose()?;
                    let text = rule.to_string();
                    // UNTIL goes behind FREQ, where Google writes it.
                    match (bound, text.split_once(';')) {
                        (None, _) => format!("{name}:{text}"),
                        (Some(bound), None) => format!("{name}:{text};UNTIL={bound}"),
                        (Some(bound), Some((freq, rest))) => format!("{name}:{freq};UNTIL={bound};{rest}"),
                    }
                }
                other => return Err(format!("its recurrence {} is unreadable", other.as_text().unwrap_or(""))),
            });
        }
    }
    for entry in component.entries.iter().filter(|e| matches!(e.name, P::Rdate | P::Exdate)) {
        let mut stamps = BTreeSet::new();
        for value in &entry.values {
            let value = match value {
                ICalendarValue::PartialDateTime(value) => value.as_ref(),
                ICalendarValue::Period(ICalendarPeriod::Range { start, .. })
                | ICalendarValue::Period(ICalendarPeriod::Duration { start, .. }) => start,
                _ => continue,
            };
            stamps.insert(match (zones.moment(entry, value, true)?, start) {
                (Moment::Timed(at, _), Moment::Timed(_, own)) => {
                    at.with_timezone(&own).format("%Y%m%dT%H%M%S").to_string()
                }
                (Moment::Timed(at, tz), Moment::Day(_)) => at.with_timezone(&tz).format("%Y%m%d").to_string(),
                // A day stands for the slot on that day.
                (Moment::Day(day), Moment::Timed(at, own)) => {
                    day.and_time(at.with_timezone(&own).time()).format("%Y%m%dT%H%M%S").to_string()
                }
                (Moment::Day(day), Moment::Day(_)) => day.format("%Y%m%d").to_string(),
            });
        }
        if stamps.is_empty() {
            continue;
        }
        let (name, list) = (entry.name.as_str(), stamps.into_iter().collect::<Vec<_>>());
        lines.push(match start {
            Moment::Day(_) => format!("{name};VALUE=DATE:{}", list.join(",")),
            Moment::Timed(_, Tz::UTC) => format!("{name}:{}Z", list.join("Z,")),
            Moment::Timed(_, tz) => format!("{name};TZID={}:{}", tz.name(), list.join(",")),
        });
    }
    Ok(lines.into_iter().map(Value::from).collect())
}

/// A bound of the kind that the start asks for (semantics §13): a date for days, UTC for times.
fn until(bound: &PartialDateTime, start: Moment) -> Result<String, String> {
    let number = |n: Option<u8>| u32::from(n.unwrap_or(0));
    let day = NaiveDate::from_ymd_opt(i32::from(bound.year.unwrap_or(0)), number(bound.month), number(bound.day));
    let day = day.ok_or("the end of its recurrence is no day")?;
    let time = bound.hour.and_then(|h| NaiveTime::from_hms_opt(h.into(), number(bound.minute), number(bound.second)));
    let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
    Ok(match (start, time) {
        (Moment::Day(_), _) => day.format("%Y%m%d").to_string(),
        // A day counts to its end.
        (Moment::Timed(_, tz), None) => {
            let end = (day + Days::new(1)).and_time(NaiveTime::MIN) - TimeDelta::seconds(1);
            stamp(instant_of(end, tz))
        }
        (Moment::Timed(..), Some(time)) if bound.tz_hour.is_some() => stamp(day.and_time(time).and_utc()),
        (Moment::Timed(_, tz), Some(time)) => stamp(instant_of(day.and_time(time), tz)),
    })
}

/// Whether an event leaves its time free. Outlook says so in a property of its own.
fn free(component: &ICalendarComponent) -> bool {
    let outlook = ICalendarProperty::Other("X-MICROSOFT-CDO-BUSYSTATUS".into());
    match text(component, &ICalendarProperty::Transp) {
        Some(transp) => transp.eq_ignore_ascii_case("TRANSPARENT"),
        None => text(component, &outlook).is_some_and(|v| v.eq_ignore_ascii_case("FREE")),
    }
}

/// A person of `ORGANIZER` or `ATTENDEE`; none without an address.
fn person(entry: &ICalendarEntry) -> Option<Object> {
    let address = entry.calendar_address()?;
    let parameter = |name| entry.parameters(&name).find_map(|v| v.as_text());
    let email = if address.contains('@') { Some(address) } else { parameter(ICalendarParameterName::Email) };
    let email = email.filter(|e| e.contains('@') && !e.contains(char::is_whitespace))?.to_ascii_lowercase();
    let mut person = Object::new();
    if let Some(name) = parameter(ICalendarParameterName::Cn).filter(|n| !n.eq_ignore_ascii_case(&email)) {
        person.insert("displayName".into(), name.into());
    }
    person.insert("email".into(), email.into());
    Some(person)
}

fn attendees(component: &ICalendarComponent) -> Vec<Value> {
    use calcard::icalendar::ICalendarParameterValue as V;
    let mut seen = BTreeSet::new();
    let mut guests = Vec::new();
    for entry in component.entries.iter().filter(|e| e.name == ICalendarProperty::Attendee) {
        let Some(mut guest) = person(entry).filter(|g| seen.insert(g["email"].clone().to_string())) else { continue };
        let answer = match entry.parameters(&ICalendarParameterName::Partstat).next() {
            Some(V::Partstat(ICalendarParticipationStatus::Accepted)) => "accepted",
            Some(V::Partstat(ICalendarParticipationStatus::Declined)) => "declined",
            Some(V::Partstat(ICalendarParticipationStatus::Tentative)) => "tentative",
            _ => "needsAction",
        };
        guest.insert("responseStatus".into(), answer.into());
        let says = |name, value: &str| {
            entry.parameters(&name).any(|v| v.as_text().is_some_and(|v| v.eq_ignore_ascii_case(value)))
        };
        if says(ICalendarParameterName::Cutype, "RESOURCE") || says(ICalendarParameterName::Cutype, "ROOM") {
            guest.insert("resource".into(), true.into());
        }
        if says(ICalendarParameterName::Role, "OPT-PARTICIPANT") {
            guest.insert("optional".into(), true.into());
        }
        guests.push(guest.into());
    }
    guests
}

fn text<'a>(component: &'a ICalendarComponent, property: &ICalendarProperty) -> Option<&'a str> {
    component.property(property)?.values.first()?.as_text()
}
