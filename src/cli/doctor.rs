//! `busybridge doctor`: looks at everything that an installation rests on, and says of each trouble what to do.

use std::{
    io::{ErrorKind, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::{Ending, Failure, Opened, assemble, open_with, settings::Settings};
use crate::{
    controller::{App, accounts},
    google::error::GoogleError,
    model::clock::Clock,
    store::{StoreError, lock, upkeep},
    vault::{Vault, VaultError, first, rotation},
};

#[derive(Args)]
pub struct Arguments {
    /// Ask nobody outside this machine
    #[arg(long)]
    offline: bool,
}

/// What was found.
enum Finding {
    Well(String),
    /// What is wrong, and what to do.
    Wrong(String, &'static str),
}

use Finding::{Well, Wrong};

/// How far our clock may be from Google's.
const DRIFT: TimeDelta = TimeDelta::minutes(5);

/// No clock that is right says an earlier day.
const MADE: &str = "2026-11-01T00:00:00Z";

/// Looks at everything; exit code 0: all is well, 1: something is wrong, 2: something is wrong with the settings. `mistakes` are those of
/// the environment; what they spoil has its default in `settings`.
///
/// # Errors
/// When nothing can be written to standard output.
pub async fn run(
    arguments: &Arguments,
    settings: &Settings,
    mistakes: &[String],
    out: &mut (dyn Write + Send),
) -> Ending {
    let mut findings = Vec::new();
    for mistake in mistakes {
        findings.push(("settings", Wrong(mistake.clone(), "correct it where the service's environment is set")));
    }
    if mistakes.is_empty() {
        findings.push(("settings", Well(format!("reached at {}", settings.public_url))));
    }
    let clock = Clock::system();
    // What the default path leads to is nobody's question then.
    let nowhere = mistakes.iter().any(|mistake| mistake.starts_with("DATABASE_PATH "));
    match Vault::load(&settings.key_file) {
        Err(error) if nowhere => findings.push(("keys", Wrong(error.to_string(), key_remedy(&error)))),
        Ok(_) if nowhere => findings.push(("keys", Well("both key files are there and whole".into()))),
        Err(_) if is_half_begun(settings) => {
            let draft = first::draft_of(&settings.key_file);
            let what =
                format!("the first start was interrupted: its keys are still drafts, such as {}", draft.display());
            findings.push(("keys", Wrong(what, "start the service: it goes on where it was")));
            let database = settings.database.display();
            let what = match settings.database.exists() {
                true => format!("the first start had begun {database}"),
                false => format!("there is no database at {database} yet"),
            };
            findings.push(("database", Wrong(what, "start the service: it makes it")));
        }
        Err(error) => {
            findings.push(("keys", Wrong(error.to_string(), key_remedy(&error))));
            let (what, todo) = match files_of(&settings.database) {
                Ok(()) => ("it cannot be looked into without the keys".into(), "first mend the keys"),
                Err(trouble) => trouble,
            };
            findings.push(("database", Wrong(what, todo)));
        }
        Ok(vault) => match open_with(vault, settings, clock.clone()).await {
            Err(error) => {
                findings.push(match &error {
                    StoreError::WrongKey { .. } => ("keys", Wrong(error.to_string(), remedy(&error))),
                    _ => ("keys", Well("both key files are there and whole".into())),
                });
                findings.push(match (error, files_of(&settings.database)) {
                    (StoreError::WrongKey { .. }, _) => {
                        ("database", Wrong("it cannot be looked into with these keys".into(), "first mend the keys"))
                    }
                    (_, Err((what, todo))) => ("database", Wrong(what, todo)),
                    (error, Ok(())) => ("database", Wrong(error.to_string(), remedy(&error))),
                });
            }
            Ok(Opened { vault, store, by_next }) => {
                findings.push(("keys", keys(settings, by_next)));
                let app = assemble(settings, store, vault, clock.clone())?;
                installation(&app, settings, arguments.offline, &mut findings).await;
                app.store.close().await;
            }
        },
    }
    if !nowhere {
        findings.push(("disk", disk(settings)));
    }
    findings.push(("service", service(settings, arguments.offline).await));
    if !arguments.offline {
        findings.push(("Google", google(settings, &clock).await));
    }
    let wrong = findings.iter().filter(|(_, finding)| matches!(finding, Wrong(..))).count();
    let mut text = String::new();
    for (name, finding) in &findings {
        match finding {
            Well(what) => text.push_str(&format!("✓ {name:<10} {what}\n")),
            Wrong(what, todo) => text.push_str(&format!("✕ {name:<10} {what} — {todo}\n")),
        }
    }
    text.push_str(&match wrong {
        0 => "All is well.\n".to_owned(),
        1 => "One thing is wrong.\n".to_owned(),
        n => format!("{n} things are wrong.\n"),
    });
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(if mistakes.is_empty() { u8::from(wrong > 0) } else { 2 })
}

/// Whether a first start died that the next one goes on with, or begins anew.
fn is_half_begun(settings: &Settings) -> bool {
    first::is_begun(&settings.key_file) && (settings.database.exists() || Vault::is_absent(&settings.key_file))
}

/// The keys of a database that opened.
fn keys(settings: &Settings, by_next: bool) -> Finding {
    let previous = rotation::previous(&settings.key_file);
    if by_next {
        return Wrong(
            "the change of the encryption key was interrupted after the database had the new one".into(),
            "start the service once: it puts the new key into its place",
        );
    }
    Well(match previous.exists() {
        true => format!("both key files are there and whole; {} goes with the next start", previous.display()),
        false => "both key files are there and whole".into(),
    })
}

fn key_remedy(error: &VaultError) -> &'static str {
    match error {
        VaultError::TooOpen(..) => {
            "chmod 600 on it; and change it with `busybridge rotate-key` if others could read it"
        }
        VaultError::NotAFile(_) => "let ENCRYPTION_KEY_FILE name the file, not its directory or a device",
        VaultError::Read(..) => "give the file to the user the service runs as: chown, chmod 600",
        _ => "check ENCRYPTION_KEY_FILE, or put the key files back from their backup",
    }
}

/// What the names of the database's files tell, without opening it: what is wrong and what to do.
fn files_of(database: &Path) -> Result<(), (String, &'static str)> {
    let wal = {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        std::path::PathBuf::from(name)
    };
    let what = database.display();
    match std::fs::metadata(database) {
        Ok(file) if file.is_dir() => Err((format!("{what} is a directory"), "let DATABASE_PATH name a file in it")),
        Ok(file) if !file.is_file() => Err((format!("{what} is a device"), "let DATABASE_PATH name a file")),
        Ok(file) if file.len() > 0 => Ok(()),
        _ if wal.exists() => Err((
            format!("there is no database at {what}, but its log {} is there", wal.display()),
            "put the database back beside its log, or move the log away and restore the last backup",
        )),
        Ok(_) => Err((format!("{what} is empty"), "restore the last backup with `busybridge restore`")),
        Err(error) if error.kind() == ErrorKind::NotFound => match database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => Err((
                format!("there is no database at {what}, nor its directory"),
                "check DATABASE_PATH and that its disk is mounted, or restore the last backup",
            )),
            _ => Err((
                format!("there is no database at {what}"),
                "check DATABASE_PATH, or restore the last backup, or begin anew with `busybridge restore --without-backup`",
            )),
        },
        Err(error) => Err((
            format!("{what} cannot be looked at: {error}"),
            "check DATABASE_PATH, and that the user of the service may enter its directory",
        )),
    }
}

fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::WrongKey { .. } | StoreError::Sealed { .. } => {
            "put the key files back that belong to this database"
        }
        StoreError::OtherApplication(_) => "let DATABASE_PATH name BusyBridge's own file",
        StoreError::NewerSchema(_) => "use the newer version, or restore the backup made before the upgrade",
        StoreError::Damaged(_) | StoreError::NotADatabase(_) => {
            "restore the last good backup with `busybridge restore`"
        }
        _ => "check that the file and its directory may be read and written by this user",
    }
}

/// What the database tells.
async fn installation(app: &App, settings: &Settings, offline: bool, findings: &mut Vec<(&'static str, Finding)>) {
    findings.push(match app.store.check().await {
        Ok(()) => ("database", Well(format!("sound, at {}", settings.database.display()))),
        Err(error) => ("database", Wrong(error.to_string(), remedy(&error))),
    });
    if let Err(error) = app.store.ensure_room().await {
        let todo = match &error {
            StoreError::NoRoom | StoreError::DiskFull(_) => "make room where the database lies",
            _ => remedy(&error),
        };
        findings.push(("database", Wrong(error.to_string(), todo)));
    }
    findings.push(match app.store.newest_time().await {
        Ok(newest) => ("clock", told_time(app.clock.now(), newest)),
        Err(error) => ("clock", Wrong(error.to_string(), "see the database")),
    });
    match app.store.organization().await {
        Ok(Some(organization)) => {
            findings.push(("set-up", Well(format!("done for {}", organization.domain))));
            if !offline {
                let known = app.oauth.knows_client(&organization.client_id, &organization.client_secret).await;
                findings.push(("client", client(known)));
            }
        }
        Ok(None) => {
            let todo = "open the address of the service and finish it";
            findings.push(("set-up", Wrong("it was never finished".into(), todo)));
        }
        Err(error) => findings.push(("set-up", Wrong(error.to_string(), remedy(&error)))),
    }
    findings.push(match app.store.is_paused().await {
        Ok(true) => ("pause", Wrong("everything is paused".into(), "`busybridge resume` when you are ready")),
        Ok(false) => ("pause", Well("nothing is paused as a whole".into())),
        Err(error) => ("pause", Wrong(error.to_string(), remedy(&error))),
    });
    findings.push(match app.store.smtp().await {
        Ok(Some(smtp)) => {
            ("mail", Well(format!("through {}:{}; `busybridge mail test ADDRESS` tries it", smtp.host, smtp.port)))
        }
        Ok(None) => {
            ("mail", Well("no server is set, so alerts are not sent; `busybridge mail set` settles one".into()))
        }
        Err(error) => ("mail", Wrong(error.to_string(), remedy(&error))),
    });
    findings.push(("webhooks", webhooks(settings)));
    let Ok(users) = app.store.users().await else { return };
    for user in users {
        let Ok(tokens) = app.store.tokens_of(user.id).await else { continue };
        for token in tokens {
            // An access token may outlive the consent for an hour; only a new one proves it.
            let answer = match (offline, app.store.account(token).await) {
                (_, Err(error)) => Some(error.to_string()),
                (_, Ok(None)) => None,
                (true, Ok(Some(account))) => account.ended.map(|why| why.sentence().to_owned()),
                (false, Ok(Some(_))) => accounts::renewed(app, token).await.err().map(|error| error.to_string()),
            };
            if let Some(trouble) = answer {
                let what = format!("account {} of user {}: {trouble}", token.0, user.id);
                findings.push(("accounts", Wrong(what, "its person signs in again and leaves all boxes ticked")));
            }
        }
    }
}

/// Whether the clock can be right.
fn told_time(now: DateTime<Utc>, newest: Option<DateTime<Utc>>) -> Finding {
    const REMEDY: &str = "set the clock of this machine, best by NTP";
    let made = MADE.parse().unwrap_or(now);
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    match newest {
        _ if now < made => {
            Wrong(format!("the clock says {}, and this program was made later than that", text(now)), REMEDY)
        }
        Some(newest) if newest > now + DRIFT => {
            Wrong(format!("the clock is behind the database, which was written on {}", text(newest)), REMEDY)
        }
        _ => Well(text(now)),
    }
}

fn client(known: Result<bool, GoogleError>) -> Finding {
    match known {
        Ok(true) => Well("Google knows the client id and its secret".into()),
        Ok(false) => Wrong(
            "Google does not accept the client id and secret".into(),
            "look at them in the Google Cloud console, and set those that stand there",
        ),
        Err(error) => Wrong(error.to_string(), "try again in some minutes"),
    }
}

fn webhooks(settings: &Settings) -> Finding {
    match (settings.webhooks, settings.public_url.starts_with("https://")) {
        (true, true) => Well(format!("Google rings at {}", settings.public_url)),
        (true, false) => Wrong(
            "ENABLE_WEBHOOKS is true, and Google rings at https addresses only".into(),
            "put a proxy with TLS before the service and its https address into PUBLIC_URL",
        ),
        (false, _) => Well("off; calendars are looked at every few minutes".into()),
    }
}

fn disk(settings: &Settings) -> Finding {
    match upkeep::room(&settings.database) {
        Ok(free) if free < upkeep::ROOM => Wrong(
            format!("{} MB are free where the database lies", free >> 20),
            "make room: below 32 MB nothing is written at Google",
        ),
        Ok(free) => Well(format!("{} MB are free where the database lies", free >> 20)),
        Err(error) => {
            Wrong(format!("the directory of the database cannot be looked at: {error}"), "check DATABASE_PATH")
        }
    }
}

/// Whether a service runs, and is well.
async fn service(settings: &Settings, offline: bool) -> Finding {
    let mut answer = Vec::new();
    let told = super::serve::health(settings, &mut answer).await;
    // Asking for a lock makes its file, which has no place beside something that is no database.
    let held = settings.database.is_file() && matches!(lock::hold(&settings.database), Err(StoreError::Served(_)));
    match (told, held) {
        (Ok(_), true) if !offline && !is_reached(&settings.public_url).await => Wrong(
            format!("runs at {}, but {} does not lead there", settings.listen, settings.public_url),
            "check PUBLIC_URL, the name's address, and the proxy and its certificate",
        ),
        (Ok(_), true) => Well(format!("runs at {}, and is well", settings.listen)),
        (Ok(_), false) => Wrong(
            format!("something answers at {}, but no service has this database", settings.listen),
            "check DATABASE_PATH and LISTEN",
        ),
        (Err(failure), true) => Wrong(failure.sentence, "look at its log; LISTEN must be the same here and there"),
        (Err(_), false) => match TcpListener::bind(settings.listen) {
            Ok(_) => Well("does not run".into()),
            Err(error) => {
                let todo = match error.kind() {
                    ErrorKind::AddrInUse => "stop what listens there, or choose another port in LISTEN",
                    ErrorKind::PermissionDenied => "choose a port above 1023 in LISTEN, and let a proxy have this one",
                    _ => "let LISTEN name an address of this machine, or 0.0.0.0",
                };
                Wrong(format!("does not run, and could not listen on {}: {error}", settings.listen), todo)
            }
        },
    }
}

/// Whether a BusyBridge answers at this address.
async fn is_reached(address: &str) -> bool {
    let Ok(http) = reqwest::Client::builder().timeout(Duration::from_secs(10)).build() else { return false };
    let Ok(answer) = http.get(format!("{address}/health")).send().await else { return false };
    matches!(answer.text().await.as_deref(), Ok("ok\n"))
}

/// Whether Google answers, and what time it has.
async fn google(settings: &Settings, clock: &Clock) -> Finding {
    const CONNECTION: &str = "check the connection to the internet, name resolution and certificates of this machine";
    let Ok(http) = reqwest::Client::builder().timeout(Duration::from_secs(10)).build() else {
        return Wrong("no certificates are found on this machine".into(), "install ca-certificates");
    };
    let mut issuer = settings.issuer.clone();
    issuer.set_path("/.well-known/openid-configuration");
    let Ok(answer) = http.get(issuer).send().await else {
        return Wrong("its sign-in does not answer".into(), CONNECTION);
    };
    let date = answer.headers().get("date").and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok()).map(|at| at.with_timezone(&Utc));
    if !answer.status().is_success() {
        return Wrong(format!("its sign-in answers with status {}", answer.status().as_u16()), CONNECTION);
    }
    let mut api = settings.api.clone();
    if let Ok(mut path) = api.path_segments_mut() {
        path.extend(["users", "me", "calendarList"]);
    }
    // Who does not say who asks is told so by the API itself, and by nothing that stands in its place.
    match http.get(api).send().await.map(|answer| answer.status().as_u16()) {
        Ok(401 | 403) => {}
        Ok(status) => {
            return Wrong(format!("its Calendar API answers with status {status} to anybody"), CONNECTION);
        }
        Err(_) => return Wrong("its Calendar API does not answer".into(), CONNECTION),
    }
    match date.map(|date| (clock.now() - date).abs()) {
        Some(drift) if drift > DRIFT => Wrong(
            format!("its clock differs from ours by {} minutes", drift.num_minutes()),
            "set the clock of this machine, best by NTP",
        ),
        _ => Well("answers".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_this_program_or_behind_its_database_is_told() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let check = |now: &str, newest: Option<&str>, expect: Option<&str>| {
            let found = told_time(at(now), newest.map(at));
            match (&found, expect) {
                (Well(_), None) => {}
                (Wrong(what, todo), Some(word)) => assert!(what.contains(word) && todo.contains("NTP"), "{what}"),
                _ => panic!("{now} {newest:?}"),
            }
        };
        check("1970-01-01T00:00:10Z", None, Some("made later"));
        check("2027-01-01T00:00:00Z", None, None);
        check("2027-01-01T00:00:00Z", Some("2027-01-01T00:04:00Z"), None);
        check("2027-01-01T00:00:00Z", Some("2027-01-02T00:00:00Z"), Some("behind the database"));
    }
}
