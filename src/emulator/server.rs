//! The emulator on a socket: salvo takes requests apart and puts answers together; nothing is decided here.
//!
//! It listens on loopback addresses only, because anybody who reaches it may sign in as anybody and command faults.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use futures::future::join_all;
use salvo::{
    Depot, FlowCtrl, Handler, Listener, Router, Server,
    conn::{Acceptor, TcpListener},
    http::{ResBody, StatusCode, header::HeaderName},
};
use tokio::sync::Notify;

use super::{
    Answer, Shared,
    http::{ApiError, Request, Response},
    push, with,
};

/// The largest request body in bytes.
const BODY_MAX: usize = 32 << 20;

/// A running emulator. Dropping it stops the server.
pub struct Running {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
    /// Delivers what channels are told.
    pusher: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Where it is reached: `http://127.0.0.1:PORT`. The OpenID issuer, and the API below `/calendar/v3`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.pusher.abort();
    }
}

/// Serves `core` at `listen` (port 0: any free one).
///
/// # Errors
/// When `listen` is not a loopback address, and when it cannot be bound.
pub async fn serve(core: Shared, listen: SocketAddr) -> io::Result<Running> {
    if !listen.ip().is_loopback() {
        return Err(io::Error::other(format!(
            "the emulator lets everybody in, so it listens on loopback addresses only, not on {listen}: \
             use 127.0.0.1 or [::1]"
        )));
    }
    let acceptor = TcpListener::new(listen)
        .try_bind()
        .await
        .map_err(|e| io::Error::other(format!("cannot listen on {listen}: {e}")))?;
    let address =
        acceptor.holdings()[0].local_addr.clone().into_std().ok_or_else(|| io::Error::other("no TCP address"))?;
    let messages = Arc::new(Notify::new());
    let pusher = tokio::spawn(push(core.clone(), messages.clone()));
    let door = Door { core, origin: format!("http://{address}"), messages };
    let router = Router::with_path("{**rest}").goal(door);
    let task = tokio::spawn(Server::new(acceptor).serve(router));
    Ok(Running { address, task, pusher })
}

/// Delivers the messages of channels as they fall due.
async fn push(core: Shared, messages: Arc<Notify>) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).redirect(reqwest::redirect::Policy::none());
    let Ok(http) = http.build() else { return };
    loop {
        let due = with(&core, |core| push::take_due(&mut core.world));
        let deliver = due.into_iter().map(|delivery| async {
            let mut request = http.post(&delivery.address).header("content-length", "0");
            for (name, value) in &delivery.headers {
                request = request.header(*name, value);
            }
            let status = request.send().await.ok().map(|answer| answer.status().as_u16());
            with(&core, |core| push::went(&mut core.world, delivery, status));
        });
        join_all(deliver).await;
        // Some are due later, by a clock that may be another than ours; some come from behind the curtain, where nobody notifies.
        let waiting = with(&core, |core| push::is_waiting(&core.world));
        let pause = Duration::from_millis(if waiting { 20 } else { 100 });
        let _ = tokio::time::timeout(pause, messages.notified()).await;
    }
}

struct Door {
    core: Shared,
    origin: String,
    messages: Arc<Notify>,
}

#[salvo::async_trait]
impl Handler for Door {
    async fn handle(
        &self,
        req: &mut salvo::Request,
        _depot: &mut Depot,
        res: &mut salvo::Response,
        ctrl: &mut FlowCtrl,
    ) {
        let body = match req.payload_with_max_size(BODY_MAX).await {
            Ok(bytes) => bytes.to_vec(),
            Err(_) => {
                let refusal = ApiError::new(413, "uploadTooLarge", "Request Too Large");
                return write(res, refusal.response());
            }
        };
        let request = Request {
            method: req.method().as_str().into(),
            path: req.uri().path().into(),
            query: url::form_urlencoded::parse(req.uri().query().unwrap_or("").as_bytes()).into_owned().collect(),
            headers: req
                .headers()
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect(),
            body,
        };
        let (answer, rings) =
            with(&self.core, |core| (core.handle(&self.origin, &request), push::is_waiting(&core.world)));
        if rings {
            self.messages.notify_one();
        }
        match answer {
            Answer::Reply(delay, response) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                write(res, zipped(&request, response));
            }
            // The transport goes away before a byte of the answer is written.
            Answer::Drop => ctrl.conn().abort(),
        }
    }
}

fn write(res: &mut salvo::Response, response: Response) {
    res.status_code(StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in &response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.parse()) {
            res.headers_mut().append(name, value);
        }
    }
    res.body(ResBody::Once(response.body.into()));
}

/// Checklist K17: Google zips when the client accepts gzip *and* its user agent says so.
fn zipped(request: &Request, response: Response) -> Response {
    let says_gzip = |name| request.header(name).is_some_and(|v| v.to_ascii_lowercase().contains("gzip"));
    if response.body.is_empty() || !says_gzip("accept-encoding") || !says_gzip("user-agent") {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(body) = encoder.write_all(&response.body).and_then(|()| encoder.finish()) else { return response };
    Response { body, ..response }.with_header("content-encoding", "gzip").with_header("vary", "Accept-Encoding")
}
