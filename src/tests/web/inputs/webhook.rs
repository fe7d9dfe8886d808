//! Rows 81–85: notifications that are none. Those of channels that exist are tried in `tests/service.rs`.

use super::{Case, Facts, Who::*, case};

pub fn cases(_facts: &Facts) -> Vec<Case> {
    let ring = |row, what: &str| case(row, what).by(Nobody).send("POST", "/api/webhooks/google-calendar");
    let whole = |row, what: &str, channel: &str, token: &str, state: &str| {
        ring(row, what)
            .with("x-goog-channel-id", channel)
            .with("x-goog-channel-token", token)
            .with("x-goog-resource-id", "resource")
            .with("x-goog-resource-state", state)
            .with("x-goog-message-number", "1")
    };
    let mut all = vec![
        ring(81, "no headers").is(400, ""),
        ring(81, "no resource").with("x-goog-channel-id", "x").with("x-goog-resource-state", "exists").is(400, ""),
        whole(83, "64 KB of channel", &"x".repeat(64 << 10), "t", "exists").is(431, "").bare(),
        whole(83, "2 KB of channel", &"x".repeat(2 << 10), "t", "exists").is(400, ""),
        whole(83, "SQL", "' OR '1'='1'; DROP TABLE webhook_channels;--", "t", "exists").is(204, ""),
        whole(83, "a control character", "a\u{1}b", "t", "exists").is(400, "").bare(),
        whole(83, "a line folded", "a\r\n FAKE LOG", "t", "exists").is(400, "").bare(),
        whole(83, "an encoded line", "a%0aFAKE LOG", "t", "exists").is(204, ""),
        whole(83, "bytes beyond ASCII", "a\u{fe}b", "t", "exists").one_of(&[204, 400]),
        whole(84, "10 MB", "x", "t", "exists")
            .body("", vec![0; 1 << 20])
            .with("content-length", "10485760")
            .is(413, ""),
        whole(84, "chunks without end", "x", "t", "exists")
            .body("", "5\r\nhello\r\n".repeat(100))
            .without("content-length")
            .with("transfer-encoding", "chunked")
            .is(413, ""),
        ring(85, "GET")
            .send("GET", "/api/webhooks/google-calendar")
            .is(405, "method_not_allowed")
            .tells("allow", "POST"),
        ring(85, "PUT")
            .send("PUT", "/api/webhooks/google-calendar")
            .is(405, "method_not_allowed")
            .tells("allow", "POST"),
    ];
    for (token, state) in
        [("t", "exists"), ("", "exists"), ("t", "sync"), ("t", "not_exists"), ("t", "shouting"), ("t", "")]
    {
        all.push(whole(82, "a channel that nobody knows", "0b7b3c5e-unknown", token, state).is(204, ""));
    }
    all.push(whole(82, "1 KB of token", "unknown", &"x".repeat(1 << 10), "exists").is(204, ""));
    all
}
