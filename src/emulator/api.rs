//! Which method of the Calendar API a request names. Paths are those of the discovery document below `calendar/v3/`.

use super::{
    Caller, calendars,
    http::{ApiError, Request, Response},
    listing, push, scopes,
    state::World,
    write,
};

/// Carries out one call of an authenticated caller. `path` follows `/calendar/v3/`, still percent-encoded.
pub fn handle(world: &mut World, caller: &Caller, path: &str, request: &Request) -> Result<Response, ApiError> {
    let segments: Vec<String> = path.split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let verb = verb(request);
    if let Some(method) = scopes::method(verb, &segments) {
        method.admit(caller)?;
        let calendar = segments.get(1).copied().filter(|_| segments[0] == "calendars");
        let now = world.now();
        world.quota.charge(&world.settings, now, caller, method, calendar)?;
    }
    match (verb, segments.as_slice()) {
        ("GET", ["calendars", calendar, "events"]) => listing::list(world, caller, calendar, request),
        ("POST", ["calendars", calendar, "events"]) => write::insert(world, caller, calendar, request),
        ("POST", ["calendars", calendar, "events", "import"]) => write::import(world, caller, calendar, request),
        ("POST", ["calendars", calendar, "events", "watch"]) => push::watch(world, caller, calendar, request),
        ("POST", ["channels", "stop"]) => push::stop(world, caller, request),
        ("GET", ["calendars", calendar, "events", event]) => listing::get(world, caller, calendar, event, request),
        ("PUT", ["calendars", calendar, "events", event]) => write::update(world, caller, calendar, event, request),
        ("PATCH", ["calendars", calendar, "events", event]) => write::patch(world, caller, calendar, event, request),
        ("DELETE", ["calendars", calendar, "events", event]) => write::delete(world, caller, calendar, event, request),
        ("GET", ["calendars", calendar, "events", event, "instances"]) => {
            listing::instances(world, caller, calendar, event, request)
        }
        ("POST", ["calendars", calendar, "events", event, "move"]) => {
            write::move_to(world, caller, calendar, event, request)
        }
        (verb, rest) => calendars::handle(world, caller, verb, rest, request),
    }
}

/// The method that is meant: a POST may be overridden by a header (checklist E20).
pub fn verb(request: &Request) -> &str {
    match (request.method.as_str(), request.header("x-http-method-override")) {
        ("POST", Some(other)) => other,
        (method, _) => method,
    }
}

/// One segment of a path, percent-decoded.
pub fn decode(segment: &str) -> String {
    // `+` stays `+` in a path, unlike in a query.
    let literal_plus = segment.replace('+', "%2B");
    url::form_urlencoded::parse(literal_plus.as_bytes()).map(|(name, _)| name.into_owned()).next().unwrap_or_default()
}
