//! Seed files: what a Google holds to begin with, as TOML.
//!
//! ```toml
//! [[account]]
//! email = "ada@home.example"
//! name = "Ada Byron"              # the address by default
//! zone = "Europe/Vienna"          # of the primary calendar; UTC by default
//! domain = "home.example"         # the Workspace domain; absent for a consumer account
//! ics = "ada.ics"                 # an export, imported into the primary calendar; relative to the seed
//!
//! [[calendar]]
//! id = "team@group.calendar.google.com"   # made from owner and name by default
//! owner = "ada@home.example"
//! name = "Team"
//! zone = "Europe/Vienna"          # the owner's by default
//! shared = [{ email = "bob@acme.example", role = "reader" }]
//! ics = "team.ics"
//!
//! [[event]]
//! calendar = "ada@home.example"
//! title = "Review"
//! when = "2026-03-02 09:00–10:00"
//! recurrence = ["RRULE:FREQ=WEEKLY"]
//!
//! [event.google]                  # Google's own field names; they win over the friendly ones
//! colorId = "5"
//! ```
//!
//! `when` is one of
//!
//! | form | means |
//! |---|---|
//! | `2026-03-02 09:00–10:00` | a time, in `zone` or the calendar's; a hyphen will do; an end not after the start is on the next day |
//! | `2026-03-02 22:00–2026-03-04 06:00` | the same over days |
//! | `2026-03-02` | that day |
//! | `2026-03-02..2026-03-04` | days, **end exclusive** as everywhere at Google: the 2nd and the 3rd |
//!
//! A `[[calendar]]` whose `id` is an account's address says more about that account's primary calendar. What is unknown or
//! misspelled is refused with its line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::{
    calendars,
    http::ApiError,
    ics::{self, IcsCalendar},
    settings::Settings,
    state::{Account, Calendar, Object, Role, World},
    time::{instant_of, rfc3339},
    write,
};
use crate::model::clock::Clock;

/// The accounts of an emulator without a seed.
const USUAL: &str = r#"
[[account]]
email = "ada@home.example"
name = "Ada Byron"
zone = "Europe/Vienna"
domain = "home.example"

[[account]]
email = "ada@acme.example"
name = "Ada Byron"
zone = "Europe/Vienna"
domain = "acme.example"

[[account]]
email = "ada@globex.example"
name = "Ada Byron"
zone = "Europe/Vienna"
domain = "globex.example"

[[account]]
email = "ada@gmail.example"
name = "Ada Byron"
zone = "Europe/Vienna"
"#;

/// Why a seed cannot be used: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("Line {line} of the seed: {message}.")]
    Line { line: usize, message: String },
    #[error("The calendar export {} cannot be read: {source}.", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("The calendar export {} is unusable: {source}", path.display())]
    Export { path: PathBuf, source: ics::IcsError },
}

/// A seed file, read.
#[derive(Debug)]
pub struct Seed {
    accounts: Vec<(usize, AccountSeed)>,
    calendars: Vec<(usize, CalendarSeed)>,
    events: Vec<(usize, EventSeed)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    account: Vec<Spanned<AccountSeed>>,
    #[serde(default)]
    calendar: Vec<Spanned<CalendarSeed>>,
    #[serde(default)]
    event: Vec<Spanned<EventSeed>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSeed {
    email: String,
    name: Option<String>,
    zone: Option<String>,
    domain: Option<String>,
    ics: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarSeed {
    id: Option<String>,
    owner: Option<String>,
    name: Option<String>,
    zone: Option<String>,
    #[serde(default)]
    shared: Vec<Share>,
    ics: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    email: String,
    role: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventSeed {
    calendar: String,
    id: Option<String>,
    title: Option<String>,
    description: Option<String>,
    location: Option<String>,
    when: Option<String>,
    /// IANA name; the calendar's by default.
    zone: Option<String>,
    #[serde(default)]
    recurrence: Lines,
    /// Shown as free.
    #[serde(default)]
    free: bool,
    #[serde(default)]
    tentative: bool,
    /// The calendar's owner has declined.
    #[serde(default)]
    declined: bool,
    /// Addresses; they have not answered.
    #[serde(default)]
    guests: Vec<String>,
    /// An address; the calendar's owner by default. Another one makes the owner a guest.
    organizer: Option<String>,
    /// `default`, `outOfOffice`, `focusTime`, `workingLocation`…
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    google: Object,
}

/// One line or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Several(Vec<String>),
}

impl Default for Lines {
    fn default() -> Self {
        Lines::Several(Vec::new())
    }
}

impl Default for Seed {
    /// The four accounts of an emulator without a seed, each with an empty primary calendar.
    fn default() -> Self {
        Self::parse(USUAL).expect("the usual seed is well-formed")
    }
}

/// What became of an export.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Events stored, exceptions included.
    pub events: usize,
    /// Sentences about events that got the shortest legal length.
    pub repaired: Vec<String>,
    /// Sentences about events that were left out.
    pub skipped: Vec<String>,
}

/// Stores the events of an export in a calendar.
///
/// # Errors
/// 404 when there is no such calendar. An event that Google would refuse is left out, and reported.
pub fn import(world: &mut World, calendar: &str, export: IcsCalendar) -> Result<Imported, ApiError> {
    if !world.calendars.contains_key(calendar) {
        return Err(ApiError::not_found());
    }
    let IcsCalendar { name: _, time_zone: _, events, repaired, skipped } = export;
    let mut imported = Imported { events: 0, repaired, skipped };
    for event in events {
        let title = event.get("summary").and_then(Value::as_str).unwrap_or("(no title)").to_owned();
        match write::seed(world, calendar, event) {
            Ok(_) => imported.events += 1,
            Err(refusal) => imported.skipped.push(format!("\"{title}\": {}", refusal.message)),
        }
    }
    Ok(imported)
}

impl Seed {
    /// Reads a seed file.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let file: File = toml::from_str(text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            let mut message = e.message().replace('\n', " ");
            // The reader does not always name what it stumbled over.
            let place = text.get(span.clone()).unwrap_or("").trim();
            if !place.is_empty() && place.len() < 40 && !place.contains('\n') && !message.contains(place) {
                message.push_str(&format!(": {place}"));
            }
            SeedError::Line { line: line(span.start), message }
        })?;
        fn lined<T>(entries: Vec<Spanned<T>>, line: impl Fn(usize) -> usize) -> Vec<(usize, T)> {
            entries.into_iter().map(|entry| (line(entry.span().start), entry.into_inner())).collect()
        }
        Ok(Seed {
            accounts: lined(file.account, line),
            calendars: lined(file.calendar, line),
            events: lined(file.event, line),
        })
    }

    /// Makes the world that the seed describes. `base` is the folder to which exports are relative.
    ///
    /// # Errors
    /// What cannot be made, with its line; an export that cannot be read.
    pub fn build(self, settings: Settings, clock: Clock, base: &Path) -> Result<World, SeedError> {
        let mut world = World::new(settings, clock);
        let Seed { accounts, calendars, events } = self;
        let mut exports: Vec<(String, PathBuf)> = Vec::new();
        // Zones given in the seed, which an export does not overrule.
        let mut zoned: BTreeMap<String, bool> = BTreeMap::new();
        for (line, seed) in accounts {
            let AccountSeed { email, name, zone, domain, ics } = seed;
            let email = email.to_lowercase();
            if !email.contains('@') || world.accounts.contains_key(&email) {
                return at(line, format!("\"{email}\" is no address of a new account"));
            }
            let name = name.unwrap_or_else(|| email.clone());
            zoned.insert(email.clone(), zone.is_some());
            let zone = known_zone(line, zone.as_deref().unwrap_or("UTC"))?;
            let account = Account { email: email.clone(), name, sub: subject(&email), hosted_domain: domain };
            world.add_account(account, zone.name());
            exports.extend(ics.map(|file| (email, file)));
        }
        for (line, seed) in calendars {
            let (id, file, has_zone) = calendar(&mut world, line, seed)?;
            *zoned.entry(id.clone()).or_default() |= has_zone;
            exports.extend(file.map(|file| (id, file)));
        }
        for (id, file) in exports {
            let path = base.join(file);
            let bytes = std::fs::read(&path).map_err(|source| SeedError::Unreadable { path: path.clone(), source })?;
            let zone = world.calendars.get(&id).and_then(|c| c.time_zone.parse().ok()).unwrap_or(Tz::UTC);
            let export = ics::read_in(&bytes, zone).map_err(|source| SeedError::Export { path, source })?;
            if let Some(calendar) = world.calendars.get_mut(&id).filter(|_| zoned.get(&id) != Some(&true)) {
                calendar.time_zone = export.time_zone.clone().unwrap_or_else(|| calendar.time_zone.clone());
            }
            let imported = import(&mut world, &id, export).expect("the calendar was made above");
            tracing::info!(
                events = imported.events,
                repaired = imported.repaired.len(),
                skipped = imported.skipped.len(),
                "imported a calendar export"
            );
        }
        for (line, seed) in events {
            let Some(calendar) = world.calendars.get(&seed.calendar) else {
                return at(line, format!("there is no calendar \"{}\"", seed.calendar));
            };
            let (id, event) = (calendar.id.clone(), event(line, seed, calendar)?);
            write::seed(&mut world, &id, event)
                .map_err(|refusal| SeedError::Line { line, message: refusal.message.trim_end_matches('.').into() })?;
        }
        Ok(world)
    }
}

fn at<T>(line: usize, message: impl Into<String>) -> Result<T, SeedError> {
    Err(SeedError::Line { line, message: message.into() })
}

fn known_zone(line: usize, name: &str) -> Result<Tz, SeedError> {
    name.parse().or_else(|_| at(line, format!("there is no time zone \"{name}\"")))
}

/// A stable subject: 21 digits, as Google's are.
fn subject(email: &str) -> String {
    let digest = Sha256::digest(email);
    let number = digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    format!("1{number:020}")
}

/// Makes or completes a calendar: its id, its export, and whether its zone is given.
fn calendar(world: &mut World, line: usize, seed: CalendarSeed) -> Result<(String, Option<PathBuf>, bool), SeedError> {
    let CalendarSeed { id, owner, name, zone, shared, ics } = seed;
    let zone = zone.map(|zone| known_zone(line, &zone)).transpose()?;
    let primary = id.as_ref().filter(|id| world.accounts.contains_key(*id)).cloned();
    let id = match (primary, owner) {
        (Some(id), owner) => {
            if owner.is_some_and(|owner| owner != id) {
                return at(line, format!("\"{id}\" is the primary calendar of that account, and no one else's"));
            }
            let calendar = world.calendars.get_mut(&id).expect("an account has a primary calendar");
            calendar.summary = name.unwrap_or_else(|| calendar.summary.clone());
            calendar.time_zone = zone.map_or(calendar.time_zone.clone(), |zone| zone.name().into());
            id
        }
        (None, None) => return at(line, "a calendar needs an owner"),
        (None, Some(owner)) => {
            let Some(home) = world.calendars.get(&owner).filter(|_| world.accounts.contains_key(&owner)) else {
                return at(line, format!("there is no account \"{owner}\""));
            };
            let own_zone = home.time_zone.clone();
            let summary = name.unwrap_or_else(|| "Calendar".into());
            let id = id.unwrap_or_else(|| {
                let digest = Sha256::digest(format!("{owner} {summary}"));
                let digits: String = digest.iter().take(13).map(|byte| format!("{byte:02x}")).collect();
                format!("c_{digits}@group.calendar.google.com")
            });
            if world.calendars.contains_key(&id) {
                return at(line, format!("there are two calendars \"{id}\""));
            }
            let calendar = Calendar {
                id: id.clone(),
                summary,
                time_zone: zone.map_or(own_zone, |zone| zone.name().into()),
                owner: owner.clone(),
                primary: false,
                acl: BTreeMap::from([(owner.clone(), Role::Owner)]),
                events: BTreeMap::new(),
                epoch: 0,
                about: Object::new(),
                change: world.next_change(),
            };
            world.calendars.insert(id.clone(), calendar);
            calendars::enlist(world, &owner, &id);
            id
        }
    };
    for Share { email, role } in shared {
        let Some(role) = Role::parse(&role) else { return at(line, format!("there is no role \"{role}\"")) };
        calendars::set_access(world, &id, &email, Some(role))
            .map_err(|refusal| SeedError::Line { line, message: refusal.message.trim_end_matches('.').into() })?;
        if world.accounts.contains_key(&email) {
            calendars::enlist(world, &email, &id);
        }
    }
    Ok((id, ics, zone.is_some()))
}

/// An event in Google's words.
fn event(line: usize, seed: EventSeed, calendar: &Calendar) -> Result<Object, SeedError> {
    let EventSeed {
        calendar: _,
        id,
        title,
        description,
        location,
        when,
        zone,
        recurrence,
        free,
        tentative,
        declined,
        guests,
        organizer,
        kind,
        private,
        google,
    } = seed;
    let zone = known_zone(line, zone.as_deref().unwrap_or(&calendar.time_zone))?;
    let mut event = Object::new();
    for (name, value) in [
        ("id", id),
        ("summary", title),
        ("description", description),
        ("location", location),
        ("eventType", kind),
        ("transparency", free.then(|| "transparent".into())),
        ("status", tentative.then(|| "tentative".into())),
        ("visibility", private.then(|| "private".into())),
    ] {
        event.extend(value.map(|value| (name.into(), value.into())));
    }
    if let Some(when) = when {
        let (start, end) = self::when(&when, zone).map_or_else(|message| at(line, message), Ok)?;
        event.insert("start".into(), start);
        event.insert("end".into(), end);
    } else if !google.contains_key("start") && !google.contains_key("recurringEventId") {
        return at(line, "an event needs \"when\"");
    }
    let lines = match recurrence {
        Lines::One(line) => vec![line],
        Lines::Several(lines) => lines,
    };
    if !lines.is_empty() {
        event.insert("recurrence".into(), lines.into());
    }
    let mut attendees: Vec<Value> = Vec::new();
    let foreign = organizer.filter(|o| *o != calendar.owner && *o != calendar.id);
    if let Some(organizer) = &foreign {
        event.insert("organizer".into(), json!({"email": organizer}));
        attendees.push(json!({"email": organizer, "organizer": true, "responseStatus": "accepted"}));
    }
    if foreign.is_some() || declined {
        let answer = if declined { "declined" } else { "accepted" };
        attendees.push(json!({"email": calendar.owner, "responseStatus": answer}));
    }
    attendees.extend(guests.into_iter().map(|email| json!({"email": email, "responseStatus": "needsAction"})));
    if !attendees.is_empty() {
        event.insert("attendees".into(), attendees.into());
    }
    event.extend(google);
    Ok(event)
}

/// Google's `start` and `end` of a `when`.
fn when(text: &str, zone: Tz) -> Result<(Value, Value), String> {
    let complaint = || {
        format!(
            "\"{text}\" is no time: write \"2026-03-02 09:00–10:00\", \"2026-03-02\" or \"2026-03-02..2026-03-04\" \
             (end exclusive)"
        )
    };
    let day = |text: &str| NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").map_err(|_| complaint());
    let hour = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| complaint());
    let date = |day: NaiveDate| json!({"date": day.to_string()});
    let text = text.trim();
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (day(from)?, day(to)?);
        if to <= from {
            return Err(format!("\"{text}\" ends before it begins: the day behind the dots is exclusive"));
        }
        return Ok((date(from), date(to)));
    }
    let Some((first, times)) = text.split_once(' ') else {
        let day = day(text)?;
        return Ok((date(day), date(day + Days::new(1))));
    };
    let first = day(first)?;
    let (from, to) = times.split_once(['–', '-']).ok_or_else(complaint)?;
    let start = first.and_time(hour(from)?);
    let end = match to.trim().split_once(' ') {
        Some((last, to)) => day(last)?.and_time(hour(to)?),
        None => {
            let end = first.and_time(hour(to)?);
            if end > start { end } else { end + Days::new(1) }
        }
    };
    if end <= start {
        return Err(format!("\"{text}\" ends before it begins"));
    }
    let time =
        |local: NaiveDateTime| json!({"dateTime": rfc3339(instant_of(local, zone), zone), "timeZone": zone.name()});
    Ok((time(start), time(end)))
}
