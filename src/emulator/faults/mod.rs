//! Faults by command: what a request meets instead of, before or after its effect.
//!
//! ```text
//!   request ─► every fault that matches counts it ─► the first whose turn it is acts
//!                                                      │
//!              status, body, drop_before ──────────────┤ before the effect
//!              drop_after, empty_listing, truncated… ──┘ after it
//! ```
//!
//! Deterministic: turns are counted from the command, chances come from a generator seeded by the command.
//! Faults strike the sign-in endpoints too (`"path": "/token"`), never `/_emulator/…`.

mod control;
mod stats;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use control::control;
use stats::Stats;

use super::{
    Answer, api,
    http::{Request, Response},
};

/// The longest body of a fault, in bytes.
const BODY_MAX: usize = 64 << 20;

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An error answer in Google's format; before the effect, or after it with `after_effect` (checklist K07).
    Status,
    /// The connection closes before anything happened.
    DropBefore,
    /// The effect happens and the connection closes without an answer.
    DropAfter,
    /// The answer comes `delay_ms` late.
    Delay,
    /// A listing answers 200 without items, ending at once with its sync token (reliability F15).
    EmptyListing,
    /// A listing answers 200 with its first `keep` items only, ending at once with its sync token (F15).
    TruncatedListing,
    /// An answer with this body, as a proxy in between would give (K08).
    Body,
}

/// A fault as commanded. Absent conditions match everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: Kind,
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Part of the decoded path; with `*` in it, a pattern for the whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Part of the decoded query (`syncToken=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What the decoded query must not contain: `syncToken=` leaves full listings only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_without: Option<String>,
    /// The account behind the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The first matching call to strike, counted from one; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How often to strike; by default once when `nth` is given, and always otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The chance of each matching call, 0 to 1; always by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where the dice begin; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// For `status` and `body`; 503 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// By default the usual one of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Seconds, sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Milliseconds; goes with every kind that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// For `truncated_listing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// For `body`; empty by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How often the body comes, one after the other; once by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<usize>,
    /// `status` and `body` answer although the call had its effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_effect: bool,
}

impl Fault {
    /// One that strikes every call.
    pub fn of(kind: Kind) -> Self {
        Fault {
            kind,
            method: None,
            path: None,
            query: None,
            query_without: None,
            account: None,
            nth: None,
            times: None,
            probability: None,
            seed: None,
            status: None,
            reason: None,
            domain: None,
            retry_after: None,
            delay_ms: None,
            keep: None,
            body: None,
            repeat: None,
            after_effect: false,
        }
    }

    /// What is wrong with the command, as a sentence.
    fn complaint(&self) -> Option<&'static str> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            Some("A probability lies between 0 and 1.")
        } else if self.status.is_some_and(|s| !(200..=599).contains(&s)) {
            Some("A status lies between 200 and 599.")
        } else if self.nth == Some(0) {
            Some("Calls are counted from 1.")
        } else if self.kind == Kind::TruncatedListing && self.keep.is_none() {
            Some("A truncated listing needs \"keep\", the number of items.")
        } else if self.kind == Kind::Delay && self.delay_ms.is_none() {
            Some("A delay needs \"delay_ms\".")
        } else if self.repeat.unwrap_or(1).saturating_mul(self.body.as_ref().map_or(0, String::len)) > BODY_MAX {
            Some("A body has at most 64 MB.")
        } else {
            None
        }
    }

    fn matches(&self, account: Option<&str>, request: &Request) -> bool {
        let path: String = request.path.split('/').map(api::decode).collect::<Vec<_>>().join("/");
        let query: String = request.query.iter().map(|(n, v)| format!("{n}={v}&")).collect();
        let listing = matches!(self.kind, Kind::EmptyListing | Kind::TruncatedListing);
        self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(&request.method))
            && self.path.as_deref().is_none_or(|p| if p.contains('*') { glob(p, &path) } else { path.contains(p) })
            && self.query.as_deref().is_none_or(|q| query.contains(q))
            && self.query_without.as_deref().is_none_or(|q| !query.contains(q))
            && self.account.as_deref().is_none_or(|a| account == Some(a))
            && (!listing || request.method == "GET" && is_listing(&path))
    }
}

fn is_listing(path: &str) -> bool {
    ["/events", "/instances", "/calendarList", "/acl"].iter().any(|end| path.ends_with(end))
}

/// Whether `text` is what `pattern` describes, `*` standing for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| glob(tail, &rest[i..]))),
    }
}

/// A fault in force.
#[derive(Clone, Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    matched: u64,
    hits: u64,
    dice: Dice,
}

impl Armed {
    /// Counts a matching call and says whether it is struck.
    fn strikes(&mut self) -> bool {
        self.matched += 1;
        let times = self.fault.times.unwrap_or(if self.fault.nth.is_some() { 1 } else { u64::MAX });
        if self.matched < self.fault.nth.unwrap_or(1) || self.hits >= times {
            return false;
        }
        if self.fault.probability.is_some_and(|p| self.dice.roll() >= p) {
            return false;
        }
        self.hits += 1;
        true
    }
}

/// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// A number in `0.0..1.0`.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The faults in force, in the order of their commands, and what was asked so far.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Vec<Armed>,
    last_id: u64,
    stats: Stats,
}

impl Faults {
    /// Arms a fault and gives its number.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the command.
    pub fn add(&mut self, fault: Fault) -> Result<u64, String> {
        if let Some(complaint) = fault.complaint() {
            return Err(complaint.into());
        }
        self.last_id += 1;
        let dice = Dice(fault.seed.unwrap_or(0));
        self.armed.push(Armed { id: self.last_id, fault, matched: 0, hits: 0, dice });
        Ok(self.last_id)
    }

    /// Disarms all faults.
    pub fn clear(&mut self) {
        self.armed.clear();
    }

    /// Disarms one; whether there was such a one.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.armed.len();
        self.armed.retain(|a| a.id != id);
        self.armed.len() < before
    }

    /// Those in force, by their numbers.
    pub fn in_force(&self) -> impl Iterator<Item = (u64, &Fault)> {
        self.armed.iter().map(|armed| (armed.id, &armed.fault))
    }

    /// Another number whenever one was armed or disarmed.
    pub fn version(&self) -> u64 {
        // Numbers grow and are not given twice, so that as many as before with the same last one are the same.
        self.last_id * 1_000 + self.armed.iter().map(|armed| armed.id).sum::<u64>()
    }

    /// How often a fault has struck; none when it is not armed.
    #[cfg(test)]
    pub fn hits(&self, id: u64) -> Option<u64> {
        self.armed.iter().find(|a| a.id == id).map(|a| a.hits)
    }

    /// What this request meets. Every matching fault counts it; the first whose turn it is strikes, and delays add up.
    pub fn decide(&mut self, account: Option<&str>, request: &Request) -> Effect {
        let mut effect = Effect { delay: Duration::ZERO, fault: None, oauth: !request.path.starts_with("/calendar/") };
        for armed in self.armed.iter_mut().filter(|a| a.fault.matches(account, request)) {
            if effect.fault.is_some() && armed.fault.kind != Kind::Delay {
                armed.matched += 1;
                continue;
            }
            if armed.strikes() {
                effect.delay += Duration::from_millis(armed.fault.delay_ms.unwrap_or(0));
                if armed.fault.kind != Kind::Delay {
                    effect.fault = Some(armed.fault.clone());
                }
            }
        }
        effect
    }

    /// Takes note of an answered request.
    pub fn count(&mut self, account: Option<&str>, request: &Request, answer: &Answer) {
        let status = match answer {
            Answer::Reply(_, response) => Some(response.status),
            Answer::Drop => None,
        };
        self.stats.count(account, request, status);
    }

    fn describe(&self) -> Value {
        let faults = self.armed.iter().map(|a| {
            let mut entry = json!(a.fault);
            entry["id"] = a.id.into();
            entry["matched"] = a.matched.into();
            entry["hits"] = a.hits.into();
            entry
        });
        json!({"faults": faults.collect::<Vec<_>>()})
    }
}

/// What one request meets.
#[derive(Debug)]
pub struct Effect {
    delay: Duration,
    fault: Option<Fault>,
    /// Sign-in endpoints have an error format of their own.
    oauth: bool,
}

impl Effect {
    /// The answer that comes instead of any effect.
    pub fn before(&self) -> Option<Answer> {
        let fault = self.fault.as_ref()?;
        match fault.kind {
            Kind::DropBefore => Some(Answer::Drop),
            Kind::Status | Kind::Body if !fault.after_effect => Some(Answer::Reply(self.delay, self.refusal(fault))),
            _ => None,
        }
    }

    /// The answer after the effect. `again` asks the same Google once more, without faults.
    pub fn after(self, response: Response, request: &Request, again: impl FnMut(&Request) -> Response) -> Answer {
        let Some(fault) = &self.fault else { return Answer::Reply(self.delay, response) };
        let response = match fault.kind {
            Kind::DropAfter => return Answer::Drop,
            Kind::Status | Kind::Body => self.refusal(fault),
            Kind::EmptyListing => shorten(response, 0, request, again),
            Kind::TruncatedListing => shorten(response, fault.keep.unwrap_or(0), request, again),
            Kind::DropBefore | Kind::Delay => response,
        };
        Answer::Reply(self.delay, response)
    }

    fn refusal(&self, fault: &Fault) -> Response {
        let status = fault.status.unwrap_or(503);
        let mut response = if fault.kind == Kind::Body {
            let body = fault.body.as_deref().unwrap_or_default().repeat(fault.repeat.unwrap_or(1)).into_bytes();
            Response { status, headers: vec![("content-type".into(), "text/html; charset=UTF-8".into())], body }
        } else {
            let (domain, reason, message) = usual(status, fault.reason.as_deref());
            let reason = fault.reason.as_deref().unwrap_or(reason);
            let domain = fault.domain.as_deref().unwrap_or(domain);
            let item = json!({"domain": domain, "reason": reason, "message": message});
            let body = if self.oauth {
                json!({"error": reason, "error_description": message})
            } else {
                json!({"error": {"errors": [item], "code": status, "message": message}})
            };
            Response::json(status, &body)
        };
        if let Some(seconds) = fault.retry_after {
            response = response.with_header("retry-after", &seconds.to_string());
        }
        response
    }
}

/// Domain, reason and message that usually go with a status (semantics §10).
fn usual(status: u16, reason: Option<&str>) -> (&'static str, &'static str, &'static str) {
    match (status, reason) {
        (_, Some("quotaExceeded")) => ("usageLimits", "quotaExceeded", "Calendar usage limits exceeded."),
        (_, Some("userRateLimitExceeded")) => ("usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded"),
        (_, Some("rateLimitExceeded")) | (429, _) | (403, None) => {
            ("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded")
        }
        (_, Some("invalid_grant")) => ("global", "invalid_grant", "Token has been expired or revoked."),
        (400, _) => ("global", "badRequest", "Bad Request"),
        (401, _) => ("global", "authError", "Invalid Credentials"),
        (403, _) => ("global", "forbidden", "Forbidden"),
        (404, _) => ("global", "notFound", "Not Found"),
        (409, _) => ("global", "duplicate", "The requested identifier already exists."),
        (410, Some("deleted")) => ("global", "deleted", "Resource has been deleted"),
        (410, _) => ("calendar", "fullSyncRequired", "Sync token is no longer valid, a full sync is required."),
        (412, _) => ("global", "conditionNotMet", "Precondition Failed"),
        _ => ("global", "backendError", "Backend Error"),
    }
}

/// The listing with its first `keep` items only. It ends here: what the last page would have carried (the sync token)
/// comes with it, so that the client believes it has seen all.
fn shorten(
    response: Response,
    keep: usize,
    request: &Request,
    mut again: impl FnMut(&Request) -> Response,
) -> Response {
    let Ok(mut page) = serde_json::from_slice::<Value>(&response.body) else { return response };
    let Some(items) = page.get_mut("items").and_then(Value::as_array_mut).filter(|_| response.status == 200) else {
        return response;
    };
    items.truncate(keep);
    let kept = items.clone();
    while let Some(token) = page.get("nextPageToken").and_then(Value::as_str) {
        let mut next = request.clone();
        next.query.retain(|(name, _)| name != "pageToken");
        next.query.push(("pageToken".into(), token.into()));
        let Ok(last) = serde_json::from_slice::<Value>(&again(&next).body) else { return response };
        if last.get("error").is_some() {
            return response;
        }
        page = last;
    }
    page["items"] = kept.into();
    Response { body: page.to_string().into_bytes(), ..response }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_path_stands_for_any_run_of_characters() {
        for (pattern, text, expect) in [
            ("/a/*/events", "/a/b@c/events", true),
            ("/a/*/events", "/a/b/events/x", false),
            ("*events*", "/a/events/x", true),
            ("*", "", true),
            ("/a", "/a/b", false),
        ] {
            assert_eq!(glob(pattern, text), expect, "{pattern} {text}");
        }
    }

    #[test]
    fn the_dice_are_fair_and_the_same_for_the_same_seed() {
        let roll = |seed| {
            (0..10_000).fold((Dice(seed), 0), |(mut d, n), _| {
                let hit = d.roll() < 0.25;
                (d, n + i32::from(hit))
            })
        };
        assert_eq!(roll(7).1, roll(7).1);
        assert!((2_300..2_700).contains(&roll(7).1), "{}", roll(7).1);
    }
}
