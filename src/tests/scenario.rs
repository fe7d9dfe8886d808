//! Scenario files: a script of what people, Google and the product do, and what is then to be seen.
//!
//! ```text
//! # A comment.
//! verb arguments
//! more lines of the same command
//! ----
//! the output, up to the next blank line
//! ```
//!
//! `UPDATE_EXPECT=1 cargo test scenarios` writes what came out into the files; the difference is the review.
//! `SCENARIO=part-of-a-name` runs only some.
//!
//! | verb | does |
//! |---|---|
//! | `world [PERSON] [installation N]` | a person with calendars: lines `main\|client\|personal NAME ADDRESS [as ACCOUNT]` |
//! | `google CAL insert NAME` | a person makes an event: lines of properties |
//! | `google CAL edit EVENT` | a person changes it: lines of properties |
//! | `google CAL delete\|decline\|accept\|restore\|duplicate EVENT`, `split EVENT@SLOT` | a person does that |
//! | `google CAL vanish EVENT` | Google forgets it, without a tombstone |
//! | `plan [PERSON]` | a dry run; nothing is written at Google |
//! | `tick [PERSON]` | one tick |
//! | `settle [PERSON]` | ticks until nothing is urgent |
//! | `reread [PERSON]` | all calendars are read from the beginning, as once a day |
//! | `calendar CAL [from DAY] [days N]` | what a person sees there in three weeks |
//! | `raw CAL EVENT FIELD…` | fields of an event as Google gives them to the owner |
//! | `calls [PERSON]` | calls to Google since the last `calls`, by method |
//! | `clock +5m\|+2h\|+3d` | time passes |
//! | `fault {JSON}`, `fault clear` | Google misbehaves |
//! | `expire CAL` | the sync tokens of a calendar die |
//! | `lose-database [PERSON] [without CAL]` | the database is gone; the keys are not; one calendar is not connected again |
//! | `back-up`, `put-back [PERSON]` | a copy of the database is made; it takes the place of the one in use |
//! | `mappings [PERSON]` | how many items are remembered |
//! | `log [PERSON]` | what the sync log says, newest first |
//! | `policy [PERSON]` | lines `horizon DAYS`, `brake COUNT PERCENT`, `events COUNT`, `prefix TEXT` |
//!
//! What people settle (flows, departures, pauses, words to what waits) has its verbs in [`super::stage`]. After every scenario the
//! standing invariants are judged ([`super::invariants`]).
//!
//! `EVENT` is a name given by `insert`, `"a title"`, or `block@2026-03-02 09:00` (a block of ours that begins then); with
//! `@2026-03-09` behind it, the instance whose slot is on that day. Times are in Europe/Vienna.
//!
//! Properties: `when 2026-03-02 09:00–10:00 [ZONE]`, `when 2026-03-02` (a day), `when 2026-03-02..2026-03-05` (last day
//! included), `title`, `description`, `place`, `free`, `busy`, `private`, `tentative`, `repeat LINE`, `type`, `guest ADDRESS
//! [ANSWER]`, `invited-by ADDRESS`, `json {…}` (merged last).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Europe::Vienna;
use serde_json::{Value, json};

use super::{invariants, world::World};
use crate::{
    cli::reconcile::{from_the_beginning, settle_down},
    controller::tick::{Mode, Tick, tick},
    emulator::settings::Settings,
    model::{calendar::Role, plan::Outcome},
    planner::render::{self, Length, Lens},
};

#[test]
fn scenarios_come_out_as_written() {
    play_all(&Settings::default(), std::env::var_os("UPDATE_EXPECT").is_some());
}

/// Whatever Google may do to a listing, things come out the same; only the number of calls differs.
#[test]
fn scenarios_come_out_the_same_in_chaos() {
    play_all(&Settings::chaos(), false);
}

fn play_all(settings: &Settings, update: bool) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    let filter = std::env::var("SCENARIO").unwrap_or_default();
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt") && path.to_string_lossy().contains(&filter))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenario is named like {filter:?}");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    // Each scenario has a Google and a database of its own, so that some can run side by side.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = play(path, settings, update) {
                        failures.lock().unwrap().insert(path, failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let told: Vec<String> = failures
        .iter()
        .map(|(path, failure)| format!("\n== {}\n{failure}", path.file_name().unwrap().to_string_lossy()))
        .collect();
    assert!(told.is_empty(), "{} scenarios came out differently:{}", told.len(), told.join("\n"));
}

/// Plays one file; says what is wrong.
fn play(path: &Path, settings: &Settings, update: bool) -> Option<String> {
    let before = fs::read_to_string(path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(&before, settings)))) {
        Ok(after) if after == before => None,
        Ok(after) if update => {
            fs::write(path, after).unwrap();
            None
        }
        Ok(after) => Some(difference(&before, &after)),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().cloned();
            Some(text.or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
        }
    }
}

/// The lines that differ, with the line before each.
fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let start = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let tail = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut out = format!("from line {}:\n", start + 1);
    for line in &before[start..before.len() - tail] {
        let _ = writeln!(out, "  expected  {line}");
    }
    for line in &after[start..after.len() - tail] {
        let _ = writeln!(out, "  came out  {line}");
    }
    out
}

/// Runs a script; gives it back with what came out.
pub(super) async fn run(text: &str, settings: &Settings) -> String {
    let mut stage = Stage {
        world: World::with_settings(settings.clone()).await,
        calls: 0,
        chance: false,
        kinds: BTreeMap::new(),
        copy: None,
        copies: 0,
    };
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    let mut command: Vec<&str> = Vec::new();
    while let Some(line) = lines.next() {
        if line == "----" {
            let mut result = stage.perform(&command).await;
            let mut written = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                written.push(line);
            }
            lines.next_if(|line| line.is_empty());
            // Short pages take more calls, and what is told of exceptions may take more writes to come to the same.
            if settings.page_limit > 0 && command.iter().any(|line| line.starts_with("calls")) {
                result = written.join("\n");
            }
            if let (true, Some(first), Some((_, rest))) =
                (settings.page_limit > 0 && command[0].starts_with("settle"), written.first(), result.split_once('\n'))
            {
                result = format!("{first}\n{rest}");
            }
            command.clear();
            let _ = writeln!(out, "----\n{}\n", result.trim_end());
            continue;
        }
        if !line.starts_with('#') && !line.is_empty() {
            command.push(line);
        }
        let _ = writeln!(out, "{line}");
    }
    assert!(command.is_empty(), "the last command lacks its ----");
    let broken = invariants::broken(&mut stage.world).await;
    assert!(broken.is_empty(), "what must always hold does not:\n{}", broken.join("\n"));
    format!("{}\n", out.trim_end())
}

pub(super) struct Stage {
    pub(super) world: World,
    calls: u64,
    /// Something happened whose order is left to chance.
    pub(super) chance: bool,
    /// Calls that `calls-by-kind` has told already.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    /// The last copy of a database, and how many were made.
    copy: Option<PathBuf>,
    copies: u32,
}

impl Stage {
    async fn perform(&mut self, command: &[&str]) -> String {
        let (head, rest) = command.split_first().expect("a command stands before ----");
        let (verb, arguments) = head.split_once(' ').unwrap_or((head, ""));
        let arguments = arguments.trim();
        match verb {
            "world" => self.add_person(arguments, rest).await,
            "google" => self.google(arguments, rest).await,
            "plan" => self.tick(arguments, Mode::DryRun).await,
            "tick" => self.tick(arguments, Mode::Apply).await,
            "settle" => self.settle(arguments).await,
            "reread" => self.reread(arguments).await,
            "calendar" => self.calendar(arguments).await,
            "raw" => self.raw(arguments).await,
            "calls" => self.calls(arguments),
            "clock" => self.pass(arguments),
            "fault" => self.fault(arguments).await,
            "expire" => {
                let calendar = self.world.place(arguments).id.clone();
                let answer = self.world.command("POST", "expire-sync-tokens", json!({"calendar": calendar})).await;
                assert!(answer.0 < 300, "{answer:?}");
                "ok".into()
            }
            "lose-database" => {
                let (person, without) = match arguments.split_once("without ") {
                    Some((person, calendar)) => (person.trim(), Some(calendar)),
                    None => (arguments, None),
                };
                let person = self.person(person);
                self.world.lose_database(&person, without).await;
                "ok".into()
            }
            "back-up" => {
                let person = self.person(arguments);
                self.copies += 1;
                let store = &self.world.app(&person).store;
                let copy = store.path().with_file_name(format!("copy-{}.db", self.copies));
                store.back_up(&copy).await.unwrap();
                self.copy = Some(copy);
                "ok".into()
            }
            "put-back" => {
                let person = self.person(arguments);
                let copy = self.copy.clone().expect("back-up comes first");
                self.world.restore(&person, &copy).await;
                "ok".into()
            }
            "mappings" => {
                let person = self.person(arguments);
                let user = self.world.people[&person].user;
                format!("{} remembered", self.world.app(&person).store.mappings(user).await.unwrap().len())
            }
            "log" => {
                let person = self.person(arguments);
                let user = self.world.people[&person].user;
                let lines = self.world.app(&person).store.recent_log(user, 10).await.unwrap();
                lines.iter().map(|line| format!("{} {} {}\n", line.action, line.status, line.details)).collect()
            }
            "policy" => self.policy(arguments, rest),
            other => self.settle_something(other, arguments).await,
        }
    }

    pub(super) fn person(&self, name: &str) -> String {
        if name.is_empty() { self.world.people.keys().next().expect("a world").clone() } else { name.into() }
    }

    async fn add_person(&mut self, arguments: &str, lines: &[&str]) -> String {
        let (name, installation) = match arguments.split_once("installation ") {
            Some((name, number)) => (name.trim(), number.parse().unwrap()),
            None => (arguments, 1),
        };
        let name = if name.is_empty() { "ada" } else { name };
        let calendars: Vec<_> = lines
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let role = Role::from_word(words[0]).unwrap_or_else(|| panic!("no role {}", words[0]));
                let account = if words.get(3) == Some(&"as") { words[4] } else { words[2] };
                (words[1].to_owned(), words[2].to_owned(), account.to_owned(), role)
            })
            .collect();
        self.world.add(name, installation, &calendars).await;
        format!("{} calendars of {name}", calendars.len())
    }

    async fn google(&mut self, arguments: &str, lines: &[&str]) -> String {
        let (calendar, rest) = arguments.split_once(' ').unwrap();
        let (verb, event) = rest.split_once(' ').unwrap();
        let event = event.trim();
        if verb == "insert" {
            let mut body = properties(lines);
            if body.get("id").is_none() {
                body["id"] = json!(id(event));
            }
            // A new event takes all properties at once, invitations from others by the seed's door.
            let (status, answer) = if body.get("organizer").is_some() {
                let place = self.world.place(calendar).id.clone();
                let fields = body.as_object().unwrap().clone();
                match crate::emulator::with(&self.world.core, |core| {
                    crate::emulator::write::seed(&mut core.world, &place, fields)
                }) {
                    Ok(_) => (200, Value::Null),
                    Err(error) => (error.status, json!(error.message)),
                }
            } else {
                self.world.as_person(calendar, "POST", "/events", body).await
            };
            return if status == 200 { format!("{calendar}/{event}") } else { refused(status, &answer) };
        }
        let id = self.find(calendar, event).await;
        let path = format!("/events/{id}");
        let (status, answer) = match verb {
            "edit" => self.world.as_person(calendar, "PATCH", &path, properties(lines)).await,
            "delete" => self.world.as_person(calendar, "DELETE", &path, Value::Null).await,
            "restore" => self.world.as_person(calendar, "PATCH", &path, json!({"status": "confirmed"})).await,
            "decline" | "accept" => {
                let answer = if verb == "decline" { "declined" } else { "accepted" };
                let (_, mut seen) = self.world.as_person(calendar, "GET", &path, Value::Null).await;
                for guest in seen["attendees"].as_array_mut().expect("an invitation has guests") {
                    if guest["self"] == true {
                        guest["responseStatus"] = json!(answer);
                    }
                }
                let body = json!({"attendees": seen["attendees"]});
                self.world.as_person(calendar, "PATCH", &path, body).await
            }
            // Purged, without a tombstone.
            "vanish" => {
                let place = self.world.place(calendar).id.clone();
                crate::emulator::with(&self.world.core, |core| {
                    core.world.calendars.get_mut(&place).unwrap().events.remove(&id).expect("an event");
                });
                return "ok".into();
            }
            "duplicate" => {
                let place = &self.world.place(calendar).id;
                let path = format!("calendars/{place}/events/{id}/duplicate");
                self.world.command("POST", &path, Value::Null).await
            }
            "split" => {
                let place = &self.world.place(calendar).id;
                let (series, stamp) = id.rsplit_once('_').expect("split takes EVENT@SLOT");
                let path = format!("calendars/{place}/events/{series}/split?at={stamp}");
                self.world.command("POST", &path, Value::Null).await
            }
            other => panic!("people do not {other} events"),
        };
        if status < 300 { "ok".into() } else { refused(status, &answer) }
    }

    /// The id of an event by its name, title or time.
    pub(super) async fn find(&self, calendar: &str, event: &str) -> String {
        let (base, slot) = match event.rsplit_once('@') {
            Some((base, day)) if NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok() && base != "block" => {
                (base, Some(day))
            }
            _ => (event, None),
        };
        let series = if let Some(title) = base.strip_prefix('"') {
            let title = title.trim_end_matches('"');
            self.pick(calendar, event, |item| item["summary"] == title).await
        } else if let Some(start) = base.strip_prefix("block@") {
            let day = start.len() == 10;
            let at = (!day).then(|| {
                let local = NaiveDateTime::parse_from_str(start, "%Y-%m-%d %H:%M").expect("block@YYYY-MM-DD HH:MM");
                Vienna.from_local_datetime(&local).unwrap()
            });
            let begins = move |item: &Value| {
                let ours = item["summary"].as_str().is_some_and(|s| s.starts_with("[BusyBridge] Busy"));
                let start_of = item["start"]["dateTime"].as_str();
                let there = start_of.and_then(|s| chrono::DateTime::parse_from_rfc3339(s).ok());
                ours && match at {
                    Some(at) => there.is_some_and(|there| there == at),
                    None => item["start"]["date"] == start,
                }
            };
            self.pick(calendar, event, begins).await
        } else {
            id(base)
        };
        let Some(day) = slot else { return series };
        let until = day.parse::<NaiveDate>().unwrap() + TimeDelta::days(30);
        let bounds = format!("timeMax={until}T00:00:00Z");
        let path = format!("/events/{series}/instances?showDeleted=true&maxResults=500&{bounds}");
        let items = self.world.all_items(calendar, &path).await;
        let found = items.iter().find(|item| {
            let slot = &item["originalStartTime"];
            let local = slot["dateTime"]
                .as_str()
                .and_then(|s| chrono::DateTime::parse_from_rfc3339(s).ok())
                .map(|at| at.with_timezone(&Vienna).date_naive().to_string());
            local.as_deref().or(slot["date"].as_str()) == Some(day)
        });
        let found = found.unwrap_or_else(|| panic!("{event} has no instance on {day}"));
        found["id"].as_str().unwrap().to_owned()
    }

    async fn pick(&self, calendar: &str, event: &str, fits: impl Fn(&Value) -> bool) -> String {
        let items = self.world.all_items(calendar, "/events?maxResults=2500").await;
        let found: Vec<&Value> = items.iter().filter(|item| item["status"] != "cancelled" && fits(item)).collect();
        // A series before its exceptions of the same name.
        let heads: Vec<&Value> = found.iter().copied().filter(|item| item["recurringEventId"].is_null()).collect();
        let found = if heads.is_empty() { found } else { heads };
        assert_eq!(found.len(), 1, "{event} is {} events on {calendar}", found.len());
        found[0]["id"].as_str().unwrap().to_owned()
    }

    async fn tick(&mut self, arguments: &str, mode: Mode) -> String {
        let person = self.person(arguments);
        let (app, user) = (self.world.app(&person), self.world.people[&person].user);
        match tick(app, user, mode).await {
            Ok(Tick { plan, outcomes, .. }) => {
                let mut out = render::body(&plan, Lens::Owner, Length::All);
                let failed: Vec<_> = outcomes.iter().filter(|o| matches!(o, Outcome::Failed { .. })).collect();
                let skipped = outcomes.iter().filter(|o| matches!(o, Outcome::Skipped(_))).count();
                if let Some(first) = failed.first() {
                    let Outcome::Failed { class, message: _ } = first else { unreachable!() };
                    let _ = writeln!(out, "✕ {} failed, the first one: {class:?}", failed.len());
                }
                if skipped > 0 {
                    let _ = writeln!(out, "↷ {skipped} skipped");
                }
                out
            }
            Err(error) => format!("error: {error}"),
        }
    }

    async fn reread(&mut self, arguments: &str) -> String {
        let person = self.person(arguments);
        let app = self.world.app(&person);
        let user = app.store.user(self.world.people[&person].user).await.unwrap().unwrap();
        from_the_beginning(app, &user).await.unwrap();
        "ok".into()
    }

    async fn settle(&mut self, arguments: &str) -> String {
        let person = self.person(arguments);
        let app = self.world.app(&person);
        let Some(user) = app.store.user(self.world.people[&person].user).await.unwrap() else {
            return "the user is removed".into();
        };
        let done = settle_down(app, &user).await.unwrap();
        if app.store.user(user.id).await.unwrap().is_none() {
            return "the user is removed".into();
        }
        let Tick { plan, .. } = tick(app, user.id, Mode::DryRun).await.unwrap();
        // How far a tick that died had come depends on which answer was first.
        let changes = if self.chance { "some".to_owned() } else { done.changes.to_string() };
        format!("{changes} changes\n{}", render::body(&plan, Lens::Owner, Length::All))
    }

    async fn calendar(&self, arguments: &str) -> String {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|w| *w == word).map(|n| words[n + 1]);
        let from = after("from").map_or(self.world.clock.now().date_naive(), |day| day.parse().unwrap());
        let days: i64 = after("days").map_or(21, |n| n.parse().unwrap());
        let bound = |day: NaiveDate| format!("{day}T00:00:00Z");
        let path = format!(
            "/events?singleEvents=true&orderBy=startTime&maxResults=2500&timeMin={}&timeMax={}",
            bound(from),
            bound(from + TimeDelta::days(days))
        );
        let items = self.world.all_items(words[0], &path).await;
        let mut out = String::new();
        for item in items.iter().filter(|item| item["status"] != "cancelled") {
            let mut line = format!("{:<27} {}", shown_time(item), item["summary"].as_str().unwrap_or("(untitled)"));
            for (mark, is) in [
                ("free", item["transparency"] == "transparent"),
                ("private", item["visibility"] == "private"),
                ("guests", item["attendees"].as_array().is_some_and(|all| all.iter().any(|one| one["self"] != true))),
            ] {
                if is {
                    let _ = write!(line, " · {mark}");
                }
            }
            let own = item["attendees"].as_array().into_iter().flatten().find(|one| one["self"] == true);
            if let Some(answer) = own.and_then(|own| own["responseStatus"].as_str()) {
                let _ = write!(line, " · {answer}");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        if out.is_empty() { "(nothing)".into() } else { out }
    }

    async fn raw(&self, arguments: &str) -> String {
        let (calendar, rest) = arguments.split_once(' ').unwrap();
        let (event, fields) = match rest.strip_prefix('"').and_then(|r| r.split_once("\" ")) {
            Some((title, fields)) => (format!("\"{title}\""), fields),
            None if rest.starts_with("block@") => {
                let (event, fields) = rest.split_at(rest.find(" with ").expect("raw CAL block@… with FIELD…"));
                (event.to_owned(), fields.trim_start_matches(" with "))
            }
            None => rest.split_once(' ').map(|(event, fields)| (event.to_owned(), fields)).unwrap(),
        };
        let id = self.find(calendar, &event).await;
        let (_, seen) = self.world.as_person(calendar, "GET", &format!("/events/{id}"), Value::Null).await;
        fields.split_whitespace().fold(String::new(), |mut out, field| {
            // Google promises no order of names.
            let mut value = field.split('.').fold(&seen, |value, part| &value[part]).clone();
            value.sort_all_objects();
            let _ = writeln!(out, "{field}: {value}");
            out
        })
    }

    fn calls(&mut self, arguments: &str) -> String {
        let person = self.person(arguments);
        let calls = self.world.app(&person).google.calls();
        let total: u64 = calls.values().sum();
        let since = total - self.calls;
        self.calls = total;
        format!("{since} calls")
    }

    fn pass(&mut self, arguments: &str) -> String {
        let (number, unit) = arguments.trim_start_matches('+').split_at(arguments.len() - 2);
        let number: i64 = number.parse().unwrap();
        self.world.clock.advance(match unit {
            "m" => TimeDelta::minutes(number),
            "h" => TimeDelta::hours(number),
            "d" => TimeDelta::days(number),
            other => panic!("no unit {other}"),
        });
        self.world.clock.now().with_timezone(&Vienna).format("%a %-d %b %Y %H:%M").to_string()
    }

    async fn fault(&self, arguments: &str) -> String {
        let answer = if arguments == "clear" {
            self.world.command("DELETE", "faults", Value::Null).await
        } else {
            // A calendar's name stands for its account in scripts.
            let mut fault: Value = serde_json::from_str(arguments).expect("a fault is JSON");
            if let Some(name) = fault.get("calendar").and_then(Value::as_str) {
                let place = self.world.place(name);
                fault["path"] = json!(format!("calendars/{}", place.id));
                fault.as_object_mut().unwrap().remove("calendar");
            }
            self.world.command("POST", "faults", fault).await
        };
        if answer.0 < 300 { "ok".into() } else { refused(answer.0, &answer.1) }
    }

    fn policy(&mut self, arguments: &str, lines: &[&str]) -> String {
        let person = self.person(arguments);
        let policy = self.world.policy(&person);
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                "horizon" => policy.horizon = TimeDelta::days(words[1].parse().unwrap()),
                "events" => policy.events = words[1].parse().unwrap(),
                "brake" => {
                    policy.brake_count = words[1].parse().unwrap();
                    policy.brake_percent = words[2].parse().unwrap();
                }
                "prefix" => policy.prefix = line["prefix".len()..].trim().to_owned(),
                other => panic!("no policy {other}"),
            }
        }
        "ok".into()
    }
}

fn refused(status: u16, answer: &Value) -> String {
    let reason = answer["error"]["errors"][0]["reason"].as_str();
    format!("refused: {status} {}", reason.map_or(answer.to_string(), str::to_owned))
}

/// An id that Google takes, for a name that a script gives.
fn id(name: &str) -> String {
    format!("name{}", data_encoding::BASE32HEX_NOPAD.encode(name.as_bytes()).to_ascii_lowercase())
}

fn shown_time(item: &Value) -> String {
    let time = |end: &str| {
        let at = item[end]["dateTime"].as_str().and_then(|s| chrono::DateTime::parse_from_rfc3339(s).ok());
        at.map(|at| at.with_timezone(&chrono::Utc))
    };
    let day = |end: &str| item[end]["date"].as_str().and_then(|d| d.parse::<NaiveDate>().ok());
    let when = match (time("start"), time("end"), day("start"), day("end")) {
        (Some(start), Some(end), _, _) => {
            crate::model::body::When::Times { start, end, start_zone: None, end_zone: None }
        }
        (_, _, Some(first), Some(end)) => crate::model::body::When::Days { first, end },
        _ => return "(no time)".into(),
    };
    render::span(&when, Vienna, super::world::beginning())
}

/// Google's JSON of property lines.
fn properties(lines: &[&str]) -> Value {
    let mut body = json!({});
    let mut guests = Vec::new();
    let mut recurrence = Vec::new();
    let mut merge = None;
    for line in lines {
        let (name, value) = line.trim().split_once(' ').map_or((line.trim(), ""), |(n, v)| (n, v.trim()));
        match name {
            "when" => when(&mut body, value),
            "title" => body["summary"] = json!(value),
            "description" => body["description"] = json!(value.replace("\\n", "\n")),
            "place" => body["location"] = json!(value),
            "free" => body["transparency"] = json!("transparent"),
            "busy" => body["transparency"] = json!("opaque"),
            "private" => body["visibility"] = json!("private"),
            "tentative" => body["status"] = json!("tentative"),
            "repeat" => recurrence.push(value),
            "type" => body["eventType"] = json!(value),
            "guest" => {
                let (address, answer) = value.split_once(' ').unwrap_or((value, "needsAction"));
                guests.push(json!({"email": address, "responseStatus": answer}));
            }
            "invited-by" => body["organizer"] = json!({"email": value}),
            "json" => merge = Some(serde_json::from_str::<Value>(value).expect("json {…}")),
            other => panic!("there is no property {other}"),
        }
    }
    if !guests.is_empty() {
        body["attendees"] = json!(guests);
    }
    if !recurrence.is_empty() {
        body["recurrence"] = json!(recurrence);
    }
    for (name, value) in merge.as_ref().and_then(Value::as_object).into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn when(body: &mut Value, text: &str) {
    if text.len() == 10 || text.contains("..") {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let last: NaiveDate = last.parse().unwrap();
        body["start"] = json!({"date": first, "dateTime": null, "timeZone": null});
        body["end"] = json!({"date": (last + TimeDelta::days(1)).to_string(), "dateTime": null, "timeZone": null});
        return;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let zone = words.get(2).copied().unwrap_or("Europe/Vienna");
    let tz: chrono_tz::Tz = zone.parse().expect("an IANA zone");
    let day: NaiveDate = words[0].parse().unwrap();
    let (from, to) = words[1].split_once('–').expect("HH:MM–HH:MM");
    let at = |day: NaiveDate, time: &str| {
        let local = day.and_time(time.parse().unwrap());
        tz.from_local_datetime(&local).unwrap().to_rfc3339()
    };
    let end_day = if to <= from { day + TimeDelta::days(1) } else { day };
    body["start"] = json!({"dateTime": at(day, from), "timeZone": zone, "date": null});
    body["end"] = json!({"dateTime": at(end_day, to), "timeZone": zone, "date": null});
}
