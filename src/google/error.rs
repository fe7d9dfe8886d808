//! What Google answers when it does not do what was asked, and what that asks of us.
//!
//! Decisions rest on status and reason, never on a message's text (semantics §10). 403 is three things: slow down, no
//! permission, and a limit of use.

use std::time::Duration;

use serde_json::Value;

use crate::model::plan::ErrorClass;

/// What a call was about: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A listing from a cursor.
    Delta,
    /// A listing from the beginning, or of calendars.
    Listing,
    /// A new event.
    Insert,
    /// One event that is there.
    Event,
    /// Sign-in.
    Account,
}

/// A call that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum GoogleError {
    #[error(
        "GOOGLE_ISSUER_URL and GOOGLE_CALENDAR_API_URL must be Google's own or both on this machine (127.0.0.1): \
         tokens go nowhere else"
    )]
    Elsewhere,
    #[error("the connection to Google cannot be prepared: {0}")]
    Setup(String),
    #[error("Google did not answer; this is usually brief, and it will be tried again")]
    Unreachable(#[source] reqwest::Error),
    #[error("Google did not answer; this is usually brief, and it will be tried again")]
    NoAnswer,
    #[error("Google answered something that makes no sense; it will be tried again ({0})")]
    Nonsense(&'static str),
    #[error("Google's answer is larger than any that makes sense")]
    TooLarge,
    #[error("it has more than {most} events that count; a listing is taken whole or not at all")]
    TooMany { most: usize },
    #[error("Google does not accept the access token any more")]
    Unauthorized,
    #[error("the account's permission was taken back; it has to be connected again")]
    Revoked,
    #[error("Google's identity token is not to be trusted: {0}")]
    Identity(&'static str),
    #[error("Google asked to slow down; it is asked again in {} s", wait.as_secs() + 1)]
    Paused { wait: Duration },
    #[error("today's requests to Google are used up; what is left waits until midnight in California")]
    BudgetSpent,
    #[error("somebody changed the event meanwhile; it is looked at again")]
    Changed,
    #[error("the event is cancelled")]
    Cancelled,
    #[error("the account is not invited to the event, so it cannot answer")]
    NoGuest,
    #[error("Google refused with status {status} ({reason})")]
    Refused { status: u16, reason: String, about: About, retry_after: Option<Duration> },
}

impl GoogleError {
    /// The error of an answer that is no success.
    pub fn of(about: About, status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let code = json["error"].as_str();
        let reason = json["error"]["errors"][0]["reason"].as_str().or(code).unwrap_or("no reason given");
        if about == About::Account && reason == "invalid_grant" {
            return GoogleError::Revoked;
        }
        if status == 401 && about != About::Account {
            return GoogleError::Unauthorized;
        }
        // Reasons are words of Google's; anything longer is a text that may repeat what it was given.
        let word =
            |text: &str| text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ');
        let reason = if word(reason) { reason } else { "an unknown reason" };
        GoogleError::Refused { status, reason: reason.into(), about, retry_after: retry_after.and_then(pause) }
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            GoogleError::Elsewhere
            | GoogleError::Setup(_)
            | GoogleError::Identity(_)
            | GoogleError::TooLarge
            | GoogleError::TooMany { .. }
            | GoogleError::NoGuest => ErrorClass::Rejected,
            GoogleError::Paused { .. } | GoogleError::BudgetSpent => ErrorClass::Throttled,
            GoogleError::Changed => ErrorClass::Precondition,
            GoogleError::Cancelled => ErrorClass::AlreadyGone,
            GoogleError::Unreachable(_)
            | GoogleError::NoAnswer
            | GoogleError::Nonsense(_)
            | GoogleError::Unauthorized => ErrorClass::Transient,
            GoogleError::Revoked => ErrorClass::Revoked,
            GoogleError::Refused { status, reason, about, retry_after: _ } => class(*status, reason, *about),
        }
    }

    /// Whether Google opens no webhook channel for this calendar, now or ever (holidays, birthdays).
    pub fn is_push_unsupported(&self) -> bool {
        matches!(self, GoogleError::Refused { reason, .. } if reason == "pushNotSupportedForRequestedResource")
    }

    /// Whether the person did not give a permission that the call needs.
    pub fn is_missing_scope(&self) -> bool {
        matches!(self, GoogleError::Refused { status: 403, reason, .. } if reason == "insufficientPermissions")
    }

    /// Whether a fresh access token may help.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, GoogleError::Unauthorized)
    }

    /// How long Google asked us to wait, between a second and a quarter of an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            GoogleError::Refused { retry_after, .. } => *retry_after,
            GoogleError::Paused { wait } => Some(*wait),
            _ => None,
        }
    }
}

/// The table of semantics §10.
fn class(status: u16, reason: &str, about: About) -> ErrorClass {
    const LIMITS: [&str; 6] = [
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "quotaExceeded",
        "calendarUsageLimitsExceeded",
        "dailyLimitExceeded",
        "variableTermLimitExceeded",
    ];
    const OF_ONE_EVENT: [&str; 5] = [
        "forbiddenForNonOrganizer",
        "forbiddenForNonCreator",
        "forbiddenForServiceAccounts",
        "eventTypeRestriction",
        "cannotChangeOrganizer",
    ];
    match (status, about) {
        (429, _) => ErrorClass::Throttled,
        (403, _) if LIMITS.contains(&reason) => ErrorClass::Throttled,
        // It concerns this event, not the calendar (semantics §6, §10).
        (403, About::Event | About::Insert) if OF_ONE_EVENT.contains(&reason) => ErrorClass::Rejected,
        (403, About::Event) if reason == "forbidden" => ErrorClass::Rejected,
        (403, _) => ErrorClass::Forbidden,
        (410, About::Delta | About::Listing) | (400, About::Delta) => ErrorClass::CursorLost,
        (404 | 410, About::Event) => ErrorClass::AlreadyGone,
        (404 | 410, _) => ErrorClass::Missing,
        (409, _) => ErrorClass::Exists,
        (412, _) => ErrorClass::Precondition,
        (408 | 500..=599, _) => ErrorClass::Transient,
        _ => ErrorClass::Rejected,
    }
}

/// `Retry-After` in seconds, clamped; dates and nonsense are not honoured.
fn pause(text: &str) -> Option<Duration> {
    let seconds: i64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, 900).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reason: &str) -> Vec<u8> {
        serde_json::json!({"error": {"errors": [{"reason": reason}], "code": 0, "message": "…"}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn status_and_reason_decide_together_with_what_was_asked() {
        for (about, status, reason, expected) in [
            (About::Delta, 410, "fullSyncRequired", ErrorClass::CursorLost),
            (About::Delta, 410, "", ErrorClass::CursorLost),
            (About::Delta, 400, "invalid", ErrorClass::CursorLost),
            (About::Listing, 400, "invalid", ErrorClass::Rejected),
            (About::Listing, 404, "notFound", ErrorClass::Missing),
            (About::Event, 404, "notFound", ErrorClass::AlreadyGone),
            (About::Event, 410, "deleted", ErrorClass::AlreadyGone),
            (About::Insert, 404, "notFound", ErrorClass::Missing),
            (About::Insert, 409, "duplicate", ErrorClass::Exists),
            (About::Event, 412, "conditionNotMet", ErrorClass::Precondition),
            (About::Event, 403, "rateLimitExceeded", ErrorClass::Throttled),
            (About::Event, 403, "quotaExceeded", ErrorClass::Throttled),
            (About::Event, 403, "forbiddenForNonOrganizer", ErrorClass::Rejected),
            (About::Event, 403, "requiredAccessLevel", ErrorClass::Forbidden),
            (About::Listing, 403, "insufficientPermissions", ErrorClass::Forbidden),
            (About::Event, 429, "rateLimitExceeded", ErrorClass::Throttled),
            (About::Insert, 400, "timeRangeEmpty", ErrorClass::Rejected),
            (About::Event, 503, "backendError", ErrorClass::Transient),
            (About::Listing, 401, "authError", ErrorClass::Transient),
        ] {
            let error = GoogleError::of(about, status, None, &body(reason));
            assert_eq!(error.class(), expected, "{about:?} {status} {reason}");
            assert_eq!(error.is_unauthorized(), status == 401);
        }
        assert_eq!(GoogleError::of(About::Listing, 500, None, b"<html>").class(), ErrorClass::Transient);
        assert_eq!(
            GoogleError::of(About::Account, 400, None, br#"{"error":"invalid_grant"}"#).class(),
            ErrorClass::Revoked
        );
        assert_eq!(
            GoogleError::of(About::Account, 401, None, br#"{"error":"invalid_client"}"#).class(),
            ErrorClass::Rejected
        );
    }

    #[test]
    fn waiting_is_bounded_whatever_google_asks() {
        for (text, expected) in
            [("-1", Some(1)), ("30", Some(30)), ("999999999", Some(900)), ("Fri, 20 Nov 2026 00:00:00 GMT", None)]
        {
            let error = GoogleError::of(About::Event, 429, Some(text), b"");
            assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_what_it_was_given() {
        let error = GoogleError::of(About::Insert, 400, None, &body("the title Kick-off at ada@acme.example is wrong"));
        assert!(!error.to_string().contains("Kick-off"), "{error}");
    }
}
