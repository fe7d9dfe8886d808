//! The witness at Google's door: whether a write should ever have been made. What is true is known from the emulator and from what
//! the simulated people did, never from the product's own tables.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    faults::{CHANGED_MEANWHILE, ID_TAKEN, STALE},
    google::{CANARY, Scene, path_of},
    truth::{Brake, Person, Place, Removals, Truth},
};
use crate::{
    emulator::{
        Core,
        http::{Request, Response},
        state::Object,
        with,
    },
    model::{calendar::Role, id::EventId, item::ItemKey},
};

/// Writes to one event within an hour (reliability S11).
const MOST_WRITES: usize = 6;

/// Whether an event stands at Google.
fn lives(core: &Core, calendar: &str, event: &str) -> bool {
    let stored = core.world.calendars.get(calendar).and_then(|calendar| calendar.events.get(event));
    stored.is_some_and(|stored| !stored.cancelled())
}

impl Scene {
    /// Judges a write before it is carried out; gives what stood there.
    pub fn judge_before(&self, truth: &mut Truth, request: &Request, call: usize) -> Option<Object> {
        if !(3..6).contains(&call) {
            return None;
        }
        truth.writes += 1;
        let (calendar, event) = path_of(request);
        let what = format!("{} {calendar}/{event}", request.method);
        if request.param("sendUpdates") != Some("none") {
            truth.violation(format!("S7 somebody may be told: {what}"));
        }
        let account = with(&self.core, |core| core.oauth.account_of(request)).unwrap_or_default();
        // Of a permission that was taken back a moment ago Google no longer says whose it was.
        let speaks = |place: &Place| place.id == calendar && (account.is_empty() || place.account == account);
        let of_account: Vec<usize> =
            (0..truth.people.len()).filter(|n| truth.people[*n].places.iter().any(speaks)).collect();
        if of_account.is_empty() {
            truth.violation(format!("S6 {account} is nobody's who has this calendar: {what}"));
        }
        let role = |n: &usize| truth.people[*n].places.iter().find(|p| p.id == calendar).map(|p| p.role);
        if !of_account.is_empty() && of_account.iter().all(|n| role(n) == Some(Role::Personal)) {
            truth.violation(format!("S4 a personal calendar is written: {what}"));
            return None;
        }
        let rests = |n: &usize| {
            let Person { paused, places, .. } = &truth.people[*n];
            truth.paused || *paused || places.iter().any(|place| speaks(place) && place.paused)
        };
        if !of_account.is_empty() && of_account.iter().all(rests) {
            truth.violation(format!("S12 a write while everything has to rest: {what}"));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if call == 3 {
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            let owner = body.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields));
            match owner {
                None => truth.violation(format!("S3 an event is made that does not say whose it is: {what} {id}")),
                Some((n, key)) => {
                    if !of_account.contains(&n) {
                        truth.violation(format!("S6 made for somebody else: {what} {id}"));
                    }
                    self.judge_words(truth, n, &key, &calendar, &body);
                }
            }
            return None;
        }
        if request.header("if-match").is_none_or(|etag| etag.is_empty() || etag == "*") {
            truth.violation(format!("S9 a write without a version: {what}"));
        }
        let stored = with(&self.core, |core| {
            let events = &core.world.calendars.get(&calendar)?.events;
            let series = EventId::from(event.as_str()).as_instance().map(|(series, _)| series);
            let found = events.get(&event).or_else(|| events.get(series?.as_str()))?;
            Some(found.fields.clone())
        })?;
        let series = EventId::from(event.as_str()).as_instance().map_or(event.clone(), |(s, _)| s.as_str().into());
        let made = truth.made.get(&(calendar.clone(), series.clone())).cloned();
        match self.owner(truth, &calendar, &event, &stored).or(made) {
            Some((n, key)) => {
                if !of_account.contains(&n) {
                    truth.violation(format!("S6 somebody else's is changed: {what}"));
                }
                if call == 4 {
                    let marked = body["extendedProperties"]["private"]["busybridge"].is_string();
                    // What somebody took the marker off passes for an event where no database knows it, and its copy for that of one.
                    let passes = || {
                        let bare = self.owner(truth, &calendar, &event, &stored).is_none();
                        bare && truth.touched.contains_key(&(calendar.clone(), series.clone()))
                    };
                    if !marked && !passes() {
                        truth.violation(format!("S9 the marker is not written again: {what}"));
                    }
                    if marked {
                        self.judge_words(truth, n, &key, &calendar, &body);
                    }
                } else {
                    self.judge_deletion(truth, n, &key, &calendar, &event);
                }
            }
            // Somebody's own: only to carry there what was done to its copy.
            None => {
                let mut touched = truth.touched.get(&(calendar.clone(), event.clone())).copied();
                if touched.is_none() {
                    touched = truth.touched.get(&(calendar.clone(), series)).copied();
                }
                match touched {
                    None => truth.violation(format!("S1 an event of somebody's is changed: {what}")),
                    Some(false) if call == 5 => {
                        truth.violation(format!("S1 an event of somebody's is deleted: {what}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Some(stored)
    }

    /// What is written for `key`: does it tell what it must not?
    fn judge_words(&self, truth: &mut Truth, n: usize, key: &ItemKey, calendar: &str, body: &Value) {
        let role_of = |id: &str| truth.people[n].places.iter().find(|place| place.id == id).map(|place| place.role);
        let (to, from) = (role_of(calendar), role_of(key.origin.calendar.as_str()));
        let account = truth.people[n].places.iter().find(|place| place.id == calendar).map(|p| p.account.clone());
        let guests = body["attendees"].as_array().into_iter().flatten();
        let strangers = guests.filter(|guest| guest["email"].as_str() != account.as_deref()).count();
        if strangers > 0 {
            truth.violation(format!("S7 guests on something of ours at {calendar}: {body}"));
        }
        let open = to == Some(Role::Main) && from == Some(Role::Client);
        if open {
            return;
        }
        // Sealed words and ids say nothing, whatever letters they are made of.
        let mut said = body.clone();
        let marker = said["extendedProperties"]["private"]["busybridge"].as_str().map_or(0, str::len);
        said["extendedProperties"]["private"]["busybridge"] = json!(marker);
        said["id"] = json!(said["id"].as_str().map_or(0, str::len));
        let text = said.to_string();
        if text.contains(CANARY) {
            truth.violation(format!("S2 {calendar} is told what was written elsewhere: {text}"));
        }
        for name in ["description", "location", "attendees", "source", "attachments", "conferenceData"] {
            let empty = body[name].is_null() || body[name] == "";
            if !empty {
                truth.violation(format!("S2b {calendar} is told more than a time ({name}): {text}"));
            }
        }
        truth.told.push(format!("{calendar} {text}"));
    }

    /// Whether there may be a reason to delete this.
    fn judge_deletion(&self, truth: &mut Truth, n: usize, key: &ItemKey, calendar: &str, event: &str) {
        let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
        let wanted = |id: &str| truth.people[n].places.iter().any(|place| place.id == id && place.wanted);
        if truth.unwanted.contains(&origin) || truth.touched.contains_key(&origin) {
            return;
        }
        // Something of ours without its marker passed for an event while no database knew it.
        let series = key.origin.event.as_instance().map_or(origin.1.clone(), |(series, _)| series.as_str().into());
        if truth.made.contains_key(&(origin.0.clone(), series)) {
            return;
        }
        if !wanted(calendar) || !wanted(&origin.0) {
            return;
        }
        if truth.was_off.contains(&(n, origin.0.clone(), calendar.to_owned())) {
            return;
        }
        // An exception of whose series a stale listing did not tell stood for itself.
        let series_stands = || with(&self.core, |core| lives(core, &origin.0, &origin.1));
        if key.origin.instance.is_some() && truth.rates[STALE] > 0 && series_stands() {
            return;
        }
        // Whoever is invited by several addresses has the meeting where they need not be shown it.
        if self.stands_twice(truth, n, &origin) {
            return;
        }
        // It stands inside its series now.
        if key.origin.instance.is_some() && self.stands_inside(truth, calendar, n, key) {
            return;
        }
        let instance = EventId::from(event).as_instance().is_some();
        let twins = self.standing(truth, calendar, n, key);
        if twins > 1 || instance && truth.revived.contains(&(calendar.to_owned(), event.to_owned())) {
            return;
        }
        truth.violation(format!("S5 deleted without a reason: {calendar}/{event} of {origin:?}"));
    }

    /// Whether a person has a meeting on several of their calendars.
    fn stands_twice(&self, truth: &Truth, n: usize, (calendar, event): &(String, String)) -> bool {
        let series = EventId::from(event.as_str()).as_instance().map(|(series, _)| series.as_str().to_owned());
        with(&self.core, |core| {
            let of = |calendar: &str, event: &str| {
                Some(core.world.calendars.get(calendar)?.events.get(event)?.text("iCalUID")?.to_owned())
            };
            let Some(uid) = of(calendar, event).or_else(|| of(calendar, &series?)) else { return false };
            let others = truth.people[n].places.iter().filter(|place| place.id != *calendar);
            let mut calendars = others.filter_map(|place| core.world.calendars.get(&place.id));
            calendars.any(|calendar| calendar.events.values().any(|stored| stored.text("iCalUID") == Some(&uid)))
        })
    }

    /// Whether an occurrence of a series of ours stands for an item.
    fn stands_inside(&self, truth: &Truth, calendar: &str, n: usize, key: &ItemKey) -> bool {
        with(&self.core, |core| {
            let Some(place) = core.world.calendars.get(calendar) else { return false };
            let live = place.events.iter().filter(|(_, stored)| !stored.cancelled());
            let mut inside = live.filter(|(_, stored)| stored.text("recurringEventId").is_some());
            inside.any(|(id, stored)| {
                self.owner(truth, calendar, id, &stored.fields).is_some_and(|owner| owner == (n, key.clone()))
            })
        })
    }

    /// How many live events stand for an item.
    fn standing(&self, truth: &Truth, calendar: &str, n: usize, key: &ItemKey) -> usize {
        with(&self.core, |core| {
            let Some(place) = core.world.calendars.get(calendar) else { return 0 };
            let live = place.events.iter().filter(|(_, stored)| !stored.cancelled());
            let own = live.filter(|(_, stored)| stored.text("recurringEventId").is_none());
            own.filter(|(id, stored)| {
                self.owner(truth, calendar, id, &stored.fields).is_some_and(|owner| owner == (n, key.clone()))
            })
            .count()
        })
    }

    /// A round of ticks begins, so many at the same time.
    pub fn begin_round(&self, lanes: usize) {
        let mut truth = self.truth();
        truth.lanes = lanes;
        truth.removals.clear();
    }

    /// More than a few removals at once are held until a person agrees (reliability S10). `before` is what stood there.
    fn judge_removal(&self, truth: &mut Truth, calendar: &str, event: &str, before: &Object) {
        if truth.agreed.contains(&(calendar.to_owned(), event.to_owned())) {
            return;
        }
        let at = (calendar.to_owned(), event.to_owned());
        let of = self.owner(truth, calendar, event, before).or_else(|| truth.made.get(&at).cloned());
        let wanted = |n: usize, id: &str| truth.people[n].places.iter().any(|place| place.id == id && place.wanted);
        // What is cancelled in a series of ours takes nothing away that had a shape of its own.
        if EventId::from(event).as_instance().is_some() {
            return;
        }
        if let Some((n, key)) = &of {
            let twin = self.standing(truth, calendar, *n, key) > 0;
            if twin || !wanted(*n, calendar) || !wanted(*n, key.origin.calendar.as_str()) {
                return;
            }
        }
        let place = (calendar.to_owned(), of.is_none());
        let kept = match truth.removals.get(&place) {
            Some(removals) => removals.kept,
            None => self.kept(truth, &place),
        };
        let removals = truth.removals.entry(place).or_insert(Removals { n: 0, kept });
        removals.n += 1;
        let Removals { n, kept } = *removals;
        let Brake { count, percent } = truth.brake;
        let lanes = truth.lanes.max(1);
        if n > count * lanes && n * 100 > kept.max(n) * percent * lanes {
            truth.violation(format!("S10 {n} removals at once from {calendar}, where {kept} are kept: {event}"));
        }
    }

    /// Whether somebody's meeting is declined by this because its copy is gone.
    fn is_declined_for_its_copy(
        &self,
        truth: &Truth,
        calendar: &str,
        event: &str,
        before: &Object,
        after: &Value,
    ) -> bool {
        let declined = |guests: Option<&Value>| {
            let mut guests = guests.and_then(Value::as_array).into_iter().flatten();
            guests.any(|guest| guest["self"] == true && guest["responseStatus"] == "declined")
        };
        if declined(before.get("attendees")) || !declined(after.get("attendees")) {
            return false;
        }
        if self.owner(truth, calendar, event, before).is_some() {
            return false;
        }
        let copies = truth
            .made
            .iter()
            .filter(|(_, (_, key))| key.origin.calendar.as_str() == calendar && key.origin.event.as_str() == event);
        with(&self.core, |core| {
            let is_main = |n: usize, place: &str| {
                truth.people[n].places.iter().any(|own| own.id == place && own.role == Role::Main)
            };
            let mut copies = copies.filter(|((place, _), (n, _))| is_main(*n, place));
            !copies.any(|((place, copy), _)| lives(core, place, copy))
        })
    }

    /// How much of ours is kept on a calendar; or of how many of its events we ever showed something.
    fn kept(&self, truth: &Truth, (calendar, at_origin): &(String, bool)) -> usize {
        let made = truth.made.iter().filter(|((place, _), (_, key))| match at_origin {
            true => key.origin.calendar.as_str() == calendar,
            false => place == calendar,
        });
        // A stale listing still tells of what is gone.
        let all = *at_origin || truth.rates[STALE] > 0;
        with(&self.core, |core| {
            // The one that goes now is gone already.
            1 + made.filter(|((place, event), _)| all || lives(core, place, event)).count()
        })
    }

    /// Two engines, or an engine and itself, that undo each other's work write without end.
    fn judge_pace(&self, truth: &mut Truth, call: usize, (calendar, event): (&str, &str), response: &Response) {
        let made = || {
            let now: Value = serde_json::from_slice(&response.body).ok()?;
            Some(now["id"].as_str()?.to_owned())
        };
        let id = if call == 3 { made().unwrap_or_default() } else { event.to_owned() };
        let now = with(&self.core, |core| core.world.now());
        let times = truth.pace.entry((calendar.to_owned(), id.clone())).or_default();
        times.retain(|at| now - *at < TimeDelta::hours(1) && *at <= now);
        times.push(now);
        let n = times.len();
        // Two installations with databases of their own hear of changes at different times.
        if n > MOST_WRITES && !truth.apart {
            truth.violation(format!("S11 {n} writes within an hour: {calendar}/{id}"));
        }
    }

    pub fn judge_after(
        &self,
        truth: &mut Truth,
        request: &Request,
        call: usize,
        response: &Response,
        before: Option<Object>,
    ) {
        let (calendar, event) = path_of(request);
        match (call, response.status) {
            (3, 409) => truth.hit(ID_TAKEN, call),
            (4 | 5, 412) => truth.hit(CHANGED_MEANWHILE, call),
            _ => {}
        }
        if call == 5
            && response.status < 300
            && let Some(before) = &before
        {
            self.judge_removal(truth, &calendar, &event, before);
        }
        if response.status < 300 {
            self.judge_pace(truth, call, (&calendar, &event), response);
        }
        if truth.apart
            && call == 5
            && response.status == 204
            && let Some((n, key)) = before.as_ref().and_then(|fields| self.owner(truth, &calendar, &event, fields))
            && truth.people[n].places.iter().any(|place| place.id == calendar && place.role == Role::Main)
        {
            // The other installation takes it for the person's removal, if it did not hear that the origin was gone meanwhile.
            let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
            truth.touched.insert(origin, true);
        }
        if response.status != 200 {
            return;
        }
        let now: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let id = now["id"].as_str().unwrap_or_default().to_owned();
        if call == 3
            && let Some((n, key)) = now.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields))
        {
            truth.made.insert((calendar.clone(), id.clone()), (n, key.clone()));
            let count = self.standing(truth, &calendar, n, &key);
            let revived = truth.revived.iter().any(|(at, _)| *at == calendar);
            if count > 1 && !revived {
                truth.violation(format!("S3 {count} events for one item at {calendar}: {key:?}"));
            }
        }
        if call == 4 {
            if let Some(before) = &before
                && self.is_declined_for_its_copy(truth, &calendar, &event, before, &now)
            {
                self.judge_removal(truth, &calendar, &event, before);
            }
            if truth.apart
                && let Some((n, key)) = now.as_object().and_then(|fields| self.owner(truth, &calendar, &id, fields))
                && truth.people[n].places.iter().any(|place| place.id == calendar && place.role == Role::Main)
            {
                let origin = (key.origin.calendar.as_str().to_owned(), key.origin.event.as_str().to_owned());
                truth.touched.entry(origin).or_insert(false);
            }
            let after =
                with(&self.core, |core| Some(core.world.calendars.get(&calendar)?.events.get(&event)?.fields.clone()));
            if let (Some(mut before), Some(mut after)) = (before, after) {
                for name in ["sequence", "updated", "etag"] {
                    before.remove(name);
                    after.remove(name);
                }
                if before == after {
                    truth.violation(format!("S8 a write that changes nothing: {calendar}/{event}"));
                }
            }
        }
    }
}
