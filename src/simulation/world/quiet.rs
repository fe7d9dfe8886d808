//! The quiet phase: nothing goes wrong any more, and everything must come to rest as it should stand.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::{
    super::{
        faults::{EMPTY, STALE},
        google::Scene,
        judge, people, shown,
        truth::Place,
    },
    Broken, World, kind_of, said, whole,
};
use crate::{
    controller::{
        App,
        intent::{self, Word},
        tick::{Mode, TickError, tick_within},
    },
    emulator::with,
    model::{
        calendar::Standing,
        event::Slot,
        id::{CalendarId, EventId, UserId},
        plan::Outcome,
    },
    planner::approval,
    store::StoreError,
};

/// Versions of what lives on a calendar, and when single events end.
fn living(scene: &Scene, calendar: &str) -> BTreeMap<String, (String, Option<DateTime<Utc>>)> {
    with(&scene.core, |core| {
        let events = core.world.calendars.get(calendar).map(|calendar| &calendar.events).into_iter().flatten();
        let living = events.filter(|(_, stored)| !stored.cancelled());
        living
            .map(|(id, stored)| {
                let single =
                    !stored.fields.contains_key("recurrence") && !stored.fields.contains_key("recurringEventId");
                let end = stored.fields.get("end").filter(|_| single).map(shown::instant);
                (id.clone(), (stored.etag(), end))
            })
            .collect()
    })
}

impl World {
    /// Nothing goes wrong any more: everything must come to rest (L1, L2), without full listings unless stale or empty ones were
    /// about (L3).
    pub async fn rest(&mut self) -> Broken {
        let full = {
            let mut truth = self.scene.truth();
            truth.stormy = false;
            truth.paused = false;
            for person in &mut truth.people {
                person.paused = false;
                for place in &mut person.places {
                    place.paused = false;
                }
            }
            truth.rates[STALE] > 0 || truth.rates[EMPTY] > 0
        };
        self.scene.note("quiet");
        // What was put back too often is left alone for a day.
        self.clock.advance(TimeDelta::hours(26));
        let accounts: Vec<Place> = self.scene.truth().people.iter().flat_map(|p| p.places.clone()).collect();
        for place in accounts {
            with(&self.scene.core, |core| core.oauth.signs_in(&place.account));
        }
        people::tidy(&self.scene);
        self.reconnect_all().await?;
        self.settle_wishes().await?;
        for round in 0..40 {
            self.clock.advance(TimeDelta::minutes(if round < 30 { 6 } else { 120 }));
            let before = self.scene.truth().writes;
            let mut calm = true;
            // Where one installation gave up an account that the other has, too, its person connects it again when asked.
            if round % 10 == 5 && self.scene.truth().apart {
                self.reconnect_all().await?;
            }
            for at in 0..self.instances.len() {
                for n in 0..self.n_people() {
                    calm &= self.quiet_tick(at, n, full && round < 3).await?;
                    if !self.scene.truth().violations.is_empty() {
                        return Ok(());
                    }
                }
            }
            if calm && round > 3 && before == self.scene.truth().writes {
                judge::compare(&self.scene);
                self.compare_mirrors().await?;
                if self.reached && self.open_channels().await? > 0 {
                    self.scene.truth().violation("L6 a calendar has no channel".into());
                }
                return Ok(());
            }
        }
        self.scene.truth().violation("L2 it does not come to rest".into());
        Ok(())
    }

    /// What an installation believes to stand on a calendar is what stands there: no listing was stored in part, or beside its cursor
    /// (S13), and nothing of it is older than what Google told last (S16).
    async fn compare_mirrors(&self) -> Broken {
        let now = self.clock.now();
        for (at, instance) in self.instances.iter().enumerate() {
            for user in instance.users.values() {
                for row in instance.app.store.calendars_of(*user).await.map_err(said)? {
                    if row.standing != Standing::Connected || row.paused {
                        continue;
                    }
                    let held = instance.app.store.versions(row.number).await.map_err(said)?;
                    let there = living(&self.scene, row.id.as_str());
                    let mut wrong: Vec<String> = Vec::new();
                    for (id, version) in &held {
                        // A series takes its exceptions along, and Google need not say so of each.
                        if id.as_instance().is_some_and(|(series, _)| !held.contains_key(&series)) {
                            continue;
                        }
                        let etag = there.get(id.as_str()).map(|(etag, _)| etag);
                        if etag != Some(version) {
                            wrong.push(format!("{} is held as {version}, not as {etag:?}", id.as_str()));
                        }
                    }
                    // What ended a month ago need not be held.
                    let due =
                        there.iter().filter(|(_, (_, last))| last.is_none_or(|last| last > now - TimeDelta::days(20)));
                    let missing = due.filter(|(id, _)| !held.contains_key(&EventId::from(id.as_str())));
                    wrong.extend(missing.map(|(id, _)| format!("{id} is not held")));
                    if let Some(first) = wrong.first() {
                        let text =
                            format!("S13 installation {at}, {}: {first} ({} in all)", row.id.as_str(), wrong.len());
                        self.scene.truth().violation(text);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn reconnect_all(&self) -> Broken {
        for instance in &self.instances {
            for (n, user) in &instance.users {
                self.reconnect(&instance.app, *user, *n).await.map_err(said)?;
            }
        }
        Ok(())
    }

    /// Signs accounts in again.
    async fn reconnect(&self, app: &App, user: UserId, n: usize) -> Result<(), StoreError> {
        let rows = app.store.calendars_of(user).await?;
        for place in self.person(n).places {
            if rows.iter().any(|row| row.id.as_str() == place.id) {
                app.store.put_token(user, kind_of(&place), &place.account, &self.consent(&place)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn quiet_tick(&mut self, at: usize, n: usize, full: bool) -> Result<bool, String> {
        let instance = &self.instances[at];
        let Some(user) = instance.users.get(&n).copied() else { return Ok(true) };
        let extent = self.extent(instance, user, n, full).await.map_err(said)?;
        self.scene.begin_round(1);
        let done = tick_within(&instance.app, user, Mode::Apply, &extent).await;
        self.ticks += 1;
        let tick = match done {
            Ok(tick) => tick,
            Err(TickError::NoUser) => return Ok(true),
            Err(error) => {
                self.scene.truth().violation(format!("a quiet tick failed: {}", whole(&error)));
                return Ok(false);
            }
        };
        for waiting in approval::waiting(&tick.plan) {
            let apart = self.scene.truth().apart;
            let word = self.scene.tape().of_these(&[Word::Approve, Word::KeepAway, Word::BringBack]);
            // What one database knows of a person's word, another does not.
            let word = if apart { Word::Approve } else { word };
            let answered = intent::answer(&instance.app, user, &waiting.code, word).await;
            self.scene.note(&format!("{word:?} {waiting:?}: {:?}", answered.as_ref().map_err(said)));
            if answered.is_ok() && word == Word::KeepAway {
                self.stays_away(n, &waiting.events);
            }
            let instead = answered.is_err() && word != Word::Approve;
            let agreed = match instead {
                true => intent::answer(&instance.app, user, &waiting.code, Word::Approve).await.is_ok(),
                false => answered.is_ok() && word == Word::Approve,
            };
            if agreed {
                let events = waiting.events.iter();
                let events = events.map(|(calendar, event)| (calendar.as_str().to_owned(), event.as_str().to_owned()));
                self.scene.truth().agreed.extend(events);
            }
        }
        let failed = tick.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
        if failed {
            self.scene.note(&format!("failed: {:?}", tick.outcomes));
        }
        let calm = tick.plan.steps.is_empty() && tick.plan.held.is_empty();
        if !calm {
            self.scene.note(&format!("plan at {at} of {n}: {:?} held {:?}", tick.plan.steps, tick.plan.held));
        }
        let instance = &mut self.instances[at];
        instance.calm.remove(&n);
        instance.calm.extend(tick.calm.map(|calm| (n, calm)));
        Ok(calm)
    }

    /// Notes that a person wants no copies of these events.
    fn stays_away(&self, n: usize, events: &[(CalendarId, EventId)]) {
        let away: Vec<(usize, String, Option<i64>)> = with(&self.scene.core, |core| {
            let of = |(calendar, event): &(CalendarId, EventId)| {
                let (series, slot) = event.as_instance().unzip();
                let series = series.unwrap_or(event.clone());
                let stored = core.world.calendars.get(calendar.as_str())?.events.get(series.as_str())?;
                let slot = slot.map(|slot| match slot {
                    Slot::At(at) => at.timestamp(),
                    Slot::Day(day) => day.and_time(NaiveTime::MIN).and_utc().timestamp(),
                });
                stored.text("iCalUID").map(|uid| (n, uid.to_owned(), slot))
            };
            events.iter().filter_map(of).collect()
        });
        self.scene.truth().away.extend(away);
    }
}
