//! Calendar exports: what the emulator's import makes of them.

use serde_json::json;

use crate::emulator::{
    ics::{IcsCalendar, IcsError, read},
    state::Object,
};

fn by_id<'a>(calendar: &'a IcsCalendar, id: &str) -> &'a Object {
    calendar.events.iter().find(|e| e["id"] == id).unwrap_or_else(|| panic!("no event {id}"))
}

fn titled<'a>(calendar: &'a IcsCalendar, title: &str) -> &'a Object {
    calendar.events.iter().find(|e| e["summary"] == title).unwrap_or_else(|| panic!("no event {title}"))
}

/// One event with these lines, in a calendar without a zone of its own.
fn single(lines: &str) -> IcsCalendar {
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:one\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
    read(text.as_bytes()).unwrap()
}

#[test]
fn a_google_export_keeps_its_ids_its_zones_and_its_exceptions() {
    let calendar = read(include_bytes!("../../../../testdata/ics/google.ics")).unwrap();
    assert_eq!(calendar.name.as_deref(), Some("Ada, privat"));
    assert_eq!(calendar.time_zone.as_deref(), Some("Europe/Lisbon"));
    assert_eq!((calendar.events.len(), calendar.skipped.len(), calendar.repaired.len()), (5, 0, 1));

    // A single event is exported in UTC, and belongs to the calendar's zone nevertheless.
    let dentist = by_id(&calendar, "4pudsugalsbuqetcfdns8demti");
    assert_eq!(dentist["start"], json!({"dateTime": "2026-07-01T10:00:00+01:00", "timeZone": "Europe/Lisbon"}));
    assert_eq!(dentist["iCalUID"], "4pudsugalsbuqetcfdns8demti@google.com");
    assert_eq!(dentist["description"], "Bring the card, please;\nsecond floor");
    assert_eq!(dentist["created"], "2026-01-05T12:00:00.000Z");

    // The zone is spelled as some programs do.
    let series = by_id(&calendar, "37jkbgv9regint2hqhlmd9risn");
    assert_eq!(series["start"], json!({"dateTime": "2026-03-02T09:00:00Z", "timeZone": "Europe/Lisbon"}));
    let lines =
        ["RRULE:FREQ=WEEKLY;UNTIL=20260601T225959Z;BYDAY=MO;WKST=SU", "EXDATE;TZID=Europe/Lisbon:20260309T090000"];
    assert_eq!(series["recurrence"], json!(lines));
    let moved = by_id(&calendar, "37jkbgv9regint2hqhlmd9risn_20260330T080000Z");
    assert_eq!(moved["recurringEventId"], "37jkbgv9regint2hqhlmd9risn");
    assert_eq!(moved["originalStartTime"]["dateTime"], "2026-03-30T09:00:00+01:00");
    assert_eq!(moved["sequence"], 3);

    let lonely = titled(&calendar, "Only this one");
    assert_eq!(lonely["id"], "60q30c1g60o30e1i_20260310T170000Z");
    let empty = titled(&calendar, "A reminder to oneself");
    assert_eq!(empty["end"]["dateTime"], "2026-04-01T08:01:00+01:00");
    assert_eq!(empty["status"], "tentative");
}

#[test]
fn an_outlook_export_maps_windows_zones_people_and_free_time() {
    let calendar = read(include_bytes!("../../../../testdata/ics/outlook.ics")).unwrap();
    assert_eq!((calendar.events.len(), calendar.skipped.len()), (3, 1));
    assert!(calendar.skipped[0].contains("Nowhere Standard Time"), "{:?}", calendar.skipped);

    let review = titled(&calendar, "Review");
    assert_eq!(review["start"], json!({"dateTime": "2026-03-30T09:00:00+02:00", "timeZone": "Europe/Berlin"}));
    assert_eq!(review["end"]["dateTime"], "2026-03-30T10:30:00+02:00");
    assert_eq!(review["id"], "_60q30c1g60o30e1i60o30h9g60o3ed236l13ec9g650jgci560o3gc1g60o30c1g");
    assert_eq!(review["organizer"], json!({"email": "bob@acme.example", "displayName": "Bob Noyce"}));
    let guests = json!([
        {"email": "ada@home.example", "displayName": "Ada Byron", "responseStatus": "accepted"},
        {"email": "room7@acme.example", "displayName": "Room 7", "responseStatus": "needsAction", "resource": true},
        {"email": "eve@acme.example", "responseStatus": "declined", "optional": true},
    ]);
    assert_eq!(review["attendees"], guests);
    assert_eq!(review["visibility"], "private");

    let holiday = titled(&calendar, "Holiday");
    assert_eq!((&holiday["start"], &holiday["end"]), (&json!({"date": "2026-01-06"}), &json!({"date": "2026-01-07"})));
    assert_eq!(holiday["transparency"], "transparent");
    assert_eq!(titled(&calendar, "Second version")["sequence"], 2);
}

#[test]
fn times_of_every_kind_find_their_instant() {
    for (lines, start, end) in [
        // In UTC it stays, as nothing says otherwise.
        ("DTSTART:20260302T090000Z\nDURATION:PT90M", "2026-03-02T09:00:00Z", "2026-03-02T10:30:00Z"),
        // Floating, without a zone of the calendar.
        ("DTSTART:20260302T090000\nDTEND:20260302T100000", "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"),
        // A time that the clock jumps over is moved on.
        (
            "DTSTART;TZID=Europe/Vienna:20260329T023000\nDTEND;TZID=Europe/Vienna:20260329T040000",
            "2026-03-29T03:30:00+02:00",
            "2026-03-29T04:00:00+02:00",
        ),
        // Of a time that comes twice, the first.
        (
            "DTSTART;TZID=Europe/Vienna:20261025T023000\nDURATION:PT1H",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00",
        ),
        // The end before the start, and in another zone.
        (
            "DTSTART;TZID=Europe/Vienna:20260302T090000\nDTEND;TZID=Europe/London:20260302T070000",
            "2026-03-02T09:00:00+01:00",
            "2026-03-02T09:01:00+01:00",
        ),
    ] {
        let calendar = single(lines);
        assert_eq!(calendar.events[0]["start"]["dateTime"], start, "{lines}");
        assert_eq!(calendar.events[0]["end"]["dateTime"], end, "{lines}");
    }
}

#[test]
fn the_bound_of_a_rule_is_of_the_kind_of_its_start() {
    for (lines, rule) in [
        ("DTSTART;VALUE=DATE:20260302\nRRULE:FREQ=DAILY;UNTIL=20260310T120000Z", "RRULE:FREQ=DAILY;UNTIL=20260310"),
        (
            "DTSTART;TZID=Europe/Vienna:20260302T090000\nRRULE:FREQ=DAILY;UNTIL=20260310;INTERVAL=2",
            "RRULE:FREQ=DAILY;UNTIL=20260310T225959Z;INTERVAL=2",
        ),
        (
            "DTSTART;TZID=Europe/Vienna:20260702T090000\nRRULE:FREQ=DAILY;UNTIL=20260710T090000",
            "RRULE:FREQ=DAILY;UNTIL=20260710T070000Z",
        ),
        ("DTSTART;VALUE=DATE:20260302\nRDATE;VALUE=DATE:20260401,20260305", "RDATE;VALUE=DATE:20260305,20260401"),
        ("DTSTART:20260302T090000Z\nRDATE:20260401T090000Z", "RDATE:20260401T090000Z"),
    ] {
        assert_eq!(single(lines).events[0]["recurrence"], json!([rule]), "{lines}");
    }
}

#[test]
fn what_is_no_event_is_reported_and_what_is_no_calendar_is_refused() {
    for (lines, reason) in
        [("SUMMARY:X", "no start"), ("DTSTART:20261302T090000Z", "no day"), ("DTSTART;VALUE=DATE:20260230", "no day")]
    {
        let calendar = single(lines);
        assert!(calendar.events.is_empty() && calendar.skipped.len() == 1, "{calendar:?}");
        assert!(calendar.skipped[0].contains(reason) || calendar.skipped[0].contains("no start"), "{calendar:?}");
    }
    assert_eq!(read(b"\xff\xfe").unwrap_err(), IcsError::NotText);
    for text in ["", "hello", "BEGIN:VCARD\nEND:VCARD\n", "{\"a\": 1}"] {
        assert_eq!(read(text.as_bytes()).unwrap_err(), IcsError::NotACalendar, "{text}");
    }
    let cut = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260302T0900";
    assert_eq!(read(cut.as_bytes()).unwrap_err(), IcsError::CutOff);
    assert!(read(b"BEGIN:VCALENDAR\nEND:VCALENDAR").unwrap().events.is_empty());
}
