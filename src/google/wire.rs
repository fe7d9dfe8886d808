//! Google's JSON and our nouns. The one file that names `google_calendar3`, whose types it reads with; what is written is
//! built by hand, because those types can neither clear a field nor leave one out.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use google_calendar3::api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::{
    body::{Answer, Body, Field, Visibility, When},
    event::{Change, Event, Guest, Kind, Rights, Slot},
    id::{Etag, EventId},
};

/// The private extended property that says "a program of this kind made me" (specification, "Loop Prevention").
pub(super) const TAG: &str = "calendarSyncEngine";
/// The private extended property that holds the sealed marker.
const MARKER: &str = "busybridge";

/// Reads one event of a listing, or the answer to a write. `zone` is the calendar's: a series without one repeats in it.
///
/// # Errors
/// The id of an event that makes no sense; empty if it has none.
pub fn change(text: &str, zone: &str) -> Result<Change, EventId> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        id: String,
        status: Option<String>,
    }
    let Named { id, status } = serde_json::from_str(text).map_err(|_| EventId::from(""))?;
    let id = EventId::from(id);
    let event: Option<api::Event> = serde_json::from_str(text).ok();
    if status.as_deref() == Some("cancelled") {
        // Of a tombstone only the id is certain (semantics §1.4).
        let series = event.as_ref().and_then(series).or_else(|| id.as_instance());
        let etag = event.and_then(|event| event.etag).map(Etag::from);
        return if id.as_str().is_empty() { Err(id) } else { Ok(Change::Gone { id, series, etag, told: true }) };
    }
    event.and_then(|event| live(event, &id, zone)).map(|event| Change::Live(Box::new(event))).ok_or(id)
}

fn live(event: api::Event, id: &EventId, zone: &str) -> Option<Event> {
    let series = series(&event);
    let kind = match event.event_type.as_deref() {
        Some("outOfOffice") => Kind::OutOfOffice,
        Some("focusTime") => Kind::FocusTime,
        Some("fromGmail") => Kind::FromGmail,
        Some("workingLocation") => Kind::WorkingLocation,
        Some("birthday") => Kind::Birthday,
        // Also what Google may add one day: it counts by its transparency.
        _ => Kind::Ordinary,
    };
    let ordinary = matches!(event.event_type.as_deref(), None | Some("default"));
    let organizer = event.organizer.as_ref().is_some_and(|organizer| organizer.self_ == Some(true));
    let free_hand = organizer || event.guests_can_modify == Some(true);
    let rights = if ordinary && event.locked != Some(true) && free_hand { Rights::Editable } else { Rights::ReadOnly };
    let guests: Vec<Guest> = event.attendees.iter().flatten().map(guest).collect();
    let people = event.attendees.iter().flatten().filter(|a| a.self_ != Some(true) && a.resource != Some(true)).count();
    let omitted = event.attendees_omitted == Some(true);
    let recurrence = event.recurrence.unwrap_or_default();
    let when = when(event.start?, event.end?, if recurrence.is_empty() { None } else { Some(zone) })?;
    let properties = event.extended_properties.and_then(|properties| properties.private).unwrap_or_default();
    let body = Body {
        title: event.summary,
        description: event.description.map(|text| without_conference_block(&text)),
        location: event.location,
        when,
        recurrence,
        free: event.transparency.as_deref() == Some("transparent"),
        visibility: match event.visibility.as_deref() {
            Some("public") => Visibility::Public,
            Some("private" | "confidential") => Visibility::Private,
            _ => Visibility::Default,
        },
        colour: event.color_id,
        answer: guests.iter().find(|guest| guest.own).map(|guest| guest.answer),
    };
    let video = event.conference_data.and_then(|conference| {
        let mut entries = conference.entry_points.into_iter().flatten();
        entries.find(|entry| entry.entry_point_type.as_deref() == Some("video"))?.uri
    });
    Some(Event {
        id: Some(id.clone()).filter(|id| !id.as_str().is_empty())?,
        etag: Etag::from(event.etag.unwrap_or_default()),
        updated: event.updated.map(instant).unwrap_or_default(),
        series,
        kind,
        body: body.canonical(),
        tentative: event.status.as_deref() == Some("tentative"),
        uid: event.i_cal_uid.unwrap_or_default(),
        organizer,
        others: u32::try_from(people).unwrap_or(u32::MAX).max(u32::from(omitted)),
        guests,
        join_link: event.hangout_link.or(video),
        rights,
        marker: properties.get(MARKER).cloned(),
        tagged: properties.get(TAG).is_some_and(|value| value == "true"),
    })
}

/// Later instants give greater texts.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn series(event: &api::Event) -> Option<(EventId, Slot)> {
    let series = event.recurring_event_id.clone()?;
    let original = event.original_start_time.as_ref();
    let slot = original.and_then(|time| match (time.date, time.date_time) {
        (Some(day), _) => Some(Slot::Day(day)),
        (None, at) => at.map(Slot::At),
    });
    // The id names the slot, too, should Google have left it out.
    let slot = slot.and_then(named).or_else(|| EventId::from(event.id.clone()?).as_instance().map(|(_, slot)| slot));
    Some((series.into(), slot?))
}

/// A slot that an id can name: of whole seconds, in a year of four digits.
fn named(slot: Slot) -> Option<Slot> {
    Slot::from_stamp(&slot.stamp())
}

fn guest(attendee: &api::EventAttendee) -> Guest {
    Guest {
        name: attendee.display_name.clone().or_else(|| attendee.email.clone()).unwrap_or_else(|| "somebody".into()),
        answer: attendee.response_status.as_deref().map_or(Answer::None, Answer::from_word),
        own: attendee.self_ == Some(true),
    }
}

fn when(start: api::EventDateTime, end: api::EventDateTime, series_zone: Option<&str>) -> Option<When> {
    match (start.date, end.date, start.date_time, end.date_time) {
        (Some(first), Some(end), _, _) => (sane(first) && has_four_digits(end)).then_some(When::Days { first, end }),
        (_, _, Some(from), Some(to)) if sane(from.date_naive()) && has_four_digits(to.date_naive()) => {
            let zone = |zone: Option<String>| zone.or_else(|| series_zone.map(str::to_owned));
            Some(When::Times { start: from, end: to, start_zone: zone(start.time_zone), end_zone: zone(end.time_zone) })
        }
        _ => None,
    }
}

/// A day with which an event may begin: whatever its length has to be, its end can be written down, too.
fn sane(day: NaiveDate) -> bool {
    (1..=9998).contains(&chrono::Datelike::year(&day))
}

/// Years that can be written down again.
fn has_four_digits(day: NaiveDate) -> bool {
    (1..=9999).contains(&chrono::Datelike::year(&day))
}

/// Without what Google keeps between its own delimiters: it deletes that part when it is written to an event without a
/// conference, so that a copy with it would never be as asked (semantics §7). What is left may be another one.
fn without_conference_block(text: &str) -> String {
    const EDGE: &str = "-::~:~::";
    let mut text = text.to_owned();
    while let (Some(begin), Some(end)) = (text.find(EDGE), text.rfind("::~:~::-"))
        && begin < end
    {
        text.replace_range(begin..end + EDGE.len(), "");
    }
    text
}

/// Where an event of ours is written.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The calendar's zone: a series without one repeats in it.
    pub zone: &'a str,
    /// The address of the account whose own calendar this is.
    pub account: &'a str,
}

/// The body of a new event of ours.
pub fn new_event(id: &EventId, marker: &str, body: &Body, desk: Desk) -> Value {
    let mut event = Map::new();
    event.insert("id".into(), json!(id.as_str()));
    event.insert("reminders".into(), json!({"useDefault": false}));
    mark(&mut event, marker);
    for field in fields_of(body) {
        let value = value(body, field, desk, None);
        event.extend(value.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(event)
}

/// The body of a change of ours: the fields in which `to` is not what `from` shows (all without a `from`), and the marker.
pub(super) fn patch(marker: &str, from: Option<&Body>, to: &Body, revive: bool, desk: Desk) -> Value {
    let mut event = Map::new();
    mark(&mut event, marker);
    if revive {
        event.insert("status".into(), json!("confirmed"));
    }
    for field in with_zone(from.map_or_else(|| fields_of(to), |from| to.changed(from)), to) {
        event.extend(value(to, field, desk, Some(from)));
    }
    Value::Object(event)
}

/// The body of a change of a person's event: these fields and nothing else.
pub(super) fn edit(fields: &[Field], from: &Body, to: &Body, desk: Desk) -> Value {
    let mut event = Map::new();
    for field in with_zone(fields.to_vec(), to).into_iter().filter(|field| *field != Field::Answer) {
        event.extend(value(to, field, desk, Some(Some(from))));
    }
    Value::Object(event)
}

/// What begins to repeat has to say in which zone (checklist C01).
fn with_zone(mut fields: Vec<Field>, to: &Body) -> Vec<Field> {
    if fields.contains(&Field::Repetition) && !to.recurrence.is_empty() && !fields.contains(&Field::Time) {
        fields.push(Field::Time);
    }
    fields
}

/// The guests of an event with another answer of the account whose calendar it is on: arrays are replaced whole, so everybody
/// else has to stay in it (checklist E04). None if the account is no guest.
pub(super) fn answered(event: &Value, answer: Answer) -> Option<Value> {
    let mut guests = event["attendees"].as_array()?.clone();
    let own = guests.iter_mut().find(|guest| guest["self"] == true)?;
    own["responseStatus"] = json!(answer.word());
    // With guests left out, a write concerns one's own answer alone.
    if event["attendeesOmitted"] == true {
        return Some(json!({"attendeesOmitted": true, "attendees": [own]}));
    }
    Some(json!({"attendees": guests}))
}

/// All fields that a new event has. An instance has no rule of its own to write, and only an invitation's copy has a guest.
fn fields_of(body: &Body) -> Vec<Field> {
    let skipped = |field: &Field| match field {
        Field::Repetition => body.recurrence.is_empty(),
        Field::Answer => body.answer.is_none(),
        _ => false,
    };
    Field::ALL.into_iter().filter(|field| !skipped(field)).collect()
}

fn mark(event: &mut Map<String, Value>, marker: &str) {
    event.insert("extendedProperties".into(), json!({"private": {TAG: "true", MARKER: marker}}));
}

/// Google's members for one field; null clears. `patched` is what a change starts from: there the other form of a time has to
/// be cleared (checklist E12).
fn value(body: &Body, field: Field, desk: Desk, patched: Option<Option<&Body>>) -> Vec<(String, Value)> {
    let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = body;
    let one = |name: &str, value: Value| vec![(name.to_owned(), value)];
    match field {
        Field::Title => one("summary", json!(title)),
        Field::Place => one("location", json!(location)),
        Field::Description => one("description", json!(description)),
        Field::ShowAs => one("transparency", json!(if *free { "transparent" } else { "opaque" })),
        Field::Visibility => one(
            "visibility",
            json!(match visibility {
                Visibility::Default => "default",
                Visibility::Public => "public",
                Visibility::Private => "private",
            }),
        ),
        Field::Colour => one("colorId", json!(colour)),
        Field::Repetition => one("recurrence", if recurrence.is_empty() { Value::Null } else { json!(recurrence) }),
        Field::Time => {
            let turns = patched.is_some_and(|from| from.is_none_or(|from| from.when.is_days() != when.is_days()));
            let (start, end) = times(when, (!recurrence.is_empty()).then_some(desk.zone), turns);
            vec![("start".into(), start), ("end".into(), end)]
        }
        // The account itself, alone: nobody can be told by it.
        Field::Answer => one(
            "attendees",
            answer.map_or(json!([]), |answer| json!([{"email": desk.account, "responseStatus": answer.word()}])),
        ),
    }
}

fn times(when: &When, series_zone: Option<&str>, turns: bool) -> (Value, Value) {
    match when {
        When::Days { first, end } => {
            let day = |day: &NaiveDate| match turns {
                true => json!({"date": day.to_string(), "dateTime": null, "timeZone": null}),
                false => json!({"date": day.to_string()}),
            };
            (day(first), day(end))
        }
        When::Times { start, end, start_zone, end_zone } => {
            let time = |at: &DateTime<Utc>, zone: &Option<String>| {
                let mut time = json!({"dateTime": at.to_rfc3339_opts(SecondsFormat::Secs, true)});
                if let Some(zone) = zone.as_deref().or(series_zone) {
                    time["timeZone"] = json!(zone);
                }
                if turns {
                    time["date"] = Value::Null;
                }
                time
            };
            (time(start, start_zone), time(end, end_zone))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line of all that was understood.
    fn told(answer: Result<Change, EventId>) -> String {
        let place = |series: &Option<(EventId, Slot)>| {
            series
                .as_ref()
                .map_or(String::new(), |(series, slot)| format!(" of {} at {}", series.as_str(), slot.stamp()))
        };
        let event = match answer {
            Err(id) => return format!("unreadable {}", id.as_str()),
            Ok(Change::Gone { id, series, etag: _, told: _ }) => {
                return format!("gone {}{}", id.as_str(), place(&series));
            }
            Ok(Change::Live(event)) => *event,
        };
        let Body { title, description, location: _, when, recurrence, free, visibility, colour, answer: _ } =
            &event.body;
        let mut line =
            format!("live {}{} {:?} {:?}", event.id.as_str(), place(&event.series), event.kind, event.rights);
        line += if *free { " free" } else { " busy" };
        line += &title.as_ref().map_or(String::new(), |title| format!(" \"{title}\""));
        line += &match when {
            When::Days { first, end } => format!(" {first}..{end}"),
            When::Times { start, end, start_zone, .. } => {
                format!(" {start}..{end} {}", start_zone.as_deref().unwrap_or("nowhere"))
            }
        };
        match visibility {
            Visibility::Default => {}
            Visibility::Public => line += " public",
            Visibility::Private => line += " private",
        }
        for rule in recurrence {
            line += &format!(" repeats {rule}");
        }
        line += &colour.as_ref().map_or(String::new(), |colour| format!(" colour {colour}"));
        line += &description.as_ref().map_or(String::new(), |text| format!(" text \"{text}\""));
        if event.tentative {
            line += " tentative";
        }
        line += &event.body.answer.map_or(String::new(), |answer| format!(" answered {answer:?}"));
        let guests: Vec<&str> = event.guests.iter().map(|guest| guest.name.as_str()).collect();
        if !guests.is_empty() {
            line += &format!(" guests {}", guests.join(", "));
        }
        line += &event.join_link.map_or(String::new(), |link| format!(" join {link}"));
        if event.tagged {
            line += " tagged";
        }
        line += &event.marker.map_or(String::new(), |marker| format!(" marker {marker}"));
        line
    }

    #[test]
    fn documents_are_understood_as_google_means_them() {
        let documents: Vec<Value> = serde_json::from_str(include_str!("../../testdata/wire/documents.json")).unwrap();
        assert!(documents.len() > 15);
        for document in documents {
            let text = document["document"].to_string();
            assert_eq!(
                told(change(&text, "Europe/Berlin")),
                document["expect"].as_str().unwrap(),
                "{}",
                document["about"]
            );
        }
    }

    const VIENNA: Desk = Desk { zone: "Europe/Vienna", account: "ada@home.example" };

    fn body(when: When) -> Body {
        Body {
            title: Some("[BusyBridge] Busy".into()),
            description: None,
            location: None,
            when,
            recurrence: Vec::new(),
            free: false,
            visibility: Visibility::Private,
            colour: None,
            answer: None,
        }
    }

    fn times(zone: Option<&str>) -> When {
        let zone = zone.map(str::to_owned);
        When::Times {
            start: "2026-03-02T08:00:00Z".parse().unwrap(),
            end: "2026-03-02T09:00:00Z".parse().unwrap(),
            start_zone: zone.clone(),
            end_zone: zone,
        }
    }

    fn days() -> When {
        When::Days { first: "2026-03-02".parse().unwrap(), end: "2026-03-03".parse().unwrap() }
    }

    #[test]
    fn a_new_event_says_what_it_must_and_nothing_more() {
        let id = EventId::from("abc0");
        let mark = json!({"private": {"calendarSyncEngine": "true", "busybridge": "v1.x.y"}});
        assert_eq!(
            new_event(&id, "v1.x.y", &body(times(None)), VIENNA),
            json!({
                "id": "abc0", "summary": "[BusyBridge] Busy", "transparency": "opaque", "visibility": "private",
                "start": {"dateTime": "2026-03-02T08:00:00Z"}, "end": {"dateTime": "2026-03-02T09:00:00Z"},
                "reminders": {"useDefault": false}, "extendedProperties": mark,
            })
        );
        let mut series = body(times(None));
        series.recurrence = vec!["RRULE:FREQ=DAILY".into()];
        let event = new_event(&id, "v1.x.y", &series, VIENNA);
        assert_eq!(event["start"], json!({"dateTime": "2026-03-02T08:00:00Z", "timeZone": "Europe/Vienna"}));
        assert_eq!(event["recurrence"], json!(["RRULE:FREQ=DAILY"]));
        assert_eq!(new_event(&id, "v1.x.y", &body(days()), VIENNA)["end"], json!({"date": "2026-03-03"}));
    }

    #[test]
    fn a_change_names_what_changed_and_the_marker() {
        let mark = json!({"private": {"calendarSyncEngine": "true", "busybridge": "v1.x.y"}});
        let from = Body { description: Some("old".into()), ..body(times(Some("Europe/Vienna"))) };
        let check = |to: &Body, revive: bool, mut expected: Value| {
            expected["extendedProperties"] = mark.clone();
            assert_eq!(patch("v1.x.y", Some(&from), to, revive, VIENNA), expected);
        };
        check(&from, false, json!({}));
        check(&Body { title: Some("New".into()), ..from.clone() }, false, json!({"summary": "New"}));
        check(&Body { description: None, ..from.clone() }, false, json!({"description": null}));
        check(&from, true, json!({"status": "confirmed"}));
        // Where no zone is asked for, the calendar's own is as good.
        check(&Body { when: times(None), ..from.clone() }, false, json!({}));
        check(
            &Body { when: days(), ..from.clone() },
            false,
            json!({"start": {"date": "2026-03-02", "dateTime": null, "timeZone": null},
                "end": {"date": "2026-03-03", "dateTime": null, "timeZone": null}}),
        );
    }

    #[test]
    fn no_write_can_reach_a_guest() {
        let full = Body { colour: Some("3".into()), location: Some("x".into()), ..body(days()) };
        for written in [new_event(&"abc0".into(), "m", &full, VIENNA), patch("m", None, &full, true, VIENNA)] {
            for name in ["attendees", "conferenceData", "attachments", "source", "guestsCanModify"] {
                assert!(written.get(name).is_none(), "{name}");
            }
        }
    }
}
