//! `busybridge emulator`: the Google emulator alone.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use clap::Args;

use super::{Ending, Failure};
use crate::{
    emulator::{Core, Shared, seed::Seed, server::serve, settings::Settings, state::World},
    model::clock::Clock,
};

#[derive(Args)]
pub struct Arguments {
    /// Where to listen; a loopback address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Accounts, calendars and events to begin with (TOML); without it four accounts of ada's with empty calendars
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
}

/// Runs until interrupted.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, out: &mut (dyn Write + Send)) -> Ending {
    if !arguments.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "the emulator lets everybody in, so it listens on loopback addresses only, not on {}; use 127.0.0.1 or [::1]",
            arguments.listen
        )));
    }
    let world = match &arguments.seed {
        Some(path) => seeded(path)?,
        None => Seed::default().build(Settings::default(), Clock::system(), Path::new(".")).map_err(Failure::failed)?,
    };
    let accounts: Vec<String> = world.accounts.keys().cloned().collect();
    let core: Shared = Arc::new(Mutex::new(Core::new(world)));
    let running = serve(core, arguments.listen).await.map_err(Failure::failed)?;
    let origin = running.origin();
    let text = format!(
        "Google emulator at {origin}\n  GOOGLE_ISSUER_URL={origin}\n  GOOGLE_CALENDAR_API_URL={origin}/calendar/v3\n\
         Accounts: {}\nAccess tokens: Bearer dev:ADDRESS. Press Ctrl-C to stop.\n",
        accounts.join(", ")
    );
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::failed)?;
    tokio::signal::ctrl_c().await.map_err(Failure::failed)?;
    Ok(0)
}

fn seeded(path: &Path) -> Result<World, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the seed {} cannot be read: {error}", path.display())))?;
    let base = path.parent().unwrap_or(Path::new("."));
    Seed::parse(&text)
        .and_then(|seed| seed.build(Settings::default(), Clock::system(), base))
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
