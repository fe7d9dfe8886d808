//! What operators and their programs ask: is it well, does it work, what are the figures.

use salvo::{Depot, handler, http::StatusCode, writing::Text};

use super::Front;
use crate::controller::health::Trouble;

/// `ok`, or 503 and one word. A service that is starting or stopping is healthy.
#[handler]
pub async fn health(depot: &mut Depot, res: &mut salvo::Response) {
    let trouble = trouble(depot).filter(|trouble| !matches!(trouble, Trouble::Starting | Trouble::Stopping));
    answer(res, trouble);
}

/// `ok` while the service works.
#[handler]
pub async fn ready(depot: &mut Depot, res: &mut salvo::Response) {
    answer(res, trouble(depot));
}

/// The figures, for Prometheus.
#[handler]
pub async fn metrics(depot: &mut Depot, res: &mut salvo::Response) {
    let Ok(front) = depot.get_typed::<Front>() else {
        res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        return;
    };
    (front.refresh)(&front.desk);
    res.render(Text::Plain(front.desk.metrics.text()));
    // The encoder writes OpenMetrics.
    if let Ok(kind) = "application/openmetrics-text; version=1.0.0; charset=utf-8".parse() {
        res.headers_mut().insert("content-type", kind);
    }
}

fn trouble(depot: &Depot) -> Option<Trouble> {
    let Ok(front) = depot.get_typed::<Front>() else { return Some(Trouble::Starting) };
    front.desk.health.trouble(front.desk.moment())
}

fn answer(res: &mut salvo::Response, trouble: Option<Trouble>) {
    match trouble {
        None => res.render(Text::Plain("ok\n")),
        Some(trouble) => {
            res.status_code(StatusCode::SERVICE_UNAVAILABLE);
            res.render(Text::Plain(format!("{}\n", trouble.code())));
        }
    }
}
