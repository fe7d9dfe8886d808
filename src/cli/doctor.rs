//! `busybridge doctor`: looks at everything that an installation rests on, and says of each trouble what to do.

use std::{io::Write, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::{Ending, Failure, assemble, settings::Settings};
use crate::{
    controller::{App, accounts},
    google::error::GoogleError,
    model::clock::Clock,
    store::{Store, StoreError, lock, upkeep},
    vault::Vault,
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

/// Looks at everything; exit code 0: all is well, 1: something is wrong.
///
/// # Errors
/// When nothing can be written to standard output.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let mut findings = vec![("settings", Well(format!("reached at {}", settings.public_url)))];
    let clock = Clock::system();
    match Vault::load(&settings.key_file) {
        Err(error) => {
            findings.push(("keys", Wrong(error.to_string(), "put the key files back from their backup")));
            findings
                .push(("database", Wrong("it cannot be looked into without the keys".into(), "first mend the keys")));
        }
        Ok(vault) => {
            findings.push(("keys", Well("both key files are there and whole".into())));
            let vault = Arc::new(vault);
            match Store::open_existing(&settings.database, vault.clone(), clock.clone()).await {
                Err(error) => findings.push(("database", Wrong(error.to_string(), remedy(&error)))),
                Ok(store) => {
                    let app = assemble(settings, store, vault, clock.clone())?;
                    installation(&app, settings, arguments.offline, &mut findings).await;
                    app.store.close().await;
                }
            }
        }
    }
    findings.push(("disk", disk(settings)));
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
    Ok(u8::from(wrong > 0))
}

fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::Missing(_) => "check DATABASE_PATH, or restore the last backup",
        StoreError::WrongKey { .. } | StoreError::Sealed { .. } => {
            "put the key files back that belong to this database"
        }
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
        findings.push(("database", Wrong(error.to_string(), "make room where the database lies")));
    }
    findings.push(match app.store.newest_time().await {
        Ok(Some(newest)) if newest > app.clock.now() + DRIFT => (
            "clock",
            Wrong(
                format!(
                    "the clock is behind the database, which was written on {}",
                    newest.format("%Y-%m-%d %H:%M UTC")
                ),
                "set the clock of this machine, best by NTP",
            ),
        ),
        Ok(_) => ("clock", Well(format!("{}", app.clock.now().format("%Y-%m-%d %H:%M UTC")))),
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
    let held = matches!(lock::hold(&settings.database), Err(StoreError::Served(_)));
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
        (Err(_), false) => Well("does not run".into()),
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
