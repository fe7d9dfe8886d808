//! A service under load. Google's part is played in this process, the service is another one, so that its memory and time are its own.
//!
//! What is measured: from a change at a client to the last copy and block of it, by the emulator's own record; the service's requests
//! by the emulator's count; its memory, time and written bytes by the kernel's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::super::{Ending, Failure, settings::Settings};
use crate::{
    emulator::{
        Core, Shared,
        faults::Fault,
        server::serve,
        settings::Settings as EmulatorSettings,
        state::{Account, World},
        with, write,
    },
    model::{calendar::Role, clock::Clock, id::CalendarId, secret::Secret, tokens::Tokens},
    store::{Store, people::NewUser, tokens::AccountKind},
    vault::Vault,
};

#[derive(Args)]
pub struct Arguments {
    /// Consultants
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Calendars of each: one main, one personal, the rest clients'
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=20))]
    calendars: u8,
    /// Events on each calendar
    #[arg(long, default_value_t = 50)]
    events: usize,
    /// Changes a minute, of all users together
    #[arg(long, default_value_t = 60)]
    changes_per_minute: u32,
    /// How late Google answers, in milliseconds
    #[arg(long, default_value_t = 50)]
    latency: u64,
    /// How long the load lasts, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long the service is watched at rest, in seconds
    #[arg(long, default_value_t = 10)]
    rest: u64,
    /// Print figures as JSON
    #[arg(long)]
    json: bool,
}

/// The service's process; it ends with this value.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Bytes in memory.
    memory: u64,
    /// Seconds on any core.
    cpu: f64,
    /// Bytes written to the disk.
    written: u64,
}

/// A change that is on its way.
struct Change {
    at: Instant,
    /// Calendars on which it has not been seen.
    missing: BTreeSet<String>,
}

/// Runs the load.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let directory = tempfile::tempdir().map_err(Failure::failed)?;
    let core: Shared = Arc::new(Mutex::new(Core::new(World::new(EmulatorSettings::default(), Clock::system()))));
    let google = serve(core.clone(), "127.0.0.1:0".parse().map_err(Failure::failed)?).await.map_err(Failure::failed)?;
    let places = people(arguments, &core)?;
    enrol(directory.path(), arguments).await?;
    let port = free_port()?;
    let begun = Instant::now();
    let service = start(directory.path(), &google.origin(), port, settings)?;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().map_err(Failure::failed)?;
    let up = ready(&http, port, begun).await?;
    let wanted = copies(arguments);
    let filled = settle(&core, wanted, Duration::from_secs(3600)).await?;
    let first_sync = begun.elapsed();
    drop(service);
    // Again with the database filled, and Google as slow as it is.
    let fault: Fault =
        serde_json::from_value(json!({"kind": "delay", "path": "/calendar/v3/", "delay_ms": arguments.latency}))
            .map_err(Failure::failed)?;
    with(&core, |core| core.faults.add(fault)).map_err(Failure::failed)?;
    let begun = Instant::now();
    let service = start(directory.path(), &google.origin(), port, settings)?;
    let up_again = ready(&http, port, begun).await?;
    let pid = service.0.id();
    // The first look at everybody, and the channels.
    let all = arguments.users * usize::from(arguments.calendars);
    while figure(&http, port, "busybridge_webhook_channels ").await? < all as f64 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if begun.elapsed() > Duration::from_secs(1200) {
            return Err(Failure::failed("the service did not open a channel for each calendar within 20 minutes"));
        }
    }
    quiet(&http, port).await?;
    let idle_from = used(pid);
    tokio::time::sleep(Duration::from_secs(arguments.rest)).await;
    let idle = used(pid);
    let calls_before = calls(&http, port).await?;
    let load_from = used(pid);
    let (took, made, lost) = load(arguments, &core, &places).await?;
    let loaded = used(pid);
    quiet(&http, port).await?;
    let calls_after = calls(&http, port).await?;
    drop(service);
    let spent: BTreeMap<String, f64> = calls_after
        .iter()
        .map(|(name, n)| (name.clone(), n - calls_before.get(name).copied().unwrap_or(0.0)))
        .filter(|(_, n)| *n > 0.0)
        .collect();
    let writes = usize::from(arguments.calendars) - 2;
    let figures = json!({
        "users": arguments.users, "calendars": all, "events": all * arguments.events, "copies_and_blocks": filled,
        "google_latency_ms": arguments.latency,
        "first_sync_s": round(first_sync.as_secs_f64()), "start_empty_s": round(up.as_secs_f64()), "start_filled_s": round(up_again.as_secs_f64()),
        "changes": made, "lost": lost,
        "propagation_s": {"p50": percentile(&took, 50), "p95": percentile(&took, 95), "p99": percentile(&took, 99), "max": percentile(&took, 100)},
        "calls_per_change": round(spent.values().sum::<f64>() / made.max(1) as f64),
        "calls_per_change_at_least": 1 + writes,
        "calls": spent,
        "idle": {"memory_mb": mb(idle.memory), "cpu_percent": round((idle.cpu - idle_from.cpu) * 100.0 / arguments.rest.max(1) as f64), "written_bytes": idle.written - idle_from.written, "seconds": arguments.rest},
        "load": {"memory_mb": mb(loaded.memory), "cpu_percent": round((loaded.cpu - load_from.cpu) * 100.0 / arguments.seconds.max(1) as f64), "written_bytes": loaded.written - load_from.written, "seconds": arguments.seconds},
    });
    let text = if arguments.json { format!("{figures:#}\n") } else { told(&figures) };
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    if lost > 0 {
        return Err(Failure::failed(format!("{lost} changes did not arrive everywhere within two minutes")));
    }
    Ok(0)
}

pub(super) fn told(figures: &Value) -> String {
    let mut text = String::new();
    for (name, value) in figures.as_object().into_iter().flatten() {
        match value {
            Value::Object(parts) => {
                let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name} {value}")).collect();
                text.push_str(&format!("{name:<26} {}\n", parts.join("   ")));
            }
            value => text.push_str(&format!("{name:<26} {value}\n")),
        }
    }
    text
}

fn account(user: usize, calendar: usize) -> String {
    match calendar {
        0 => format!("user{user}@home.example"),
        1 => format!("user{user}@personal.example"),
        n => format!("user{user}@client{n}.example"),
    }
}

/// Makes accounts and events; gives each user's calendars, main first, then personal.
fn people(arguments: &Arguments, core: &Shared) -> Result<Vec<Vec<String>>, Failure> {
    let from = tomorrow();
    with(core, |core| {
        let mut places = Vec::new();
        for user in 0..arguments.users {
            let own: Vec<String> = (0..usize::from(arguments.calendars)).map(|n| account(user, n)).collect();
            for (n, email) in own.iter().enumerate() {
                let domain = email.split_once('@').map(|(_, domain)| domain.to_owned());
                let made =
                    Account { email: email.clone(), name: email.clone(), sub: email.clone(), hosted_domain: domain };
                core.world.add_account(made, "Europe/Vienna");
                for event in 0..arguments.events {
                    // Each at a time of its own, within half a year.
                    let start = from
                        + TimeDelta::minutes(((event * usize::from(arguments.calendars) + n) * 37 % 260_000) as i64);
                    let fields = meeting(&format!("Meeting {event}"), start);
                    write::seed(&mut core.world, email, fields).map_err(|error| Failure::failed(error.message))?;
                }
            }
            places.push(own);
        }
        Ok(places)
    })
}

/// Midnight, from which the events are spread.
fn tomorrow() -> DateTime<Utc> {
    Clock::system().now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::days(1)
}

fn meeting(title: &str, start: DateTime<Utc>) -> serde_json::Map<String, Value> {
    let time = |at: DateTime<Utc>| json!({"dateTime": at.to_rfc3339(), "timeZone": "Europe/Vienna"});
    let event = json!({"summary": title, "description": "Agenda: names, money, any other business.", "start": time(start), "end": time(start + TimeDelta::minutes(30))});
    event.as_object().cloned().unwrap_or_default()
}

/// Copies and blocks that there are when everything is in sync.
fn copies(arguments: &Arguments) -> usize {
    let clients = usize::from(arguments.calendars) - 2;
    // Main and each client block the other clients, clients are copied, the personal one blocks all.
    let of_user = clients + clients + clients * (clients - 1) + (clients + 1);
    arguments.users * arguments.events * of_user
}

async fn enrol(directory: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let clock = Clock::system();
    let vault = Arc::new(Vault::create(&directory.join("encryption.key")).map_err(Failure::failed)?);
    let store = Store::open(&directory.join("load.db"), vault, clock.clone()).await.map_err(Failure::failed)?;
    store.set_organization("home.example", "bench", &Secret::new("bench".into())).await.map_err(Failure::failed)?;
    for n in 0..arguments.users {
        let email = account(n, 0);
        let new = NewUser { email: email.clone(), subject: email.clone(), name: email, admin: n == 0 };
        let user = store.add_user(new).await.map_err(Failure::failed)?;
        for calendar in 0..usize::from(arguments.calendars) {
            let email = account(n, calendar);
            let (kind, role) = match calendar {
                0 => (AccountKind::Home, Role::Main),
                1 => (AccountKind::Personal, Role::Personal),
                _ => (AccountKind::Client, Role::Client),
            };
            let tokens = Tokens {
                access: Secret::new(format!("dev:{email}")),
                refresh: Secret::new("none".into()),
                expires: clock.now() + TimeDelta::days(365),
                scopes: String::new(),
            };
            let token = store.put_token(user, kind, &email, &tokens).await.map_err(Failure::failed)?;
            let id = CalendarId::from(email.as_str());
            store.connect_calendar(user, token, &id, &email, role, "Europe/Vienna").await.map_err(Failure::failed)?;
        }
    }
    store.close().await;
    Ok(())
}

fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(Failure::failed)?;
    Ok(listener.local_addr().map_err(Failure::failed)?.port())
}

fn start(directory: &Path, google: &str, port: u16, settings: &Settings) -> Result<Service, Failure> {
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let child = Command::new(program)
        .arg("serve")
        .env("DATABASE_PATH", directory.join("load.db"))
        .env("ENCRYPTION_KEY_FILE", directory.join("encryption.key"))
        .env("GOOGLE_ISSUER_URL", google)
        .env("GOOGLE_CALENDAR_API_URL", format!("{google}/calendar/v3"))
        .env("PUBLIC_URL", format!("http://localhost:{port}"))
        .env("LISTEN", format!("127.0.0.1:{port}"))
        .env("ENABLE_WEBHOOKS", "true")
        .env("LOG_LEVEL", &settings.log_level)
        .stdout(Stdio::null())
        .stderr(if settings.log_level == "debug" { Stdio::inherit() } else { Stdio::null() })
        .spawn()
        .map_err(|error| Failure::failed(format!("the service cannot be started: {error}")))?;
    Ok(Service(child))
}

async fn ready(http: &reqwest::Client, port: u16, begun: Instant) -> Result<Duration, Failure> {
    let url = format!("http://127.0.0.1:{port}/ready");
    loop {
        if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(Failure::failed("the service did not become ready within two minutes"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn metrics(http: &reqwest::Client, port: u16) -> Result<String, Failure> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let answer = http.get(url).send().await.map_err(Failure::failed)?;
    answer.text().await.map_err(Failure::failed)
}

/// The sum of the figures whose lines begin like this.
async fn figure(http: &reqwest::Client, port: u16, name: &str) -> Result<f64, Failure> {
    let text = metrics(http, port).await?;
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
}

/// Requests to Google so far, by method.
async fn calls(http: &reqwest::Client, port: u16) -> Result<BTreeMap<String, f64>, Failure> {
    let text = metrics(http, port).await?;
    let mut calls = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("busybridge_google_requests_total{")) {
        let method = line.split("method=\"").nth(1).and_then(|rest| rest.split('"').next());
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let (Some(method), Some(value)) = (method, value) {
            *calls.entry(method.to_owned()).or_insert(0.0) += value;
        }
    }
    Ok(calls)
}

/// Waits until nothing is due and nothing runs, for two seconds.
async fn quiet(http: &reqwest::Client, port: u16) -> Result<(), Failure> {
    let mut calm = 0;
    for _ in 0..3000 {
        let busy = figure(http, port, "busybridge_ticks_running ").await?
            + figure(http, port, "busybridge_queue_depth ").await?;
        calm = if busy == 0.0 { calm + 1 } else { 0 };
        if calm == 10 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(Failure::failed("the service does not come to rest"))
}

/// Waits until so many events of ours stand; gives their number.
async fn settle(core: &Shared, wanted: usize, patience: Duration) -> Result<usize, Failure> {
    let begun = Instant::now();
    loop {
        let n = with(core, |core| {
            let events = core.world.calendars.values().flat_map(|calendar| calendar.events.values());
            events.filter(|event| event.fields.contains_key("extendedProperties") && !event.cancelled()).count()
        });
        if n >= wanted {
            return Ok(n);
        }
        if begun.elapsed() > patience {
            return Err(Failure::failed(format!("the first sync made {n} of {wanted} events in an hour")));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Makes changes at clients at an even pace; gives how long each took to be everywhere, in seconds and in order, how many there
/// were, and how many did not arrive.
async fn load(
    arguments: &Arguments,
    core: &Shared,
    places: &[Vec<String>],
) -> Result<(Vec<f64>, usize, usize), Failure> {
    with(core, |core| core.world.feed = Some(Vec::new()));
    let pause = Duration::from_secs_f64(60.0 / f64::from(arguments.changes_per_minute.max(1)));
    let (begun, mut next) = (Instant::now(), Instant::now());
    let end = begun + Duration::from_secs(arguments.seconds);
    let mut under_way: BTreeMap<i64, Change> = BTreeMap::new();
    let (mut took, mut made) = (Vec::new(), 0usize);
    let mut dice = 1u64;
    let from = tomorrow() + TimeDelta::days(400);
    loop {
        let now = Instant::now();
        if now >= next && now < end {
            next += pause;
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let own = &places[(dice >> 33) as usize % places.len()];
            let client = &own[2 + (dice >> 20) as usize % (own.len() - 2)];
            // A minute of its own tells it from all others.
            let start = from + TimeDelta::minutes(made as i64);
            made += 1;
            let missing =
                own.iter().enumerate().filter(|(n, email)| *n != 1 && *email != client).map(|(_, e)| e.clone());
            under_way.insert(start.timestamp(), Change { at: Instant::now(), missing: missing.collect() });
            let fields = meeting("A change", start);
            with(core, |core| write::seed(&mut core.world, client, fields)).map_err(|e| Failure::failed(e.message))?;
        }
        for (calendar, start) in with(core, |core| core.world.feed.replace(Vec::new()).unwrap_or_default()) {
            let Some(change) = under_way.get_mut(&start) else { continue };
            change.missing.remove(&calendar);
            if change.missing.is_empty() {
                took.push(change.at.elapsed().as_secs_f64());
                under_way.remove(&start);
            }
        }
        if now >= end && under_way.is_empty() || now > end + Duration::from_secs(120) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort_by(f64::total_cmp);
    Ok((took, made, under_way.len()))
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    round(sorted.get(at).copied().unwrap_or_default())
}

pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

pub(super) fn mb(bytes: u64) -> f64 {
    round(bytes as f64 / f64::from(1 << 20))
}

/// What the kernel says of a process; nothing where it says nothing.
fn used(pid: u32) -> Use {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.and_then(|rest| rest.split_whitespace().next().and_then(|n| n.parse::<u64>().ok())).unwrap_or(0)
    };
    // Times are in hundredths of a second, behind the name in brackets.
    let stat = read("stat");
    let times: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| times.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Use {
        memory: field(&read("status"), "VmRSS:") * 1024,
        cpu: (ticks(11) + ticks(12)) / 100.0,
        written: field(&read("io"), "write_bytes:"),
    }
}
