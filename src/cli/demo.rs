//! `busybridge demo`: the product on the embedded emulator, with a prepared consultancy or with one's own calendar exports.
//!
//! | | does |
//! |---|---|
//! | without `--once` | the service with its pages, and a page for the other side, until Ctrl-C: [`live`] |
//! | `--once` | the main job in one round, printed; its days are fixed, so that its output is the same every time |
//! | `--hands-off` | the same round, and then the emulator alone, for `busybridge serve` |

pub mod browser;
pub mod live;
mod lively;
mod troubles;
mod week;

use std::{
    io::{ErrorKind, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::{Europe::Vienna, Tz};
use clap::Args;
use tempfile::TempDir;
use url::Url;

use super::{
    Ending, Failure, assemble,
    reconcile::{Done, settle_down},
    serve::asked_to_stop,
    settings::Settings,
};
use crate::{
    controller::{
        App, accounts,
        tick::{Mode, Tick, tick},
    },
    emulator::{
        Core, Shared,
        seed::Seed,
        server::{Running, serve},
        settings::Settings as EmulatorSettings,
    },
    model::{calendar::Role, clock::Clock, secret::Secret},
    planner::render::{self, Length, Lens},
    store::{
        Store,
        people::{NewUser, User},
        tokens::AccountKind,
    },
    vault::Vault,
};

#[derive(Args, Default)]
pub struct Arguments {
    /// Do one reconcile of everybody, print it and what every calendar then shows, and end
    #[arg(long)]
    pub once: bool,
    /// After the first sync only keep the emulator running: `busybridge serve` from another terminal does the rest
    #[arg(long, conflicts_with = "once", requires = "keep")]
    pub hands_off: bool,
    /// Use this calendar export instead of the prepared consultancy: the first is the consultant's main calendar, each further
    /// one a client's; one more client and a personal calendar are added
    #[arg(long = "ics", value_name = "FILE")]
    pub ics: Vec<PathBuf>,
    /// Let things happen by themselves: a meeting is made, moved, cancelled or answered every few seconds
    #[arg(long, conflicts_with_all = ["once", "hands_off"])]
    pub lively: bool,
    /// The day to pretend it is, so that an old export is lively
    #[arg(long, value_name = "DATE")]
    pub at: Option<NaiveDate>,
    /// Keep database and keys in this new directory instead of removing them at the end
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// An installation of the demo, set up, with its Google.
struct Prepared {
    app: App,
    users: Vec<User>,
    settings: Settings,
    core: Shared,
    google: Running,
    /// Last, so that it is removed when all else has ended.
    home: Home,
}

/// One consultant of the demo, and what they connect: account, name of the calendar, role. The main one comes first.
struct Consultant {
    accounts: Vec<(String, String, Role)>,
}

/// The week of the prepared consultancy begins here: Monday, 2 March 2026.
const PREPARED: &str = include_str!("../../testdata/demo/consultancy.toml");
const CLIENT_ID: &str = "busybridge-demo.apps.googleusercontent.com";
const CLIENT_SECRET: &str = "demo-secret";
/// Steps and events printed of one calendar at most, when exports are shown.
const PRINTED: usize = 25;
/// Days of each calendar that are printed.
const SHOWN: TimeDelta = TimeDelta::days(7);

/// Runs the demo.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    if !arguments.once && !arguments.hands_off {
        return live::run(arguments, settings, out).await;
    }
    let clock = clock(arguments);
    let (seed, consultants) = cast(arguments, &clock)?;
    let listen = "127.0.0.1:0".parse().expect("a valid address");
    let google = emulator(&seed, &clock, &[listen]).await?;
    let prepared = prepare(google, arguments.keep.as_deref(), settings, clock, &consultants).await?;
    let Prepared { app, users, settings, core: _, google, home: _home } = prepared;
    let length = if arguments.ics.is_empty() { Length::All } else { Length::AtMost(PRINTED) };
    let in_sync = reconcile(&app, &users, length, out).await?;
    if !in_sync {
        return Err(Failure::failed("a second plan is not empty; this is a defect of BusyBridge"));
    }
    if arguments.hands_off {
        let origin = google.origin();
        let carried = "changes there are carried over by `busybridge serve`";
        let handles = handles(&settings, &origin);
        print(out, &format!("Google emulator at {origin}; {carried}. {handles}Press Ctrl-C to stop.\n"))?;
        asked_to_stop().await;
    }
    app.store.close().await;
    Ok(0)
}

/// A Google that holds this seed, at the first of these addresses that is free.
async fn emulator(seed: &str, clock: &Clock, listen: &[SocketAddr]) -> Result<(Shared, Running), Failure> {
    let world = Seed::parse(seed)
        .and_then(|seed| seed.build(EmulatorSettings::default(), clock.clone(), Path::new(".")))
        .map_err(Failure::usage)?;
    let core: Shared = Arc::new(Mutex::new(Core::new(world)));
    let mut failure = Failure::failed("the emulator has nowhere to listen");
    for address in listen {
        match serve(core.clone(), *address).await {
            Ok(google) => return Ok((core, google)),
            Err(error) => failure = Failure::failed(error),
        }
    }
    Err(failure)
}

/// Makes database and keys, signs everybody in and connects their calendars. Nothing is read or written yet.
async fn prepare(
    (core, google): (Shared, Running),
    keep: Option<&Path>,
    settings: &Settings,
    clock: Clock,
    consultants: &[Consultant],
) -> Result<Prepared, Failure> {
    let home = Home::new(keep)?;
    let mut settings = settings.clone();
    settings.database = home.path().join("calendar-sync.db");
    settings.key_file = home.path().join("secrets/encryption.key");
    settings.issuer = address(&google.origin())?;
    settings.api = address(&format!("{}/calendar/v3", google.origin()))?;
    let vault = Arc::new(Vault::create(&settings.key_file).map_err(Failure::usage)?);
    let store = Store::open(&settings.database, vault.clone(), clock.clone()).await.map_err(Failure::failed)?;
    let app = assemble(&settings, store, vault, clock)?;
    let secret = Secret::new(CLIENT_SECRET.to_owned());
    app.store.set_organization("home.example", CLIENT_ID, &secret).await.map_err(Failure::failed)?;
    let mut users = Vec::new();
    for consultant in consultants {
        users.push(enrol(&app, consultant, users.is_empty()).await?);
    }
    Ok(Prepared { app, users, settings, core, google, home })
}

/// Prints the plans, applies them, prints what the calendars then show, and tells whether second plans are empty.
async fn reconcile(app: &App, users: &[User], length: Length, out: &mut (dyn Write + Send)) -> Result<bool, Failure> {
    let mut in_sync = true;
    for user in users {
        let before: u64 = app.google.calls().values().sum();
        let Tick { plan, .. } = tick(app, user.id, Mode::DryRun).await.map_err(Failure::failed)?;
        print(out, &render::text(&plan, Lens::Owner, length))?;
        let Done { changes, failed, last: _ } = settle_down(app, user).await?;
        let calls = app.google.calls().values().sum::<u64>() - before;
        print(out, &format!("\nApplied: {changes} changes made, {failed} failed, {calls} calls to Google.\n"))?;
        show(app, user, out).await?;
        let before: u64 = app.google.calls().values().sum();
        let Tick { plan, .. } = tick(app, user.id, Mode::DryRun).await.map_err(Failure::failed)?;
        let calls = app.google.calls().values().sum::<u64>() - before;
        print(
            out,
            &format!("\nSecond plan ({calls} calls to Google):\n{}\n", render::body(&plan, Lens::Owner, length)),
        )?;
        in_sync &= plan.is_empty() && plan.unreadable.is_empty() && failed == 0;
    }
    Ok(in_sync)
}

/// Prints what each calendar of a user shows in the coming week, as Google tells it.
async fn show(app: &App, user: &User, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let calendars = app.store.calendars_of(user.id).await.map_err(Failure::failed)?;
    let main = calendars.iter().find(|row| row.role == Role::Main);
    let zone: Tz = main.and_then(|row| row.zone.parse().ok()).unwrap_or(Tz::UTC);
    let now = app.clock.now();
    let first = zone.from_local_datetime(&now.with_timezone(&zone).date_naive().into()).earliest();
    let from = first.map_or(now, |midnight| midnight.with_timezone(&Utc));
    for row in &calendars {
        let access = accounts::access(app, row.token).await.map_err(Failure::failed)?;
        let events =
            app.google.agenda(&access, &row.id, from, from + SHOWN, &row.zone).await.map_err(Failure::failed)?;
        print(out, &format!("\n  {} ({}) shows from {}:\n", row.name, row.role.word(), zoned_day(from, zone)))?;
        for event in events.iter().take(PRINTED) {
            let free = if event.body.free { "  · free" } else { "" };
            let title = event.body.title.as_deref().unwrap_or("(untitled)");
            let when = render::span(&event.body.when, zone, now);
            print(out, &format!("    {when:<27} {title}{free}\n"))?;
        }
        match events.len() {
            0 => print(out, "    (nothing)\n")?,
            n if n > PRINTED => print(out, &format!("    … and {} more\n", n - PRINTED))?,
            _ => {}
        }
    }
    Ok(())
}

fn zoned_day(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%A, %-d %B %Y").to_string()
}

/// How to look and to act from another terminal.
fn handles(settings: &Settings, google: &str) -> String {
    format!(
        "To look and to act from another terminal:\n  export DATABASE_PATH={} ENCRYPTION_KEY_FILE={} \
         GOOGLE_ISSUER_URL={google} GOOGLE_CALENDAR_API_URL={google}/calendar/v3\n  busybridge plan --all\n  \
         curl -H 'Authorization: Bearer dev:ada@acme.example' {google}/calendar/v3/calendars/primary/events\n",
        settings.database.display(),
        settings.key_file.display(),
    )
}

/// Signs a consultant in at every account, as a browser would, and connects the calendars.
async fn enrol(app: &App, consultant: &Consultant, admin: bool) -> Result<User, Failure> {
    let mut user = None;
    for (email, name, role) in &consultant.accounts {
        let grant = browser::sign_in(&app.oauth, CLIENT_ID, CLIENT_SECRET, email, *role).await?;
        let id = match &user {
            Some(id) => *id,
            None => {
                let identity = &grant.identity;
                let new = NewUser {
                    email: identity.email.clone(),
                    subject: identity.subject.clone(),
                    name: identity.name.clone(),
                    admin,
                };
                *user.insert(app.store.add_user(new).await.map_err(Failure::failed)?)
            }
        };
        let kind = match role {
            Role::Main => AccountKind::Home,
            Role::Client => AccountKind::Client,
            Role::Personal => AccountKind::Personal,
        };
        let token = app.store.put_token(id, kind, email, &grant.tokens).await.map_err(Failure::failed)?;
        let listed = app.google.calendars(&grant.tokens.access).await.map_err(Failure::failed)?;
        let primary = listed.iter().find(|calendar| calendar.primary);
        let primary = primary.ok_or_else(|| Failure::failed(format!("{email} has no calendar")))?;
        if *role != Role::Personal && !primary.writable {
            return Err(Failure::failed(format!("{email} may not write to the calendar {}", primary.name)));
        }
        app.store
            .connect_calendar(id, token, &primary.id, name, *role, &primary.zone)
            .await
            .map_err(Failure::failed)?;
    }
    let id = user.ok_or_else(|| Failure::failed("the demo has a consultant without accounts"))?;
    let found = app.store.user(id).await.map_err(Failure::failed)?;
    found.ok_or_else(|| Failure::failed("a user of the demo vanished"))
}

/// The seed of the emulator's Google, and who connects what.
fn cast(arguments: &Arguments, clock: &Clock) -> Result<(String, Vec<Consultant>), Failure> {
    if arguments.ics.is_empty() {
        return Ok((PREPARED.to_owned(), prepared()));
    }
    let mut seed = String::new();
    let mut accounts = Vec::new();
    let account = |email: &str, ics: Option<&Path>| {
        let file = ics.map_or(String::new(), |path| {
            format!("ics = {}\n", serde_json::Value::from(path.to_string_lossy().as_ref()))
        });
        format!("[[account]]\nemail = \"{email}\"\n{file}\n")
    };
    for (n, path) in arguments.ics.iter().enumerate() {
        let path = std::path::absolute(path).map_err(Failure::usage)?;
        let (email, name, role) = match n {
            0 => ("you@home.example".to_owned(), "home".to_owned(), Role::Main),
            n => (format!("you@client{n}.example"), format!("client {n}"), Role::Client),
        };
        seed.push_str(&account(&email, Some(&path)));
        accounts.push((email, name, role));
    }
    let n = arguments.ics.len();
    let empty = format!("you@client{n}.example");
    seed.push_str(&account(&empty, None));
    accounts.push((empty, format!("client {n}"), Role::Client));
    let personal = "you@personal.example".to_owned();
    seed.push_str(&account(&personal, None));
    let tomorrow = clock.now().date_naive() + TimeDelta::days(1);
    seed.push_str(&format!(
        "[[event]]\ncalendar = \"{personal}\"\ntitle = \"Dentist\"\nwhen = \"{tomorrow} 14:00–15:00\"\n\n\
         [[event]]\ncalendar = \"{personal}\"\ntitle = \"Choir\"\nwhen = \"{tomorrow} 19:00–21:00\"\n\
         recurrence = \"RRULE:FREQ=WEEKLY\"\n"
    ));
    accounts.push((personal, "personal".into(), Role::Personal));
    Ok((seed, vec![Consultant { accounts }]))
}

fn prepared() -> Vec<Consultant> {
    let consultant = |accounts: &[(&str, &str, Role)]| Consultant {
        accounts: accounts.iter().map(|(email, name, role)| ((*email).into(), (*name).into(), *role)).collect(),
    };
    vec![
        consultant(&[
            ("ada@home.example", "home", Role::Main),
            ("ada@acme.example", "Acme", Role::Client),
            ("ada@globex.example", "Globex", Role::Client),
            ("ada@gmail.example", "personal", Role::Personal),
        ]),
        consultant(&[
            ("bob@home.example", "home", Role::Main),
            ("bob@globex.example", "Globex", Role::Client),
            ("bob@initech.example", "Initech", Role::Client),
            ("bob@gmail.example", "personal", Role::Personal),
        ]),
    ]
}

/// The clock of the demo: at eight in the morning of the day asked for, of the prepared week, or as late as it is.
fn clock(arguments: &Arguments) -> Clock {
    let prepared = NaiveDate::from_ymd_opt(2026, 3, 2).filter(|_| arguments.ics.is_empty());
    let Some(day) = arguments.at.or(prepared) else { return Clock::system() };
    let morning = day.and_hms_opt(8, 0, 0).and_then(|local| Vienna.from_local_datetime(&local).earliest());
    morning.map_or_else(Clock::system, |at| Clock::starting_at(at.with_timezone(&Utc)))
}

/// Where database and keys lie.
enum Home {
    Passing(TempDir),
    Kept(PathBuf),
}

impl Home {
    fn new(keep: Option<&Path>) -> Result<Self, Failure> {
        match keep {
            None => tempfile::tempdir().map(Home::Passing).map_err(Failure::failed),
            Some(path) => {
                let mut builder = std::fs::DirBuilder::new();
                #[cfg(unix)]
                std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
                builder.create(path).map_err(|error| {
                    let place = path.display();
                    Failure::usage(match error.kind() {
                        ErrorKind::AlreadyExists => {
                            format!("{place} is there already; `--keep` wants a directory that is not: name another, or remove it")
                        }
                        _ => format!("the directory {place} cannot be made: {error}"),
                    })
                })?;
                Ok(Home::Kept(path.to_owned()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Home::Passing(dir) => dir.path(),
            Home::Kept(path) => path,
        }
    }
}

fn address(text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(Failure::failed)
}

fn print(out: &mut (dyn Write + Send), text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::failed)
}
