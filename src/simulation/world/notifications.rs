//! Channels and what Google says on them, and what becomes of it on its way.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::faults::{NOTIFICATION, RING},
    World, said,
};
use crate::{
    controller::{
        bell::{Heard, Notification},
        channels,
        queue::Scope,
    },
    emulator::{
        push::{self, Delivery},
        with,
    },
};

/// Where notifications arrive.
const WEBHOOK: &str = "https://busybridge.example/api/webhooks/google-calendar";
fn header<'d>(delivery: &'d Delivery, name: &str) -> &'d str {
    let found = delivery.headers.iter().find(|(own, _)| *own == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

impl World {
    /// Brings the channels of all installations in order; gives calendars without one.
    pub(super) async fn open_channels(&mut self) -> Result<usize, String> {
        let mut without = 0;
        for (at, instance) in self.instances.iter().enumerate() {
            let wanting = instance.app.store.wanting_channels().await.map_err(said)?.len();
            let none = BTreeMap::new();
            let done = channels::bring_in_order(&instance.app, &instance.bell, Some(WEBHOOK), &none).await;
            let mut well: Vec<i64> = done.map_err(said)?.well.into_iter().map(|(_, calendar)| calendar).collect();
            well.sort_unstable();
            for row in instance.app.store.channels().await.map_err(said)? {
                // A new channel stands beside an old one of the same calendar for a while.
                let order = self.channels.len();
                self.channels.entry(row.id).or_insert((at, row.number, order));
            }
            well.dedup();
            without += wanting.saturating_sub(well.len());
        }
        Ok(without)
    }

    /// Brings Google's notifications to all installations, or loses, doubles, delays or forges one.
    pub(super) fn deliver(&mut self) {
        let mut due = with(&self.scene.core, |core| push::take_due(&mut core.world));
        due.sort_by_key(|delivery| self.channels.get(header(delivery, "x-goog-channel-id")).copied());
        let mut late = std::mem::take(&mut self.late);
        late.extend(due);
        for delivery in late {
            let (stormy, rate) = {
                let truth = self.scene.truth();
                (truth.stormy, truth.rates[NOTIFICATION])
            };
            let wrong = stormy && self.scene.tape().chance(rate);
            let how = if wrong { 1 + self.scene.tape().pick(4) } else { 0 };
            if wrong {
                self.scene.truth().hit(NOTIFICATION, RING);
            }
            match how {
                1 => {}
                2 => self.late.push(delivery),
                3 => {
                    self.ring(&delivery, true);
                    self.ring(&delivery, true);
                }
                4 => self.ring(&delivery, false),
                _ => self.ring(&delivery, true),
            }
        }
    }

    fn ring(&mut self, delivery: &Delivery, genuine: bool) {
        let token = if genuine { header(delivery, "x-goog-channel-token") } else { "guessed" };
        let notification = Notification {
            channel: header(delivery, "x-goog-channel-id"),
            token,
            resource: header(delivery, "x-goog-resource-id"),
            state: header(delivery, "x-goog-resource-state"),
        };
        let now = self.clock.now();
        for instance in &mut self.instances {
            let heard = instance.bell.hear(&notification, now, Duration::ZERO);
            if !genuine && !matches!(heard, Heard::Unknown | Heard::Forged) {
                self.scene.truth().violation(format!("F17 a forged notification came to {heard:?}"));
            }
            for mark in instance.bell.take() {
                let rung = instance.rung.entry(mark.user).or_insert_with(Scope::nothing);
                *rung = std::mem::take(rung).and(mark.scope);
            }
        }
    }
}
