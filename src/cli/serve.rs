//! `busybridge serve`: the service, until it is asked to stop. `busybridge health`: asks it whether all is well.

use std::{future::Future, io::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::signal;
use tracing::info;

use super::{Ending, Failure, assemble, is_a_file, key_failure, open_database, settings::Settings, store_failure};
use crate::{
    controller::{
        App,
        service::{self, Desk, Options},
    },
    model::clock::Clock,
    store::{self, Store, StoreError, lock},
    vault::{Vault, first},
    web::{self, Front, Limits},
};

/// The path at which Google's notifications arrive.
pub const WEBHOOK: &str = "/api/webhooks/google-calendar";
/// How long requests at work may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or Ctrl-C; a second one ends everything at once.
///
/// # Errors
/// A sentence for the operator.
pub async fn serve(settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    is_a_file(settings)?;
    let is_first = || !settings.database.exists() && Vault::is_absent(&settings.key_file);
    // First, so that nothing is changed, not even the schema, beside another service or a restore.
    let mut held = if is_first() {
        // The log of a database that is gone holds what it had not yet merged; a new one in its place would throw that away.
        let log = PathBuf::from(format!("{}-wal", settings.database.display()));
        if log.exists() {
            return Err(store_failure(StoreError::Missing(settings.database.clone())));
        }
        Some(store::claim(&settings.database).map_err(store_failure)?)
    } else if settings.database.exists() {
        Some(lock::hold(&settings.database).map_err(store_failure)?)
    } else {
        None
    };
    // Asked again: before it was held, another one may have been at it.
    let app = if is_first() {
        begin(settings, first::draft(&settings.key_file).map_err(key_failure)?).await?
    } else if settings.database.exists() && first::is_begun(&settings.key_file) {
        info!("the first start had not come to its end; this one goes on with it");
        begin(settings, first::resume(&settings.key_file).map_err(key_failure)?).await?
    } else {
        again(settings).await?
    };
    if held.is_none() {
        held = Some(lock::hold(&settings.database).map_err(store_failure)?);
    }
    let _held = held;
    // What a terminal or a shell sends when it goes away is not for a service.
    #[cfg(unix)]
    let _hangups = signal::unix::signal(signal::unix::SignalKind::hangup());
    let webhook = settings.webhooks.then(|| format!("{}{WEBHOOK}", settings.public_url));
    let options = Options::new(webhook, settings.zone);
    let begun = |address: SocketAddr| {
        out.write_all(
            format!("BusyBridge listens on http://{address} and is reached at {}.\n", settings.public_url).as_bytes(),
        )
        .and_then(|()| out.flush())
        .map_err(Failure::failed)
    };
    run(app, options, settings, asked_to_stop(), begun).await?;
    Ok(0)
}

/// The first start, or the rest of it: a database that belongs to these keys, which then take their places. Everything else is
/// settled by the set-up.
async fn begin(settings: &Settings, vault: Vault) -> Result<App, Failure> {
    let vault = Arc::new(vault);
    let made = Store::open(&settings.database, vault.clone(), Clock::system()).await;
    let store = made.map_err(|error| {
        if !settings.database.exists() {
            first::abandon(&settings.key_file);
        }
        store_failure(error)
    })?;
    first::keep(&settings.key_file).map_err(key_failure)?;
    info!("keys and database are made");
    assemble(settings, store, vault, Clock::system())
}

/// Any other start.
async fn again(settings: &Settings) -> Result<App, Failure> {
    let opened = open_database(settings, Clock::system()).await?;
    opened.settle(settings);
    assemble(settings, opened.store, opened.vault, Clock::system())
}

/// The service at the settings' address, until `end`. `begun` is told where it listens.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(
    app: App,
    options: Options,
    settings: &Settings,
    end: impl Future<Output = ()>,
    begun: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let desk = Desk::default();
    let google = app.google.clone();
    let refresh = Arc::new(move |desk: &Desk| {
        desk.metrics.google(&google.tally(), &google.spend_figures(), google.waiting().len())
    });
    let configured = app.store.organization().await.map_err(Failure::failed)?.is_some();
    let limits = Limits::new(settings.trusted_proxies.clone());
    let (key_file, prefill) = (settings.key_file.clone(), settings.client.clone());
    let front = Front::new(app.clone(), desk.clone(), refresh, limits, key_file, prefill, configured);
    let told = front.clone();
    let mut site = web::serve(front, settings.listen).await.map_err(Failure::failed)?;
    begun(site.address)?;
    told.tell_token();
    let (stop, store) = (app.stop.clone(), app.store.clone());
    let mut service = std::pin::pin!(service::serve(app, desk, options));
    let served = tokio::select! {
        served = &mut service => served,
        () = end => {
            info!("asked to stop; the steps in hand are finished first");
            stop.ask();
            tokio::select! {
                served = &mut service => served,
                () = asked_to_stop() => Ok(()),
            }
        }
    };
    site.stop(PATIENCE).await;
    store.close().await;
    served.map_err(Failure::failed)
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut term) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = term.recv() => {}
        }
        return;
    }
    let _ = signal::ctrl_c().await;
}

/// Asks the service on this machine whether all is well, for the health checks of containers.
///
/// # Errors
/// When it does not answer, or not well.
pub async fn health(settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let mut address = settings.listen;
    // A service that listens everywhere is asked where it is.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let url = format!("http://{address}/health");
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().map_err(Failure::failed)?;
    let silent = |_| Failure::failed(format!("nothing answers at {url}; is the service running, and LISTEN the same?"));
    let answer = http.get(&url).send().await.map_err(silent)?;
    let well = answer.status().is_success();
    let word = answer.text().await.map_err(silent)?;
    if !well {
        return Err(Failure::failed(format!("the service is not well: {}", word.trim())));
    }
    out.write_all(word.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}
