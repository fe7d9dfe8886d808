//! What was asked of this Google: requests by account, method and status, and writes to events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::emulator::{http::Request, scopes};

/// Counts since the start or the last reset.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// By account (empty: nobody known), method name and status (`drop`: no answer).
    requests: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    total: u64,
    event_writes: BTreeMap<String, u64>,
}

impl Stats {
    /// One answered request; no status when the connection was dropped.
    pub fn count(&mut self, account: Option<&str>, request: &Request, status: Option<u16>) {
        let method = scopes::of_request(request);
        // Sign-in endpoints go by their path; other paths are of no interest one by one.
        let name = match (method, request.path.as_str()) {
            (Some(method), _) => method.name.to_owned(),
            (None, path) if path.starts_with("/calendar/") => "unknown".into(),
            (None, path) => format!("oauth {path}"),
        };
        let account = account.unwrap_or("").to_owned();
        if method.is_some_and(|m| m.writes_events()) && status.is_some_and(|s| (200..300).contains(&s)) {
            *self.event_writes.entry(account.clone()).or_default() += 1;
        }
        let status = status.map_or("drop".into(), |s| s.to_string());
        *self.requests.entry(account).or_default().entry(name).or_default().entry(status).or_default() += 1;
        self.total += 1;
    }

    /// `{requests: {account: {method: {status: n}}}, total, event_writes: {account: n}}`. Event writes are the successful
    /// ones that were answered.
    pub fn describe(&self) -> Value {
        json!({"requests": self.requests, "total": self.total, "event_writes": self.event_writes})
    }
}
