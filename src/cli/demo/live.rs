//! The demo that goes on: the service with its pages as they are everywhere, on an emulator that rings for it, with something to settle
//! for everybody, until Ctrl-C.

use std::{
    future::Future,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Arguments, Home, Prepared, cast, clock, emulator, handles, lively::Lively, prepare, print, troubles, week,
};
use crate::{
    cli::{
        Ending, Failure,
        reconcile::settle_down,
        serve::{self, WEBHOOK, asked_to_stop},
        settings::Settings,
    },
    controller::service::Options,
    model::clock::Clock,
    store::lock,
};

/// What there is besides the prepared week.
const TROUBLES: &str = include_str!("../../../testdata/demo/troubles.toml");
/// Where the emulator is when nobody else is there: where `busybridge emulator` is, too.
const EMULATOR: u16 = 9000;
/// A ring waits for others of the same change: shorter than at Google, where changes come in flocks.
const GATHER: Duration = Duration::from_millis(100);

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    play(arguments, settings, asked_to_stop(), out).await
}

/// Runs until `end`.
///
/// # Errors
/// A sentence for the operator.
pub async fn play(
    arguments: &Arguments,
    settings: &Settings,
    end: impl Future<Output = ()>,
    out: &mut (dyn Write + Send),
) -> Ending {
    let out = Mutex::new(out);
    let tell = |text: &str| print(&mut **out.lock().unwrap_or_else(PoisonError::into_inner), text);
    let mut end = std::pin::pin!(end);
    let clock = if arguments.at.is_some() { clock(arguments) } else { Clock::system() };
    let settings = on_loopback(settings)?;
    tell("Preparing …\n")?;
    let prepared = tokio::select! {
        prepared = set_up(arguments, &settings, &clock) => prepared?,
        () = &mut end => return Ok(0),
    };
    let Prepared { app, users: _, settings, core: _, google, home } = prepared;
    let held = lock::hold(&settings.database).map_err(Failure::failed)?;
    let webhook = format!("http://{}{WEBHOOK}", settings.listen);
    let options = Options { gather: GATHER, apart: GATHER, ..Options::new(Some(webhook), settings.zone) };
    let (ready, is_ready) = oneshot::channel();
    let begun = |_| {
        let _ = ready.send(());
        Ok(())
    };
    let greeting = greeting(arguments, &settings, &google.origin(), &home);
    let happening = async {
        // Gone without a word only when the service did not come up, which tells its own.
        if is_ready.await.is_ok() {
            tell(&greeting)?;
        }
        if arguments.lively {
            let mut lively = Lively::new(google.origin(), clock.clone())?;
            loop {
                tokio::time::sleep(lively.pause()).await;
                if let Some(line) = lively.happen().await {
                    tell(&format!("{}  {line}\n", clock.now().format("%H:%M:%S")))?;
                }
            }
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    tokio::select! {
        served = serve::run(app, options, &settings, end, begun) => served?,
        failed = happening => failed?,
    }
    drop((google, held));
    match home {
        Home::Passing(dir) => {
            dir.close()
                .map_err(|error| Failure::failed(format!("not all files of the demo can be removed: {error}")))?;
            tell("Stopped; nothing is left behind.\n")?;
        }
        Home::Kept(_) => tell(&format!("Stopped. {}", kept(&settings)))?,
    }
    Ok(0)
}

/// Everything but the service itself: everybody is signed in, all calendars are connected and in sync, and some things are to be
/// settled.
async fn set_up(arguments: &Arguments, settings: &Settings, clock: &Clock) -> Result<Prepared, Failure> {
    let is_prepared = arguments.ics.is_empty();
    let (mut seed, consultants) = cast(arguments, clock)?;
    if is_prepared {
        seed = week::moved(&format!("{seed}\n{TROUBLES}"), clock.now());
    }
    let at = [EMULATOR, 0].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let google = emulator(&seed, clock, &at).await?;
    let prepared = prepare(google, arguments.keep.as_deref(), settings, clock.clone(), &consultants).await?;
    for settled in futures::future::join_all(prepared.users.iter().map(|user| settle_down(&prepared.app, user))).await {
        settled?;
    }
    if is_prepared {
        troubles::bring_about(&prepared).await?;
    }
    Ok(prepared)
}

/// The settings of a service that only this machine reaches, at the port asked for if nobody is there, else at a free one.
fn on_loopback(settings: &Settings) -> Result<Settings, Failure> {
    let bound = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    // Browsers try both families for “localhost”, and must not find somebody else there.
    let other = |port: u16| TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    let taken = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let asked = settings.listen.port();
    let is_free = bound(asked).is_ok() && !other(asked).is_err_and(taken);
    let listener = bound(if is_free { asked } else { 0 });
    let listen = listener.and_then(|listener| listener.local_addr());
    let listen = listen.map_err(|error| Failure::failed(format!("this machine gives no port on loopback: {error}")))?;
    let public_url = format!("http://localhost:{}", listen.port());
    Ok(Settings { listen, public_url, trusted_proxies: Vec::new(), client: None, ..settings.clone() })
}

fn greeting(arguments: &Arguments, settings: &Settings, google: &str, home: &Home) -> String {
    let pages = &settings.public_url;
    let who = if arguments.ics.is_empty() {
        "  as a consultant and admin: sign in as ada@home.example\n  \
         as another consultant:     sign in as bob@home.example\n"
    } else {
        "  sign in as you@home.example\n"
    };
    let waiting = if arguments.ics.is_empty() {
        "Waiting for them: Ada removed a meeting with guests and is asked about it; Initech took Bob's access back; a \
         meeting was changed on\nboth sides at once, which Ada's log tells.\n"
    } else {
        ""
    };
    let end = match home {
        Home::Passing(_) => "Ctrl-C ends it and leaves nothing behind.".to_owned(),
        Home::Kept(path) => {
            format!("{}Ctrl-C ends it; database and keys stay in {}.", handles(settings, google), path.display())
        }
    };
    format!(
        "\nBusyBridge      {pages}\n{who}  The sign-in page asks for no password: choose the account.\n\
         The other side  {google}/\n  All calendars side by side: make, move, delete and answer events, break things, \
         and watch.\n{waiting}{end}\n\n"
    )
}

/// How to go on with what was kept.
fn kept(settings: &Settings) -> String {
    let (database, key_file) = (settings.database.display(), settings.key_file.display());
    let (issuer, api) = (settings.issuer.as_str().trim_end_matches('/'), &settings.api);
    format!(
        "Database and keys stay; the emulator's calendars were in memory and are gone. The pages as they were, with \
         accounts that cannot be reached:\n  DATABASE_PATH={database} ENCRYPTION_KEY_FILE={key_file} \
         GOOGLE_ISSUER_URL={issuer} GOOGLE_CALENDAR_API_URL={api} busybridge serve\n"
    )
}
