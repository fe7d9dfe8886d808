//! How a request arrives: for whom it is meant, and over which connection.
//!
//! Addresses that we give are made of `PUBLIC_URL` alone, so a strange `Host` leads nobody astray; it is refused all the same, lest a
//! page of somebody else's that turns its name to our address (DNS rebinding) speaks to us. Reached by number or on the machine
//! itself, and by a trusted proxy under whatever name, we answer.

use salvo::{
    Depot, FlowCtrl, Request, Response, handler,
    http::{HeaderValue, StatusCode, Version},
};

use super::{Front, error::Refusal};

/// Asked by machines of the house, under whatever name they know us.
const OPERATOR: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Lets those requests go on that are meant for us and came over a connection that is as safe as it has to be.
#[handler]
pub async fn check(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let front = Front::of(depot);
    if OPERATOR.contains(&req.uri().path()) {
        return;
    }
    let public = &front.app.policy.public_url;
    let by_proxy = front.limits.by_proxy(req);
    let refusal = match host(req) {
        Err(refusal) => refusal,
        Ok(Some(host)) if !by_proxy && !is_ours(&host, public) => {
            let message = format!("This is reached as {public} and not under another name.");
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message).with_way(public.clone(), "Go there")
        }
        Ok(_) if by_proxy && came_in_the_clear(req) && public.starts_with("https://") => {
            if !req.uri().path().starts_with("/api/") {
                let rest = req.uri().path_and_query().map_or("/", |rest| rest.as_str());
                if let Ok(to) = HeaderValue::from_str(&format!("{public}{rest}")) {
                    res.status_code(StatusCode::PERMANENT_REDIRECT);
                    res.headers_mut().insert("location", to);
                    return ctrl.skip_rest();
                }
            }
            Refusal::malformed("https_required", "Use https: what you sent could be read on its way.")
        }
        Ok(_) => return,
    };
    refusal.answer(req, depot, res);
    ctrl.skip_rest();
}

/// The name under which we are asked, without port. Only HTTP/1.0 may leave it out.
fn host(req: &Request) -> Result<Option<String>, Refusal> {
    let bad = || Refusal::malformed("bad_host", "Say once which host is meant.");
    let mut named = req.headers().get_all("host").iter();
    let (first, second) = (named.next(), named.next());
    match (first, second) {
        (None, _) if req.version() == Version::HTTP_10 => Ok(None),
        (Some(one), None) => {
            let text = one.to_str().map_err(|_| bad())?;
            let plain = !text.is_empty() && !text.contains(['@', '/', '?', '#', ' ']);
            let url = url::Url::parse(&format!("http://{text}/")).ok().filter(|_| plain);
            url.as_ref().and_then(|url| url.host_str()).map(|host| Some(host.to_owned())).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

fn is_ours(host: &str, public: &str) -> bool {
    let known = url::Url::parse(public).ok();
    let known = known.as_ref().and_then(|url| url.host_str());
    let number = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    number || host == "localhost" || Some(host) == known
}

/// Whether the proxy says that it was reached without encryption.
fn came_in_the_clear(req: &Request) -> bool {
    let said = req.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    said.is_some_and(|said| said.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("http")))
}
