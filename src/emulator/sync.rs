//! Page tokens and sync tokens: opaque to clients, and complete in themselves, so that the emulator remembers no reader.
//!
//! ```text
//!   list ──► page ─pageToken─► page ─pageToken─► last page ─syncToken─► delta ─► …
//!    │ at = the newest change when the walk began                 │ since = at
//!    └────────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariant: a change made after a walk began has a number above `at`, and is in the delta of the token that the walk
//! ends with, whether or not a page of the walk had it too (A10).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::http::{ApiError, Request};

/// Where an item stands in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What the listing is ordered by: a change, an instant, or 0.
    pub rank: i64,
    /// The stored event.
    pub event: String,
    /// The computed instance of it; empty for the stored event itself.
    pub instance: String,
}

/// How far a walk through pages has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// Of the whole request (A08).
    pub digest: u64,
    pub epoch: u32,
    /// The newest change when the walk began.
    pub at: u64,
    /// Pages already given.
    pub page: u32,
    /// The last item given.
    pub after: Option<Key>,
}

/// What a reader has seen of a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncToken {
    pub calendar: String,
    pub epoch: u32,
    pub since: u64,
    /// Seconds since 1970.
    pub issued: i64,
    /// Of the parameters that must stay the same (B12, H15).
    pub digest: u64,
}

impl PageToken {
    /// The token as text.
    pub fn encode(&self) -> String {
        let after = self.after.as_ref().map(|key| json!([key.rank, key.event, key.instance]));
        seal(&json!(["p", self.digest, self.epoch, self.at, self.page, after]))
    }

    /// Reads a token given by [`PageToken::encode`].
    ///
    /// # Errors
    /// 400 `invalid` (A09).
    pub fn decode(text: &str) -> Result<Self, ApiError> {
        let read = || {
            let value = open(text, "p")?;
            let after = match value.get(5)? {
                Value::Null => None,
                key => Some(Key {
                    rank: key.get(0)?.as_i64()?,
                    event: key.get(1)?.as_str()?.into(),
                    instance: key.get(2)?.as_str()?.into(),
                }),
            };
            Some(PageToken {
                digest: value.get(1)?.as_u64()?,
                epoch: value.get(2)?.as_u64()?.try_into().ok()?,
                at: value.get(3)?.as_u64()?,
                page: value.get(4)?.as_u64()?.try_into().ok()?,
                after,
            })
        };
        read().ok_or_else(|| ApiError::new(400, "invalid", "Invalid page token value.").at("parameter", "pageToken"))
    }
}

impl SyncToken {
    /// The token as text.
    pub fn encode(&self) -> String {
        seal(&json!(["s", self.calendar, self.epoch, self.since, self.issued, self.digest]))
    }

    /// Reads a token given by [`SyncToken::encode`].
    ///
    /// # Errors
    /// 400 `invalid` (B07); never 410, which is for tokens that once were good.
    pub fn decode(text: &str) -> Result<Self, ApiError> {
        let read = || {
            let value = open(text, "s")?;
            Some(SyncToken {
                calendar: value.get(1)?.as_str()?.into(),
                epoch: value.get(2)?.as_u64()?.try_into().ok()?,
                since: value.get(3)?.as_u64()?,
                issued: value.get(4)?.as_i64()?,
                digest: value.get(5)?.as_u64()?,
            })
        };
        read().ok_or_else(invalid_sync_token)
    }
}

/// 400 for a sync token that was never good for this request (B07, B10, B12).
pub fn invalid_sync_token() -> ApiError {
    ApiError::new(400, "invalid", "Invalid sync token value.").at("parameter", "syncToken")
}

/// 410 for a sync token that has had its time (B08, B09).
pub fn full_sync_required() -> ApiError {
    let message = "Sync token is no longer valid, a full sync is required.";
    ApiError::new(410, "fullSyncRequired", message).domain("calendar").at("parameter", "syncToken")
}

/// A digest of the request that a page token belongs to: `what` names the method and its object, and every parameter counts
/// but the page itself and those that concern the transport.
pub fn request_digest(what: &str, request: &Request) -> u64 {
    let transport = ["pageToken", "prettyPrint", "quotaUser", "key", "access_token", "oauth_token", "alt"];
    let mut given: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| !transport.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    given.sort_unstable();
    digest(std::iter::once(what).chain(given.iter().map(String::as_str)))
}

/// FNV-1a over texts and their ends: the same on every machine, unlike the standard library's hashes.
pub fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = parts.flat_map(|part| part.bytes().chain(std::iter::once(0xff)));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn seal(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn open(text: &str, kind: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    (value.get(0)? == kind && value.as_array()?.len() == 6).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Key, PageToken, SyncToken};

    #[test]
    fn tokens_come_back_as_they_went() {
        let after = Key { rank: -3, event: "a\"b".into(), instance: "i".into() };
        let page = PageToken { digest: u64::MAX, epoch: 2, at: 7, page: 3, after: Some(after) };
        assert_eq!(PageToken::decode(&page.encode()), Ok(page.clone()));
        let first = PageToken { after: None, ..page };
        assert_eq!(PageToken::decode(&first.encode()), Ok(first.clone()));
        let sync = SyncToken { calendar: "a@b.example".into(), epoch: 1, since: 9, issued: -5, digest: 4 };
        assert_eq!(SyncToken::decode(&sync.encode()), Ok(sync.clone()));
        assert_eq!(SyncToken::decode(&first.encode()).unwrap_err().status, 400, "a page token is no sync token");
        assert_eq!(PageToken::decode(&sync.encode()).unwrap_err().status, 400);
    }
}
