//! What operators type. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration (and, for `plan`, "there are changes"), 3 the key
//! files are missing, broken or another installation's, 4 the database is missing, damaged, newer or none, 5 another process serves
//! it, 6 refused by a guard.
//! Errors are one sentence on standard error that says what is wrong and what to do.

mod backup;
pub mod bench;
pub mod demo;
mod doctor;
pub mod emulator;
pub mod flow;
pub mod history;
mod mail;
pub mod reconcile;
mod rotate;
mod serve;
pub mod settings;
mod simulate;
mod standing;

use std::{collections::BTreeMap, ffi::OsString, io::Write, pin::Pin, sync::Arc};

use clap::{Parser, Subcommand};
use tracing::{info, warn};

use crate::{
    controller::{App, Progress, Stop, accounts::Gates},
    google::{Endpoints, client::Client, oauth::OAuth},
    model::clock::Clock,
    store::{Store, StoreError},
    vault::{
        Vault, VaultError,
        rotation::{self, Settled},
    },
};
use settings::Settings;

/// Keeps a consultant's calendars telling the truth.
#[derive(Parser)]
#[command(name = "busybridge", version, about)]
struct Arguments {
    /// Without one: serve
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Keeps everybody in sync until stopped (also without a command)
    Serve,
    /// Asks the running service whether all is well
    Health,
    /// Shows the product on an embedded Google emulator: prepared calendars, or your own exports
    Demo(demo::Arguments),
    /// Reads the calendars and prints what would change; changes nothing at Google
    ///
    /// Exit code 0: in sync, 2: there are changes, 1: error.
    Plan(reconcile::PlanArguments),
    /// Brings the calendars in sync once, now
    Sync(reconcile::SyncArguments),
    /// Silence: Google is neither asked nor written, for everybody, a user or a calendar
    Pause(standing::PauseArguments),
    /// Ends a pause
    Resume(standing::PauseArguments),
    /// Leaves a calendar: what of ours stands there or derives from it is removed
    Disconnect(standing::DisconnectArguments),
    /// Removes a user with everything that was made for them
    RemoveUser(standing::RemoveArguments),
    /// Says your word to removals that wait for it, by the code that the plan names
    Answer(standing::AnswerArguments),
    /// Makes another calendar the main one
    ChooseMain(standing::MainArguments),
    /// Whether guests are told by mail when a user moves, removes or answers their meeting by way of its copy
    TellGuests(standing::TellArguments),
    /// Copies that were removed by hand and stay away
    Dismissed(standing::DismissedArguments),
    /// Declares what of one calendar is shown on another, and how
    Flow(flow::Arguments),
    /// Lists what was done lately, by run
    Runs(history::RunsArguments),
    /// Takes a run back: what still stands as that run left it
    ///
    /// Exit code of a dry run 0: nothing to take back, 2: there are changes, 1: error.
    Undo(history::UndoArguments),
    /// Tells why something is on a calendar, or why not
    Why(history::WhyArguments),
    /// Removes everything this installation ever wrote, by its markers; also without a database
    Purge(standing::PurgeArguments),
    /// Writes a consistent copy of the database, also while the service runs
    Backup(backup::BackupArguments),
    /// Puts a copy in the place of the database; verifies it first, keeps what was there, and starts paused
    Restore(backup::RestoreArguments),
    /// Puts another encryption key in the place of the present one; stop the service first
    RotateKey(rotate::Arguments),
    /// Looks at everything an installation rests on; one line and one remedy each
    Doctor(doctor::Arguments),
    /// Settles how mails are sent, and tries it
    Mail(mail::MailArguments),
    /// Lists alerts, or settles who wants which
    Alerts(mail::AlertsArguments),
    /// Runs the Google emulator alone
    Emulator(emulator::Arguments),
    /// Measures on this machine
    Bench(bench::Arguments),
    /// Lives through simulated worlds in which everything goes wrong, and says what must not have happened
    Simulate(simulate::Arguments),
}

/// The names of all commands.
#[cfg(test)]
pub fn commands() -> Vec<String> {
    use clap::CommandFactory;
    Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Why a command failed: a sentence, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub sentence: String,
}

impl Failure {
    /// Something went wrong.
    pub fn failed(sentence: impl ToString) -> Self {
        Failure { code: 1, sentence: sentence.to_string() }
    }

    /// Wrong usage or configuration.
    pub fn usage(sentence: impl ToString) -> Self {
        Failure { code: 2, sentence: sentence.to_string() }
    }
}

/// What a command gives back: its exit code.
pub type Ending = Result<u8, Failure>;

/// Runs one command line. `env` are the environment's variables, `out` is standard output, `err` standard error.
pub async fn run(
    args: impl IntoIterator<Item = OsString>,
    env: &BTreeMap<String, String>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> u8 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let text = error.render();
            // Help and version were asked for; all else is a mistake.
            let _ = if error.use_stderr() { write!(err, "{text}") } else { write!(out, "{text}") };
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let (mut settings, mistakes) = match Settings::read(env) {
        Ok(settings) => (settings, settings::misspelt(env)),
        // The doctor tells of them beside everything else.
        Err(wrong) if matches!(arguments.command, Some(Command::Doctor(_))) => {
            (Settings::read_sound(env), wrong.into_iter().chain(settings::misspelt(env)).collect())
        }
        Err(wrong) => {
            for sentence in wrong {
                let _ = writeln!(err, "busybridge: {sentence}");
            }
            return 2;
        }
    };
    // What goes wrong in a demo or a simulation is played, and to be seen otherwise.
    if matches!(arguments.command, Some(Command::Demo(_) | Command::Simulate(_))) && !env.contains_key("LOG_LEVEL") {
        settings.log_level = "error".into();
    }
    start_log(&settings);
    // The doctor tells of them in its report.
    if !matches!(arguments.command, Some(Command::Doctor(_))) {
        for mistake in &mistakes {
            let _ = writeln!(err, "busybridge: {mistake}");
        }
    }
    let ending = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => aside(|| serve::serve(&settings, out)).await,
        Command::Health => aside(|| serve::health(&settings, out)).await,
        Command::Demo(arguments) => aside(|| demo::run(&arguments, &settings, out)).await,
        Command::Plan(arguments) => aside(|| reconcile::plan(&arguments, &settings, out)).await,
        Command::Sync(arguments) => aside(|| reconcile::sync(&arguments, &settings, out)).await,
        Command::Pause(arguments) => aside(|| standing::pause(&arguments, true, &settings, out)).await,
        Command::Resume(arguments) => aside(|| standing::pause(&arguments, false, &settings, out)).await,
        Command::Disconnect(arguments) => aside(|| standing::disconnect(&arguments, &settings, out)).await,
        Command::RemoveUser(arguments) => aside(|| standing::remove_user(&arguments, &settings, out)).await,
        Command::Answer(arguments) => aside(|| standing::answer(&arguments, &settings, out)).await,
        Command::ChooseMain(arguments) => aside(|| standing::choose_main(&arguments, &settings, out)).await,
        Command::TellGuests(arguments) => aside(|| standing::tell_guests(&arguments, &settings, out)).await,
        Command::Dismissed(arguments) => aside(|| standing::dismissed(&arguments, &settings, out)).await,
        Command::Flow(arguments) => aside(|| flow::run(&arguments, &settings, out)).await,
        Command::Runs(arguments) => aside(|| history::runs(&arguments, &settings, out)).await,
        Command::Undo(arguments) => aside(|| history::undo(&arguments, &settings, out)).await,
        Command::Why(arguments) => aside(|| history::why(&arguments, &settings, out)).await,
        Command::Purge(arguments) => aside(|| standing::purge(&arguments, &settings, out)).await,
        Command::Backup(arguments) => aside(|| backup::backup(&arguments, &settings, out)).await,
        Command::Restore(arguments) => aside(|| backup::restore(&arguments, &settings, out)).await,
        Command::RotateKey(arguments) => aside(|| rotate::run(&arguments, &settings, out)).await,
        Command::Doctor(arguments) => aside(|| doctor::run(&arguments, &settings, &mistakes, out)).await,
        Command::Mail(arguments) => {
            let password = env.get("SMTP_PASSWORD").map(String::as_str);
            aside(|| mail::mail(&arguments, password, &settings, out)).await
        }
        Command::Alerts(arguments) => aside(|| mail::alerts(&arguments, &settings, out)).await,
        Command::Emulator(arguments) => aside(|| emulator::run(&arguments, out)).await,
        Command::Bench(arguments) => aside(|| bench::run(&arguments, &settings, out)).await,
        // Each world has a runtime of its own, which must not run within another.
        Command::Simulate(arguments) => {
            let apart = std::thread::scope(|scope| scope.spawn(|| simulate::run(&arguments, out)).join());
            apart.unwrap_or_else(|_| Err(Failure::failed("the simulation came to no end")))
        }
    };
    match ending {
        Ok(code) => code,
        Err(Failure { code, sentence }) => {
            let _ = writeln!(err, "busybridge: {sentence}");
            code
        }
    }
}

/// The work of one command, in a place of its own. Else the work of all commands would lie side by side on the stack of whoever runs
/// one.
fn aside<F: Future>(begin: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(begin())
}

/// Logs go to standard error, so that standard output stays what was asked for.
fn start_log(settings: &Settings) {
    let filter = tracing_subscriber::EnvFilter::new(format!("busybridge={},warn", settings.log_level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that nobody reads any more ends no work: it would be told on the very stream that is broken.
    let log = log.log_internal_errors(false);
    // A second start in one process (tests) keeps the first log.
    let _ = if settings.log_json { log.json().try_init() } else { log.with_target(false).try_init() };
}

/// Opens what an installed service has: keys, database, Google.
async fn open(settings: &Settings, clock: Clock) -> Result<App, Failure> {
    is_a_file(settings)?;
    let Opened { vault, store, .. } = open_database(settings, clock.clone()).await?;
    assemble(settings, store, vault, clock)
}

/// A database, and the keys that it belongs to.
struct Opened {
    vault: Arc<Vault>,
    store: Store,
    /// The encryption key is the new one of a rotation that has not come to its end.
    by_next: bool,
}

impl Opened {
    /// Settles what is left of a rotation. For whoever holds the database alone.
    fn settle(&self, settings: &Settings) {
        match rotation::settle(&settings.key_file, self.by_next) {
            Ok(Settled::Clean) => {}
            Ok(Settled::Finished) => info!("a change of the encryption key was interrupted; it is finished now"),
            Ok(Settled::Cleared) => info!("what was left of a change of the encryption key is removed"),
            // The directory may be read-only for the service, and what is there does no harm.
            Err(error) => warn!("what is left of a change of the encryption key stays: {error}"),
        }
    }
}

/// Opens the database with the key that it belongs to.
async fn open_database(settings: &Settings, clock: Clock) -> Result<Opened, Failure> {
    open_with(load_keys(settings)?, settings, clock).await.map_err(store_failure)
}

/// Opens the database with these keys, or with the new key of a rotation that has not come to its end.
async fn open_with(vault: Vault, settings: &Settings, clock: Clock) -> Result<Opened, StoreError> {
    let keys = &settings.key_file;
    let vault = Arc::new(vault);
    let mut refused = match Store::open_existing(&settings.database, vault.clone(), clock.clone()).await {
        Ok(store) => return Ok(Opened { vault, store, by_next: false }),
        Err(error) => error,
    };
    if matches!(refused, StoreError::WrongKey { file: "encryption.key" }) {
        // The present key once more, because a rotation may have come to its end meanwhile.
        for (vault, by_next) in [(rotation::load_next(keys), true), (Vault::load(keys).ok(), false)] {
            let Some(vault) = vault.map(Arc::new) else { continue };
            match Store::open_existing(&settings.database, vault.clone(), clock.clone()).await {
                Ok(store) => return Ok(Opened { vault, store, by_next }),
                Err(error) => refused = error,
            }
        }
    }
    Err(refused)
}

/// The keys of this installation.
fn load_keys(settings: &Settings) -> Result<Vault, Failure> {
    Vault::load(&settings.key_file).map_err(key_failure)
}

/// Keys that cannot be made or used.
fn key_failure(error: VaultError) -> Failure {
    Failure { code: 3, sentence: format!("ENCRYPTION_KEY_FILE: {error}") }
}

/// Refuses a database that is a directory or a device, before anything is made beside it.
fn is_a_file(settings: &Settings) -> Result<(), Failure> {
    match std::fs::metadata(&settings.database) {
        Ok(there) if !there.is_file() => {
            Err(Failure::usage(format!("DATABASE_PATH is {}, which is not a file", settings.database.display())))
        }
        _ => Ok(()),
    }
}

/// A database that cannot be used, with the exit code that says why.
fn store_failure(error: StoreError) -> Failure {
    let code = match &error {
        StoreError::WrongKey { .. } | StoreError::Sealed { .. } => 3,
        StoreError::Missing(_)
        | StoreError::File(..)
        | StoreError::NotADatabase(_)
        | StoreError::OtherApplication(_)
        | StoreError::NewerSchema(_)
        | StoreError::Migration(_)
        | StoreError::Damaged(_) => 4,
        StoreError::Served(_) => 5,
        _ => 1,
    };
    // What a path is about names the variable that says it.
    let sentence = match &error {
        StoreError::Missing(_)
        | StoreError::File(..)
        | StoreError::NotADatabase(_)
        | StoreError::OtherApplication(_) => format!("DATABASE_PATH: {error}"),
        _ => error.to_string(),
    };
    Failure { code, sentence }
}

/// Puts the handles together.
fn assemble(settings: &Settings, store: Store, vault: Arc<Vault>, clock: Clock) -> Result<App, Failure> {
    let endpoints = Endpoints::new(settings.issuer.clone(), settings.api.clone()).map_err(Failure::usage)?;
    let google = Client::new(endpoints.clone(), clock.clone()).map_err(Failure::failed)?;
    let oauth = OAuth::new(endpoints, clock.clone()).map_err(Failure::failed)?;
    let policy = settings.policy();
    Ok(App {
        store,
        google,
        oauth,
        vault,
        clock,
        policy,
        progress: progress(),
        stop: Stop::default(),
        gates: Gates::default(),
    })
}

/// A bar on a terminal; nothing where nobody watches.
fn progress() -> Progress {
    let bar = indicatif::ProgressBar::new(0);
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:40} {pos} of {len} changes") {
        bar.set_style(style);
    }
    Arc::new(move |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        if done >= total {
            bar.finish_and_clear();
            bar.reset();
        }
    })
}
