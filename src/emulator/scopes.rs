//! Which method of the Calendar API a request names, and which scopes admit to it.
//!
//! The table is that of the discovery document (`scopes` of each method). `calendar.app.created` is left out: it admits
//! only to calendars that the application made itself, which this emulator does not tell apart. What a scope narrows
//! *within* a method (`calendar.events.owned`: only on calendars one owns) is not modelled either.

use super::{Caller, http::ApiError};

const PREFIX: &str = "https://www.googleapis.com/auth/";

const EVENTS_READ: &[&str] = &[
    "calendar",
    "calendar.events",
    "calendar.events.freebusy",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "calendar.events.public.readonly",
    "calendar.events.readonly",
    "calendar.readonly",
];
const EVENTS_WRITE: &[&str] = &["calendar", "calendar.events", "calendar.events.owned"];
const LIST_READ: &[&str] =
    &["calendar", "calendar.calendarlist", "calendar.calendarlist.readonly", "calendar.readonly"];
const LIST_WRITE: &[&str] = &["calendar", "calendar.calendarlist"];
const CALENDARS_READ: &[&str] = &["calendar", "calendar.calendars", "calendar.calendars.readonly", "calendar.readonly"];
const CALENDARS_WRITE: &[&str] = &["calendar", "calendar.calendars"];
const ACL_GET: &[&str] = &["calendar", "calendar.acls", "calendar.acls.readonly", "calendar.readonly"];
const ACL_LIST: &[&str] = &["calendar", "calendar.acls", "calendar.acls.readonly"];
const ACL_WRITE: &[&str] = &["calendar", "calendar.acls"];
const COLORS: &[&str] = &[
    "calendar",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
    "calendar.events.freebusy",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "calendar.events.public.readonly",
    "calendar.readonly",
];
const FREEBUSY: &[&str] = &["calendar", "calendar.events.freebusy", "calendar.freebusy", "calendar.readonly"];
const SETTINGS: &[&str] = &["calendar", "calendar.readonly", "calendar.settings", "calendar.settings.readonly"];
const CHANNELS: &[&str] = &[
    "calendar",
    "calendar.acls",
    "calendar.acls.readonly",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
    "calendar.events",
    "calendar.events.freebusy",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "calendar.events.public.readonly",
    "calendar.events.readonly",
    "calendar.readonly",
    "calendar.settings",
    "calendar.settings.readonly",
];

/// One method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// As in the discovery document, without `calendar.`: `events.list`.
    pub name: &'static str,
    /// Without the common prefix; any one of them is enough.
    scopes: &'static [&'static str],
}

/// The method that a verb and decoded path segments (below `calendar/v3/`) name.
pub fn method(verb: &str, segments: &[&str]) -> Option<Method> {
    let (name, scopes) = match (verb, segments) {
        ("GET", ["calendars", _, "events"]) => ("events.list", EVENTS_READ),
        ("POST", ["calendars", _, "events"]) => ("events.insert", EVENTS_WRITE),
        ("POST", ["calendars", _, "events", "import"]) => ("events.import", EVENTS_WRITE),
        ("POST", ["calendars", _, "events", "quickAdd"]) => ("events.quickAdd", EVENTS_WRITE),
        ("POST", ["calendars", _, "events", "watch"]) => ("events.watch", EVENTS_READ),
        ("GET", ["calendars", _, "events", _]) => ("events.get", EVENTS_READ),
        ("PUT", ["calendars", _, "events", _]) => ("events.update", EVENTS_WRITE),
        ("PATCH", ["calendars", _, "events", _]) => ("events.patch", EVENTS_WRITE),
        ("DELETE", ["calendars", _, "events", _]) => ("events.delete", EVENTS_WRITE),
        ("GET", ["calendars", _, "events", _, "instances"]) => ("events.instances", EVENTS_READ),
        ("POST", ["calendars", _, "events", _, "move"]) => ("events.move", EVENTS_WRITE),
        ("GET", ["users", "me", "calendarList"]) => ("calendarList.list", LIST_READ),
        ("POST", ["users", "me", "calendarList"]) => ("calendarList.insert", LIST_WRITE),
        ("POST", ["users", "me", "calendarList", "watch"]) => ("calendarList.watch", LIST_READ),
        ("GET", ["users", "me", "calendarList", _]) => ("calendarList.get", LIST_READ),
        ("PUT", ["users", "me", "calendarList", _]) => ("calendarList.update", LIST_WRITE),
        ("PATCH", ["users", "me", "calendarList", _]) => ("calendarList.patch", LIST_WRITE),
        ("DELETE", ["users", "me", "calendarList", _]) => ("calendarList.delete", LIST_WRITE),
        ("GET", ["users", "me", "settings"]) => ("settings.list", SETTINGS),
        ("POST", ["users", "me", "settings", "watch"]) => ("settings.watch", SETTINGS),
        ("GET", ["users", "me", "settings", _]) => ("settings.get", SETTINGS),
        ("POST", ["calendars"]) => ("calendars.insert", CALENDARS_WRITE),
        ("GET", ["calendars", _]) => ("calendars.get", CALENDARS_READ),
        ("PUT", ["calendars", _]) => ("calendars.update", CALENDARS_WRITE),
        ("PATCH", ["calendars", _]) => ("calendars.patch", CALENDARS_WRITE),
        ("DELETE", ["calendars", _]) => ("calendars.delete", CALENDARS_WRITE),
        ("POST", ["calendars", _, "clear"]) => ("calendars.clear", CALENDARS_WRITE),
        ("GET", ["calendars", _, "acl"]) => ("acl.list", ACL_LIST),
        ("POST", ["calendars", _, "acl"]) => ("acl.insert", ACL_WRITE),
        ("GET", ["calendars", _, "acl", _]) => ("acl.get", ACL_GET),
        ("PUT", ["calendars", _, "acl", _]) => ("acl.update", ACL_WRITE),
        ("PATCH", ["calendars", _, "acl", _]) => ("acl.patch", ACL_WRITE),
        ("DELETE", ["calendars", _, "acl", _]) => ("acl.delete", ACL_WRITE),
        ("GET", ["colors"]) => ("colors.get", COLORS),
        ("POST", ["freeBusy"]) => ("freebusy.query", FREEBUSY),
        ("POST", ["channels", "stop"]) => ("channels.stop", CHANNELS),
        _ => return None,
    };
    Some(Method { name, scopes })
}

impl Method {
    /// Refuses a caller none of whose scopes admits to this method (checklist K02, L17).
    ///
    /// # Errors
    /// 403 `insufficientPermissions`.
    pub fn admit(&self, caller: &Caller) -> Result<(), ApiError> {
        let has = |scope: &&str| caller.scopes.iter().any(|s| s.strip_prefix(PREFIX) == Some(scope));
        if self.scopes.iter().any(has) {
            return Ok(());
        }
        // The front end's refusal: `ApiError::response` adds status and details to this reason.
        Err(ApiError::new(403, "insufficientPermissions", "Insufficient Permission"))
    }

    /// Whether a successful call changes events.
    pub fn writes_events(&self) -> bool {
        std::ptr::eq(self.scopes, EVENTS_WRITE) || self.name == "calendars.clear"
    }

    /// What a call costs of the quota, in units: a PATCH reads and writes (semantics §11).
    pub fn units(&self) -> u32 {
        if self.name.ends_with(".patch") { 3 } else { 1 }
    }
}

/// The same from a still encoded path below `/calendar/v3/`, with the verb that an override header may have set.
pub fn of_request(request: &super::http::Request) -> Option<Method> {
    let path = request.path.strip_prefix("/calendar/v3/")?;
    let segments: Vec<String> = path.split('/').map(super::api::decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    method(super::api::verb(request), &segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_of_the_verb_and_encoded_ids_do_not_hide_a_method() {
        let request = |verb: &str, path: &str, headers: Vec<(String, String)>| super::super::http::Request {
            method: verb.into(),
            path: path.into(),
            headers,
            ..Default::default()
        };
        let plain = request("GET", "/calendar/v3/calendars/a%2Fb%40c/events/x", vec![]);
        assert_eq!(of_request(&plain).unwrap().name, "events.get");
        let over = vec![("x-http-method-override".into(), "PATCH".into())];
        assert_eq!(of_request(&request("POST", &plain.path, over)).unwrap().units(), 3);
        assert_eq!(of_request(&request("GET", "/token", vec![])), None);
    }
}
