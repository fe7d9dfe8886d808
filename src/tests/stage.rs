//! Verbs of scenarios about what people settle: pauses, departures, flows, words to what waits.
//!
//! | verb | does |
//! |---|---|
//! | `flow SOURCE TARGET [OPTIONS]` | declares a flow; options as of `busybridge flow` |
//! | `connect ROLE NAME ADDRESS [as ACCOUNT]` | connects one more calendar |
//! | `reconnect CAL` | signs its account in again |
//! | `disconnect CAL` | wants to leave a calendar |
//! | `choose-main NAME ADDRESS [as ACCOUNT]` | wants another main calendar |
//! | `remove-user [PERSON]` | wants to be removed |
//! | `pause [CAL\|user\|all]`, `resume [CAL\|user\|all]` | silence, and its end |
//! | `answer approve\|keep-away\|bring-back [on CAL]` | a word to the one group of removals that waits, or to that of one calendar |
//! | `dismissed`, `bring-back` | how many copies stay away; let them come back |
//! | `tell-guests on\|off` | whether guests are told |
//! | `purge [dry]` | removes everything by marker |
//! | `left-behind` | what could not be removed |
//! | `crash N [PERSON]` | a tick that dies after its Nth step, if it comes so far |
//! | `late SECONDS` | Google shows changes so much later |
//! | `runs [PERSON]`, `undo N`, `undo-plan N` | what was done, taking a run back, and only planning that |
//! | `why CAL EVENT`, `why-not TARGET of SOURCE EVENT` | why something is there, or not; without asking Google |
//! | `race [PERSON]` | two ticks at the same time, step by step interleaved |
//! | `share CAL ROLE` | what the account may do on its calendar: `writer`, `reader` |
//! | `sign-in CAL` | the account signs in by Google's pages, for tokens that end and are renewed |
//! | `revoke CAL` | the account takes its consent back |
//! | `calls-by-kind [PERSON]` | calls to Google since the last `calls-by-kind`, by method |

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use clap::Parser;
use futures::FutureExt;
use serde_json::json;

use super::{scenario::Stage, world::Place};
use crate::{
    cli::{
        demo::browser::sign_in,
        flow::{FlowArguments, declare},
        history,
    },
    controller::{
        intent::{self, Word},
        purge,
        tick::{Mode, tick},
        undo,
    },
    emulator::{self, state},
    model::{
        calendar::Role,
        event::OriginKey,
        id::{CalendarId, EventId},
        plan::Outcome,
        run::RunLine,
    },
    planner::{approval, render::Lens, why},
    store::{people::User, tokens::AccountKind},
};

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Flow {
    #[command(flatten)]
    flow: FlowArguments,
}

impl Stage {
    async fn user(&self, person: &str) -> User {
        let user = self.world.people[person].user;
        self.world.app(person).store.user(user).await.unwrap().expect("the person is a user")
    }

    /// The row of a calendar that is named as in the script.
    async fn number(&self, person: &str, calendar: &str) -> i64 {
        let app = self.world.app(person);
        let rows = app.store.calendars_of(self.world.people[person].user).await.unwrap();
        let id = &self.world.place(calendar).id;
        rows.iter().find(|row| row.id.as_str() == id).unwrap_or_else(|| panic!("{calendar} is not connected")).number
    }

    /// Whose calendar that is.
    fn owner_of(&self, calendar: &str) -> String {
        let mut people = self.world.people.iter();
        let found = people.find(|(_, person)| person.calendars.contains_key(calendar));
        found.unwrap_or_else(|| panic!("nobody has a calendar {calendar}")).0.clone()
    }

    pub(super) async fn settle_something(&mut self, verb: &str, arguments: &str) -> String {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let first = words.first().copied().unwrap_or("");
        match verb {
            "flow" => self.flow(arguments).await,
            "connect" => {
                let person = self.person("");
                let role = Role::from_word(first).unwrap();
                let place = place(words[2], &words[3..], role);
                self.world.connect(&person, words[1], place).await;
                "ok".into()
            }
            "reconnect" => {
                let person = self.owner_of(first);
                let place = self.world.people[&person].calendars[first].clone();
                self.world.token_of(&person, &place).await;
                "ok".into()
            }
            "choose-main" => {
                let person = self.person("");
                let place = place(words[1], &words[2..], Role::Main);
                self.world.reach(&place);
                let token = self.world.token_of(&person, &place).await;
                let app = self.world.app(&person);
                let (user, id) = (self.world.people[&person].user, CalendarId::from(place.id.as_str()));
                intent::choose_main(app, user, token, &id, first, "Europe/Vienna").await.unwrap();
                self.world.people.get_mut(&person).unwrap().calendars.insert(first.into(), place);
                "ok".into()
            }
            "disconnect" => {
                let person = self.owner_of(first);
                let number = self.number(&person, first).await;
                let user = self.world.people[&person].user;
                self.world.app(&person).store.leave_calendar(user, number).await.unwrap();
                "ok".into()
            }
            "remove-user" => {
                let person = self.person(arguments);
                let user = self.world.people[&person].user;
                self.world.app(&person).store.begin_removal(user).await.unwrap();
                "ok".into()
            }
            "pause" | "resume" => self.pause(first, verb == "pause").await,
            "answer" => self.answer(arguments).await,
            "dismissed" => {
                let person = self.person(arguments);
                let keys = intent::dismissed(self.world.app(&person), self.world.people[&person].user).await.unwrap();
                format!("{} dismissed", keys.len())
            }
            "bring-back" => {
                let person = self.person(arguments);
                let (app, user) = (self.world.app(&person), self.world.people[&person].user);
                let keys = intent::dismissed(app, user).await.unwrap();
                format!("{} come back", intent::bring_back(app, user, &keys).await.unwrap())
            }
            "tell-guests" => {
                let person = self.person("");
                let user = self.world.people[&person].user;
                self.world.tells_guests |= first == "on";
                self.world.app(&person).store.set_tell_guests(user, first == "on").await.unwrap();
                "ok".into()
            }
            "purge" => self.purge(first == "dry").await,
            "left-behind" => {
                let person = self.world.people.keys().next().cloned().unwrap();
                let left = self.world.app(&person).store.left_behind().await.unwrap();
                let lines =
                    left.iter().map(|l| format!("{} of {} on {}: {}\n", l.events.len(), l.user, l.calendar, l.why));
                let text: String = lines.collect();
                if text.is_empty() { "(nothing)".into() } else { text }
            }
            "crash" => {
                self.chance = true;
                self.crash(&words).await
            }
            "late" => {
                let seconds = first.parse().unwrap();
                emulator::with(&self.world.core, |core| core.world.settings.late_visibility_seconds = seconds);
                "ok".into()
            }
            "runs" => {
                let person = self.person(first);
                let runs = self.world.app(&person).store.runs(self.world.people[&person].user, 20).await.unwrap();
                let line = |run: &RunLine| {
                    let undoes = run.undoes.map_or(String::new(), |run| format!(", took run {run} back"));
                    format!("run {}: {} changes{undoes}\n", run.number, run.done)
                };
                runs.iter().map(line).collect()
            }
            "undo" | "undo-plan" => {
                let person = self.person(words.get(1).copied().unwrap_or(""));
                let mode = if verb == "undo" { Mode::Apply } else { Mode::DryRun };
                match undo::undo(self.world.app(&person), first.parse().unwrap(), mode).await {
                    Ok(done) => {
                        let failed = done.outcomes.iter().filter(|o| **o != Outcome::Done).count();
                        let failed = if failed > 0 { format!("✕ {failed} not done\n") } else { String::new() };
                        format!("{}{failed}", history::told(&done, Lens::Owner))
                    }
                    Err(error) => format!("refused: {error}"),
                }
            }
            "why" => self.why(first, arguments[first.len()..].trim()).await,
            "why-not" => {
                let (source, event) = arguments.split_once(" of ").unwrap().1.split_once(' ').unwrap();
                self.why_not(first, source, event).await
            }
            "race" => {
                self.chance = true;
                let person = self.person(first);
                let (app, user) = (self.world.app(&person), self.world.people[&person].user);
                let (one, two) =
                    futures::future::join(tick(app, user, Mode::Apply), tick(app, user, Mode::Apply)).await;
                format!("{} and {}", one.is_ok(), two.is_ok())
            }
            "share" => {
                let place = self.world.place(first).clone();
                let role = if words[1] == "reader" { state::Role::Reader } else { state::Role::Writer };
                emulator::with(&self.world.core, |core| {
                    let calendar = core.world.calendars.get_mut(&place.id).unwrap();
                    calendar.acl.insert(place.account.clone(), role);
                });
                "ok".into()
            }
            "sign-in" => {
                let person = self.owner_of(first);
                let place = self.world.place(first).clone();
                let app = self.world.app(&person);
                let id = "busybridge-demo.apps.googleusercontent.com";
                let grant = sign_in(&app.oauth, id, "demo-secret", &place.account, place.role).await;
                let grant = grant.unwrap_or_else(|failure| panic!("{}", failure.sentence));
                let user = self.world.people[&person].user;
                let kind = AccountKind::Home;
                let token = app.store.put_token(user, kind, &place.account, &grant.tokens).await.unwrap();
                let minutes = (grant.tokens.expires - self.world.clock.now()).num_minutes();
                assert!(app.store.token(token).await.unwrap().is_some());
                format!("a token for {minutes} minutes")
            }
            "revoke" => {
                let account = self.world.place(first).account.clone();
                let answer = self.world.command("POST", "revoke", json!({"account": account})).await;
                if answer.0 < 300 { "ok".into() } else { format!("{answer:?}") }
            }
            "calls-by-kind" => {
                let person = self.person(arguments);
                let calls: BTreeMap<_, _> = self.world.app(&person).google.calls();
                let since: Vec<String> = calls
                    .iter()
                    .map(|(name, n)| (*name, n - self.kinds.get(name).copied().unwrap_or(0)))
                    .filter(|(_, n)| *n > 0)
                    .map(|(name, n)| format!("{n} {name}"))
                    .collect();
                self.kinds = calls;
                if since.is_empty() { "no calls".into() } else { since.join(", ") }
            }
            other => panic!("there is no verb {other}"),
        }
    }

    async fn flow(&mut self, arguments: &str) -> String {
        let words = shell(arguments);
        let at = words.iter().position(|word| word == "--as");
        self.world.own_words.extend(at.map(|at| words[at + 1].clone()));
        let person = self.owner_of(&words[0]);
        let flow = match Flow::try_parse_from(&words) {
            Ok(Flow { flow }) => flow,
            Err(error) => return error.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        let user = self.user(&person).await;
        match declare(self.world.app(&person), &user, &flow).await {
            Ok(text) => text,
            Err(failure) => format!("refused: {}", failure.sentence),
        }
    }

    async fn pause(&self, whom: &str, paused: bool) -> String {
        match whom {
            "all" => {
                let person = self.person("");
                self.world.app(&person).store.pause_all(paused).await.unwrap();
            }
            "user" | "" => {
                let person = self.person("");
                let user = self.world.people[&person].user;
                self.world.app(&person).store.pause_user(user, paused).await.unwrap();
            }
            calendar => {
                let person = self.owner_of(calendar);
                let number = self.number(&person, calendar).await;
                let user = self.world.people[&person].user;
                self.world.app(&person).store.pause_calendar(user, number, paused).await.unwrap();
            }
        }
        "ok".into()
    }

    async fn answer(&self, word: &str) -> String {
        let (word, place) = match word.split_once(" on ") {
            Some((word, name)) => (word, Some(CalendarId::from(self.world.place(name).id.as_str()))),
            None => (word, None),
        };
        let person = self.person("");
        let (app, user) = (self.world.app(&person), self.world.people[&person].user);
        let plan = tick(app, user, Mode::DryRun).await.unwrap().plan;
        let mut waiting = approval::waiting(&plan);
        waiting.retain(|one| place.as_ref().is_none_or(|place| *place == one.calendar));
        let [one] = waiting.as_slice() else { return format!("{} groups wait", waiting.len()) };
        let word = match word {
            "keep-away" => Word::KeepAway,
            "bring-back" => Word::BringBack,
            _ => Word::Approve,
        };
        match intent::answer(app, user, &one.code, word).await {
            Ok(n) => format!("{n} answered"),
            Err(error) => format!("refused: {error}"),
        }
    }

    async fn purge(&self, dry: bool) -> String {
        let person = self.person("");
        let user = self.user(&person).await;
        let purged = purge::user(self.world.app(&person), &user, dry).await.unwrap();
        let told = purged.iter().map(|one| match &one.swept {
            Ok(swept) => {
                format!(
                    "{}: {} found, {} removed, {} behind\n",
                    one.calendar,
                    swept.found,
                    swept.removed.len(),
                    swept.behind.len()
                )
            }
            Err(error) => format!("{}: {error}\n", one.calendar),
        });
        told.collect()
    }

    async fn why(&self, calendar: &str, event: &str) -> String {
        let person = self.owner_of(calendar);
        let snapshot = self.world.known(&person).await;
        let target = CalendarId::from(self.world.place(calendar).id.as_str());
        let event = self.find(calendar, event).await;
        match why::why(&snapshot, &target, &event.as_str().into()) {
            Some(because) => {
                let item = snapshot.ids.item_id(&because.key);
                let written = self.world.app(&person).store.writes_of(&item, 20).await.unwrap();
                why::because(&snapshot, &because, &written, Lens::Owner)
            }
            None => "none of ours".into(),
        }
    }

    async fn why_not(&self, target: &str, source: &str, event: &str) -> String {
        let person = self.owner_of(target);
        let snapshot = self.world.known(&person).await;
        let id = |name: &str| CalendarId::from(self.world.place(name).id.as_str());
        let found = EventId::from(self.find(source, event).await);
        let (event, instance) = match found.as_instance() {
            Some((series, slot)) => (series, Some(slot)),
            None => (found, None),
        };
        let origin = OriginKey { calendar: id(source), event, instance };
        why::absence(&snapshot, &why::why_not(&snapshot, &origin, &id(target)))
    }

    /// A tick that dies between two steps: what was committed stays, and nothing else happens.
    async fn crash(&self, words: &[&str]) -> String {
        let after: usize = words[0].parse().unwrap();
        let person = self.person(words.get(1).copied().unwrap_or(""));
        let mut app = self.world.app(&person).clone();
        app.progress = Arc::new(move |done, _| {
            if done >= after {
                // Without the noise of a panic: this one is meant.
                std::panic::resume_unwind(Box::new("the process dies"));
            }
        });
        let user = self.world.people[&person].user;
        let _ = AssertUnwindSafe(tick(&app, user, Mode::Apply)).catch_unwind().await;
        "ok".into()
    }
}

fn place(id: &str, rest: &[&str], role: Role) -> Place {
    let account = if rest.first() == Some(&"as") { rest[1] } else { id };
    Place { id: id.into(), account: account.into(), role }
}

/// Words, with those in double quotes kept together.
fn shell(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    for part in text.split('"') {
        if quoted {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
        quoted = !quoted;
    }
    words
}
