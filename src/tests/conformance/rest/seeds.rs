//! Seed files and what they make.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    emulator::{
        seed::{Seed, SeedError},
        settings::Settings,
        state::{Role, World},
    },
    model::clock::Clock,
};

fn build(text: &str) -> Result<World, SeedError> {
    let now: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
    Seed::parse(text)?.build(Settings::default(), Clock::manual(now), Path::new("testdata/ics"))
}

const ADA: &str = "[[account]]\nemail = \"ada@home.example\"\nzone = \"Europe/Vienna\"\ndomain = \"home.example\"\n";

#[test]
fn without_a_seed_there_are_four_accounts_with_empty_calendars() {
    let now: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
    let world = Seed::default().build(Settings::default(), Clock::manual(now), Path::new(".")).unwrap();
    let emails: Vec<&str> = world.accounts.keys().map(String::as_str).collect();
    assert_eq!(emails, ["ada@acme.example", "ada@globex.example", "ada@gmail.example", "ada@home.example"]);
    assert_eq!(world.accounts["ada@gmail.example"].hosted_domain, None);
    assert_eq!(world.accounts["ada@home.example"].hosted_domain.as_deref(), Some("home.example"));
    for (email, account) in &world.accounts {
        assert!(world.calendars[email].primary && world.calendars[email].events.is_empty());
        assert!(account.sub.len() == 21 && account.sub.bytes().all(|b| b.is_ascii_digit()), "{}", account.sub);
    }
}

#[test]
fn calendars_are_made_completed_and_shared() {
    let text = format!(
        "{ADA}[[account]]\nemail = \"bob@acme.example\"\nname = \"Bob\"\n\
         [[calendar]]\nowner = \"ada@home.example\"\nname = \"Team\"\n\
         shared = [{{ email = \"bob@acme.example\", role = \"reader\" }}]\n\
         [[calendar]]\nid = \"ada@home.example\"\nname = \"Ada at home\"\nzone = \"Europe/Lisbon\"\n"
    );
    let world = build(&text).unwrap();
    let team = world.calendars.values().find(|c| c.summary == "Team").unwrap();
    assert_eq!(
        (team.owner.as_str(), team.time_zone.as_str(), team.primary),
        ("ada@home.example", "Europe/Vienna", false)
    );
    assert!(team.id.ends_with("@group.calendar.google.com"));
    assert_eq!(team.acl["bob@acme.example"], Role::Reader);
    assert!(world.lists.contains_key(&("bob@acme.example".into(), team.id.clone())));
    let home = &world.calendars["ada@home.example"];
    assert_eq!((home.summary.as_str(), home.time_zone.as_str(), home.primary), ("Ada at home", "Europe/Lisbon", true));
    assert_eq!(world.calendars["bob@acme.example"].time_zone, "UTC");
}

#[test]
fn a_when_says_times_days_and_spans() {
    for (when, start, end) in [
        ("2026-03-02 09:00–10:30", json!("2026-03-02T09:00:00+01:00"), json!("2026-03-02T10:30:00+01:00")),
        ("2026-03-30 09:00-10:00", json!("2026-03-30T09:00:00+02:00"), json!("2026-03-30T10:00:00+02:00")),
        ("2026-03-02 22:00–01:00", json!("2026-03-02T22:00:00+01:00"), json!("2026-03-03T01:00:00+01:00")),
        ("2026-03-02 22:00–2026-03-04 06:00", json!("2026-03-02T22:00:00+01:00"), json!("2026-03-04T06:00:00+01:00")),
        ("2026-03-02", json!("2026-03-02"), json!("2026-03-03")),
        ("2026-03-02..2026-03-04", json!("2026-03-02"), json!("2026-03-04")),
    ] {
        let text = format!("{ADA}[[event]]\ncalendar = \"ada@home.example\"\nid = \"theone\"\nwhen = \"{when}\"\n");
        let world = build(&text).unwrap();
        let event = &world.calendars["ada@home.example"].events["theone"].fields;
        let name = if when.contains(':') { "dateTime" } else { "date" };
        assert_eq!((&event["start"][name], &event["end"][name]), (&start, &end), "{when}");
    }
}

#[test]
fn friendly_fields_become_googles_and_googles_own_win() {
    let text = format!(
        "{ADA}[[event]]\ncalendar = \"ada@home.example\"\nid = \"theone\"\ntitle = \"Review\"\n\
         when = \"2026-03-02 09:00–10:00\"\nzone = \"Europe/London\"\nrecurrence = \"RRULE:FREQ=WEEKLY;COUNT=3\"\n\
         free = true\ndeclined = true\nprivate = true\ntentative = true\nlocation = \"Room 7\"\n\
         organizer = \"eve@acme.example\"\nguests = [\"kim@acme.example\"]\n\
         [event.google]\ncolorId = \"5\"\nsummary = \"Audit\"\nextendedProperties = {{ private = {{ a = \"b\" }} }}\n"
    );
    let world = build(&text).unwrap();
    let event = &world.calendars["ada@home.example"].events["theone"].fields;
    for (name, value) in [
        ("summary", json!("Audit")),
        ("colorId", json!("5")),
        ("location", json!("Room 7")),
        ("transparency", json!("transparent")),
        ("visibility", json!("private")),
        ("status", json!("tentative")),
        ("recurrence", json!(["RRULE:FREQ=WEEKLY;COUNT=3"])),
        ("extendedProperties", json!({"private": {"a": "b"}})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(
        (&event["start"]["timeZone"], &event["organizer"]["email"]),
        (&json!("Europe/London"), &json!("eve@acme.example"))
    );
    let answers: Vec<_> = event["attendees"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["email"].as_str().unwrap(), a["responseStatus"].as_str().unwrap()))
        .collect();
    assert_eq!(
        answers,
        [("eve@acme.example", "accepted"), ("ada@home.example", "declined"), ("kim@acme.example", "needsAction")]
    );
}

#[test]
fn an_export_fills_a_calendar_and_gives_its_zone() {
    let text = "[[account]]\nemail = \"ada@home.example\"\nics = \"google.ics\"\n";
    let world = build(text).unwrap();
    let calendar = &world.calendars["ada@home.example"];
    assert_eq!((calendar.events.len(), calendar.time_zone.as_str()), (5, "Europe/Lisbon"));
    let moved = &calendar.events["37jkbgv9regint2hqhlmd9risn_20260330T080000Z"];
    assert_eq!(moved.text("recurringEventId"), Some("37jkbgv9regint2hqhlmd9risn"));
    // What the seed says itself is not overruled.
    let world = build(&format!("{ADA}ics = \"google.ics\"\n")).unwrap();
    assert_eq!(world.calendars["ada@home.example"].time_zone, "Europe/Vienna");
}

#[test]
fn a_mistake_is_one_sentence_with_its_line() {
    let event = |fields: &str| format!("{ADA}[[event]]\ncalendar = \"ada@home.example\"\n{fields}\n");
    for (text, line, says) in [
        (event("titel = \"x\""), 7, "titel"),
        (event("when = \"tomorrow\""), 5, "tomorrow"),
        (event("when = \"2026-03-04..2026-03-04\""), 5, "exclusive"),
        (event("when = \"2026-03-04 12:00–2026-03-03 12:00\""), 5, "before"),
        (event("title = \"x\""), 5, "when"),
        (event("when = \"2026-03-02\"\nzone = \"Mars/Olympus\""), 5, "Mars/Olympus"),
        (format!("{ADA}zone = \"UTC\"\n"), 5, "zone"),
        (format!("{ADA}[[event]]\ncalendar = \"x\"\nwhen = \"2026-03-02\"\n"), 5, "no calendar"),
        (format!("{ADA}{ADA}"), 5, "new account"),
        (format!("{ADA}[[calendar]]\nname = \"x\"\n"), 5, "owner"),
        (format!("{ADA}[[calendar]]\nowner = \"x\"\n"), 5, "no account"),
        (
            format!(
                "{ADA}[[calendar]]\nowner = \"ada@home.example\"\nshared = [{{ email = \"b\", role = \"king\" }}]\n"
            ),
            5,
            "king",
        ),
        ("accounts = 3".into(), 1, "accounts"),
        ("[[account]]\nname = \"x\"\n".into(), 1, "email"),
        ("x = [".into(), 1, ""),
    ] {
        let message = build(&text).err().unwrap_or_else(|| panic!("accepted: {text}")).to_string();
        assert!(message.starts_with(&format!("Line {line} of the seed: ")), "{message}\n{text}");
        assert!(message.contains(says) && message.ends_with('.') && !message.contains('\n'), "{message}");
    }
    for (file, says) in [("nowhere.ics", "cannot be read"), ("../ics/../../Cargo.toml", "unusable")] {
        let message = build(&format!("{ADA}ics = \"{file}\"\n")).err().unwrap().to_string();
        assert!(message.contains(says) && message.contains(file), "{message}");
    }
}
