//! The service: the loop that keeps everybody in sync.
//!
//! ```text
//!   bell (webhooks, people) ──┐
//!   timetable (polling) ──────┼──► queue ──► ticks, some at once ──► what follows ──┐
//!   roster (who is there) ────┘      ▲                                              │
//!                                    └──────────────────────────────────────────────┘
//!   chores, each by its own timetable
//! ```
//!
//! Invariants: a user's ticks never overlap; a ring during a tick leads to another one; a panic in a tick is that tick's failure and
//! nobody else's; when the service is asked to stop, each tick finishes the step in hand, notes it and ends; waiting is done by a
//! clock that only goes forward, so that a jump of the wall clock neither stops nor floods anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::{
    App, accounts, alerts,
    bell::{Bell, Pace},
    board::Board,
    channels,
    chores::{self, Chore, Timetable},
    health::Health,
    metrics::Metrics,
    queue::{Lane, Moment, Queue, Scope},
    settle::{Next, settle},
    tick::{Calm, Extent, Mode, Tick, TickError, tick_within},
    upkeep,
};
use crate::{
    google::budget::{Class, Spend},
    model::{
        calendar::{Freshness, Why},
        id::UserId,
        plan::Outcome,
    },
    planner::polling::{self, Record},
    store::{StoreError, roster::Entry},
};

/// How the service works; all but the address are the same everywhere but in tests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Google's notifications reach us; none: nobody rings.
    pub webhook: Option<String>,
    /// The zone of daily chores.
    pub zone: Tz,
    /// Ticks at once.
    pub places: usize,
    /// Writes in one tick at most; more is backfill.
    pub writes: usize,
    /// How long a ring waits for others of the same change.
    pub gather: Duration,
    /// How far apart the ticks of a user are at least for whom it rings all the time.
    pub apart: Duration,
    /// How often the roster is read.
    pub glance: Duration,
    /// How long ticks may take to end when the service stops.
    pub patience: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(webhook: Option<String>, zone: Tz) -> Self {
        Options {
            webhook,
            zone,
            places: 8,
            writes: 200,
            gather: Duration::from_millis(300),
            apart: Duration::from_secs(10),
            glance: Duration::from_secs(20),
            patience: Duration::from_secs(8),
        }
    }
}

/// What the service shares with those who ask it from outside.
#[derive(Clone)]
pub struct Desk {
    pub bell: Bell,
    pub health: Health,
    pub metrics: Metrics,
    pub board: Board,
    started: Instant,
    /// Seconds that have passed for the service alone.
    #[cfg(test)]
    skipped: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            bell: Bell::default(),
            health: Health::default(),
            metrics: Metrics::default(),
            board: Board::default(),
            started: Instant::now(),
            #[cfg(test)]
            skipped: std::sync::Arc::default(),
        }
    }
}

impl Desk {
    /// The moment, by a clock that only goes forward.
    pub fn moment(&self) -> Moment {
        #[cfg(test)]
        let skipped = Duration::from_secs(self.skipped.load(std::sync::atomic::Ordering::SeqCst));
        #[cfg(not(test))]
        let skipped = Duration::ZERO;
        self.started.elapsed() + skipped
    }

    /// Lets time pass for the service.
    #[cfg(test)]
    pub fn skip(&self, by: Duration) {
        self.skipped.fetch_add(by.as_secs(), std::sync::atomic::Ordering::SeqCst);
    }
}

/// Ticks in a row that may each ask for another at once.
const ROUNDS: u32 = 6;
/// How long a notification may come after the reading that found what it tells of.
const LATE: Duration = Duration::from_secs(120);
/// Requests that a crash may forget.
const USAGE: u64 = 500;
/// Notifications are noted in the database this often at most.
const NOTE: Duration = Duration::from_secs(3 * 3600);

/// One calendar on the service's list.
#[derive(Debug)]
struct Watched {
    user: UserId,
    next: Moment,
    record: Record,
    /// Something rang since it was last read.
    announced: bool,
    /// When a reading found what nothing had told; a notification may still come.
    unannounced: Option<Moment>,
    /// When it is to be read from the beginning.
    full: DateTime<Utc>,
}

/// One user on the service's list.
#[derive(Debug, Default)]
struct Known {
    generation: i64,
    /// Ticks in a row that asked for another at once.
    rounds: u32,
    /// Ticks in a row that came to nothing.
    trouble: u32,
    /// The last tick left work for later. Until that is done every tick of this user is backfill, also one that our own writes ring for.
    backlog: bool,
    /// Somebody was told that its ticks fail.
    alarmed: bool,
    /// That the last tick found nothing to do.
    calm: Option<Calm>,
    /// The first ring that has not led to its last write.
    since: Option<Moment>,
    /// How soon its notifications are followed.
    pace: Pace,
}

/// What a tick came to.
type Ended = (UserId, Lane, Scope, Moment, Result<Result<Tick, TickError>, ()>);

struct Service {
    app: App,
    desk: Desk,
    options: Options,
    queue: Queue,
    users: BTreeMap<UserId, Known>,
    calendars: BTreeMap<i64, Watched>,
    chores: BTreeMap<Chore, Moment>,
    busy: BTreeSet<Chore>,
    glance: Moment,
    noted: Moment,
    stretch: i64,
    first: bool,
    /// What of the day's requests is in the database.
    saved: Spend,
    /// What the wall clock showed when the service began.
    began: DateTime<Utc>,
    /// The name under which this process takes jobs.
    holder: String,
}

/// Keeps everybody in sync until [`super::Stop::ask`]; then lets ticks finish their step.
///
/// # Errors
/// When our own database cannot be read at the start. Later trouble is told by [`Health`] and waited out.
pub async fn serve(app: App, desk: Desk, options: Options) -> Result<(), StoreError> {
    let mut service = Service::new(app, desk, options);
    service.remember_usage().await?;
    service.look_around().await?;
    service.run().await;
    Ok(())
}

impl Service {
    fn new(app: App, desk: Desk, options: Options) -> Self {
        let queue = Queue::new(options.places);
        let now = desk.moment();
        // Not all at once, and daily ones not before their time.
        let wall = app.clock.now();
        let chores = Chore::ALL.iter().enumerate().map(|(n, chore)| {
            let wait = match chore.timetable() {
                Timetable::Every(_) => Duration::from_secs(1 + n as u64),
                daily => (chores::next(daily, wall, options.zone) - wall).to_std().unwrap_or_default(),
            };
            (*chore, now + wait)
        });
        let chores: BTreeMap<Chore, Moment> = chores.collect();
        Service {
            chores,
            busy: BTreeSet::new(),
            users: BTreeMap::new(),
            calendars: BTreeMap::new(),
            glance: now,
            noted: now,
            stretch: 100,
            first: true,
            saved: app.google.spend(),
            began: app.clock.now(),
            holder: format!("process {}", std::process::id()),
            app,
            desk,
            options,
            queue,
        }
    }

    async fn run(&mut self) {
        let mut ticks: FuturesUnordered<JoinHandle<Ended>> = FuturesUnordered::new();
        let mut chores: FuturesUnordered<JoinHandle<(Chore, bool)>> = FuturesUnordered::new();
        while !self.app.stop.is_asked() {
            let now = self.desk.moment();
            self.desk.health.beat(now);
            self.ring_by_the_timetable(now);
            if !self.desk.health.is_damaged() {
                while let Some((user, lane, scope)) = self.queue.take(now) {
                    ticks.push(self.begin(user, lane, scope));
                }
                for chore in self.due(now) {
                    chores.push(self.begin_chore(chore));
                }
            }
            self.desk.metrics.queue_depth.set(i64::try_from(self.queue.depth(now)).unwrap_or(i64::MAX));
            self.desk.metrics.running.set(i64::try_from(self.queue.running()).unwrap_or(i64::MAX));
            tokio::select! {
                () = self.app.stop.asked() => {}
                () = self.desk.bell.rung() => self.hear(),
                Some(ended) = ticks.next() => self.ended(ended),
                Some(ended) = chores.next() => self.chore_ended(ended),
                () = tokio::time::sleep(self.wait(now)) => self.glance_if_due().await,
            }
        }
        self.desk.health.stopping();
        self.finish(ticks).await;
        for chore in chores {
            chore.abort();
        }
    }

    /// Waits for ticks to finish their step. What takes too long is dropped, which is as good as a crash: the next start heals it.
    async fn finish(&mut self, mut ticks: FuturesUnordered<JoinHandle<Ended>>) {
        let (running, patience) = (ticks.len(), self.options.patience);
        let all = async {
            while let Some(ended) = ticks.next().await {
                self.ended(ended);
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            warn!(ticks = ticks.len(), "some ticks did not end in time and are dropped");
            ticks.iter().for_each(JoinHandle::abort);
        }
        let rang = self.desk.bell.take_rang();
        self.note_rings(rang).await;
        self.save_usage().await;
        info!(ticks = running, "stopped");
    }

    /// How long nothing is to be done unless something happens.
    fn wait(&self, now: Moment) -> Duration {
        let polls = self.calendars.values().map(|calendar| calendar.next).min();
        let chores = self.chores.iter().filter(|(chore, _)| !self.busy.contains(chore)).map(|(_, at)| *at).min();
        let next = [self.queue.wake(), polls, chores, Some(self.glance)].into_iter().flatten().min().unwrap_or(now);
        // A little late is better than a turn too early.
        next.saturating_sub(now) + Duration::from_millis(2)
    }

    fn begin(&mut self, user: UserId, lane: Lane, scope: Scope) -> JoinHandle<Ended> {
        let (mut app, begun) = (self.app.clone(), self.desk.moment());
        if let Some(known) = self.users.get_mut(&user) {
            known.pace.ticks(begun, self.options.apart);
        }
        let board = self.desk.board.clone();
        board.begins(user);
        let told = app.progress.clone();
        app.progress = std::sync::Arc::new(move |done, of| {
            told(done, of);
            board.wrote(user, done, of);
        });
        if lane == Lane::Backfill {
            app.google = app.google.of_class(Class::Backfill);
        }
        let calm = self.users.get(&user).and_then(|known| known.calm.clone());
        let extent = Extent { scope: scope.clone(), writes: self.options.writes, calm };
        tokio::spawn(async move {
            // A panic is caught here, so that it is known whose tick it was.
            let tick = AssertUnwindSafe(tick_within(&app, user, Mode::Apply, &extent)).catch_unwind().await;
            (user, lane, scope, begun, tick.map_err(|_| ()))
        })
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        // Dropped at the end of the service; a panic does not come this far.
        let Ok((user, lane, scope, begun, result)) = ended else { return };
        let now = self.desk.moment();
        self.queue.done(user);
        self.desk.metrics.tick_seconds.observe((now - begun).as_secs_f64());
        let word = if lane == Lane::Live { "live" } else { "backfill" };
        if let Some(known) = self.users.get_mut(&user) {
            known.calm = None;
        }
        self.desk.board.ended(user, result.as_ref().ok().and_then(|tick| tick.as_ref().ok()));
        match result {
            Ok(Ok(tick)) => {
                if let Some(known) = self.users.get_mut(&user) {
                    known.calm = tick.calm.clone();
                }
                self.desk.health.database(None);
                self.desk.metrics.tick(word, if tick.idle { "idle" } else { "done" });
                self.alarm(user, None);
                self.read(&scope, &tick, now);
                self.follow(user, &tick, now);
            }
            Ok(Err(TickError::NoUser)) => {
                self.users.remove(&user);
                self.queue.forget(user);
            }
            Ok(Err(failure)) => {
                if let TickError::Store(error) = &failure {
                    self.desk.health.database(Some(error));
                }
                error!(user.id = %user, "a tick failed: {failure}");
                let told = match &failure {
                    TickError::Unsound(_) => "a plan failed its own check and was not carried out".into(),
                    other => other.to_string(),
                };
                self.alarm(user, Some(&told));
                self.desk.metrics.tick(word, "failed");
                self.again_later(user, scope, now);
            }
            Err(()) => {
                error!(user.id = %user, "a tick panicked; this is a defect of BusyBridge. The other users go on");
                self.desk.metrics.tick(word, "panicked");
                self.alarm(user, Some("a tick met a defect and was given up; it is tried again later"));
                self.again_later(user, scope, now);
            }
        }
    }

    /// Tells admins that a user's ticks fail, or that they do no more. Nobody waits for it.
    fn alarm(&mut self, user: UserId, detail: Option<&str>) {
        let Some(known) = self.users.get_mut(&user) else { return };
        if detail.is_none() && !std::mem::take(&mut known.alarmed) {
            return;
        }
        known.alarmed = detail.is_some();
        let (app, detail) = (self.app.clone(), detail.map(str::to_owned));
        tokio::spawn(async move {
            if let Err(error) = alerts::system(&app, Some(user), detail.as_deref()).await {
                error!("an alert could not be noted: {error}");
            }
        });
    }

    /// Notes what reading came to: when each calendar is read again, and what its channel is worth.
    fn read(&mut self, scope: &Scope, tick: &Tick, now: Moment) {
        let wall = self.app.clock.now();
        for (number, freshness) in &tick.freshness {
            let Some(calendar) = self.calendars.get_mut(number).filter(|_| scope.reads(*number)) else { continue };
            self.desk.board.read(*number, wall, *freshness);
            match freshness {
                Freshness::Current => {
                    if tick.news.contains(number) && !calendar.announced && calendar.record.opened.is_some() {
                        calendar.unannounced.get_or_insert(now);
                    }
                    calendar.announced = false;
                    if scope.reads_all_of(*number) {
                        calendar.full = polling::full_pass(wall, salt(*number));
                    }
                }
                Freshness::Stale(Why::Throttled | Why::Unreachable) | Freshness::Unseen => {
                    calendar.next = calendar.next.min(now + jitter(Duration::from_secs(60), *number));
                }
                // Not before somebody connects it anew; looking once an hour costs little.
                Freshness::Stale(_) => calendar.next = now + jitter(Duration::from_secs(3600), *number),
            }
        }
    }

    /// What a tick asks for next.
    fn follow(&mut self, user: UserId, tick: &Tick, now: Moment) {
        let mut wrote = false;
        for (step, outcome) in tick.plan.steps.iter().zip(&tick.outcomes).filter(|(step, _)| step.action.writes()) {
            wrote |= *outcome == Outcome::Done;
            self.desk.metrics.step(step.action.word(), outcome.word());
        }
        let failed = tick.outcomes.iter().any(|outcome| *outcome != Outcome::Done);
        let next = settle(&tick.plan.steps, &tick.outcomes);
        let Some(known) = self.users.get_mut(&user) else { return };
        known.trouble = if failed { known.trouble.saturating_add(1) } else { 0 };
        known.rounds = if next == Next::AtOnce { known.rounds + 1 } else { 0 };
        if tick.left == 0
            && next != Next::AtOnce
            && let Some(since) = known.since.take().filter(|_| wrote && !failed)
        {
            self.desk.metrics.propagation.observe((now - since).as_secs_f64());
        }
        known.backlog = tick.left > 0;
        let (rounds, trouble) = (known.rounds, known.trouble);
        match next {
            Next::AtOnce if rounds <= ROUNDS => self.ring(user, now, Scope::all()),
            Next::AtOnce => self.ring(user, now + back_off(trouble, user), Scope::all()),
            Next::After(wait) => {
                let wait = wait.to_std().unwrap_or_default().max(back_off(trouble, user));
                self.ring(user, now + wait, Scope::all());
            }
            Next::OnChange => {}
        }
        if tick.left > 0 {
            self.ring(user, now, Scope::nothing());
        }
    }

    fn again_later(&mut self, user: UserId, scope: Scope, now: Moment) {
        let Some(known) = self.users.get_mut(&user) else { return };
        known.trouble = known.trouble.saturating_add(1);
        let wait = back_off(known.trouble, user);
        self.ring(user, now + wait, scope);
    }

    /// Asks for a tick of a user, in the lane in which they are.
    fn ring(&mut self, user: UserId, at: Moment, scope: Scope) {
        let backlog = self.users.get(&user).is_some_and(|known| known.backlog);
        let lane = if backlog { Lane::Backfill } else { Lane::Live };
        self.queue.ring(user, at, lane, scope);
    }

    /// Takes the marks that rings have left.
    fn hear(&mut self) {
        let now = self.desk.moment();
        for mark in self.desk.bell.take() {
            let mut at = now;
            if let Some(known) = self.users.get_mut(&mark.user) {
                known.since.get_or_insert(mark.since);
                if !mark.asked {
                    at = known.pace.rings(now, self.options.apart);
                }
            }
            for (number, calendar) in &mut self.calendars {
                if mark.scope.reads(*number) && calendar.user == mark.user {
                    calendar.announced = true;
                    calendar.unannounced = None;
                }
            }
            self.ring(mark.user, at.max(now + self.options.gather), mark.scope);
        }
    }

    /// Rings for calendars whose time has come.
    fn ring_by_the_timetable(&mut self, now: Moment) {
        let wall = self.app.clock.now();
        for (number, calendar) in &mut self.calendars {
            if calendar.unannounced.is_some_and(|since| since + LATE <= now) {
                calendar.unannounced = None;
                calendar.record.missed = Some(wall);
                self.chores.insert(Chore::Channels, now);
            }
            if calendar.next > now {
                continue;
            }
            let full = calendar.full <= wall;
            let scope = if full { Scope::full(*number) } else { Scope::one(*number) };
            let backlog = self.users.get(&calendar.user).is_some_and(|known| known.backlog);
            let lane = if backlog { Lane::Backfill } else { Lane::Live };
            self.queue.ring(calendar.user, now, lane, scope);
            let interval = polling::interval(&calendar.record, wall);
            let at = polling::next(wall, interval, self.stretch, salt(*number));
            calendar.next = now + (at - wall).to_std().unwrap_or_default();
            self.desk.board.next(*number, at);
        }
    }

    async fn glance_if_due(&mut self) {
        let now = self.desk.moment();
        if self.glance > now {
            return;
        }
        match self.look_around().await {
            Ok(()) => {}
            Err(error) => {
                self.desk.health.database(Some(&error));
                error!("the list of users cannot be read: {error}");
                self.glance = now + self.options.glance;
            }
        }
    }

    /// Compares the list with the database: who came, who went, what somebody changed.
    async fn look_around(&mut self) -> Result<(), StoreError> {
        let (now, wall) = (self.desk.moment(), self.app.clock.now());
        self.glance = now + self.options.glance;
        // Seldom enough that a service at rest writes next to nothing, often enough that a crash loses little.
        if self.app.google.spend().today >= self.saved.today + USAGE {
            self.save_usage().await;
        }
        let roster = self.app.store.roster().await?;
        self.channels_known().await?;
        let gone: Vec<UserId> = self.users.keys().filter(|user| !roster.contains_key(user)).copied().collect();
        for user in gone {
            self.users.remove(&user);
            self.queue.forget(user);
        }
        let seats: BTreeSet<i64> = roster.values().flat_map(|entry| entry.calendars.keys().copied()).collect();
        let before = self.calendars.len();
        self.calendars.retain(|number, _| seats.contains(number));
        let mut came_or_went = before != self.calendars.len();
        let crowd = roster.len();
        for (user, Entry { generation, calendars, .. }) in roster {
            let known = self.users.get(&user).map(|known| known.generation);
            if known != Some(generation) {
                // After a start everybody is due; a crowd is spread, so that Google is not asked by all at once.
                let spread = Duration::from_secs(crowd.min(300) as u64);
                let wait = if self.first && crowd > 1 { spread.mul_f64(share(user)) } else { Duration::ZERO };
                self.users.entry(user).or_default().generation = generation;
                self.queue.ring(user, now + wait, Lane::Live, Scope::all());
            }
            for (number, seat) in calendars {
                if self.calendars.contains_key(&number) {
                    continue;
                }
                came_or_went = true;
                let first = polling::first(wall, polling::UNPROVED, salt(number));
                let watched = Watched {
                    user,
                    next: now + (first - wall).to_std().unwrap_or_default(),
                    record: Record::default(),
                    announced: true,
                    unannounced: None,
                    full: polling::full_pass(seat.full.unwrap_or(wall), salt(number)),
                };
                self.desk.board.next(number, first);
                self.calendars.insert(number, watched);
            }
        }
        if came_or_went && !self.first {
            self.chores.insert(Chore::Channels, now);
        }
        self.first = false;
        self.desk.metrics.calendars.set(i64::try_from(self.calendars.len()).unwrap_or(i64::MAX));
        let intervals = self.calendars.values().map(|calendar| polling::interval(&calendar.record, wall));
        let Spend { forecast, budget, .. } = self.app.google.spend();
        // What else is going on counts, too: a day that would be spent too early is polled less.
        let busy = i64::try_from(forecast.saturating_mul(100) / budget.max(1)).unwrap_or(i64::MAX);
        self.stretch = polling::stretch(intervals, budget).max(busy.min(polling::STRETCH_MAX));
        Ok(())
    }

    /// Goes on from what an earlier process spent of the day.
    async fn remember_usage(&mut self) -> Result<(), StoreError> {
        let day = self.app.google.spend().day;
        let (requests, backfill) = self.app.store.usage(day).await?;
        self.app.google.spent_before(day, requests, backfill);
        self.saved = Spend { today: requests, backfill, ..self.app.google.spend() };
        Ok(())
    }

    /// Stores what was spent since the last time.
    async fn save_usage(&mut self) {
        let now = self.app.google.spend();
        let before = if self.saved.day == now.day { self.saved } else { Spend { today: 0, backfill: 0, ..now } };
        let (requests, backfill) = (now.today - before.today, now.backfill - before.backfill);
        match self.app.store.add_usage(now.day, requests, backfill).await {
            Ok(()) => self.saved = now,
            Err(error) => warn!("the day's requests could not be noted: {error}"),
        }
    }

    /// Learns which channels are open and when they rang.
    async fn channels_known(&mut self) -> Result<(), StoreError> {
        let now = self.desk.moment();
        let rang = self.desk.bell.take_rang();
        let rows = self.app.store.channels().await?;
        self.desk.metrics.channels.set(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        let mut due = BTreeMap::new();
        for row in &rows {
            let Some(calendar) = self.calendars.get_mut(&row.calendar) else { continue };
            let record = &mut calendar.record;
            let heard = rang.get(&row.number).copied();
            record.opened = record.opened.max(Some(row.opened));
            record.rang = record.rang.max(row.rang).max(heard);
            if let Some(heard) = heard {
                due.insert(row.number, heard);
            }
        }
        let open: BTreeSet<i64> = rows.iter().map(|row| row.calendar).collect();
        for (number, calendar) in &mut self.calendars {
            if !open.contains(number) {
                calendar.record.opened = None;
            }
        }
        self.desk.bell.know(rows.clone());
        let first = rows.iter().any(|row| row.rang.is_none() && due.contains_key(&row.number));
        if first || (self.noted + NOTE <= now && !due.is_empty()) {
            self.noted = now;
            self.note_rings(due).await;
        }
        Ok(())
    }

    async fn note_rings(&self, rang: BTreeMap<i64, DateTime<Utc>>) {
        let rang: Vec<_> = rang.into_iter().collect();
        if !rang.is_empty()
            && let Err(error) = self.app.store.channels_rang(&rang).await
        {
            warn!("notifications could not be noted: {error}");
        }
    }

    /// The chores whose time has come.
    fn due(&mut self, now: Moment) -> Vec<Chore> {
        let due = |(chore, at): (&Chore, &Moment)| (*at <= now && !self.busy.contains(chore)).then_some(*chore);
        let due: Vec<Chore> = self.chores.iter().filter_map(due).collect();
        self.busy.extend(&due);
        due
    }

    fn begin_chore(&self, chore: Chore) -> JoinHandle<(Chore, bool)> {
        let (app, desk, webhook) = (self.app.clone(), self.desk.clone(), self.options.webhook.clone());
        let missed = self.calendars.iter().filter_map(|(number, c)| c.record.missed.map(|missed| (*number, missed)));
        let doubted: BTreeMap<i64, DateTime<Utc>> = missed.collect();
        let (began, uptime, holder) = (self.began, self.desk.moment(), self.holder.clone());
        tokio::spawn(async move {
            let work = async {
                if let Some(lease) = chore.lease()
                    && !app.store.take_job(chore.word(), &holder, lease).await?
                {
                    return Ok(());
                }
                let done = match chore {
                    Chore::Channels => {
                        let done = channels::bring_in_order(&app, &desk.bell, webhook.as_deref(), &doubted).await?;
                        alerts::after_channels(&app, &done).await
                    }
                    Chore::Mail => alerts::deliver(&app).await.map(|_| ()),
                    Chore::StaleAlerts => app.store.forget_alerts().await.map(|_| ()),
                    Chore::Tokens => accounts::refresh_ahead(&app).await.map(|_| ()),
                    Chore::Backup => upkeep::back_up(&app).await.map(|_| ()),
                    Chore::Retention => upkeep::forget(&app, began, uptime).await.map(|_| ()),
                    Chore::Check => app.store.check().await,
                };
                if chore.lease().is_some() {
                    app.store.finish_job(chore.word(), &holder, done.is_ok()).await?;
                }
                done
            };
            let well = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    desk.health.database(Some(&error));
                    error!(chore = chore.word(), "a chore failed: {error}");
                    false
                }
                Err(_) => {
                    error!(chore = chore.word(), "a chore panicked; this is a defect of BusyBridge");
                    false
                }
            };
            (chore, well)
        })
    }

    fn chore_ended(&mut self, ended: Result<(Chore, bool), tokio::task::JoinError>) {
        let Ok((chore, well)) = ended else { return };
        let (now, wall) = (self.desk.moment(), self.app.clock.now());
        self.busy.remove(&chore);
        self.desk.metrics.chore(chore.word(), if well { "done" } else { "failed" });
        let next = chores::next(chore.timetable(), wall, self.options.zone);
        let wait = (next - wall).to_std().unwrap_or_default();
        self.chores.insert(chore, now + wait);
    }
}

/// A number that belongs to a calendar and looks like chance.
fn salt(number: i64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes())
}

/// Where in a spread a user stands, from 0 to 1.
fn share(user: UserId) -> f64 {
    (salt(user.0) % 1000) as f64 / 1000.0
}

/// Up to a quarter more.
fn jitter(wait: Duration, number: i64) -> Duration {
    wait + wait.mul_f64((salt(number) % 250) as f64 / 1000.0)
}

/// Half a minute, doubled with each failure in a row, half an hour at most, and never the same for all.
fn back_off(trouble: u32, user: UserId) -> Duration {
    let wait = Duration::from_secs(30 << trouble.min(6)).min(Duration::from_secs(1800));
    jitter(wait, user.0.wrapping_add(i64::from(trouble)))
}
