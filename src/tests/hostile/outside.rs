//! What comes from outside besides events: calendar exports, rules, notifications, settings, Google's wish to wait.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{events::line, holds};
use crate::{
    cli::settings::Settings,
    controller::bell::{Bell, Heard, Notification},
    emulator::{ics, recurrence},
    google::error::{About, GoogleError},
    model::id::UserId,
    store::channels::ChannelRow,
    tests::world::beginning,
};

fn ics_line() -> impl Strategy<Value = String> {
    let name = select(vec![
        "DTSTART",
        "DTEND",
        "DURATION",
        "RECURRENCE-ID",
        "EXDATE",
        "RDATE",
        "CREATED",
        "SUMMARY",
        "UID",
        "STATUS",
        "TRANSP",
        "CLASS",
        "ORGANIZER",
        "ATTENDEE",
        "SEQUENCE",
        "X-WR-TIMEZONE",
        "DTSTART;VALUE=DATE",
        "DTEND;TZID=Mars/Phobos",
        "DTSTART;TZID=Europe/Vienna",
        "EXDATE;VALUE=DATE",
        "RDATE;VALUE=PERIOD",
    ]);
    let value = prop_oneof![
        4 => select(vec![
            "20260302T090000Z", "20260302T090000", "20260302", "99991231T235959Z", "00010101T000000Z", "00000000", "65535",
            "20260230T250000Z", "20260630T235960Z", "P1D", "PT1H", "-P1D", "P999999999999W", "P4294967295W", "PT4294967295H",
            "P15000000W", "-P4294967295WT4294967295S", "mailto:ada@home.example", "kickoff@google.com", "x", "", "CANCELLED",
            "20260302T090000Z/PT1H", "9223372036854775807", "-1", "20260302T090000+9959",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,30}",
        1 => "[0-9TZPWDHMS+-]{0,24}",
    ];
    prop_oneof![
        6 => (name, value).prop_map(|(name, value)| format!("{name}:{value}")),
        2 => line(),
        1 => select(vec!["BEGIN:VALARM", "END:VALARM", "BEGIN:VEVENT", "END:VEVENT", "END:VCALENDAR", "BEGIN:VTIMEZONE", " folded", "\t"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,60}",
    ]
}

#[test]
fn a_calendar_export_is_read_to_its_end_or_refused() {
    let file = (vec(vec(ics_line(), 0..8), 0..4), vec((any::<u16>(), any::<u8>()), 0..3), any::<bool>());
    holds(file, |(events, bytes, cut)| {
        let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
        for (n, lines) in events.iter().enumerate() {
            text += &format!(
                "BEGIN:VEVENT\r\nUID:{n}\r\nDTSTART:20260302T090000Z\r\n{}\r\nEND:VEVENT\r\n",
                lines.join("\r\n")
            );
        }
        text += "END:VCALENDAR\r\n";
        let mut file = text.into_bytes();
        for (at, byte) in bytes {
            let at = usize::from(at) % file.len();
            file[at] = byte;
        }
        if cut {
            file.truncate(file.len() / 2);
        }
        let Ok(calendar) = ics::read_in(&file, Tz::Europe__Vienna) else { return Ok(()) };
        for event in &calendar.events {
            prop_assert!(event["id"].as_str().is_some_and(|id| !id.is_empty()));
            prop_assert!(event.contains_key("start") && event.contains_key("end"));
        }
        Ok(())
    });
}

#[test]
fn a_rule_that_nobody_can_expand_is_refused_by_the_stand_in_for_google() {
    let starts = select(vec![
        json!({"dateTime": "2026-03-02T09:00:00Z", "timeZone": "Europe/Vienna"}),
        json!({"date": "2026-03-02"}),
        json!({"dateTime": "9999-12-31T23:59:59Z", "timeZone": "UTC"}),
        json!({"dateTime": "0001-01-01T00:00:00Z", "timeZone": "Australia/Lord_Howe"}),
        json!({"dateTime": "2026-03-02T09:00:00Z"}),
    ]);
    holds((vec(line(), 1..3), starts), |(lines, start)| {
        let taken = recurrence::check(&lines, &start).is_ok();
        let wrong =
            |line: &String| line.contains("FREQ=NEVER") || line.contains("FREQ=;") || line.contains("BYMONTH=13");
        prop_assert!(!taken || !lines.iter().any(wrong), "{:?}", lines);
        Ok(())
    });
}

#[test]
fn a_notification_without_the_secret_marks_nothing() {
    let mut bell_rows = Vec::new();
    for (n, (id, token)) in [("acme", "first secret"), ("globex", "second secret")].into_iter().enumerate() {
        let number = i64::try_from(n).unwrap() + 1;
        bell_rows.push(ChannelRow {
            number,
            user: UserId(1),
            calendar: number,
            id: id.into(),
            token_hash: Sha256::digest(token.as_bytes()).into(),
            resource: format!("resource {number}"),
            opened: beginning(),
            ends: beginning() + TimeDelta::days(7),
            rang: None,
        });
    }
    let bell = Bell::default();
    bell.know(bell_rows);
    let known =
        |words: Vec<&'static str>| prop_oneof![3 => select(words).prop_map(str::to_owned), 1 => any::<String>()];
    let headers = (
        known(vec!["acme", "globex", "ACME", "acme ", ""]),
        known(vec!["first secret", "second secret", "first secre", "first secret\0", ""]),
        known(vec!["resource 1", "resource 2", "resource", ""]),
        known(vec!["exists", "not_exists", "sync", "EXISTS", ""]),
        -400_i64..400,
    );
    holds(headers, |(channel, token, resource, state, hours)| {
        bell.take();
        let now = beginning() + TimeDelta::hours(hours);
        let notification = Notification { channel: &channel, token: &token, resource: &resource, state: &state };
        let heard = bell.hear(&notification, now, Duration::ZERO);
        let proven = [("acme", "first secret", "resource 1"), ("globex", "second secret", "resource 2")].contains(&(
            channel.as_str(),
            token.as_str(),
            resource.as_str(),
        ));
        let lives = hours < 7 * 24;
        let marks = bell.take();
        if proven && lives && ["exists", "not_exists"].contains(&state.as_str()) {
            prop_assert_eq!(heard, Heard::Marked);
            prop_assert_eq!(marks.len(), 1);
        } else {
            prop_assert!(!matches!(heard, Heard::Marked | Heard::Again), "{:?}", heard);
            prop_assert!(marks.is_empty());
        }
        Ok(())
    });
}

const VARIABLES: [&str; 15] = [
    "DATABASE_PATH",
    "ENCRYPTION_KEY_FILE",
    "PUBLIC_URL",
    "LISTEN",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "TZ",
    "MANAGED_EVENT_PREFIX",
    "TRUSTED_PROXIES",
    "ENABLE_WEBHOOKS",
    "GOOGLE_ISSUER_URL",
    "GOOGLE_CALENDAR_API_URL",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "BUSYBRIDGE_NOBODY",
];

#[test]
fn settings_are_sound_or_the_variable_is_named() {
    let value = prop_oneof![
        5 => select(vec![
            "", " ", "true", "TRUE", "info", "verbose", "json", "UTC", "Mars/Phobos", "../etc", "127.0.0.1:3000", "[::]:0",
            "localhost", "http://localhost:3000", "https://calendar.example", "https://calendar.example/", "https://*",
            "https://*.example", "https://a.example/x", "https://a.example?x", "https://a.example#x", "https://u@a.example",
            "https://:p@a.example", "https://a.example:0", "http://a.example", "https://bücher.example", "ftp://a.example",
            "http://127.0.0.1:9", "http://[::1]:9/calendar/v3", "https://accounts.google.com", "https://accounts.google.com.evil",
            "https://www.googleapis.com/calendar/v3", "banana", "0.0.0.0/0", "10.0.0.0/8, ::1", "::/0", ":memory:",
            "file:x?mode=memory", "/", "..", "/dev/null", "a\u{0}b", "[BusyBridge]", "\u{1b}[31m", "javascript:alert(1)",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "https?://[a-z0-9.:/?#@\\[\\]%-]{0,30}",
    ];
    holds(vec((select(VARIABLES.to_vec()), value), 0..5), |pairs| {
        let env: BTreeMap<String, String> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match Settings::read(&env) {
            Err(wrong) => {
                prop_assert!(!wrong.is_empty());
                for sentence in wrong {
                    let named = VARIABLES.iter().any(|name| sentence.contains(name) && env.contains_key(*name));
                    prop_assert!(named, "names no variable that is set: {}", sentence);
                    prop_assert_eq!(sentence.lines().count(), 1, "{}", sentence);
                }
            }
            Ok(settings) => {
                let url: url::Url = settings.public_url.parse().unwrap();
                prop_assert!(
                    url.scheme() == "https"
                        || ["localhost", "127.0.0.1", "[::1]"].contains(&url.host_str().unwrap())
                        || url.host_str().unwrap().starts_with("127."),
                    "{}",
                    url
                );
                let bare = [url.query(), url.fragment(), url.password()].iter().all(Option::is_none);
                prop_assert!(bare && url.username().is_empty() && url.path() == "/", "{}", url);
                prop_assert!(
                    !settings.public_url.ends_with('/') && url.port() != Some(0) && !settings.public_url.contains('*')
                );
                prop_assert!(settings.trusted_proxies.iter().all(|net| net.prefix_len() > 0));
                prop_assert!(settings.database.file_name().is_some() && settings.database.to_str() != Some(":memory:"));
                let (issuer, api) = (settings.issuer.host_str().unwrap(), settings.api.host_str().unwrap());
                let local = |host: &str| host == "localhost" || host == "[::1]" || host.starts_with("127.");
                prop_assert!(
                    (issuer, api) == ("accounts.google.com", "www.googleapis.com") || local(issuer) && local(api)
                );
            }
        }
        Ok(())
    });
}

#[test]
fn google_is_waited_for_between_a_second_and_a_quarter_of_an_hour_whatever_it_asks() {
    let wish = prop_oneof![
        2 => any::<i64>().prop_map(|n| n.to_string()),
        2 => select(vec!["-1", "0", "999999999", "1e9", "0x10", "30", " 30 ", "١٢", "Thu, 01 Jan 1970 00:00:00 GMT", "", "NaN", "+5", "99999999999999999999"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let body = prop_oneof![
        2 => vec(any::<u8>(), 0..60),
        1 => any::<String>().prop_map(|reason| json!({"error": {"errors": [{"reason": reason}]}}).to_string().into_bytes()),
        1 => select(vec![json!({"error": []}), json!({"error": {"errors": {}}}), json!([]), Value::Null]).prop_map(|v| v.to_string().into_bytes()),
    ];
    let about = select(vec![About::Delta, About::Listing, About::Insert, About::Event, About::Account]);
    holds((wish, body, 0_u16..1000, about, any::<bool>()), |(wish, body, status, about, says)| {
        let error = GoogleError::of(about, status, says.then_some(wish.as_str()), &body);
        if let Some(wait) = error.retry_after() {
            prop_assert!((1..=900).contains(&wait.as_secs()), "{:?}", wait);
        }
        error.class();
        // What is told repeats nothing longer than a word.
        prop_assert!(error.to_string().len() < 200 && error.to_string().lines().count() == 1, "{}", error);
        Ok(())
    });
    // Nobody asked, nobody waits.
    holds(option::of(any::<u16>()), |status| {
        let error = GoogleError::of(About::Event, status.unwrap_or(429), None, b"");
        prop_assert_eq!(error.retry_after(), None);
        Ok(())
    });
}
