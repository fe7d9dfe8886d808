//! What the service counts, in the form that Prometheus reads. Names follow its conventions: base units, `_total` on counters. Labels
//! are words of ours and Google's method names, never a user, a calendar or a title.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

type Labels = Vec<(&'static str, String)>;

/// All figures. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    ticks: Family<Labels, Counter>,
    steps: Family<Labels, Counter>,
    notifications: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    /// What Google's calls came to when they were last told.
    told: Arc<Mutex<BTreeMap<(&'static str, u16), u64>>>,
    pub propagation: Histogram,
    pub tick_seconds: Histogram,
    pub queue_depth: Gauge,
    pub running: Gauge,
    pub channels: Gauge,
    pub calendars: Gauge,
    pub waiting: Gauge,
    budget: Family<Labels, Gauge<i64>>,
    chores: Family<Labels, Counter>,
    pub up_since: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("busybridge");
        let metrics = Metrics {
            registry: Arc::default(),
            ticks: Family::default(),
            steps: Family::default(),
            notifications: Family::default(),
            requests: Family::default(),
            told: Arc::default(),
            propagation: Histogram::new(exponential_buckets(0.1, 2.0, 14)),
            tick_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 16)),
            queue_depth: Gauge::default(),
            running: Gauge::default(),
            channels: Gauge::default(),
            calendars: Gauge::default(),
            waiting: Gauge::default(),
            budget: Family::default(),
            chores: Family::default(),
            up_since: Gauge::default(),
        };
        registry.register("ticks", "Ticks by lane and how they ended", metrics.ticks.clone());
        registry.register("steps", "Steps of plans by action and outcome", metrics.steps.clone());
        registry.register(
            "notifications",
            "Webhook notifications by what became of them",
            metrics.notifications.clone(),
        );
        registry.register(
            "google_requests",
            "Requests to Google by method and status; status 0 is no answer",
            metrics.requests.clone(),
        );
        registry.register(
            "propagation_seconds",
            "From the first notification of a change to the last write it led to",
            metrics.propagation.clone(),
        );
        registry.register("tick_seconds", "How long ticks took", metrics.tick_seconds.clone());
        registry.register("queue_depth", "Users that are due and wait for a place", metrics.queue_depth.clone());
        registry.register("ticks_running", "Ticks that run", metrics.running.clone());
        registry.register("webhook_channels", "Webhook channels that are open", metrics.channels.clone());
        registry.register("calendars", "Connected calendars", metrics.calendars.clone());
        registry.register("google_budget_requests", "The day's requests to Google", metrics.budget.clone());
        registry.register("accounts_waiting", "Accounts that Google asked to slow down", metrics.waiting.clone());
        registry.register("chores", "Scheduled jobs by name and how they ended", metrics.chores.clone());
        registry.register(
            "start_time_seconds",
            "When the service started, in seconds since 1970",
            metrics.up_since.clone(),
        );
        Metrics { registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
    /// A tick has ended.
    pub fn tick(&self, lane: &'static str, outcome: &'static str) {
        self.ticks.get_or_create(&labels(&[("lane", lane), ("outcome", outcome)])).inc();
    }

    /// Steps have been carried out, or not.
    pub fn step(&self, action: &'static str, outcome: &'static str) {
        self.steps.get_or_create(&labels(&[("action", action), ("outcome", outcome)])).inc();
    }

    /// A notification was heard.
    pub fn notification(&self, outcome: &'static str) {
        self.notifications.get_or_create(&labels(&[("outcome", outcome)])).inc();
    }

    /// A chore has ended.
    pub fn chore(&self, name: &'static str, outcome: &'static str) {
        self.chores.get_or_create(&labels(&[("chore", name), ("outcome", outcome)])).inc();
    }

    /// Tells Google's calls so far by method and status, the day's budget, and how many accounts wait.
    pub fn google(&self, tally: &BTreeMap<(&'static str, u16), u64>, budget: &[(&'static str, u64)], waiting: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        for (kind, requests) in budget {
            let gauge = self.budget.get_or_create(&labels(&[("kind", kind)]));
            gauge.set(i64::try_from(*requests).unwrap_or(i64::MAX));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for ((method, status), count) in tally {
            let before = told.insert((method, *status), *count).unwrap_or(0);
            let status = status.to_string();
            let family = self.requests.get_or_create(&labels(&[("method", method), ("status", &status)]));
            family.inc_by(count.saturating_sub(before));
        }
    }

    /// Everything, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
