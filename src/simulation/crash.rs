//! Every single step of five stories, killed before it, and with its answer lost: afterwards everything must stand as if nothing had
//! been (reliability X1, X3, X15).

use std::sync::{Mutex, PoisonError};
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use super::{Nursery, faults::BY_CHANCE, google::Scene, people::call, runtime, tape::Tape, world::World};

/// What happens between two ticks, of which the second dies.
#[derive(Clone, Copy, Debug)]
pub enum Story {
    Move,
    Series,
    Departure,
    EditOnACopy,
    LostDatabase,
}

/// All of them.
pub const STORIES: [Story; 5] = [Story::Move, Story::Series, Story::Departure, Story::EditOnACopy, Story::LostDatabase];

const CLIENT: &str = "u0@c0aa.example";
const MAIN: &str = "u0@home.example";

/// One person with two clients and a personal calendar, where nothing goes wrong by chance.
fn dull() -> Tape {
    // How Google behaves, all faults, whether it reaches us, and a shared calendar: nothing of it. Then one person, and what they have.
    let mut tape = vec![0; BY_CHANCE + 3];
    tape.extend([0, 1, 1]);
    Tape::of(tape)
}

fn time(day: u32, hour: u32) -> Value {
    json!({"dateTime": format!("2026-03-{day:02}T{hour:02}:00:00"), "timeZone": "Europe/Vienna"})
}

fn expect(done: (u16, Value)) -> Result<Value, String> {
    if done.0 < 300 { Ok(done.1) } else { Err(format!("a person's deed was refused: {done:?}")) }
}

fn make(scene: &Scene, id: &str, day: u32, rule: Option<&str>) -> Result<(), String> {
    let mut event = json!({"id": id, "summary": format!("qzq {id}"), "start": time(day, 9), "end": time(day, 10)});
    if let Some(rule) = rule {
        event["recurrence"] = json!([rule]);
    }
    expect(call(scene, CLIENT, "POST", "/events", &event)).map(|_| ())
}

fn patch(scene: &Scene, calendar: &str, id: &str, body: &Value) -> Result<(), String> {
    expect(call(scene, calendar, "PATCH", &format!("/events/{id}"), body)).map(|_| ())
}

/// One run: the tick after the story's event dies at step `k`. Gives whether it had so many steps, and what went wrong.
async fn run(story: Story, k: usize, lose: bool, template: &Path) -> Result<(bool, Vec<String>), String> {
    let mut world = World::new(dull(), "aa", template).await?;
    let scene = world.scene.clone();
    make(&scene, "eventaaaa1", 3, None)?;
    make(&scene, "eventaaaa2", 4, Some("RRULE:FREQ=WEEKLY;COUNT=5"))?;
    world.calm_down().await?;
    match story {
        Story::Move => patch(&scene, CLIENT, "eventaaaa1", &json!({"start": time(5, 14), "end": time(5, 15)}))?,
        Story::Series => {
            scene.truth().unwanted.insert((CLIENT.into(), "eventaaaa2".into()));
            make(&scene, "eventaaaa3", 6, Some("RRULE:FREQ=WEEKLY;COUNT=4"))?;
            scene.truth().unwanted.insert((CLIENT.into(), "eventaaaa3".into()));
            let moved = json!({"start": time(12, 15), "end": time(12, 16)});
            patch(&scene, CLIENT, "eventaaaa2_20260311T080000Z", &moved)?;
            expect(call(&scene, CLIENT, "DELETE", "/events/eventaaaa2_20260318T080000Z", &Value::Null))?;
            expect(call(&scene, CLIENT, "DELETE", "/events/eventaaaa3_20260313T080000Z", &Value::Null))?;
        }
        Story::Departure => {
            if let Some(place) = scene.truth().people[0].places.iter_mut().find(|place| place.id == CLIENT) {
                place.wanted = false;
            }
            world.settle_wishes().await?;
        }
        Story::EditOnACopy => {
            let (_, listed) = call(&scene, MAIN, "GET", "/events?maxResults=250", &Value::Null);
            let items = listed["items"].as_array().cloned().unwrap_or_default();
            let copy = items.iter().find(|item| item["summary"].as_str().is_some_and(|t| t.ends_with("eventaaaa1")));
            let id = copy.and_then(|item| item["id"].as_str()).ok_or("there is no copy")?.to_owned();
            scene.truth().touched.insert((CLIENT.into(), "eventaaaa1".into()), false);
            let body = json!({"summary": "qzq by hand", "start": time(7, 11), "end": time(7, 12)});
            patch(&scene, MAIN, &id, &body)?;
        }
        Story::LostDatabase => world.lose_database(template).await?,
    }
    let reached = world.dying_tick(k, lose).await?;
    world.rest().await?;
    world.end().await;
    let violations = std::mem::take(&mut scene.truth().violations);
    Ok((reached, violations))
}

/// All runs of all stories, on as many threads as there are cores: how many, and what went wrong.
pub fn all(nursery: &Nursery) -> (usize, Vec<String>) {
    let runs = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let jobs: Vec<(Story, bool)> = STORIES.iter().flat_map(|story| [(*story, false), (*story, true)]).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((story, lose)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for k in 1.. {
                        let done =
                            runtime().and_then(|runtime| runtime.block_on(run(*story, k, *lose, &nursery.template)));
                        runs.fetch_add(1, Ordering::Relaxed);
                        let (reached, violations) = done.unwrap_or_else(|error| (false, vec![error]));
                        let told =
                            violations.into_iter().map(|text| format!("{story:?}, step {k}, lost {lose}: {text}"));
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
                        if !reached {
                            break;
                        }
                    }
                }
            });
        }
    });
    (runs.into_inner(), wrong.into_inner().unwrap_or_else(PoisonError::into_inner))
}
