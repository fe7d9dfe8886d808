//! The service at work: rings, ticks, panics, stops; over HTTP where Google or an operator would use it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::World;
use crate::{
    controller::{
        App, Stop,
        queue::Scope,
        service::{Desk, Options, serve},
        tick::{Extent, Mode, tick_within},
    },
    model::{calendar::Role, id::UserId},
    store::channels::NewChannel,
    web::{self, Front, Limits},
};

/// A service on a world, with a web server.
struct Stage {
    app: App,
    desk: Desk,
    site: web::Running,
    task: tokio::task::JoinHandle<()>,
    http: reqwest::Client,
}

/// A service for which Google rings at its own address.
async fn begin_ringing(app: App, options: Options) -> Stage {
    begin_with(app, options, true).await
}

async fn begin(app: App, options: Options) -> Stage {
    begin_with(app, options, false).await
}

async fn begin_with(app: App, mut options: Options, rings: bool) -> Stage {
    let desk = Desk::default();
    let front = Front::new(
        app.clone(),
        desk.clone(),
        Arc::new(|_| {}),
        Limits::new(Vec::new()),
        "no key file".into(),
        None,
        true,
    );
    let site = web::serve(front, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    if rings {
        options.webhook = Some(format!("http://{}/api/webhooks/google-calendar", site.address));
    }
    let task = tokio::spawn({
        let (app, desk) = (app.clone(), desk.clone());
        async move { serve(app, desk, options).await.unwrap() }
    });
    Stage { app, desk, site, task, http: reqwest::Client::builder().build().unwrap() }
}

fn options() -> Options {
    Options {
        gather: Duration::from_millis(10),
        glance: Duration::from_millis(50),
        ..Options::new(None, chrono_tz::UTC)
    }
}

impl Stage {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.site.address)
    }

    async fn notify(&self, channel: &str, token: &str, resource: &str, state: &str) -> (u16, String) {
        let request = self.http.post(self.url("/api/webhooks/google-calendar")).header("content-length", "0");
        let request = request.header("x-goog-channel-id", channel).header("x-goog-channel-token", token);
        let request = request.header("x-goog-resource-id", resource).header("x-goog-resource-state", state);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of a figure.
    async fn figure(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<f64>().ok()).sum()
    }

    /// Lets time pass, and the service do what is then due.
    async fn pass(&self, world: &World, seconds: u32) {
        world.clock.advance(TimeDelta::seconds(i64::from(seconds)));
        self.desk.skip(Duration::from_secs(u64::from(seconds)));
        tokio::time::sleep(Duration::from_millis(70)).await;
        self.at_rest().await;
    }

    /// Waits until something was ticked and nothing is due.
    async fn at_rest(&self) {
        until("rest", async || {
            let busy = self.figure("busybridge_ticks_running").await + self.figure("busybridge_queue_depth").await;
            busy == 0.0 && self.figure("busybridge_ticks_total").await >= 1.0
        })
        .await;
    }

    async fn end(self) -> Duration {
        let begun = Instant::now();
        self.app.stop.ask();
        self.task.await.unwrap();
        begun.elapsed()
    }
}

/// Waits until something is so, as long as a person would.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn world(people: usize) -> World {
    let mut world = World::new().await;
    for n in 0..people {
        let own = |name: &str, role| {
            let address = format!("p{n}@{name}.example");
            (format!("{name}{n}"), address.clone(), address, role)
        };
        let calendars = [own("home", Role::Main), own("acme", Role::Client), own("globex", Role::Client)];
        world.add(&format!("p{n}"), 0, &calendars).await;
    }
    world
}

async fn meet(world: &World, calendar: &str, title: &str, hour: u32) {
    let at = |minute: u32| json!({"dateTime": format!("2026-03-02T{hour:02}:{minute:02}:00+01:00")});
    let body = json!({"summary": title, "start": at(0), "end": at(30)});
    let (status, answer) = world.as_person(calendar, "POST", "/events", body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn shown(world: &World, calendar: &str) -> usize {
    world.all_items(calendar, "/events?singleEvents=true").await.len()
}

/// Opens a channel without asking Google; its token is `secret`.
async fn open_channel(app: &App, user: UserId, name: &str) -> i64 {
    let row = app.store.calendars_of(user).await.unwrap().into_iter().find(|row| row.name == name).unwrap();
    let ends = app.clock.now() + TimeDelta::days(7);
    let token_hash = Sha256::digest(b"secret").into();
    let new = NewChannel { calendar: row.number, id: name, token_hash, resource: "resource", ends };
    app.store.channel_opened(&new).await.unwrap();
    row.number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_carries_a_change_everywhere_with_one_listing() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let user = world.people["p0"].user;
    // The tests' Google opens no channel at this address, so that the one made here is all there is.
    let options = Options { webhook: Some("http://nowhere.example".into()), ..options() };
    let stage = begin(app.clone(), options).await;
    until("the first tick", async || stage.figure("busybridge_ticks_total").await >= 1.0).await;
    open_channel(&app, user, "acme0").await;
    until("the channel is known", async || stage.figure("busybridge_webhook_channels").await == 1.0).await;
    // One change: one listing of the calendar that rang, and a write for each other calendar.
    let ticks = stage.figure("busybridge_ticks_total").await;
    let before = app.google.calls();
    meet(&world, "acme0", "Kick-off", 11).await;
    assert_eq!(stage.notify("acme0", "secret", "resource", "exists").await, (204, String::new()));
    until("both copies", async || shown(&world, "globex0").await == 1 && shown(&world, "home0").await == 1).await;
    until("the tick's end", async || stage.figure("busybridge_ticks_total").await > ticks).await;
    let after = app.google.calls();
    let calls = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    assert_eq!((calls("events.list"), calls("events.insert")), (1, 2));
    assert!(stage.figure("busybridge_propagation_seconds_count").await >= 1.0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_rings_and_every_calendar_follows() {
    let world = world(2).await;
    let app = world.app("p0").clone();
    let stage = begin_ringing(app.clone(), options()).await;
    until("channels", async || app.store.channels().await.unwrap().len() == 6).await;
    until("the service knows them", async || stage.figure("busybridge_webhook_channels").await == 6.0).await;
    for (n, hour) in [(0, 9), (1, 10), (0, 11)] {
        meet(&world, &format!("acme{n}"), "Meeting", hour).await;
    }
    until("all of it", async || {
        let n = [shown(&world, "home0").await, shown(&world, "globex0").await, shown(&world, "globex1").await];
        n == [2, 2, 1]
    })
    .await;
    // Our own writes ring, too, and come to nothing.
    stage.at_rest().await;
    assert_eq!(app.google.calls()["events.insert"], 6);
    assert_eq!(stage.figure("busybridge_steps_total{action=\"create\",outcome=\"done\"}").await, 6.0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_notification_tells_is_found_by_polling_and_its_channel_is_replaced() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let stage = begin_ringing(app.clone(), options()).await;
    until("channels", async || app.store.channels().await.unwrap().len() == 3).await;
    until("the service knows them", async || stage.figure("busybridge_webhook_channels").await == 3.0).await;
    let before: Vec<i64> = app.store.channels().await.unwrap().iter().map(|row| row.number).collect();
    crate::emulator::with(&world.core, |core| core.world.settings.push_drop_permille = 1000);
    meet(&world, "acme0", "Unheard of", 9).await;
    // A poll interval, and a little.
    for _ in 0..12 {
        stage.pass(&world, 30).await;
    }
    until("the copies", async || shown(&world, "home0").await == 1 && shown(&world, "globex0").await == 1).await;
    // No notification comes late: the channel is doubted, and another one is opened beside it.
    stage.pass(&world, 180).await;
    until("another channel", async || app.store.channels().await.unwrap().len() > 3).await;
    stage.pass(&world, 3600).await;
    until("the old one is closed", async || {
        let now = app.store.channels().await.unwrap();
        now.len() == 3 && now.iter().any(|row| !before.contains(&row.number))
    })
    .await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_renewed_before_they_end_and_closed_when_a_calendar_is_left() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let user = world.people["p0"].user;
    let stage = begin_ringing(app.clone(), options()).await;
    until("channels", async || app.store.channels().await.unwrap().len() == 3).await;
    let first: Vec<String> = app.store.channels().await.unwrap().into_iter().map(|row| row.id).collect();
    for _ in 0..8 {
        stage.pass(&world, 86_400).await;
        until("each calendar has a channel", async || {
            let channels = app.store.channels().await.unwrap();
            channels.into_iter().filter(|row| row.ends > world.clock.now()).count() >= 3
        })
        .await;
    }
    until("new ones alone", async || {
        stage.pass(&world, 700).await;
        let now = app.store.channels().await.unwrap();
        now.len() == 3 && now.iter().all(|row| !first.contains(&row.id))
    })
    .await;
    let globex = app.store.calendars_of(user).await.unwrap().into_iter().find(|row| row.name == "globex0").unwrap();
    app.store.leave_calendar(user, globex.number).await.unwrap();
    until("it is left and rings no more", async || {
        stage.pass(&world, 60).await;
        let left = app.store.calendars_of(user).await.unwrap().len() == 2;
        left && app.store.channels().await.unwrap().len() == 2
    })
    .await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_reads_by_the_timetable_and_writes_nothing() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    meet(&world, "acme0", "Meeting", 9).await;
    let stage = begin(app.clone(), options()).await;
    until("the first sync", async || shown(&world, "globex0").await == 1).await;
    // What we wrote ourselves is told once, and noted as known.
    for _ in 0..3 {
        stage.pass(&world, 150).await;
    }
    let before = app.google.calls();
    let writes = app.store.changes_so_far().await.unwrap();
    // An hour in steps of two and a half minutes.
    for _ in 0..24 {
        stage.pass(&world, 150).await;
    }
    stage.at_rest().await;
    let after = app.google.calls();
    let lists = after["events.list"] - before["events.list"];
    assert!((30..=42).contains(&lists), "{lists} readings of three calendars in an hour");
    assert_eq!(after.values().sum::<u64>() - before.values().sum::<u64>(), lists, "nothing but readings");
    assert_eq!(app.store.changes_so_far().await.unwrap(), writes, "an idle poll writes nothing");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_heard_nothing_is_planned() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    meet(&world, "acme0", "Kick-off", 11).await;
    let stage = begin(app.clone(), options()).await;
    until("the copies", async || shown(&world, "globex0").await == 1).await;
    let idle = async || stage.figure("busybridge_ticks_total{lane=\"live\",outcome=\"idle\"}").await;
    let done = async || stage.figure("busybridge_ticks_total{lane=\"live\",outcome=\"done\"}").await;
    // A reading of what we wrote, and from then on nothing is new.
    for _ in 0..3 {
        stage.pass(&world, 400).await;
    }
    let before = (idle().await, done().await);
    for _ in 0..4 {
        stage.pass(&world, 400).await;
    }
    assert!(idle().await >= before.0 + 4.0 && done().await == before.1, "{before:?}");
    // A change ends that; so does another process that stored what Google told, or that wants something else.
    meet(&world, "acme0", "Review", 13).await;
    stage.pass(&world, 400).await;
    until("the second copy", async || shown(&world, "globex0").await == 2).await;
    for _ in 0..3 {
        stage.pass(&world, 400).await;
    }
    let before = done().await;
    let rows = app.store.calendars_of(world.people["p0"].user).await.unwrap();
    app.store.drop_cursor(rows[0].number, rows[0].cursor.as_ref().unwrap()).await.unwrap();
    stage.pass(&world, 400).await;
    assert!(done().await > before, "a cursor is not the one we left");
    // And after an hour it is thought through in any case.
    for _ in 0..3 {
        stage.pass(&world, 400).await;
    }
    let before = done().await;
    stage.pass(&world, 3_700).await;
    assert!(done().await > before);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_day_each_calendar_is_read_from_the_beginning() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let stage = begin(app.clone(), options()).await;
    stage.at_rest().await;
    let full = async || {
        let roster = app.store.roster().await.unwrap();
        let seats = roster.into_values().flat_map(|entry| entry.calendars.into_values());
        seats.filter_map(|seat| seat.full).collect::<std::collections::BTreeSet<_>>()
    };
    let first = full().await;
    for _ in 0..76 {
        stage.pass(&world, 1800).await;
    }
    until("all were read", async || full().await.is_disjoint(&first)).await;
    assert_eq!(full().await.len(), 3, "each at a time of its own");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_notification_the_answer_is_the_same_and_nothing_happens() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let options = Options { webhook: Some("http://nowhere.example".into()), ..options() };
    open_channel(&app, world.people["p0"].user, "acme0").await;
    let stage = begin(app.clone(), options).await;
    until("the first tick", async || stage.figure("busybridge_ticks_total").await >= 1.0).await;
    let ticks = stage.figure("busybridge_ticks_total").await;
    let good = (204, String::new());
    let long = "x".repeat(900);
    for (channel, token, resource, state) in [
        ("nobody", "secret", "resource", "exists"),
        ("acme0", "wrong", "resource", "exists"),
        ("acme0", "", "resource", "exists"),
        ("acme0", &long, "resource", "exists"),
        ("acme0", "secret", "another", "exists"),
        ("acme0", "secret", "resource", "sync"),
        ("acme0", "secret", "resource", "shouting"),
        ("1 OR 1=1", "secret", "resource", "exists"),
    ] {
        assert_eq!(stage.notify(channel, token, resource, state).await, good, "{channel} {token} {resource} {state}");
    }
    let url = stage.url("/api/webhooks/google-calendar");
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(stage.http.post(&url).header("content-length", "0")).await, 400);
    assert_eq!(status(stage.http.post(&url).body(vec![0; 2048])).await, 413);
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(status(stage.http.request(method.parse().unwrap(), &url)).await, 405, "{method}");
    }
    assert_eq!(stage.get("/nothing").await.0, 404);
    assert_eq!(stage.figure("busybridge_ticks_total").await, ticks);
    assert_eq!(stage.desk.bell.take(), []);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_notifications_leads_to_a_few_ticks() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let user = world.people["p0"].user;
    open_channel(&app, user, "acme0").await;
    let options =
        Options { webhook: Some("http://nowhere.example".into()), gather: Duration::from_secs(1), ..options() };
    let stage = begin(app.clone(), options).await;
    until("the first tick", async || stage.figure("busybridge_ticks_total").await >= 1.0).await;
    let ticks = stage.figure("busybridge_ticks_total").await;
    // Twenty at a time, as Google would.
    let flood = (0..20).map(|_| async {
        for _ in 0..100 {
            assert_eq!(stage.notify("acme0", "secret", "resource", "exists").await.0, 204);
        }
    });
    futures::future::join_all(flood).await;
    until("the tick", async || stage.figure("busybridge_ticks_total").await > ticks).await;
    until("rest", async || {
        stage.figure("busybridge_queue_depth").await + stage.figure("busybridge_ticks_running").await == 0.0
    })
    .await;
    let heard = stage.figure("busybridge_notifications_total").await;
    let took = stage.figure("busybridge_ticks_total").await - ticks;
    assert_eq!(heard, 2000.0);
    assert!(took <= 20.0, "{took} ticks");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_all_the_time_is_looked_at_every_ten_seconds() {
    let world = world(1).await;
    let app = world.app("p0").clone();
    let user = world.people["p0"].user;
    open_channel(&app, user, "acme0").await;
    let options = Options { webhook: Some("http://nowhere.example".into()), ..options() };
    let stage = begin(app.clone(), options).await;
    until("the first tick", async || stage.figure("busybridge_ticks_total").await >= 1.0).await;
    stage.at_rest().await;
    let invite = async |n: usize| {
        meet(&world, "acme0", &format!("Offer {n}"), 8).await;
        assert_eq!(stage.notify("acme0", "secret", "resource", "exists").await.0, 204);
    };
    let ticks = async || stage.figure("busybridge_ticks_total").await;
    // Some are followed at once.
    for n in 0..20 {
        let before = ticks().await;
        invite(n).await;
        until("the tick", async || ticks().await > before).await;
        stage.at_rest().await;
    }
    assert_eq!(shown(&world, "globex0").await, 20);
    // The next ones wait for ten seconds, together, and nothing of them is lost.
    let before = ticks().await;
    for n in 20..40 {
        invite(n).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!((ticks().await, shown(&world, "globex0").await), (before, 20));
    stage.pass(&world, 10).await;
    until("the tick", async || ticks().await > before).await;
    stage.at_rest().await;
    assert_eq!((ticks().await, shown(&world, "globex0").await), (before + 1.0, 40));
    // Whoever waits at a page does not wait for that.
    invite(40).await;
    stage.desk.bell.ring(user, Scope::all(), stage.desk.moment());
    until("what was asked for", async || shown(&world, "globex0").await == 41).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_users_tick_is_nobody_elses() {
    let world = world(2).await;
    let mut app = world.app("p0").clone();
    meet(&world, "acme0", "Panic", 9).await;
    meet(&world, "acme1", "Calm", 9).await;
    // Whoever is ticked first panics in the first step.
    let steps = Arc::new(AtomicUsize::new(0));
    app.progress = Arc::new(move |_, _| assert!(steps.fetch_add(1, Ordering::SeqCst) > 0, "a defect"));
    let stage = begin(app, Options { places: 2, ..options() }).await;
    until("one is served", async || shown(&world, "globex0").await + shown(&world, "globex1").await >= 1).await;
    until("one has panicked", async || {
        stage.figure("busybridge_ticks_total{lane=\"live\",outcome=\"panicked\"}").await == 1.0
    })
    .await;
    assert_eq!(stage.get("/health").await, (200, "ok\n".into()));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_first_sync_does_not_keep_others_waiting() {
    let world = world(2).await;
    let app = world.app("p0").clone();
    for n in 0..150 {
        meet(&world, "acme0", &format!("Meeting {n}"), 8 + n % 10).await;
    }
    let delay = json!({"path": "p0@", "kind": "delay", "delay_ms": 5});
    let (status, answer) = world.command("POST", "faults", delay).await;
    assert!(status < 300, "{answer}");
    // Google rings for our own writes, too; that does not make them urgent.
    let stage = begin_ringing(app, Options { writes: 20, places: 2, ..options() }).await;
    until("the import has begun", async || shown(&world, "globex0").await > 0).await;
    meet(&world, "acme1", "A change", 9).await;
    let moment = stage.desk.moment();
    stage.desk.bell.ring(world.people["p1"].user, Scope::all(), moment);
    until("the other's change", async || shown(&world, "globex1").await == 1).await;
    assert!(shown(&world, "globex0").await < 150, "it did not wait for the import");
    until("the import", async || shown(&world, "globex0").await == 150 && shown(&world, "home0").await == 150).await;
    let backfill = stage.figure("busybridge_ticks_total{lane=\"backfill\"").await;
    assert!(backfill >= 10.0, "{backfill}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_the_service_ends_with_the_step_in_hand_and_goes_on_later() {
    let world = world(1).await;
    let mut app = world.app("p0").clone();
    for n in 0..30 {
        meet(&world, "acme0", &format!("Meeting {n}"), 8 + n % 10).await;
    }
    let delay = json!({"method": "POST", "kind": "delay", "delay_ms": 100});
    assert!(world.command("POST", "faults", delay).await.0 < 300);
    let stage = begin(app.clone(), options()).await;
    until("it has begun", async || shown(&world, "globex0").await > 1).await;
    assert_eq!(stage.get("/ready").await, (200, "ok\n".into()));
    let took = stage.end().await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    let made = shown(&world, "globex0").await + shown(&world, "home0").await;
    assert!(made < 60, "it did not do all");
    // Each step that was begun is noted: what stands is what the journal calls done.
    let runs = app.store.runs(world.people["p0"].user, 10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.done as usize).sum::<usize>(), made);
    assert!(world.command("DELETE", "faults", Value::Null).await.0 < 300);
    app.stop = Stop::default();
    let stage = begin(app, options()).await;
    until("the rest", async || shown(&world, "globex0").await + shown(&world, "home0").await == 60).await;
    stage.end().await;
}

#[tokio::test]
async fn what_a_dry_run_heard_is_done_by_the_next_tick() {
    let world = world(1).await;
    let (app, user) = (world.app("p0"), world.people["p0"].user);
    meet(&world, "acme0", "Kick-off", 11).await;
    let apply = async |calm| tick_within(app, user, Mode::Apply, &Extent { calm, ..Extent::whole() }).await.unwrap();
    let first = apply(None).await;
    assert!(!first.idle && first.calm.is_some(), "plain events, carried out whole");
    let echo = apply(first.calm).await;
    assert!(echo.idle, "our own writes are no news");
    meet(&world, "acme0", "Review", 13).await;
    // Somebody looks at a page that reads Google, and stores what it told.
    assert!(tick_within(app, user, Mode::DryRun, &Extent::whole()).await.unwrap().plan.has_changes());
    let next = apply(echo.calm).await;
    assert!(!next.idle && shown(&world, "globex0").await == 2);
}
