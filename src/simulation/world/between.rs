//! What happens between two ticks: people, engines, clocks, databases lost and put back, wishes.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::{
    super::{
        faults::{BETWEEN, CLOCK, DATABASE, ENGINE, PEOPLE, WISHES},
        people,
    },
    Broken, World, said,
};
use crate::{
    emulator::with,
    model::calendar::Role,
    store::{Manner, Store},
};

impl World {
    /// What happens between two ticks.
    pub(super) async fn meanwhile(&mut self, template: &Path) -> Broken {
        // Three moments are as good for stale answers as each, and cost a third.
        if self.ticks.is_multiple_of(3) {
            self.scene.keep_past();
        }
        let (acts, hours, event) = {
            let mut tape = self.scene.tape();
            (tape.pick(3), tape.pick(40), tape.pick(127))
        };
        for _ in 0..acts {
            self.act(BETWEEN);
        }
        let engine = self.scene.truth().rates[ENGINE];
        if self.scene.tape().chance(engine) {
            self.made += 1;
            people::copy_all(&self.scene, self.made, &self.salt);
            self.scene.truth().hit(ENGINE, BETWEEN);
        }
        if hours >= 37 {
            self.scene.truth().hit(CLOCK, BETWEEN);
        }
        match event {
            100..=108 | 119 => self.scene.truth().hit(DATABASE, BETWEEN),
            109..=118 | 120.. => self.scene.truth().hit(WISHES, BETWEEN),
            _ => {}
        }
        self.clock.advance(match hours {
            37 => TimeDelta::hours(-1),
            38 => TimeDelta::hours(3),
            39 => TimeDelta::hours(26),
            _ => TimeDelta::minutes(5),
        });
        match event {
            100..=102 => {
                let at = self.scene.tape().pick(u32::try_from(self.instances.len()).unwrap_or(1)) as usize;
                let file = self.fresh(template)?;
                self.scene.note("the database is lost");
                self.replace(at, file).await?;
            }
            103..=105 => {
                self.files += 1;
                let copy = self.dir.path().join(format!("copy-{}.db", self.files));
                self.instances[0].app.store.back_up(&copy).await.map_err(said)?;
                self.backups.push(copy);
            }
            106..=108 if !self.backups.is_empty() => {
                let n = self.scene.tape().pick(u32::try_from(self.backups.len()).unwrap_or(1)) as usize;
                self.files += 1;
                let file = self.dir.path().join(format!("{}.db", self.files));
                std::fs::copy(&self.backups[n], &file).map_err(said)?;
                let store = Store::open_so(
                    &file,
                    self.scene.vault.clone(),
                    self.clock.clone(),
                    Manner { fleeting: true, gate: None },
                )
                .await;
                let store = store.map_err(said)?;
                store.expect_absences().await.map_err(said)?;
                store.close().await;
                self.scene.note("an old copy of the database is put back");
                self.replace(0, file).await?;
            }
            109..=111 => {
                // A calendar is left, or comes back.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                {
                    let mut truth = self.scene.truth();
                    let places = &mut truth.people[n].places;
                    let at = 1 + self.scene.tape().pick(u32::try_from(places.len() - 1).unwrap_or(1)) as usize;
                    if let Some(place) = places.get_mut(at).filter(|place| place.role != Role::Main) {
                        place.turn();
                        let text = format!("person wants {}: {}", place.id, place.wanted);
                        drop(truth);
                        self.scene.note(&text);
                    }
                }
                self.settle_wishes().await?;
            }
            // Whoever let everything rest lets it go on at the next occasion.
            112..=114 if self.scene.truth().paused || event == 114 => {
                let paused = {
                    let mut truth = self.scene.truth();
                    truth.paused = !truth.paused;
                    truth.paused
                };
                self.scene.note(&format!("everything paused: {paused}"));
                self.settle_wishes().await?;
            }
            113 => {
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let text = {
                    let mut truth = self.scene.truth();
                    let places = &mut truth.people[n].places;
                    let at = self.scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize;
                    // What is about to be left cannot rest.
                    places[at].paused = places[at].wanted && !places[at].paused;
                    format!("{} paused: {}", places[at].id, places[at].paused)
                };
                self.scene.note(&text);
                self.settle_wishes().await?;
            }
            112 => {
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let paused = {
                    let mut truth = self.scene.truth();
                    truth.people[n].paused = !truth.people[n].paused;
                    truth.people[n].paused
                };
                self.scene.note(&format!("person {n} paused: {paused}"));
                self.settle_wishes().await?;
            }
            115..=117 => {
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let places = self.person(n).places;
                let at = self.scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize;
                with(&self.scene.core, |core| core.oauth.revoke_account(&places[at].account));
                self.scene.note(&format!("{} takes its consent back", places[at].account));
            }
            118 => self.settle_wishes().await?,
            119 => {
                let ids: Vec<String> = with(&self.scene.core, |core| core.world.calendars.keys().cloned().collect());
                let at = self.scene.tape().pick(u32::try_from(ids.len()).unwrap_or(1)) as usize;
                with(&self.scene.core, |core| {
                    if let Some(calendar) = core.world.calendars.get_mut(&ids[at]) {
                        calendar.epoch += 1;
                    }
                });
                self.scene.note(&format!("the sync tokens of {} die", ids[at]));
            }
            120..=123 => {
                // What flows as usual from one calendar to another is switched off, or on again.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let places = self.person(n).places;
                let one = || {
                    let at = self.scene.tape().pick(u32::try_from(places.len()).unwrap_or(1)) as usize;
                    places[at].clone()
                };
                let (source, target) = (one(), one());
                if source.id != target.id && source.role != Role::Main && target.role != Role::Personal {
                    let flow = (n, source.id, target.id);
                    let text = format!("person {n} switches {} → {}", flow.1, flow.2);
                    {
                        let mut truth = self.scene.truth();
                        truth.was_off.insert(flow.clone());
                        if !truth.off.remove(&flow) {
                            truth.off.insert(flow);
                        }
                    }
                    self.scene.note(&text);
                    self.settle_wishes().await?;
                }
            }
            124..=126 => {
                // Another calendar becomes the main one.
                let n = self.scene.tape().pick(u32::try_from(self.n_people()).unwrap_or(1)) as usize;
                let mains = {
                    let mut truth = self.scene.truth();
                    let mains = truth.people[n].places.iter_mut().filter(|place| place.role == Role::Main);
                    let mut mains: Vec<_> = mains.collect();
                    if mains.len() > 1 {
                        mains.iter_mut().for_each(|place| place.turn());
                    }
                    mains.iter().map(|place| format!("{} {}", place.id, place.wanted)).collect::<Vec<_>>()
                };
                self.scene.note(&format!("main calendars of person {n}: {}", mains.join(", ")));
                self.settle_wishes().await?;
            }
            _ => {}
        }
        if self.reached {
            if self.ticks.is_multiple_of(8) {
                self.open_channels().await?;
            }
            self.deliver();
        }
        Ok(())
    }

    /// Somebody does something before a step.
    pub(super) fn act(&mut self, step: usize) {
        self.made += 1;
        people::act(&self.scene, self.made, &self.salt);
        self.scene.truth().hit(PEOPLE, step);
    }

    /// Puts another database in the place of one; whoever shares the old one shares the new one.
    pub(super) async fn replace(&mut self, at: usize, file: PathBuf) -> Broken {
        let old = self.instances[at].file.clone();
        for n in 0..self.instances.len() {
            if self.instances[n].file == old {
                let instance = self.instance(file.clone()).await?;
                let before = std::mem::replace(&mut self.instances[n], instance);
                before.app.store.close().await;
            }
        }
        self.settle_wishes().await
    }
}
