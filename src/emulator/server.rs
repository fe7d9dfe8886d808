//! The emulator on a socket: salvo takes requests apart and puts answers together; nothing is decided here.

use std::{io, net::SocketAddr};

use futures::stream;
use salvo::{
    Depot, FlowCtrl, Handler, Listener, Router, Server,
    conn::{Acceptor, TcpListener},
    http::{ReqBody, ResBody, StatusCode, header::HeaderName},
};

use super::{Answer, Shared, http::Request, with};

/// A running emulator. Dropping it stops the server.
pub struct Running {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
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
    }
}

/// Serves `core` at `listen` (port 0: any free one).
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(core: Shared, listen: SocketAddr) -> io::Result<Running> {
    let acceptor = TcpListener::new(listen).try_bind().await.map_err(|e| io::Error::other(e.to_string()))?;
    let address =
        acceptor.holdings()[0].local_addr.clone().into_std().ok_or_else(|| io::Error::other("no TCP address"))?;
    let door = Door { core, origin: format!("http://{address}") };
    let router = Router::with_path("{**rest}").goal(door);
    let task = tokio::spawn(Server::new(acceptor).serve(router));
    Ok(Running { address, task })
}

struct Door {
    core: Shared,
    origin: String,
}

#[salvo::async_trait]
impl Handler for Door {
    async fn handle(
        &self,
        req: &mut salvo::Request,
        _depot: &mut Depot,
        res: &mut salvo::Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let body = match req.payload_with_max_size(32 << 20).await {
            Ok(bytes) => bytes.to_vec(),
            Err(_) => Vec::new(),
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
        match with(&self.core, |core| core.handle(&self.origin, &request)) {
            Answer::Reply(delay, response) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                res.status_code(StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
                for (name, value) in &response.headers {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.parse()) {
                        res.headers_mut().append(name, value);
                    }
                }
                res.body(ResBody::Once(response.body.into()));
            }
            Answer::Drop => {
                // A body that fails at once makes hyper cut the connection.
                let broken = stream::once(async { Err::<Vec<u8>, _>(io::Error::other("dropped by command")) });
                res.stream(broken);
            }
        }
        let _: &ReqBody = req.body();
    }
}
