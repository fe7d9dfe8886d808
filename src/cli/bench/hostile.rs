//! What hostile calendars cost: time and memory of planning rules without end and megabytes of text, and of a process that reads and plans
//! a calendar of a hundred thousand events.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use clap::Args;
use serde_json::json;

use super::{
    super::{Ending, Failure, settings::Settings},
    load::{mb, round, told},
    plan::{event, settled, snapshot_of},
};
use crate::{
    emulator::{
        Core, Shared,
        server::serve,
        settings::Settings as EmulatorSettings,
        state::{Account, World},
        write,
    },
    model::{
        calendar::Role,
        clock::Clock,
        event::{Event, Guest},
        id::{CalendarId, EventId},
        secret::Secret,
        tokens::Tokens,
    },
    planner,
    store::{Store, people::NewUser, tokens::AccountKind},
    vault::Vault,
};

#[derive(Args)]
pub struct Arguments {
    /// Events on the large calendar
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// How many of them are to come; the others ended long ago
    #[arg(long, default_value_t = 25_000)]
    ahead: usize,
    /// Events with a description of a megabyte on it
    #[arg(long, default_value_t = 20)]
    megabytes: usize,
    /// Print figures as JSON
    #[arg(long)]
    json: bool,
}

const MAIN: &str = "ada@home.example";
const CLIENT: &str = "ada@acme.example";
const OTHER: &str = "ada@globex.example";
/// How long the process may take.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Measures.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let rules = planned(bombs(200));
    let texts = planned(megabytes(20));
    let flood = planned((0..arguments.ahead).map(|n| event(&EventId::from(format!("event{n}")), n)).collect());
    let peak = own_peak();
    let some = reading(arguments, arguments.ahead, settings).await?;
    let all = reading(arguments, arguments.events, settings).await?;
    let plan = |plan: &Planned| json!({"events": plan.events, "steps": plan.steps, "first_ms": ms(plan.first), "second_ms": ms(plan.second), "left": plan.left});
    let process = |process: &Process, ahead: usize| {
        json!({
            "events": arguments.events, "ahead": ahead, "megabyte_texts": arguments.megabytes,
            "seconds": round(process.took.as_secs_f64()), "peak_memory_mb": mb(process.peak),
            "planned_lines": process.lines, "too_many_events": process.left_alone,
        })
    };
    let figures = json!({
        "rules": plan(&rules), "megabytes": plan(&texts), "flood": plan(&flood), "planning_peak_mb": mb(peak),
        "process": process(&some, arguments.ahead), "all_ahead": process(&all, arguments.events),
    });
    let text = if arguments.json { format!("{figures:#}\n") } else { told(&figures) };
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    if rules.left + texts.left + flood.left > 0 {
        return Err(Failure::failed("a second plan is not empty; this is a defect of BusyBridge"));
    }
    Ok(0)
}

fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1e3)
}

/// How planning went.
struct Planned {
    events: usize,
    steps: usize,
    first: Duration,
    second: Duration,
    /// Steps of a second plan after the first was carried out.
    left: usize,
}

fn planned(events: Vec<Event>) -> Planned {
    let n = events.len();
    let fresh = snapshot_of(events);
    let begun = Instant::now();
    let steps = planner::plan(&fresh).steps.len();
    let first = begun.elapsed();
    let settled = settled(&fresh);
    let begun = Instant::now();
    let left = planner::plan(&settled).steps.len();
    Planned { events: n, steps, first, second: begun.elapsed(), left }
}

/// Series whose rules nobody should expand.
fn bombs(n: usize) -> Vec<Event> {
    let dates = |name: &str, n: usize| {
        let dates: Vec<String> =
            (0..n).map(|n| format!("2026{:02}{:02}T{:02}0000Z", 1 + n % 12, 1 + n % 28, n % 24)).collect();
        format!("{name}:{}", dates.join(","))
    };
    let rules = [
        "RRULE:FREQ=SECONDLY".to_owned(),
        "RRULE:FREQ=SECONDLY;INTERVAL=1;BYSECOND=0,1,2,3,4,5,6,7,8,9;BYMINUTE=0,1,2,3".into(),
        "RRULE:FREQ=MINUTELY;COUNT=2147483647".into(),
        "RRULE:FREQ=DAILY;COUNT=95000000".into(),
        "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30".into(),
        "RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-366,366".into(),
        "RRULE:FREQ=WEEKLY;UNTIL=99991231T235959Z;INTERVAL=2147483647".into(),
        dates("EXDATE", 10_000),
        dates("RDATE", 10_000),
        "RRULE:FREQ=NEVER;COUNT=-1;BYEASTER=0".into(),
    ];
    let of = |k: usize| {
        let mut bomb = event(&EventId::from(format!("bomb{k}")), k);
        bomb.body.recurrence = vec![rules[k % rules.len()].clone(), rules[k / rules.len() % rules.len()].clone()];
        bomb
    };
    (0..n).map(of).collect()
}

/// Events with a description of a megabyte, a title of eight kilobytes and five hundred guests.
fn megabytes(n: usize) -> Vec<Event> {
    let of = |k: usize| {
        let mut large = event(&EventId::from(format!("large{k}")), k);
        large.body.description = Some("Ärger und Agenda. ".repeat(55_000));
        large.body.title = Some("Titel ".repeat(1_365));
        let guest = |n: usize| Guest {
            name: format!("guest{n}@acme.example"),
            answer: crate::model::body::Answer::None,
            own: false,
        };
        large.guests = (0..500).map(guest).collect();
        large.others = 500;
        large
    };
    (0..n).map(of).collect()
}

/// A process that read and planned.
struct Process {
    /// It said that there are too many events, and planned nothing for them.
    left_alone: bool,
    took: Duration,
    /// Bytes in memory at its most.
    peak: u64,
    lines: usize,
}

/// Lets another process read a large calendar for the first time and print what it would do.
async fn reading(arguments: &Arguments, ahead: usize, settings: &Settings) -> Result<Process, Failure> {
    let directory = tempfile::tempdir().map_err(Failure::failed)?;
    let clock = Clock::system();
    let mut world = World::new(EmulatorSettings::default(), clock.clone());
    for email in [MAIN, CLIENT, OTHER] {
        let domain = email.split_once('@').map(|(_, domain)| domain.to_owned());
        let account = Account { email: email.into(), name: email.into(), sub: email.into(), hosted_domain: domain };
        world.add_account(account, "Europe/Vienna");
    }
    let large = "Ärger und Agenda. ".repeat(55_000);
    for n in 0..arguments.events {
        let after = TimeDelta::minutes(30 * i64::try_from(n).unwrap_or(0));
        let start = clock.now() + if n < ahead { after } else { -after - TimeDelta::days(60) };
        let time = |minutes| json!({"dateTime": (start + TimeDelta::minutes(minutes)).to_rfc3339(), "timeZone": "Europe/Vienna"});
        let text = if n < arguments.megabytes { large.as_str() } else { "Agenda: names, money, any other business." };
        let fields = json!({"summary": format!("Meeting {n}"), "description": text, "start": time(0), "end": time(30)});
        write::seed(&mut world, CLIENT, fields.as_object().cloned().unwrap_or_default())
            .map_err(|error| Failure::failed(error.message))?;
    }
    let core: Shared = Arc::new(Mutex::new(Core::new(world)));
    let google = serve(core, "127.0.0.1:0".parse().map_err(Failure::failed)?).await.map_err(Failure::failed)?;
    let (database, key) = (directory.path().join("bench.db"), directory.path().join("encryption.key"));
    let vault = Arc::new(Vault::create(&key).map_err(Failure::failed)?);
    let store = Store::open(&database, vault, clock.clone()).await.map_err(Failure::failed)?;
    store.set_organization("home.example", "bench", &Secret::new("bench".into())).await.map_err(Failure::failed)?;
    let new = NewUser { email: MAIN.into(), subject: MAIN.into(), name: MAIN.into(), admin: true };
    let user = store.add_user(new).await.map_err(Failure::failed)?;
    for (email, kind, role) in [
        (MAIN, AccountKind::Home, Role::Main),
        (CLIENT, AccountKind::Client, Role::Client),
        (OTHER, AccountKind::Client, Role::Client),
    ] {
        let tokens = Tokens {
            access: Secret::new(format!("dev:{email}")),
            refresh: Secret::new("none".into()),
            expires: clock.now() + TimeDelta::days(365),
            scopes: String::new(),
        };
        let token = store.put_token(user, kind, email, &tokens).await.map_err(Failure::failed)?;
        let id = CalendarId::from(email);
        store.connect_calendar(user, token, &id, email, role, "Europe/Vienna").await.map_err(Failure::failed)?;
    }
    store.close().await;
    let begun = Instant::now();
    let printed = directory.path().join("plan.txt");
    let mut child = Command::new(std::env::current_exe().map_err(Failure::failed)?)
        .args(["plan", "--user", MAIN])
        .env("DATABASE_PATH", &database)
        .env("ENCRYPTION_KEY_FILE", &key)
        .env("GOOGLE_ISSUER_URL", google.origin())
        .env("GOOGLE_CALENDAR_API_URL", format!("{}/calendar/v3", google.origin()))
        .env("LOG_LEVEL", &settings.log_level)
        .stdout(fs::File::create(&printed).map_err(Failure::failed)?)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure::failed(format!("the process cannot be started: {error}")))?;
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(&child.id().to_string()));
        if let Some(status) = child.try_wait().map_err(Failure::failed)? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::failed("a plan of the large calendar took more than 20 minutes"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let took = begun.elapsed();
    let printed = fs::read_to_string(&printed).map_err(Failure::failed)?;
    let left_alone = printed.contains("too_many_events");
    // There are changes; or a calendar could not be read.
    if status.code() != Some(if left_alone { 1 } else { 2 }) {
        return Err(Failure::failed(format!("a plan of the large calendar ended with {status}")));
    }
    Ok(Process { left_alone, took, peak, lines: printed.lines().count() })
}

/// The most that a process has had in memory, by the kernel; nothing where it says nothing.
fn peak_of(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:").map(str::to_owned));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn own_peak() -> u64 {
    peak_of("self")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_floods_and_megabytes_are_planned_once_and_come_to_rest() {
        let flood = (0..5_000).map(|n| event(&EventId::from(format!("event{n}")), n)).collect();
        for (events, n) in [(bombs(200), 200), (megabytes(5), 5), (flood, 5_000)] {
            let Planned { events, steps, left, first: _, second: _ } = planned(events);
            // A copy at home, and a block at each of two other clients.
            assert_eq!((events, steps, left), (n, 3 * n, 0));
        }
    }
}
