//! `busybridge bench`: how fast it is here. Claims about speed are made by this command, never by a test.

mod hostile;
mod load;
mod plan;

#[cfg(test)]
pub use plan::{settled, snapshot_of};

use std::io::Write;

use clap::{Args, Subcommand};

use super::{Ending, settings::Settings};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Plans for one user with many events
    Plan(plan::Arguments),
    /// Calendars as nobody should have them: rules without end, megabytes of text, a hundred thousand events
    Hostile(hostile::Arguments),
    /// A service under load, on an embedded Google: how long changes take to arrive, and what they cost
    Load(load::Arguments),
}

/// Measures.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    match &arguments.what {
        What::Plan(arguments) => plan::run(arguments, out),
        What::Hostile(arguments) => hostile::run(arguments, settings, out).await,
        What::Load(arguments) => load::run(arguments, settings, out).await,
    }
}
