//! One HTTP message out, one in. The one seam at which Google can be replaced by something in process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, header};
use tracing::debug;
use url::Url;

use super::error::{About, GoogleError};
use crate::model::secret::Secret;

/// The largest answer that is read, in bytes: a page of 2,500 events has about 3 MB.
const ANSWER_MAX: usize = 32 << 20;

/// A request as a value.
#[derive(Clone)]
pub(super) struct Request {
    /// The method's name at Google, for counts and logs.
    pub name: &'static str,
    pub about: About,
    pub method: Method,
    pub url: Url,
    pub access: Option<Secret<String>>,
    pub if_match: Option<String>,
    /// Content type and content.
    pub body: Option<(&'static str, Vec<u8>)>,
}

/// Sends requests and counts them. Clones share the connections and the counts.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    calls: Arc<Mutex<Tally>>,
    /// What time Google had, and when we heard it.
    date: Arc<Mutex<Option<(DateTime<Utc>, Instant)>>>,
}

/// Calls by method and status; status 0 is no answer.
type Tally = BTreeMap<(&'static str, u16), u64>;

/// Counts a call when it is over, however it ends: also when nobody waits for the answer any more.
struct Counted<'a> {
    calls: &'a Mutex<Tally>,
    name: &'static str,
    status: u16,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((self.name, self.status)).or_default() += 1;
    }
}

impl Transport {
    pub(super) fn new() -> Result<Self, GoogleError> {
        let http = reqwest::Client::builder()
            // Google compresses only for agents that say so in their name (guide "Performance tips").
            .user_agent(concat!("busybridge/", env!("CARGO_PKG_VERSION"), " (gzip)"))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| GoogleError::Setup(error.to_string()))?;
        Ok(Transport { http, calls: Arc::default(), date: Arc::default() })
    }

    /// Calls so far, attempts that failed included, by method and status; status 0 is no answer.
    pub(super) fn tally(&self) -> Tally {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What time it is by the last answer; none: there was none.
    pub(super) fn time(&self) -> Option<DateTime<Utc>> {
        let date = *self.date.lock().unwrap_or_else(PoisonError::into_inner);
        date.and_then(|(at, heard)| Some(at + TimeDelta::from_std(heard.elapsed()).ok()?))
    }

    /// The body of a successful answer.
    pub(super) async fn send(&self, request: Request) -> Result<Vec<u8>, GoogleError> {
        let Request { name, about, method, url, access, if_match, body } = request;
        let mut counted = Counted { calls: &self.calls, name, status: 0 };
        let begun = Instant::now();
        let mut message = self.http.request(method, url);
        if let Some(access) = access {
            message = message.bearer_auth(access.reveal());
        }
        if let Some(etag) = if_match {
            message = message.header(header::IF_MATCH, etag);
        }
        if let Some((kind, content)) = body {
            message = message.header(header::CONTENT_TYPE, kind).body(content);
        }
        let unreachable = |error: reqwest::Error| GoogleError::Unreachable(error.without_url());
        let mut answer = message.send().await.map_err(unreachable)?;
        let status = answer.status();
        counted.status = status.as_u16();
        let date = answer.headers().get(header::DATE).and_then(|v| v.to_str().ok());
        if let Some(date) = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok()) {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date.to_utc(), Instant::now()));
        }
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut content = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            content.extend_from_slice(&part);
            if content.len() > ANSWER_MAX {
                return Err(GoogleError::TooLarge);
            }
        }
        debug!(call = name, status = status.as_u16(), ms = begun.elapsed().as_millis(), "asked Google");
        if status.is_success() {
            return Ok(content);
        }
        Err(GoogleError::of(about, status.as_u16(), retry_after.as_deref(), &content))
    }
}
