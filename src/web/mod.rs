//! What is reached over HTTP. So far: Google's notifications, and what operators ask.
//!
//! | path | who | does |
//! |---|---|---|
//! | `POST /api/webhooks/google-calendar` | Google | marks a calendar; answers before any work |
//! | `GET /health` | anybody | `ok`, or 503 and one word |
//! | `GET /ready` | anybody | the same, once the service works |
//! | `GET /metrics` | Prometheus | figures without names |
//!
//! Invariants: an answer says nothing of what it is about to anybody who has not proved who they are; a body that nobody needs is
//! not read; each request has an id of ours, which its log lines carry.

mod operator;
mod webhook;

use std::{io, net::SocketAddr, time::Duration};

use salvo::{
    Depot, FlowCtrl, Handler, Listener, Router, Server, Service, affix_state,
    catch_panic::CatchPanic,
    catcher::Catcher,
    conn::{Acceptor, TcpListener},
    http::StatusCode,
    request_id::{RequestId, RequestIdDepotExt},
    server::ServerHandle,
};

use tracing::debug;

use crate::{controller::service::Desk, model::clock::Clock};

/// What handlers need.
#[derive(Clone)]
pub struct Front {
    pub desk: Desk,
    pub clock: Clock,
    /// Asked before figures are told, to bring them up to date.
    pub refresh: std::sync::Arc<dyn Fn(&Desk) + Send + Sync>,
}

/// A running web server. Dropping it stops the server at once.
pub struct Running {
    pub address: SocketAddr,
    handle: ServerHandle,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Takes no more requests and lets those at work end, for so long.
    pub async fn stop(&mut self, patience: Duration) {
        self.handle.stop_graceful(patience);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves at `listen` (port 0: any free one).
///
/// # Errors
/// When it cannot be bound.
pub async fn serve(front: Front, listen: SocketAddr) -> io::Result<Running> {
    let acceptor = TcpListener::new(listen)
        .try_bind()
        .await
        .map_err(|e| io::Error::other(format!("cannot listen on {listen} (LISTEN): {e}")))?;
    let address =
        acceptor.holdings()[0].local_addr.clone().into_std().ok_or_else(|| io::Error::other("no TCP address"))?;
    let server = Server::new(acceptor);
    let handle = server.handle();
    let task = tokio::spawn(server.serve(service(front)));
    Ok(Running { address, handle, task })
}

/// All routes.
fn service(front: Front) -> Service {
    let routes = Router::new()
        .hoop(RequestId::new())
        .hoop(tell)
        .hoop(CatchPanic::new())
        .hoop(plain_headers)
        .hoop(affix_state::inject(front))
        .push(Router::with_path("api/webhooks/google-calendar").post(webhook::notify))
        .push(Router::with_path("health").get(operator::health))
        .push(Router::with_path("ready").get(operator::ready))
        .push(Router::with_path("metrics").get(operator::metrics));
    Service::new(routes).catcher(Catcher::new(Bare))
}

/// One line a request, by its id; paths and headers may be anything, and are left out.
#[salvo::handler]
async fn tell(req: &mut salvo::Request, depot: &mut Depot, res: &mut salvo::Response, ctrl: &mut FlowCtrl) {
    let id = depot.request_id().unwrap_or_default().to_owned();
    let method = req.method().clone();
    ctrl.call_next(req, depot, res).await;
    let status = res.status_code.map_or(200, |status| status.as_u16());
    debug!(request.id = id, method = %method, status, "answered a request");
}

/// What every answer carries.
#[salvo::handler]
async fn plain_headers(res: &mut salvo::Response) {
    let headers = res.headers_mut();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
}

/// Errors without a page: the status and its name, and nothing of the server.
struct Bare;

#[salvo::async_trait]
impl Handler for Bare {
    async fn handle(
        &self,
        _req: &mut salvo::Request,
        _depot: &mut Depot,
        res: &mut salvo::Response,
        ctrl: &mut FlowCtrl,
    ) {
        let status = res.status_code.unwrap_or(StatusCode::NOT_FOUND);
        res.render(salvo::writing::Text::Plain(format!("{}\n", status.canonical_reason().unwrap_or("Error"))));
        ctrl.skip_rest();
    }
}
