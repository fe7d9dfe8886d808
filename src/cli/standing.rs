//! What an operator may settle from the command line: pauses, departures, words to removals that wait, and the removal of
//! everything we wrote.

use std::{io::Write, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{
    Ending, Failure, open,
    reconcile::{self, Who},
    settings::Settings,
};
use crate::{
    controller::{
        App, accounts,
        intent::{self, Word},
        purge::{self, Purged, Swept, Whose},
    },
    google::{Endpoints, client::Client},
    model::{clock::Clock, secret::Secret},
    store::{calendars::CalendarRow, people::User},
    vault::Vault,
};

#[derive(Args)]
pub struct PauseArguments {
    /// Only this user
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// Only this calendar of the user, by its name or Google's id
    #[arg(long, value_name = "CALENDAR", requires = "user")]
    calendar: Option<String>,
}

#[derive(Args)]
pub struct DisconnectArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// The calendar, by its name or Google's id
    calendar: String,
}

#[derive(Args)]
pub struct RemoveArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
}

#[derive(Args)]
pub struct AnswerArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// The code that the plan names
    code: String,
    /// What to do with what waits
    #[arg(long, value_enum, default_value = "approve")]
    word: SpokenWord,
}

#[derive(Clone, Copy, ValueEnum)]
enum SpokenWord {
    /// Remove exactly these
    Approve,
    /// The removed copies stay away; their meetings stay at the client
    KeepAway,
    /// The removed copies come back
    BringBack,
}

#[derive(Args)]
pub struct MainArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// Google's id of a calendar that the user's home account may write; its primary one is named by its address
    calendar: String,
}

#[derive(Args)]
pub struct TellArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// Whether Google tells them by mail
    #[arg(value_parser = ["on", "off"])]
    tell: String,
}

#[derive(Args)]
pub struct DismissedArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// Let them all come back
    #[arg(long)]
    bring_back: bool,
}

#[derive(Args)]
pub struct PurgeArguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL", conflicts_with = "tokens")]
    user: Option<String>,
    /// All users
    #[arg(long, conflicts_with_all = ["tokens", "user"])]
    all: bool,
    /// Without a database: a file with a JSON list of accounts, each with "account" and "access_token". Everything that
    /// the keys prove to be ours is removed from every calendar these accounts may write
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
}

/// An account to purge without a database.
#[derive(Deserialize)]
struct Account {
    account: String,
    access_token: String,
}

/// Silence, or its end.
///
/// # Errors
/// A sentence for the operator.
pub async fn pause(
    arguments: &PauseArguments,
    paused: bool,
    settings: &Settings,
    out: &mut (dyn Write + Send),
) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let whom = match (&arguments.user, &arguments.calendar) {
        (None, _) => {
            app.store.pause_all(paused).await.map_err(Failure::failed)?;
            "everything".to_owned()
        }
        (Some(email), None) => {
            let user = user(&app, email).await?;
            app.store.pause_user(user.id, paused).await.map_err(Failure::failed)?;
            user.email
        }
        (Some(email), Some(name)) => {
            let user = user(&app, email).await?;
            let row = calendar(&app, &user, name).await?;
            app.store.pause_calendar(user.id, row.number, paused).await.map_err(Failure::failed)?;
            format!("{} of {}", row.name, user.email)
        }
    };
    let text = if paused { "is paused: Google is neither asked nor written" } else { "goes on" };
    say(out, &format!("{whom} {text}\n"))?;
    app.store.close().await;
    Ok(0)
}

/// Leaves a calendar, now.
///
/// # Errors
/// A sentence for the operator.
pub async fn disconnect(arguments: &DisconnectArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let row = calendar(&app, &user, &arguments.calendar).await?;
    app.store.leave_calendar(user.id, row.number).await.map_err(Failure::failed)?;
    let done = reconcile::settle_down(&app, &user).await?;
    let left = !app.store.calendars_of(user.id).await.map_err(Failure::failed)?.iter().any(|r| r.number == row.number);
    let state = if left { "is left" } else { "will be left when the rest can be removed; the next sync goes on" };
    say(out, &format!("{}: {} changes made, {} held; {state}\n", row.name, done.changes, done.last.held.len()))?;
    left_behind(&app, out).await?;
    app.store.close().await;
    Ok(0)
}

/// Removes a user with everything that was made for them.
///
/// # Errors
/// A sentence for the operator.
pub async fn remove_user(arguments: &RemoveArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    app.store.begin_removal(user.id).await.map_err(Failure::failed)?;
    let done = reconcile::settle_down(&app, &user).await?;
    let gone = app.store.user(user.id).await.map_err(Failure::failed)?.is_none();
    let state = if gone { "is removed" } else { "will be removed when the rest can be; the next sync goes on" };
    say(out, &format!("{}: {} changes made; {state}\n", user.email, done.changes))?;
    left_behind(&app, out).await?;
    app.store.close().await;
    Ok(0)
}

/// Says a person's word to removals that wait.
///
/// # Errors
/// A sentence for the operator.
pub async fn answer(arguments: &AnswerArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let word = match arguments.word {
        SpokenWord::Approve => Word::Approve,
        SpokenWord::KeepAway => Word::KeepAway,
        SpokenWord::BringBack => Word::BringBack,
    };
    let n = intent::answer(&app, user.id, &arguments.code, word).await.map_err(Failure::failed)?;
    let what = match word {
        Word::Approve => "may be removed; the next sync does it",
        Word::KeepAway => "stay away; nothing is removed at the client",
        Word::BringBack => "come back with the next sync",
    };
    say(out, &format!("{n} {what}\n"))?;
    app.store.close().await;
    Ok(0)
}

/// Makes another calendar of the home account the main one, and moves everything there.
///
/// # Errors
/// A sentence for the operator.
pub async fn choose_main(arguments: &MainArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let token = app.store.home_account(user.id).await.map_err(Failure::failed)?;
    let token = token.ok_or_else(|| Failure::failed(format!("{} is not signed in; sign in first", user.email)))?;
    let access = accounts::access(&app, token).await.map_err(Failure::failed)?;
    let calendars = app.google.calendars(&access).await.map_err(Failure::failed)?;
    let wanted = calendars.into_iter().find(|calendar| calendar.id.as_str() == arguments.calendar && calendar.writable);
    let Some(wanted) = wanted else {
        return Err(Failure::usage(format!("{} has no writable calendar {}", user.email, arguments.calendar)));
    };
    intent::choose_main(&app, user.id, token, &wanted.id, &wanted.name, &wanted.zone).await.map_err(Failure::failed)?;
    let done = reconcile::settle_down(&app, &user).await?;
    say(out, &format!("{} is the main calendar now: {} changes made\n", wanted.name, done.changes))?;
    left_behind(&app, out).await?;
    app.store.close().await;
    Ok(0)
}

/// Settles whether guests are told what a user does to the copy of their meeting.
///
/// # Errors
/// A sentence for the operator.
pub async fn tell_guests(arguments: &TellArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let tell = arguments.tell == "on";
    app.store.set_tell_guests(user.id, tell).await.map_err(Failure::failed)?;
    let text = if tell { "are told by mail" } else { "are not told" };
    say(out, &format!("guests of meetings that {} changes by way of a copy {text}\n", user.email))?;
    app.store.close().await;
    Ok(0)
}

/// Lists copies that a person removed and that stay away, or lets them come back.
///
/// # Errors
/// A sentence for the operator.
pub async fn dismissed(arguments: &DismissedArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let keys = intent::dismissed(&app, user.id).await.map_err(Failure::failed)?;
    if arguments.bring_back {
        let n = intent::bring_back(&app, user.id, &keys).await.map_err(Failure::failed)?;
        say(out, &format!("{n} come back with the next sync\n"))?;
    } else {
        say(out, &format!("{} copies were removed by hand and stay away\n", keys.len()))?;
    }
    app.store.close().await;
    Ok(0)
}

/// Removes everything we wrote.
///
/// # Errors
/// A sentence for the operator.
pub async fn purge(arguments: &PurgeArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    if let Some(file) = &arguments.tokens {
        return without_database(file, arguments.dry_run, settings, out).await;
    }
    let app = open(settings, Clock::system()).await?;
    let users = match (&arguments.user, arguments.all) {
        (Some(email), _) => vec![user(&app, email).await?],
        (None, true) => app.store.users().await.map_err(Failure::failed)?,
        (None, false) => {
            return Err(Failure::usage("say whose events are to go: --user EMAIL, --all, or --tokens FILE"));
        }
    };
    let mut stays = false;
    for user in users {
        for Purged { calendar, swept } in purge::user(&app, &user, arguments.dry_run).await.map_err(Failure::failed)? {
            let line = match &swept {
                Ok(swept) => told(swept, arguments.dry_run),
                Err(error) => format!("cannot be purged: {error}"),
            };
            stays |= swept.is_err() || swept.is_ok_and(|swept| !swept.behind.is_empty());
            say(out, &format!("{} {calendar}: {line}\n", user.email))?;
        }
        if !arguments.dry_run {
            say(out, &format!("{} is paused; `busybridge resume --user {}` begins anew\n", user.email, user.email))?;
        }
    }
    app.store.close().await;
    if stays {
        return Err(Failure::failed("something stays behind; purge again when Google lets us"));
    }
    Ok(0)
}

async fn without_database(file: &PathBuf, dry: bool, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    // A service that remembers these events would take their removal for the people's, and remove their meetings.
    if std::fs::metadata(&settings.database).is_ok_and(|file| file.len() > 0) {
        return Err(Failure::usage(format!(
            "there is a database at {}, which remembers what is about to be removed: use --user or --all with it. --tokens is for \
             when it is lost",
            settings.database.display()
        )));
    }
    let vault = Vault::load(&settings.key_file).map_err(Failure::usage)?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let accounts: Vec<Account> = serde_json::from_str(&text).map_err(|_| {
        Failure::usage(format!(
            "{} is not a list of accounts: it should be [{{\"account\": \"…\", \"access_token\": \"…\"}}]",
            file.display()
        ))
    })?;
    let endpoints = Endpoints::new(settings.issuer.clone(), settings.api.clone()).map_err(Failure::usage)?;
    let google = Client::new(endpoints, Clock::system()).map_err(Failure::failed)?;
    let mut stays = false;
    for Account { account, access_token } in accounts {
        let access = Secret::new(access_token);
        let calendars = match google.calendars(&access).await {
            Ok(calendars) => calendars,
            Err(error) => {
                stays = true;
                say(out, &format!("{account}: cannot be purged: {error}\n"))?;
                continue;
            }
        };
        for calendar in calendars.into_iter().filter(|calendar| calendar.writable) {
            let swept = purge::sweep(&google, &vault, &access, &calendar.id, Whose::Everybody, dry).await;
            let line = match &swept {
                Ok(swept) => told(swept, dry),
                Err(error) => format!("cannot be purged: {error}"),
            };
            stays |= swept.is_err() || swept.is_ok_and(|swept| !swept.behind.is_empty());
            say(out, &format!("{account} {}: {line}\n", calendar.name))?;
        }
    }
    if stays {
        return Err(Failure::failed("something stays behind; purge again when Google lets us"));
    }
    Ok(0)
}

fn told(swept: &Swept, dry: bool) -> String {
    let Swept { found, removed, behind, why } = swept;
    match why {
        _ if dry => format!("{found} events of ours"),
        Some(why) => format!("{} of {found} removed, {} stay behind: {why}", removed.len(), behind.len()),
        None => format!("{} removed", removed.len()),
    }
}

/// Prints what stays behind at Google, of everybody.
///
/// # Errors
/// A sentence for the operator.
pub async fn left_behind(app: &App, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    for left in app.store.left_behind().await.map_err(Failure::failed)? {
        let text = format!(
            "left behind since {}: {} events on a calendar of {}: {}\n",
            left.at,
            left.events.len(),
            left.user,
            left.why
        );
        say(out, &text)?;
    }
    Ok(())
}

pub(super) async fn user(app: &App, email: &str) -> Result<User, Failure> {
    let who = Who::user(email);
    reconcile::users(app, &who).await.map(|mut users| users.remove(0))
}

pub(super) async fn calendar(app: &App, user: &User, name: &str) -> Result<CalendarRow, Failure> {
    let rows = app.store.calendars_of(user.id).await.map_err(Failure::failed)?;
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    rows.into_iter().find(|row| row.name == name || row.id.as_str() == name).ok_or_else(|| {
        Failure::usage(format!("{} has no calendar called {name}; there are {}", user.email, names.join(", ")))
    })
}

pub(super) fn say(out: &mut (dyn Write + Send), text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::failed)
}
