//! Section J of the checklist: push. Receivers listen on real sockets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Answer, Google};
use crate::emulator::{oauth::DEMO_CLIENT, settings::Settings, state};

const ADA: &str = "ada@acme.example";
const EVENTS: &str = "calendars/primary/events";

/// Listens where a channel rings; answers with one status after the other, the last for ever.
struct Receiver {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (notes, statuses) = (heard.clone(), statuses.to_vec());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).await.is_err() {
                        break;
                    }
                    text.push(byte[0]);
                }
                let status = {
                    let mut notes = notes.lock().unwrap();
                    notes.push(String::from_utf8(text).unwrap().to_ascii_lowercase());
                    statuses[(notes.len() - 1).min(statuses.len() - 1)]
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Receiver { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The numbers of the `exists` messages of a channel, in the order in which they came.
    fn numbers(&self, channel: &str) -> Vec<u64> {
        let of = |text: &&String| {
            header(text, "x-goog-channel-id") == Some(channel)
                && header(text, "x-goog-resource-state") == Some("exists")
        };
        self.heard()
            .iter()
            .filter(of)
            .map(|text| header(text, "x-goog-message-number").unwrap().parse().unwrap())
            .collect()
    }

    /// Waits until so many messages have come, `sync` included.
    async fn wait(&self, n: usize) -> Vec<String> {
        let begun = Instant::now();
        while self.heard().len() < n {
            assert!(begun.elapsed() < Duration::from_secs(10), "{} of {n} messages came", self.heard().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.heard()
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

async fn watch(google: &Google, id: &str, address: &str, more: Value) -> Answer {
    let mut body = json!({"id": id, "type": "web_hook", "address": address, "token": "a token"});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    google.call(ADA, "POST", &format!("{EVENTS}/watch"), body).await
}

async fn meet(google: &Google, kind: &str) -> String {
    let mut body = json!({"summary": "x", "start": {"dateTime": "2026-03-02T09:00:00Z"}, "end": {"dateTime": "2026-03-02T10:00:00Z"}});
    if kind == "workingLocation" {
        body = json!({"eventType": kind, "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}, "visibility": "public",
            "transparency": "transparent", "workingLocationProperties": {"type": "homeOffice", "homeOffice": {}}});
    }
    let answer = google.call(ADA, "POST", EVENTS, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}

/// Everything that is due has been delivered once this is over: a message of a new channel comes after those before it.
async fn settled(google: &Google, receiver: &Receiver, id: &str) {
    let before = receiver.heard().len();
    assert_eq!(watch(google, id, &receiver.address, Value::Null).await.status, 200);
    let begun = Instant::now();
    while !receiver.heard()[before.min(receiver.heard().len())..]
        .iter()
        .any(|t| header(t, "x-goog-channel-id") == Some(id))
    {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn j01_j02_j03_a_channel_says_what_it_watches_and_when_it_ends() {
    let google = Google::start().await;
    let now = google.clock.now();
    let ends = |answer: &Answer| answer.json["expiration"].as_str().unwrap().parse::<i64>().unwrap();
    let week = (now + TimeDelta::days(7)).timestamp_millis();
    let answer = watch(&google, "one", "https://bridge.example/hook", Value::Null).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (&answer.json["kind"], &answer.json["id"], &answer.json["token"]),
        (&json!("api#channel"), &json!("one"), &json!("a token"))
    );
    assert!(answer.json["resourceId"].is_string() && answer.json["resourceUri"].as_str().unwrap().contains(ADA));
    assert_eq!(ends(&answer), week);
    for (id, more, expected) in [
        ("hour", json!({"params": {"ttl": "3600"}}), (now + TimeDelta::hours(1)).timestamp_millis()),
        ("year", json!({"params": {"ttl": "31536000"}}), week),
        (
            "end",
            json!({"expiration": (now + TimeDelta::days(1)).timestamp_millis()}),
            (now + TimeDelta::days(1)).timestamp_millis(),
        ),
        ("late", json!({"expiration": (now + TimeDelta::days(90)).timestamp_millis().to_string()}), week),
    ] {
        assert_eq!(ends(&watch(&google, id, "https://bridge.example/hook", more).await), expected, "{id}");
    }
}

#[tokio::test]
async fn j01_j09_j10_j11_what_cannot_be_a_channel_is_refused_with_its_reason() {
    let google = Google::with_settings(Settings { push_to_loopback: false, ..Settings::default() }).await;
    let https = "https://bridge.example/hook";
    for (id, address, more, reason) in [
        ("a", "http://bridge.example/hook", Value::Null, "push.webhookUrlNotHttps"),
        ("a", "http://127.0.0.1:1/hook", Value::Null, "push.webhookUrlNotHttps"),
        ("a", "nonsense", Value::Null, "push.webhookUrlNotHttps"),
        (&"x".repeat(65), https, Value::Null, "invalid"),
        ("", https, Value::Null, "invalid"),
        ("a b", https, Value::Null, "invalid"),
        ("a", https, json!({"token": "x".repeat(257)}), "invalid"),
        ("a", https, json!({"type": "carrier pigeon"}), "invalid"),
        ("a", https, json!({"expiration": 1}), "invalid"),
    ] {
        let answer = watch(&google, id, address, more).await;
        assert_eq!((answer.status, answer.reason()), (400, reason), "{id} {address}");
    }
    assert_eq!(watch(&google, &"x".repeat(64), https, json!({"token": "x".repeat(256)})).await.status, 200);
    assert_eq!(watch(&google, "a", https, Value::Null).await.status, 200);
    assert_eq!(watch(&google, "a", https, Value::Null).await.reason(), "channelIdNotUnique");
    let holidays = "en.austrian#holiday@group.v.calendar.google.com";
    google.core(|core| {
        let account = core.world.accounts[ADA].clone();
        core.world.add_account(state::Account { email: holidays.into(), ..account }, "UTC");
        core.world.calendars.get_mut(holidays).unwrap().acl.insert(ADA.into(), state::Role::Reader);
    });
    let path = format!("calendars/{}/events/watch", holidays.replace('#', "%23"));
    let body = json!({"id": "h", "type": "web_hook", "address": https});
    let answer = google.call(ADA, "POST", &path, body.clone()).await;
    assert_eq!((answer.status, answer.reason()), (400, "pushNotSupportedForRequestedResource"));
    assert_eq!(google.call(ADA, "POST", "calendars/nobody@x.example/events/watch", body).await.status, 404);
}

#[tokio::test]
async fn j04_j05_j06_j16_messages_have_no_body_and_say_all_in_headers() {
    let google = Google::start().await;
    let receiver = Receiver::start(&[200]).await;
    let answer = watch(&google, "one", &receiver.address, Value::Null).await;
    let first = receiver.wait(1).await.remove(0);
    let resource = answer.json["resourceId"].as_str().unwrap();
    for (name, value) in [
        ("x-goog-channel-id", "one"),
        ("x-goog-message-number", "1"),
        ("x-goog-resource-state", "sync"),
        ("x-goog-resource-id", resource),
        ("x-goog-channel-token", "a token"),
        ("x-goog-channel-expiration", "sun, 08 mar 2026 08:00:00 gmt"),
        ("content-length", "0"),
    ] {
        assert_eq!(header(&first, name), Some(value), "{first}");
    }
    assert!(first.starts_with("post /hook ") && header(&first, "x-goog-resource-uri").is_some());
    let event = meet(&google, "default").await;
    let path = format!("{EVENTS}/{event}");
    assert_eq!(google.call(ADA, "PATCH", &path, json!({"summary": "y"})).await.status, 200);
    assert_eq!(google.call(ADA, "DELETE", &path, Value::Null).await.status, 204);
    receiver.wait(4).await;
    let numbers = receiver.numbers("one");
    assert!(numbers.is_sorted() && numbers.len() == 3, "{numbers:?}");
    assert!((0..40).any(|_| numbers.windows(2).any(|two| two[1] > two[0] + 1)) || numbers[0] > 2, "{numbers:?}");
}

#[tokio::test]
async fn j07_j08_some_failures_are_tried_again_and_the_rest_is_over() {
    for (status, tries) in [
        (500, 2),
        (502, 2),
        (503, 2),
        (504, 2),
        (200, 1),
        (201, 1),
        (202, 1),
        (204, 1),
        (400, 1),
        (403, 1),
        (404, 1),
        (302, 1),
    ] {
        let google = Google::start().await;
        let receiver = Receiver::start(&[status, 200]).await;
        watch(&google, "one", &receiver.address, Value::Null).await;
        receiver.wait(1).await;
        // What came of it is noted after the receiver has answered.
        let begun = Instant::now();
        while tries > 1 && !google.core(|core| crate::emulator::push::is_waiting(&core.world)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{status} is not tried again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        google.clock.advance(TimeDelta::seconds(2));
        settled(&google, &receiver, "two").await;
        // What is tried again comes after the clock has moved, which may be after the second channel's message.
        receiver.wait(tries + 1).await;
        let heard = receiver.heard();
        let of_one = heard.iter().filter(|t| header(t, "x-goog-channel-id") == Some("one")).count();
        assert_eq!(of_one, tries, "{status}");
    }
}

#[tokio::test]
async fn j12_j13_j14_two_channels_both_hear_until_one_ends_and_one_is_closed() {
    let google = Google::start().await;
    let receiver = Receiver::start(&[200]).await;
    let one = watch(&google, "one", &receiver.address, json!({"params": {"ttl": "3600"}})).await;
    watch(&google, "two", &receiver.address, Value::Null).await;
    meet(&google, "default").await;
    receiver.wait(4).await;
    assert_eq!((receiver.numbers("one").len(), receiver.numbers("two").len()), (1, 1));
    google.clock.advance(TimeDelta::hours(1));
    meet(&google, "default").await;
    receiver.wait(5).await;
    assert_eq!((receiver.numbers("one").len(), receiver.numbers("two").len()), (1, 2));
    let stop = json!({"id": "two", "resourceId": one.json["resourceId"]});
    let wrong = json!({"id": "two", "resourceId": "another"});
    assert_eq!(google.call(ADA, "POST", "channels/stop", wrong).await.status, 404);
    assert_eq!(google.call("bob@acme.example", "POST", "channels/stop", stop.clone()).await.status, 404);
    let answer = google.call(ADA, "POST", "channels/stop", stop.clone()).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(google.call(ADA, "POST", "channels/stop", stop).await.status, 404);
    meet(&google, "default").await;
    settled(&google, &receiver, "three").await;
    assert_eq!(receiver.numbers("two").len(), 2);
}

#[tokio::test]
async fn j15_another_application_cannot_close_a_channel() {
    let google = Google::start().await;
    let opened = watch(&google, "one", "https://bridge.example/hook", Value::Null).await;
    google.core(|core| {
        let body = json!({"id": "one", "resourceId": opened.json["resourceId"]}).to_string().into_bytes();
        let caller =
            crate::emulator::Caller { email: ADA.into(), scopes: Vec::new(), client: Some(DEMO_CLIENT.into()) };
        let request = crate::emulator::http::Request { body, ..Default::default() };
        assert_eq!(crate::emulator::push::stop(&mut core.world, &caller, &request).unwrap_err().status, 404);
    });
}

#[tokio::test]
async fn j17_j18_j19_messages_may_be_lost_doubled_late_or_few() {
    let count = async |settings: Settings, later: i64| {
        let google = Google::with_settings(settings).await;
        let receiver = Receiver::start(&[200]).await;
        watch(&google, "one", &receiver.address, Value::Null).await;
        receiver.wait(1).await;
        for _ in 0..20 {
            meet(&google, "default").await;
        }
        settled(&google, &receiver, "two").await;
        let at_once = receiver.numbers("one").len();
        google.clock.advance(TimeDelta::seconds(later));
        settled(&google, &receiver, "three").await;
        settled(&google, &receiver, "four").await;
        (at_once, receiver.numbers("one").len())
    };
    assert_eq!(count(Settings::default(), 0).await, (20, 20));
    assert_eq!(count(Settings { push_drop_permille: 1000, ..Settings::default() }, 0).await, (0, 0));
    let some = count(Settings { push_drop_permille: 500, ..Settings::default() }, 0).await.1;
    assert!((3..18).contains(&some), "{some}");
    assert_eq!(count(Settings { push_duplicate_permille: 1000, ..Settings::default() }, 0).await, (40, 40));
    let (soon, later) = count(Settings { push_delay_seconds: 3600, ..Settings::default() }, 3600).await;
    assert!(soon < 5 && later == 20, "{soon} {later}");
    let batched = Settings { push_delay_seconds: 3600, push_batched: true, ..Settings::default() };
    let (_, few) = count(batched, 3600).await;
    assert!((1..5).contains(&few), "{few}");
}

#[tokio::test]
async fn j20_a_message_may_come_before_the_listing_knows_the_change() {
    let google = Google::with_settings(Settings { late_visibility_seconds: 10, ..Settings::default() }).await;
    let receiver = Receiver::start(&[200]).await;
    watch(&google, "one", &receiver.address, Value::Null).await;
    meet(&google, "default").await;
    receiver.wait(2).await;
    assert_eq!(google.list("").await.ids().len(), 0);
    google.clock.advance(TimeDelta::seconds(10));
    assert_eq!(google.list("").await.ids().len(), 1);
}

#[tokio::test]
async fn j21_a_channel_of_some_event_types_is_silent_about_the_others() {
    let google = Google::start().await;
    let receiver = Receiver::start(&[200]).await;
    let body = json!({"id": "one", "type": "web_hook", "address": receiver.address});
    let path = format!("{EVENTS}/watch?eventTypes=default");
    assert_eq!(google.call(ADA, "POST", &path, body).await.status, 200);
    meet(&google, "workingLocation").await;
    meet(&google, "default").await;
    settled(&google, &receiver, "two").await;
    assert_eq!(receiver.numbers("one").len(), 1);
}

#[tokio::test]
async fn j13_who_loses_the_calendar_hears_no_more() {
    let google = Google::start().await;
    let receiver = Receiver::start(&[200]).await;
    google.core(|core| {
        core.world.calendars.get_mut("bob@acme.example").unwrap().acl.insert(ADA.into(), state::Role::Reader);
    });
    let body = json!({"id": "bobs", "type": "web_hook", "address": receiver.address});
    assert_eq!(google.call(ADA, "POST", "calendars/bob@acme.example/events/watch", body).await.status, 200);
    receiver.wait(1).await;
    google.core(|core| core.world.calendars.get_mut("bob@acme.example").unwrap().acl.remove(ADA));
    let event = json!({"start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}});
    assert_eq!(google.call("bob@acme.example", "POST", EVENTS, event).await.status, 200);
    settled(&google, &receiver, "two").await;
    assert_eq!(receiver.numbers("bobs").len(), 0);
}
