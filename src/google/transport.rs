//! One HTTP message out, one in. The one seam at which Google can be replaced by something in process.

use std::{
    collections::BTreeMap,
    pin::Pin,
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
const ANSWER_MAX: usize = 16 << 20;

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

/// A request as it would go over a wire.
#[derive(Clone, Debug)]
pub struct Message {
    pub method: String,
    pub url: Url,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer as it would come over a wire.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A Google in the same process: a message in, an answer out; none: the answer was lost.
pub type Near = Arc<dyn Fn(Message) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send>> + Send + Sync>;

/// Where messages go.
#[derive(Clone)]
enum Way {
    Wire(reqwest::Client),
    Near(Near),
}

/// Sends requests and counts them. Clones share the connections and the counts.
#[derive(Clone)]
pub(super) struct Transport {
    way: Way,
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
        Ok(Transport { way: Way::Wire(http), calls: Arc::default(), date: Arc::default() })
    }

    /// To a Google in the same process.
    pub(super) fn near(near: Near) -> Self {
        Transport { way: Way::Near(near), calls: Arc::default(), date: Arc::default() }
    }

    /// Whether Google is in the same process.
    pub(super) fn is_near(&self) -> bool {
        matches!(self.way, Way::Near(_))
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
        let http = match &self.way {
            Way::Wire(http) => http,
            Way::Near(near) => {
                let mut headers: Vec<(String, String)> = Vec::new();
                headers.extend(access.map(|access| ("authorization".into(), format!("Bearer {}", access.reveal()))));
                headers.extend(if_match.map(|etag| ("if-match".into(), etag)));
                let (kind, body) = body.unzip();
                headers.extend(kind.map(|kind| ("content-type".into(), kind.to_owned())));
                let message = Message { method: method.as_str().into(), url, headers, body: body.unwrap_or_default() };
                let Reply { status, headers, body } = near(message).await.ok_or(GoogleError::NoAnswer)?;
                counted.status = status;
                if (200..300).contains(&status) {
                    return Ok(body);
                }
                let retry_after = headers.iter().find(|(name, _)| name == "retry-after").map(|(_, v)| v.as_str());
                return Err(GoogleError::of(about, status, retry_after, &body));
            }
        };
        let mut message = http.request(method, url);
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
