//! What the page shows, ready to print.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;

use super::{Form, deeds};
use crate::emulator::{
    Core,
    faults::{Fault, Kind},
    http::Request,
    listing, series,
    state::{Calendar, Object},
    time::{Point, midnight},
    write,
};

/// The mark that BusyBridge leaves on events of its own; anybody who looks at an event's private properties sees it.
const MARK: &str = "calendarSyncEngine";

/// How far one may look.
const WEEKS_MAX: i64 = 520;

/// What a moment ago was done, by the word that the address carries.
const SAID: [(&str, &str); 8] = [
    ("created", "Made."),
    ("moved", "Changed."),
    ("deleted", "Deleted."),
    ("answered", "Answered."),
    ("revoked", "All access to that account is revoked. It heals when the account is connected again in BusyBridge."),
    ("expired", "Sync tokens have expired: the next reading has to begin from the beginning."),
    ("broken", "Broken. Calls of applications meet it from now on."),
    ("mended", "Mended."),
];

static VIEWS: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut views = Environment::new();
    views.set_undefined_behavior(UndefinedBehavior::Strict);
    views.set_auto_escape_callback(|_| AutoEscape::Html);
    let text = include_str!("../../../views/emulator/page.html");
    views.add_template("page.html", text).expect("the template is parsed by a test");
    views
});

#[derive(Serialize)]
struct Page<'a> {
    said: Option<&'a str>,
    wrong: Option<&'a str>,
    week: Week,
    people: Vec<Person>,
    accounts: Vec<String>,
    chosen: Option<Chosen>,
    form: New<'a>,
    /// What is broken: sentence, and the number by which it is mended.
    broken: Vec<(String, u64)>,
    revoked: Vec<String>,
}

#[derive(Serialize)]
struct Week {
    title: String,
    number: i64,
    before: i64,
    after: i64,
    zone: &'static str,
}

#[derive(Serialize)]
struct Person {
    name: String,
    calendars: Vec<Column>,
}

/// One calendar.
#[derive(Serialize)]
struct Column {
    id: String,
    /// For the page's own links.
    anchor: String,
    organization: String,
    /// What is wrong with it now.
    broken: Vec<&'static str>,
    days: Vec<Day>,
}

#[derive(Serialize)]
struct Day {
    name: String,
    today: bool,
    events: Vec<Entry>,
}

/// One event of a day.
#[derive(Serialize)]
struct Entry {
    href: String,
    when: String,
    title: String,
    /// BusyBridge made it.
    managed: bool,
    notes: Vec<&'static str>,
}

/// The event that was clicked.
#[derive(Serialize)]
struct Chosen {
    calendar: String,
    event: String,
    title: String,
    day: String,
    from: String,
    to: String,
    when: String,
    managed: bool,
    series: bool,
    /// What else is known: name and text.
    facts: Vec<(&'static str, String)>,
    /// Answers that may be given: word, name, and whether it stands.
    answers: Vec<(&'static str, &'static str, bool)>,
}

/// The form for a new event, as it was typed.
#[derive(Serialize)]
struct New<'a> {
    calendar: &'a str,
    title: &'a str,
    day: String,
    from: &'a str,
    to: &'a str,
    repeats: &'a str,
    guest: &'a str,
}

/// The page as HTML. `asked` is what the address or a refused form says, `wrong` why it was refused.
pub fn render(core: &mut Core, asked: &Form, wrong: Option<&str>) -> String {
    let zone = super::zone(core);
    let now = core.world.now();
    let number = asked.get("week").and_then(|week| week.parse::<i64>().ok()).unwrap_or(0).clamp(-WEEKS_MAX, WEEKS_MAX);
    let monday = monday(now, zone, number);
    let today = now.with_timezone(&zone).date_naive();
    let word = |name: &str| asked.get(name).map_or("", String::as_str);
    let said = SAID.iter().find(|(code, _)| word("said") == *code).map(|(_, text)| *text);
    let chosen = chosen(core, word("calendar"), word("event"), zone);
    let is_new = chosen.is_none() && wrong.is_some();
    let typed = |name: &'static str, usual: &'static str| if is_new { word(name) } else { usual };
    let view = Page {
        said: said.filter(|_| wrong.is_none()),
        wrong,
        week: week(monday, number, zone),
        people: people(core, number, monday, today, zone),
        accounts: core.world.accounts.keys().cloned().collect(),
        chosen,
        form: New {
            calendar: word("calendar"),
            title: typed("title", ""),
            day: if is_new { word("day").to_owned() } else { monday.max(today).to_string() },
            from: typed("from", "15:00"),
            to: typed("to", "16:00"),
            repeats: typed("repeats", ""),
            guest: typed("guest", ""),
        },
        broken: core.faults.in_force().map(|(id, fault)| (sentence(fault), id)).collect(),
        revoked: core.oauth.revoked().cloned().collect(),
    };
    let template = VIEWS.get_template("page.html").expect("the template is there");
    template.render(minijinja::value::Serde(&view)).expect("the page has all that its template names, as a test proves")
}

/// The first day of a week; on weekends the week that comes counts as this one.
fn monday(now: DateTime<Utc>, zone: Tz, number: i64) -> NaiveDate {
    let today = now.with_timezone(&zone).date_naive();
    let ahead = if today.weekday().num_days_from_monday() >= 5 { 7 } else { 0 };
    let first = today + Days::new(ahead) - Days::new(today.weekday().num_days_from_monday().into());
    first + TimeDelta::weeks(number)
}

fn week(monday: NaiveDate, number: i64, zone: Tz) -> Week {
    let sunday = monday + Days::new(6);
    let title = format!("{} – {}", monday.format("%-d %B"), sunday.format("%-d %B %Y"));
    Week { title, number, before: number - 1, after: number + 1, zone: zone.name() }
}

/// Everybody with their calendars: who shares the part before the @ is one person with several accounts.
fn people(core: &mut Core, number: i64, monday: NaiveDate, today: NaiveDate, zone: Tz) -> Vec<Person> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    let calendars: Vec<(String, String)> =
        core.world.calendars.values().map(|calendar| (calendar.id.clone(), calendar.owner.clone())).collect();
    for (n, (id, owner)) in calendars.iter().enumerate() {
        let account = core.world.accounts.get(owner);
        let name = account.map_or(owner.clone(), |account| account.name.clone());
        let key = owner.split('@').next().unwrap_or(owner).to_owned();
        let person = people.entry(key).or_insert_with(|| Person { name: name.clone(), calendars: Vec::new() });
        if name.len() > person.name.len() {
            person.name = name;
        }
        let column = column(core, n, id, owner, number, monday, today, zone);
        person.calendars.push(column);
    }
    people.into_values().collect()
}

#[expect(clippy::too_many_arguments, reason = "a column is where a calendar and a week meet")]
fn column(
    core: &mut Core,
    n: usize,
    id: &str,
    owner: &str,
    number: i64,
    monday: NaiveDate,
    today: NaiveDate,
    zone: Tz,
) -> Column {
    let mut broken: Vec<&'static str> = core
        .faults
        .in_force()
        .filter(|(_, fault)| fault.account.as_deref().is_none_or(|account| account == owner))
        .map(|(_, fault)| short(fault))
        .collect();
    if core.oauth.revoked().any(|account| account == owner) {
        broken.insert(0, "access revoked");
    }
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for event in events(core, id, owner, monday, zone) {
        let Some((start, when)) = shown(&event, zone) else { continue };
        let day = start.max(monday);
        let name = day.format("%a %-d %b").to_string();
        let entry = entry(&event, id, number, when);
        days.entry(day).or_insert_with(|| Day { name, today: day == today, events: Vec::new() }).events.push(entry);
    }
    let organization = owner.split('@').nth(1).unwrap_or(owner).to_owned();
    Column {
        id: id.to_owned(),
        anchor: format!("calendar-{n}"),
        organization,
        broken,
        days: days.into_values().collect(),
    }
}

/// The events of a week, as their owner lists them.
fn events(core: &mut Core, id: &str, owner: &str, monday: NaiveDate, zone: Tz) -> Vec<Object> {
    let instant = |day| midnight(day, zone).to_rfc3339();
    let query = [
        ("singleEvents", "true".to_owned()),
        ("orderBy", "startTime".to_owned()),
        ("maxResults", "2500".to_owned()),
        ("timeZone", zone.name().to_owned()),
        ("timeMin", instant(monday)),
        ("timeMax", instant(monday + Days::new(7))),
    ];
    let query = query.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let request = Request { method: "GET".into(), query, ..Request::default() };
    let Ok(answer) = listing::list(&mut core.world, &deeds::owner(owner), id, &request) else { return Vec::new() };
    let mut page: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let items = page["items"].take();
    serde_json::from_value(items).unwrap_or_default()
}

/// The day on which an event begins, and its time in words.
fn shown(event: &Object, zone: Tz) -> Option<(NaiveDate, String)> {
    let (start, end) = (Point::read(event.get("start"), zone.name())?, Point::read(event.get("end"), zone.name())?);
    let (first, last) = (local(start, zone), local(end, zone));
    Some(match (start, end) {
        (Point::Day(day), Point::Day(end)) if end <= day + Days::new(1) => (day, "all day".into()),
        (Point::Day(day), Point::Day(end)) => (day, format!("until {}", (end - Days::new(1)).format("%a %-d"))),
        _ if first.date() == last.date() => {
            (first.date(), format!("{}–{}", first.format("%H:%M"), last.format("%H:%M")))
        }
        _ => (first.date(), format!("{} – {}", first.format("%H:%M"), last.format("%a %H:%M"))),
    })
}

fn local(point: Point, zone: Tz) -> chrono::NaiveDateTime {
    match point {
        Point::Day(day) => day.into(),
        Point::Instant(instant, _) => instant.with_timezone(&zone).naive_local(),
    }
}

fn entry(event: &Object, calendar: &str, number: i64, when: String) -> Entry {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    address.append_pair("week", &number.to_string()).append_pair("calendar", calendar);
    address.append_pair("event", text("id").unwrap_or_default());
    let mut notes = Vec::new();
    let guests = event.get("attendees").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let own = guests.iter().find(|guest| guest["self"] == true);
    match own.and_then(|own| own["responseStatus"].as_str()) {
        Some("needsAction") => notes.push("not answered"),
        Some("declined") => notes.push("declined"),
        Some("tentative") => notes.push("perhaps"),
        _ => {}
    }
    if text("transparency") == Some("transparent") {
        notes.push("free");
    }
    if guests.iter().any(|guest| guest["self"] != true) {
        notes.push("guests");
    }
    if text("recurringEventId").is_some() {
        notes.push("series");
    }
    Entry {
        href: format!("/?{}#chosen", address.finish()),
        when,
        title: text("summary").filter(|title| !title.is_empty()).unwrap_or("(untitled)").to_owned(),
        managed: is_managed(event),
        notes,
    }
}

fn is_managed(event: &Object) -> bool {
    event.get("extendedProperties").is_some_and(|properties| properties["private"][MARK] == "true")
}

fn chosen(core: &Core, calendar: &str, id: &str, zone: Tz) -> Option<Chosen> {
    let calendar: &Calendar = core.world.calendars.get(calendar)?;
    let target = series::find(&core.world, &calendar.id, id).filter(|found| !write::is_cancelled(&found.fields))?;
    let event = target.fields;
    let (day, when) = shown(&event, zone)?;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    let hour = |name: &str| match Point::read(event.get(name), zone.name()) {
        Some(point @ Point::Instant(..)) => local(point, zone).format("%H:%M").to_string(),
        _ => String::new(),
    };
    let guests = event.get("attendees").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let organizer = event.get("organizer").and_then(|organizer| organizer["email"].as_str()).unwrap_or_default();
    let own = guests.iter().find(|guest| guest["email"] == calendar.owner.as_str());
    let own = own.filter(|_| organizer != calendar.id).and_then(|own| own["responseStatus"].as_str());
    let list = guests.iter().map(|guest| {
        let answer = match guest["responseStatus"].as_str() {
            Some("accepted") => "comes",
            Some("declined") => "does not come",
            Some("tentative") => "perhaps",
            _ => "has not answered",
        };
        format!("{} ({answer})", guest["email"].as_str().unwrap_or_default())
    });
    let guests = (!guests.is_empty()).then(|| list.collect::<Vec<_>>().join(", "));
    let facts = [
        ("Place", text("location")),
        ("Guests", guests),
        ("Organizer", (organizer != calendar.id && !organizer.is_empty()).then(|| organizer.to_owned())),
        ("Visibility", text("visibility")),
        ("Description", text("description")),
    ];
    let answers = own.map_or(Vec::new(), |own| {
        [("accepted", "Yes"), ("tentative", "Perhaps"), ("declined", "No")]
            .map(|(word, name)| (word, name, word == own))
            .into()
    });
    Some(Chosen {
        calendar: calendar.id.clone(),
        event: id.to_owned(),
        title: text("summary").unwrap_or_default(),
        day: day.to_string(),
        from: hour("start"),
        to: hour("end"),
        when: format!("{}, {when}", day.format("%A, %-d %B %Y")),
        managed: is_managed(&event),
        series: event.contains_key("recurringEventId"),
        facts: facts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect(),
        answers,
    })
}

/// A fault in a word or two.
fn short(fault: &Fault) -> &'static str {
    match (fault.kind, fault.status) {
        (Kind::Status, Some(429)) => "rate limit",
        (Kind::Status, _) => "outage",
        (Kind::Delay, _) => "slow",
        _ => "fault",
    }
}

/// A fault in a sentence.
fn sentence(fault: &Fault) -> String {
    let who = fault.account.as_deref().unwrap_or("everybody");
    match (fault.kind, fault.status) {
        (Kind::Status, Some(429)) => format!("Rate limit for {who}: every call is refused as too much."),
        (Kind::Status, Some(503)) => format!("Outage for {who}: Google answers nothing."),
        (Kind::Delay, _) => format!("Slow for {who}: every answer takes two seconds."),
        _ => format!("A fault of another kind for {who}."),
    }
}
