//! Google's notifications (guide "Push notifications"). The answer is the same whatever is wrong, so that nobody learns which
//! channels exist; only a request that is no notification at all, or one that is too large, is told so.

use salvo::{Depot, handler, http::StatusCode};

use super::Front;
use crate::controller::bell::{Heard, Notification};

/// The longest header that is looked at, in bytes: a channel's id has at most 64, its token 256.
const HEADER_MAX: usize = 1024;
/// The largest body that is passed over, in bytes. Google sends none.
const BODY_MAX: u64 = 1024;

/// Hears one notification.
#[handler]
pub async fn notify(req: &mut salvo::Request, depot: &mut Depot, res: &mut salvo::Response) {
    let Ok(front) = depot.get_typed::<Front>() else {
        res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        return;
    };
    // What the body is does not matter; that it is large does. One of unknown length is not waited for.
    let length = req.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_MAX) || req.headers().contains_key("transfer-encoding") {
        res.headers_mut().insert("connection", salvo::http::HeaderValue::from_static("close"));
        res.status_code(StatusCode::PAYLOAD_TOO_LARGE);
        return;
    }
    let header = |name: &str| {
        let value = req.headers().get(name)?.as_bytes();
        std::str::from_utf8(value).ok().filter(|text| text.len() <= HEADER_MAX)
    };
    let (Some(channel), Some(resource), Some(state)) =
        (header("x-goog-channel-id"), header("x-goog-resource-id"), header("x-goog-resource-state"))
    else {
        res.status_code(StatusCode::BAD_REQUEST);
        return;
    };
    let token = header("x-goog-channel-token").unwrap_or_default();
    let notification = Notification { channel, token, resource, state };
    let heard = front.desk.bell.hear(&notification, front.app.clock.now(), front.desk.moment());
    front.desk.metrics.notification(word(heard));
    res.status_code(StatusCode::NO_CONTENT);
}

fn word(heard: Heard) -> &'static str {
    match heard {
        Heard::Marked => "marked",
        Heard::Again => "again",
        Heard::Opened => "opened",
        Heard::Unknown => "unknown",
        Heard::Forged => "forged",
        Heard::Odd => "odd",
    }
}
