//! Events as nobody should send them, from Google's JSON to a plan that comes to rest.

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseResult};
use serde_json::{Map, Value, json};

use super::holds;
use crate::{
    cli::bench::{settled, snapshot_of},
    google::{Desk, change, new_event},
    model::{
        body::{Body, Digest},
        event::{Change, Event, Slot},
        id::EventId,
        plan::HeldReason,
    },
    planner::{self, check},
    store::{read_stored, stored_and_read},
};

const DESK: Desk = Desk { zone: "Europe/Vienna", account: "ada@acme.example" };

/// Text that has broken somebody's program before.
fn text() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        " ",
        "\u{0}",
        "\u{202e}evil",
        "👩‍👩‍👧‍👦 e\u{301}\u{301}\u{301}",
        "a\r\nb\rc\n",
        "\u{feff}x\u{85}\u{2028}",
        "[BusyBridge] Busy",
        "🔒 locked",
        "{{7*7}}<script>",
        "-::~:~::~:~:~::-",
        "-::~:~::-::~:~::x::~:~::-::~:~::-",
        "-::~-::~:~::x::~:~::-:~::y::~:~::-",
        "primary",
        "true",
        "../../etc/passwd",
        "\u{10ffff}",
    ])
    .prop_map(str::to_owned);
    prop_oneof![3 => known.clone(), 1 => "\\PC{0,20}", 1 => (known, 1_usize..40).prop_map(|(text, n)| text.repeat(n))]
}

/// Moments: of this year, at the edges of time, and none.
fn moment() -> impl Strategy<Value = Value> {
    let texts = select(vec![
        "2026-03-02T09:00:00Z",
        "2026-03-02T09:00:00.999999999+01:00",
        "2026-03-29T02:30:00+01:00",
        "2026-06-30T23:59:60Z",
        "0001-01-01T00:00:00Z",
        "0000-12-31T23:59:59Z",
        "9998-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "1969-12-31T23:59:59.5Z",
        "2038-01-19T03:14:08Z",
        "2026-03-02",
        "2026-02-30",
        "9998-12-31",
        "9999-12-31",
        "+262142-12-31",
        "-0001-01-01",
        "0001-01-01",
        "yesterday",
        "",
    ]);
    let zones = select(vec!["Europe/Vienna", "Mars/Phobos", "", "\u{0}", "Australia/Lord_Howe", "UTC"]);
    prop_oneof![
        6 => (texts.clone(), zones, 0_u8..4).prop_map(|(at, zone, form)| match form {
            0 => json!({"dateTime": at, "timeZone": zone}),
            1 => json!({"date": at}),
            2 => json!({"dateTime": at}),
            _ => json!({"dateTime": at, "date": "2026-03-02", "timeZone": zone}),
        }),
        1 => weird(),
    ]
}

/// The end of a sound moment, so that many events are read.
fn sound() -> impl Strategy<Value = (Value, Value)> {
    (1_i64..9_000, 0_i64..100_000, any::<bool>()).prop_map(|(day, minutes, days)| {
        let start = chrono::DateTime::from_timestamp(1_600_000_000 + day * 86_400, 0).unwrap();
        let end = start + chrono::TimeDelta::minutes(minutes);
        match days {
            true => (json!({"date": start.date_naive()}), json!({"date": end.date_naive()})),
            false => (json!({"dateTime": start}), json!({"dateTime": end, "timeZone": "Europe/Vienna"})),
        }
    })
}

/// Any JSON, of the wrong kind wherever it stands.
fn weird() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Lines of a recurrence: rules for every second, without end, with ends beyond all dates, and none.
pub(super) fn line() -> impl Strategy<Value = String> {
    let freq = select(vec!["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", "NEVER", ""]);
    let part = prop_oneof![
        any::<i64>().prop_map(|n| format!("COUNT={n}")),
        (94_000_000_u32..96_500_000).prop_map(|n| format!("COUNT={n}")),
        any::<i32>().prop_map(|n| format!("INTERVAL={n}")),
        select(vec!["99991231T235959Z", "20260302", "00010101", "2026-03-02", "+2621421231", "", "é2026030"])
            .prop_map(|until| format!("UNTIL={until}")),
        select(vec!["MO,TU,WE", "-53MO", "99XX", ""]).prop_map(|day| format!("BYDAY={day}")),
        vec(-400_i32..400, 1..30).prop_map(|n| format!("BYSETPOS={n:?}")),
        select(vec!["BYSECOND=0,1,2,3,4", "BYMONTH=13", "BYYEARDAY=366", "WKST=SU", "BYEASTER=0"])
            .prop_map(str::to_owned),
    ];
    let rule = (freq, vec(part, 0..5)).prop_map(|(freq, parts)| format!("RRULE:FREQ={freq};{}", parts.join(";")));
    let dates = (select(vec!["EXDATE", "RDATE", "EXDATE;VALUE=DATE", "EXDATE;TZID=Mars/Phobos"]), 0_u32..60).prop_map(
        |(name, n)| {
            let dates: Vec<String> = (0..n).map(|n| format!("202603{:02}T080000Z", n % 40)).collect();
            format!("{name}:{}", dates.join(","))
        },
    );
    prop_oneof![5 => rule, 2 => dates, 1 => text(), 1 => "[A-Z;:=,0-9+-]{0,40}"]
}

/// An event: what Google would send, and any part of it replaced, left out, or of another kind.
fn event() -> impl Strategy<Value = Value> {
    let id = prop_oneof![
        4 => select(vec!["kickoff", "abc_20260302T080000Z", "abc_20260302", "abc_R20260302T080000"]).prop_map(str::to_owned),
        1 => text(),
    ];
    let base = (id, sound(), text(), vec(line(), 0..3)).prop_map(|(id, (start, end), title, lines)| {
        let mut event = json!({
            "id": id, "etag": "\"1\"", "status": "confirmed", "summary": title, "start": start, "end": end,
            "iCalUID": "kickoff@google.com", "updated": "2026-03-01T08:00:00.000Z", "organizer": {"self": true},
        });
        if !lines.is_empty() {
            event["recurrence"] = json!(lines);
        }
        event
    });
    let name = select(vec![
        "id",
        "etag",
        "status",
        "summary",
        "description",
        "location",
        "iCalUID",
        "updated",
        "organizer",
        "creator",
        "attendees",
        "attendeesOmitted",
        "transparency",
        "visibility",
        "colorId",
        "recurrence",
        "recurringEventId",
        "eventType",
        "extendedProperties",
        "hangoutLink",
        "conferenceData",
        "guestsCanModify",
        "locked",
        "sequence",
        "endTimeUnspecified",
        "attachments",
        "reminders",
        "workingLocationProperties",
        "gadget",
        "nobodyKnows",
    ]);
    let words = select(vec![
        json!("cancelled"),
        json!("tentative"),
        json!("transparent"),
        json!("private"),
        json!("workingLocation"),
        json!("birthday"),
        json!("holiday"),
        json!([{"self": true, "responseStatus": "declined"}, {}]),
        json!([{"email": "x", "self": true}]),
        json!({"private": {"calendarSyncEngine": "true", "busybridge": "v1.x.y"}}),
        json!({"private": null}),
        json!({"entryPoints": [{"entryPointType": "video"}]}),
        json!("kickoff"),
        json!(["RRULE:FREQ=DAILY"]),
    ]);
    let change = prop_oneof![
        3 => (name.clone(), prop_oneof![2 => words, 2 => weird(), 1 => text().prop_map(Value::from)]).prop_map(|(n, v)| (n, Some(v))),
        1 => name.prop_map(|name| (name, None::<Value>)),
        2 => (select(vec!["start", "end", "originalStartTime"]), moment()).prop_map(|(name, value)| (name, Some(value))),
        1 => select(vec!["start", "end"]).prop_map(|name| (name, None::<Value>)),
    ];
    (base, vec(change, 0..5)).prop_map(|(mut event, changes)| {
        let fields: &mut Map<String, Value> = event.as_object_mut().unwrap();
        for (name, value) in changes {
            match value {
                Some(value) => fields.insert(name.into(), value),
                None => fields.remove(name),
            };
        }
        event
    })
}

/// What holds of everything that was read.
fn sound_event(event: &Event) -> TestCaseResult {
    let Event { body, series, .. } = event;
    prop_assert_eq!(&body.clone().canonical(), body);
    prop_assert_eq!(Digest::from_bytes(&body.digest().to_bytes()), Some(body.digest()));
    prop_assert!(body.when.start() < body.when.end());
    if let Some((_, slot)) = series {
        prop_assert_eq!(Slot::from_stamp(&slot.stamp()), Some(*slot), "a slot that no id can name");
    }
    let stored = stored_and_read(event);
    prop_assert_eq!(stored.as_ref(), Some(event), "it is not the same when it was stored");
    Ok(())
}

/// What Google shows of a copy that was written as `body` says.
fn written(body: &Body) -> Option<Body> {
    let text = new_event(&EventId::from("ours1"), "v1.x.y", body, DESK).to_string();
    match change(&text, DESK.zone) {
        Ok(Change::Live(event)) => Some(event.body),
        _ => None,
    }
}

#[test]
fn an_event_is_read_the_same_for_ever_or_costs_itself() {
    holds(event(), |json| {
        let text = json.to_string();
        let read = change(&text, "Europe/Vienna");
        match &read {
            Ok(Change::Live(event)) => {
                sound_event(event)?;
                // A copy of it, written and read again, is as asked: else it would be written for ever.
                let asked = Body { answer: None, ..event.body.clone() };
                let shown = written(&asked);
                prop_assert!(shown.is_some(), "a copy of it cannot be read");
                let differs = asked.changed(&shown.unwrap());
                prop_assert!(differs.is_empty(), "a copy of it is not as asked: {:?}", differs);
            }
            Ok(Change::Gone { id, series, .. }) => {
                prop_assert!(!id.as_str().is_empty());
                if let Some((_, slot)) = series {
                    prop_assert_eq!(Slot::from_stamp(&slot.stamp()), Some(*slot));
                }
            }
            Err(_) => {}
        }
        prop_assert_eq!(change(&text, "Europe/Vienna"), read);
        Ok(())
    });
}

#[test]
fn text_that_is_cut_or_altered_costs_itself() {
    holds((event(), vec((any::<u16>(), any::<u8>()), 0..4), any::<u16>()), |(json, bytes, cut)| {
        let mut text = json.to_string().into_bytes();
        for (at, byte) in bytes {
            let at = usize::from(at) % text.len();
            text[at] = byte;
        }
        text.truncate(1 + usize::from(cut) % text.len());
        if let Ok(Change::Live(event)) = change(&String::from_utf8_lossy(&text), "UTC") {
            sound_event(&event)?;
        }
        // Whatever lies in the database opens as an event or not at all.
        read_stored(&text);
        Ok(())
    });
}

/// The first plan of events on a client's calendar is clean; carried out, nothing is left to do.
fn rests(events: Vec<Event>) -> TestCaseResult {
    let fresh = snapshot_of(events);
    let plan = planner::plan(&fresh);
    let complaints = check::check(&fresh, &plan);
    prop_assert!(complaints.is_empty(), "{:?}", complaints);
    let second = planner::plan(&settled(&fresh));
    prop_assert!(second.steps.is_empty(), "it does not come to rest: {:?}", second.steps);
    prop_assert!(second.held.iter().all(|held| held.reason == HeldReason::OriginUnproven), "{:?}", second.held);
    Ok(())
}

#[test]
fn whatever_can_be_read_is_planned_once_and_comes_to_rest() {
    holds(vec(event(), 1..4), |items| {
        let mut events: Vec<Event> = Vec::new();
        for (n, mut item) in items.into_iter().enumerate() {
            item["id"] = json!(format!("event{n}"));
            if let Ok(Change::Live(event)) = change(&item.to_string(), "Europe/Vienna")
                && event.series.is_none()
            {
                events.push(Event { uid: format!("uid{n}"), marker: None, ..*event });
            }
        }
        rests(events)
    });
}

#[test]
fn rules_are_passed_through_and_never_expanded() {
    holds((vec(line(), 1..4), sound()), |(lines, (start, end))| {
        let item =
            json!({"id": "series", "start": start, "end": end, "recurrence": lines, "organizer": {"self": true}});
        let Ok(Change::Live(event)) = change(&item.to_string(), "Europe/Vienna") else {
            return Err(TestCaseError::fail("a series with any rule is read"));
        };
        let kept: Vec<String> = lines.iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
        prop_assert_eq!(&event.body.recurrence, &kept);
        for stamp in ["20260302", "00010101", "99991231T235959Z"] {
            planner::horizon::may_begin(&event.body, &Slot::from_stamp(stamp).unwrap());
        }
        rests(vec![*event])
    });
}

#[test]
fn dates_beyond_all_calendars_cost_their_event_and_nobody_elses_peace() {
    let item = |part: Value| {
        let mut item = json!({
            "id": "abc_20260302T080000Z", "recurringEventId": "abc",
            "start": {"dateTime": "2026-03-02T08:00:00Z"}, "end": {"dateTime": "2026-03-02T09:00:00Z"},
        });
        item.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        change(&item.to_string(), "UTC")
    };
    // No id can name such a slot, so that it could be stored and never read again; the event's own id tells the true one.
    if let Ok(Change::Live(event)) = item(json!({"originalStartTime": {"dateTime": "+262142-12-31T23:00:00Z"}})) {
        assert_eq!(event.series.as_ref().map(|(_, slot)| slot.stamp()), Some("20260302T080000Z".into()));
        assert_eq!(stored_and_read(&event), Some(*event));
    }
    let end = item(json!({"end": {"dateTime": "+262142-12-31T23:59:59Z"}}));
    assert_eq!(end, Err(EventId::from("abc_20260302T080000Z")), "nothing could be added to it");
    // Halves of a second name the same slot as the second.
    let Ok(Change::Live(event)) = item(json!({"originalStartTime": {"dateTime": "2026-03-02T08:00:00.5Z"}})) else {
        panic!("it is read")
    };
    assert_eq!(event.series.map(|(_, slot)| slot.stamp()), Some("20260302T080000Z".into()));
    // Within days of the last date that there is.
    for count in (95_000_000..95_025_000).step_by(7) {
        let series = json!({
            "id": "abc", "start": {"date": "1990-01-01"}, "end": {"date": "2020-01-01"},
            "recurrence": [format!("RRULE:FREQ=DAILY;COUNT={count}")],
        });
        let Ok(Change::Live(event)) = change(&series.to_string(), "UTC") else { panic!("it is read") };
        planner::horizon::body_in_scope(&event.body, crate::tests::world::beginning());
        planner::horizon::may_begin(&event.body, &Slot::from_stamp("20260302").unwrap());
    }
}
