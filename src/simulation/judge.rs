//! What every calendar must show in the end, by the specification's rules and not by the planner: nested loops over what people
//! made, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    google::Scene,
    people,
    shown::{Shown, expand, union},
    truth::Place,
};
use crate::model::calendar::Role;

/// What stands on one calendar.
#[derive(Default)]
struct Sight {
    /// People's own.
    natural: Vec<Shown>,
    /// Ours, by person and whether it stands for something personal.
    ours: BTreeMap<(usize, bool), Vec<Shown>>,
}

/// Compares all calendars with what they should show; differences are violations.
pub fn compare(scene: &Scene) {
    let ids: BTreeSet<String> = {
        let truth = scene.truth();
        truth.people.iter().flat_map(|person| person.places.iter().map(|place| place.id.clone())).collect()
    };
    let mut sights: BTreeMap<String, Sight> = BTreeMap::new();
    for id in &ids {
        let mut items = Vec::new();
        let mut page = String::new();
        loop {
            let (_, answer) = people::call(scene, id, "GET", &format!("/events?maxResults=2500{page}"), &Value::Null);
            items.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(token) = answer["nextPageToken"].as_str() else { break };
            page = format!("&pageToken={token}");
        }
        let truth = scene.truth();
        let mut owner: BTreeMap<String, (usize, bool)> = BTreeMap::new();
        for item in &items {
            let own = item["id"].as_str().unwrap_or_default();
            if let Some((n, key)) = item.as_object().and_then(|fields| scene.owner(&truth, id, own, fields)) {
                let mut places = truth.people[n].places.iter();
                let from = places.find(|place| place.id == key.origin.calendar.as_str());
                owner.insert(own.to_owned(), (n, from.is_some_and(|place| place.role == Role::Personal)));
            }
        }
        drop(truth);
        // Of a cancelled instance Google tells little more than its series.
        let of = |item: &Value| {
            let own = item["id"].as_str().and_then(|id| owner.get(id));
            own.or_else(|| item["recurringEventId"].as_str().and_then(|id| owner.get(id))).copied()
        };
        let sight = sights.entry(id.clone()).or_default();
        let natural: Vec<Value> = items.iter().filter(|item| of(item).is_none()).cloned().collect();
        sight.natural = expand(&natural);
        for n in owner.values().copied().collect::<BTreeSet<_>>() {
            let made: Vec<Value> = items.iter().filter(|item| of(item) == Some(n)).cloned().collect();
            sight.ours.insert(n, expand(&made));
        }
    }
    let (people, away, off) = {
        let truth = scene.truth();
        (truth.people.clone(), truth.away.clone(), truth.off.clone())
    };
    let mut wrong = Vec::new();
    for (n, person) in people.iter().enumerate() {
        let wanted: Vec<_> = person.places.iter().filter(|place| place.wanted).collect();
        let flows = |from: &Place, to: &str| !off.contains(&(n, from.id.clone(), to.to_owned()));
        let none = Vec::new();
        let part = |id: &str, personal: bool| sights[id].ours.get(&(n, personal)).unwrap_or(&none).clone();
        let ours = |id: &str| [part(id, false), part(id, true)].concat();
        let main = wanted.iter().find(|place| place.role == Role::Main).map(|place| place.id.clone());
        let Some(main) = main else { continue };
        for place in &person.places {
            if !place.wanted || place.role == Role::Personal {
                // What a lost database had begun to leave, nobody can finish: there the markers alone tell.
                if place.role == Role::Personal && !ours(&place.id).is_empty() {
                    wrong.push(format!("L1 something of ours stands on the personal calendar {}", place.id));
                }
                continue;
            }
            let native = |shown: &Shown| sights[&place.id].natural.iter().any(|o| o.is(shown) && !o.free);
            if place.role == Role::Client {
                let others = wanted.iter().filter(|other| other.id != place.id && flows(other, &place.id));
                let all: Vec<&Shown> = others.flat_map(|other| &sights[&other.id].natural).collect();
                let expected = union(all.into_iter().filter(|shown| !shown.free && !native(shown)));
                let found = union(&ours(&place.id));
                if found != expected {
                    wrong.push(format!("L1 {} is busy {}", place.id, difference(&expected, &found)));
                }
            }
        }
        let here = |shown: &Shown| sights[&main].natural.iter().any(|other| other.is(shown));
        let (blocks, copies) = (part(&main, true), part(&main, false));
        let mut expected: Vec<Shown> = Vec::new();
        for place in wanted.iter().filter(|place| place.role == Role::Client && flows(place, &main)) {
            let fresh: Vec<Shown> = sights[&place.id]
                .natural
                .iter()
                .filter(|shown| !here(shown) && !expected.iter().any(|other| other.is(shown)))
                .cloned()
                .collect();
            expected.extend(fresh);
        }
        let own = wanted.iter().filter(|place| place.role == Role::Personal && flows(place, &main));
        let own = own.flat_map(|p| &sights[&p.id].natural);
        let copied = |shown: &Shown| {
            let clients = wanted.iter().filter(|place| place.role == Role::Client && flows(place, &main));
            let there = sights[&main].natural.iter().chain(clients.flat_map(|p| &sights[&p.id].natural));
            there.into_iter().any(|other| other.is(shown) && !other.free)
        };
        let personal = union(own.filter(|shown| !shown.free && !copied(shown)));
        if union(&blocks) != personal {
            wrong.push(format!("L1 personal time at {main} {}", difference(&personal, &union(&blocks))));
        }
        let wanted_back =
            |shown: &&Shown| [None, Some(shown.slot)].iter().all(|slot| !away.contains(&(n, shown.uid.clone(), *slot)));
        let told = |shown: &[Shown]| {
            let mut told: Vec<_> = shown.iter().map(|s| (s.start, s.end, s.title.clone(), s.free)).collect();
            told.sort();
            told
        };
        let expected: Vec<Shown> = expected.iter().filter(wanted_back).cloned().collect();
        let (found, expected) = (told(&copies), told(&expected));
        if found != expected {
            wrong.push(format!("L1 copies at {main} {}", difference(&expected, &found)));
        }
    }
    let mut truth = scene.truth();
    for text in wrong {
        truth.violation(text);
    }
}

fn difference<T: PartialEq + std::fmt::Debug>(expected: &[T], found: &[T]) -> String {
    // Each as often as it is there.
    let without = |these: &[T], those: &[T]| {
        let mut left: Vec<&T> = these.iter().collect();
        for one in those {
            if let Some(at) = left.iter().position(|other| *other == one) {
                left.remove(at);
            }
        }
        format!("{left:?}")
    };
    let (missing, extra) = (without(expected, found), without(found, expected));
    json!({"missing": missing, "extra": extra}).to_string()
}
