//! The emulator's page over HTTP: its forms do what they say, and refuse what makes no sense.

use serde_json::{Value, json};

use crate::{
    emulator::state::Account,
    tests::{
        browser::Chrome,
        conformance::{Google, meeting},
    },
};

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";
/// The clock stands on a Sunday, so that the week begins the day after.
const MONDAY: &str = "2026-03-02";

/// An answer to a browser.
struct Shown {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Shown {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn shown(request: reqwest::RequestBuilder) -> Shown {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Shown { status, headers, text: answer.text().await.unwrap() }
}

async fn look(google: &Google, path: &str) -> Shown {
    shown(browser().get(format!("{}{path}", google.origin()))).await
}

fn post(google: &Google, deed: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    browser()
        .post(format!("{}/_emulator/page/{deed}", google.origin()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

/// Sends a form that is to be carried out, and gives the page to which it leads.
async fn send(google: &Google, deed: &str, form: &[(&str, &str)]) -> String {
    let answer = shown(post(google, deed, form)).await;
    assert_eq!(answer.status, 303, "{form:?}: {}", answer.text);
    look(google, answer.header("location")).await.text
}

/// Sends a form that is to be refused with these words, and changes nothing.
async fn refused(google: &Google, deed: &str, form: &[(&str, &str)], status: u16, words: &str) {
    let before = google.core(|core| (core.world.last_change(), core.faults.version()));
    let answer = shown(post(google, deed, form)).await;
    assert_eq!(answer.status, status, "{form:?}: {}", answer.text);
    assert!(answer.text.contains(words), "{form:?}: {}", answer.text);
    assert_eq!(before, google.core(|core| (core.world.last_change(), core.faults.version())), "{form:?}");
}

/// What stands on a calendar: title, start, answers of guests.
async fn stands(google: &Google, who: &str) -> Vec<Value> {
    let answer = google.call(who, "GET", "calendars/primary/events?singleEvents=true&orderBy=startTime&timeMin=2026-03-01T00:00:00Z&timeMax=2026-03-08T00:00:00Z", Value::Null).await;
    answer.json["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_page_shows_all_calendars_of_the_week_and_marks_what_busybridge_made() {
    let google = Google::start().await;
    google.insert(meeting("revue", "Review <b>now</b>")).await;
    let mut copy = meeting("doublet", "Copy");
    copy["extendedProperties"] = json!({"private": {"calendarSyncEngine": "true"}});
    google.call("ada@home.example", "POST", "calendars/primary/events", copy).await;
    let page = look(&google, "/").await;
    assert_eq!(page.status, 200);
    for account in ["ada@home.example", ADA, BOB, "ada@gmail.example"] {
        assert!(page.text.contains(&format!("<small>{account}</small>")), "{account}");
    }
    assert!(page.text.contains("09:00–10:00</span> Review &lt;b&gt;now&lt;&#x2f;b&gt;</a></li>"), "{}", page.text);
    let marked: Vec<&str> = page.text.lines().filter(|line| line.contains("class=\"managed\"")).collect();
    assert!(marked.len() == 1 && marked[0].contains("> Copy</a>"), "{marked:?}");
    // Another week holds nothing of it; an odd number is this week.
    assert!(!look(&google, "/?week=1").await.text.contains("Review"));
    assert!(look(&google, "/?week=nonsense").await.text.contains("Review"));
    assert!(look(&google, "/?week=99999999999").await.text.contains("Nothing this week."));
    // It comes with a strict policy, and what it refers to is its own.
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    for (path, kind) in [("/_emulator/page.css", "text/css"), ("/_emulator/page.js", "text/javascript")] {
        let file = look(&google, path).await;
        assert!(file.status == 200 && file.header("content-type").starts_with(kind), "{path}");
        assert!(page.text.contains(&format!("\"{path}\"")), "{path}");
    }
    let inline = regex::Regex::new(r#"(?i)<[^>]*\s(on[a-z]+|style)\s*=|<style|javascript:|https?://"#).unwrap();
    assert!(!inline.is_match(&page.text), "{:?}", inline.find(&page.text));
}

#[tokio::test]
async fn a_page_that_nothing_changed_is_not_sent_again() {
    let google = Google::start().await;
    let etag = look(&google, "/").await.header("etag").to_owned();
    let again = || async {
        let request = browser().get(google.origin()).header("if-none-match", &etag);
        shown(request).await.status
    };
    assert_eq!(again().await, 304);
    google.insert(meeting("revue", "Review")).await;
    assert_eq!(again().await, 200);
    let (other, fault) = (look(&google, "/").await.header("etag").to_owned(), [("account", ADA), ("what", "outage")]);
    send(&google, "break", &fault).await;
    assert_ne!(look(&google, "/").await.header("etag"), other);
}

#[tokio::test]
async fn an_event_is_made_changed_and_deleted_by_forms() {
    let google = Google::start().await;
    let form = [("calendar", ADA), ("title", "Kick-off"), ("day", MONDAY), ("from", "09:00"), ("to", "10:30")];
    let page = send(&google, "create", &form).await;
    assert!(page.contains("Made.") && page.contains("09:00–10:30</span> Kick-off"), "{page}");
    let made = stands(&google, ADA).await.remove(0);
    assert_eq!(made["start"], json!({"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Vienna"}));
    let id = made["id"].as_str().unwrap();
    // The page of the event has everything in its form.
    let page = look(&google, &format!("/?calendar={ADA}&event={id}")).await.text;
    for field in ["name=\"title\" value=\"Kick-off\"", "name=\"day\" value=\"2026-03-02\"", "value=\"10:30\""] {
        assert!(page.contains(field), "{field}: {page}");
    }
    let which = [("calendar", ADA), ("event", id)];
    let to = [("title", "Kick-off, later"), ("day", "2026-03-03"), ("from", "11:00"), ("to", "12:00")];
    send(&google, "move", &[which.as_slice(), to.as_slice()].concat()).await;
    let moved = stands(&google, ADA).await.remove(0);
    assert_eq!((&moved["summary"], &moved["id"]), (&json!("Kick-off, later"), &json!(id)));
    assert_eq!(moved["start"]["dateTime"], "2026-03-03T11:00:00+01:00");
    // A whole day, and back.
    let day = [("title", "Kick-off"), ("day", "2026-03-03"), ("from", ""), ("to", "")];
    send(&google, "move", &[which.as_slice(), day.as_slice()].concat()).await;
    assert_eq!(stands(&google, ADA).await[0]["end"]["date"], "2026-03-04");
    send(&google, "move", &[which.as_slice(), to.as_slice()].concat()).await;
    assert_eq!(stands(&google, ADA).await[0]["end"]["dateTime"], "2026-03-03T12:00:00+01:00");
    let page = send(&google, "delete", &which).await;
    assert!(page.contains("Deleted.") && !page.contains("Kick-off"), "{page}");
    assert!(stands(&google, ADA).await.is_empty());
    refused(&google, "delete", &which, 404, "not there any more").await;
}

#[tokio::test]
async fn one_of_a_series_is_moved_or_deleted_alone_or_the_series_with_it() {
    let google = Google::start().await;
    let form = [("calendar", ADA), ("title", "Stand-up"), ("day", MONDAY), ("from", "09:00"), ("to", "09:15")];
    send(&google, "create", &[form.as_slice(), &[("repeats", "workdays")]].concat()).await;
    let all = stands(&google, ADA).await;
    assert_eq!(all.len(), 5);
    let id = |n: usize| all[n]["id"].as_str().unwrap();
    let to = [("calendar", ADA), ("title", "Stand-up"), ("day", MONDAY), ("from", "10:00"), ("to", "10:15")];
    send(&google, "move", &[to.as_slice(), &[("event", id(0))]].concat()).await;
    send(&google, "delete", &[("calendar", ADA), ("event", id(1)), ("which", "one")]).await;
    let starts: Vec<Value> = stands(&google, ADA).await.iter().map(|one| one["start"]["dateTime"].clone()).collect();
    assert_eq!((starts.len(), &starts[0]), (4, &json!("2026-03-02T10:00:00+01:00")));
    send(&google, "delete", &[("calendar", ADA), ("event", id(2)), ("which", "series")]).await;
    assert!(stands(&google, ADA).await.is_empty());
}

#[tokio::test]
async fn a_guest_answers_and_the_organizer_hears_of_it() {
    let google = Google::start().await;
    let form = [("calendar", BOB), ("title", "Town hall"), ("day", MONDAY), ("from", "16:00"), ("to", "17:00")];
    let page = send(&google, "create", &[form.as_slice(), &[("guest", ADA)]].concat()).await;
    assert!(page.contains("not answered"), "{page}");
    let id = stands(&google, ADA).await[0]["id"].as_str().unwrap().to_owned();
    let which = [("calendar", ADA), ("event", id.as_str())];
    assert!(look(&google, &format!("/?calendar={ADA}&event={id}")).await.text.contains("Do you come?"));
    assert!(!look(&google, &format!("/?calendar={BOB}&event={id}")).await.text.contains("Do you come?"));
    refused(&google, "answer", &[which.as_slice(), &[("answer", "certainly")]].concat(), 400, "yes, perhaps or no")
        .await;
    send(&google, "answer", &[which.as_slice(), &[("answer", "tentative")]].concat()).await;
    let heard = &stands(&google, BOB).await[0]["attendees"];
    let guest = heard.as_array().unwrap().iter().find(|guest| guest["email"] == ADA).unwrap();
    assert_eq!(guest["responseStatus"], "tentative");
    // Somebody who was not asked has nothing to answer.
    google.insert(meeting("revue", "Review")).await;
    let form = [("calendar", ADA), ("event", "revue"), ("answer", "accepted")];
    refused(&google, "answer", &form, 400, "Nobody asked").await;
}

#[tokio::test]
async fn what_is_broken_strikes_programs_until_it_is_mended_and_the_page_never() {
    let google = Google::start().await;
    for (what, account, status, words) in
        [("limit", ADA, 429, "Rate limit for ada@acme.example"), ("outage", "everybody", 503, "Outage for everybody")]
    {
        let page = send(&google, "break", &[("account", account), ("what", what)]).await;
        assert!(page.contains(words) && page.contains("class=\"broken\""), "{page}");
        assert_eq!(google.list("").await.status, status, "{what}");
        let form = [("calendar", ADA), ("title", "All the same"), ("day", MONDAY)];
        send(&google, "create", &form).await;
        let id = google.core(|core| core.faults.in_force().next().unwrap().0.to_string());
        let page = send(&google, "mend", &[("fault", &id)]).await;
        assert!(page.contains("Nothing is broken."), "{page}");
        assert_eq!(google.list("").await.status, 200, "{what}");
    }
    send(&google, "break", &[("account", BOB), ("what", "slow")]).await;
    send(&google, "break", &[("account", BOB), ("what", "outage")]).await;
    send(&google, "mend", &[("fault", "all")]).await;
    assert_eq!(google.core(|core| core.faults.in_force().count()), 0);
    // Sync tokens: what is read after is read from the beginning.
    let token = google.list("").await.json["nextSyncToken"].as_str().unwrap().to_owned();
    send(&google, "break", &[("account", ADA), ("what", "expire")]).await;
    assert_eq!(google.list(&format!("syncToken={token}")).await.status, 410);
    let page = send(&google, "break", &[("account", ADA), ("what", "revoke")]).await;
    assert!(page.contains("Access to ada@acme.example is revoked"), "{page}");
    assert_eq!(google.list("").await.status, 401);
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused_and_keeps_what_was_typed() {
    let google = Google::start().await;
    google.insert(meeting("revue", "Review")).await;
    let long = "x".repeat(1001);
    let usual = [("calendar", ADA), ("title", "Typed with care"), ("day", MONDAY), ("from", "09:00"), ("to", "10:00")];
    for (field, value, words) in [
        ("calendar", "nobody@acme.example", "There is no such calendar"),
        ("title", long.as_str(), "too long"),
        ("day", "", "Choose a day"),
        ("day", "2026-02-30", "Choose a day"),
        ("day", "+262142-12-31", "Choose a day"),
        ("from", "9 o'clock", "Give hours"),
        ("to", "", "Give hours"),
        ("to", "08:00", "ends before it begins"),
        ("repeats", "now and then", "It repeats"),
        ("guest", "mallory@acme.example", "no such account"),
    ] {
        let mut form: Vec<(&str, &str)> = usual.iter().copied().filter(|(name, _)| *name != field).collect();
        form.push((field, value));
        refused(&google, "create", &form, 400, words).await;
    }
    let mut form = usual.to_vec();
    form[4].1 = "08:00";
    refused(&google, "create", &form, 400, "name=\"title\" value=\"Typed with care\"").await;
    let nowhere = [("calendar", ADA), ("event", "nothing"), ("day", MONDAY)];
    refused(&google, "move", &nowhere, 404, "not there any more").await;
    refused(&google, "delete", &[("calendar", ADA), ("event", "revue"), ("which", "series")], 400, "Delete this one")
        .await;
    refused(&google, "break", &[("account", "everybody"), ("what", "revoke")], 400, "account by account").await;
    refused(&google, "break", &[("account", "eve@evil.example"), ("what", "outage")], 400, "no such account").await;
    refused(&google, "break", &[("account", ADA), ("what", "everything")], 400, "nothing of that name").await;
    refused(&google, "mend", &[("fault", "1")], 404, "mended already").await;
    refused(&google, "undo", &[], 404, "Not Found").await;
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let google = Google::start().await;
    let form = [("account", ADA), ("what", "outage")];
    let host = google.origin();
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 303),
        ("origin", host.as_str(), 303),
    ] {
        let answer = shown(post(&google, "break", &form).header(name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert_eq!(google.core(|core| core.faults.in_force().count()), 2);
}

#[tokio::test]
async fn hours_are_those_of_most_calendars_and_events_keep_their_own_zone() {
    let google = Google::start().await;
    let account = Account { email: "dan@ny.example".into(), name: "Dan".into(), sub: "7".into(), hosted_domain: None };
    google.core(|core| core.world.add_account(account, "America/New_York"));
    let form = [("calendar", "dan@ny.example"), ("title", "Call"), ("day", MONDAY), ("from", "15:00"), ("to", "16:00")];
    let page = send(&google, "create", &form).await;
    assert!(page.contains("Hours are in Europe&#x2f;Vienna") && page.contains("15:00–16:00</span> Call"), "{page}");
    let made = stands(&google, "dan@ny.example").await.remove(0);
    assert_eq!(made["start"], json!({"dateTime": "2026-03-02T09:00:00-05:00", "timeZone": "America/New_York"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_by_itself_and_can_be_read_by_everybody() {
    let Some(chrome) = Chrome::start("the emulator's page").await else { return };
    let google = Google::start().await;
    google.insert(meeting("revue", "Review")).await;
    google.core(|core| core.oauth.revoke_account(BOB));
    let origin = google.origin();
    let mut wrong = Vec::new();
    for path in ["/".to_owned(), format!("/?calendar={ADA}&event=revue"), "/?week=3".into()] {
        chrome.go(&format!("{origin}{path}")).await;
        for (width, dark) in [(1280, false), (1280, true), (320, true), (320, false)] {
            chrome.window(width, 900, dark).await;
            wrong.extend(chrome.audit().await.into_iter().map(|one| format!("{path} {width} {dark}: {one}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What others do comes in without a hand.
    chrome.go(&origin).await;
    chrome.reads("Review").await;
    google.insert(meeting("second", "Second look")).await;
    chrome.reads("Second look").await;
    // So does what the person does by the forms themselves.
    chrome.fill("Title", "Made by hand").await;
    chrome.click("Make it").await;
    chrome.reads("Made by hand").await;
    assert_eq!(chrome.complaints(&origin, &origin).await, Vec::<String>::new());
    chrome.quit().await;
}
