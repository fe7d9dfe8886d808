//! Partial responses: `fields=nextPageToken,nextSyncToken,items(id,start/dateTime)` (guide "Performance tips").
//!
//! A selector that cannot be read, or that names what the response never has, is refused before anything is done (A28).
//! `fields.txt` lists the response schemas of the discovery document: one line each, `name>Schema` for a nested one and
//! `name>*` or `name>*Schema` for a map with keys of its own.

use serde_json::Value;

use super::{
    http::{ApiError, Request, Response},
    state::Object,
};

const SCHEMAS: &str = include_str!("fields.txt");

/// A tree of selected names; a leaf takes everything below it.
#[derive(Debug, Default, PartialEq)]
struct Mask(Vec<(String, Mask)>);

/// Carries out a call and leaves of a JSON answer what the request's `fields` selects. `path` follows `/calendar/v3/`.
///
/// # Errors
/// 400 `invalidParameter` at parameter `fields`, or the refusal of the call itself.
pub fn masked(
    request: &Request,
    path: &str,
    call: impl FnOnce() -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let Some(selector) = request.param("fields") else { return call() };
    let refusal = |name: &str| {
        let message = format!("Invalid field selection {name}");
        Err(ApiError::new(400, "invalidParameter", message).at("parameter", "fields"))
    };
    let Some(mask) = parse(selector) else { return refusal(selector) };
    if let Some(schema) = schema_of(request, path)
        && let Some(name) = unknown(&mask, schema)
    {
        return refusal(name);
    }
    let mut response = call()?;
    if response.status == 200
        && let Ok(value) = serde_json::from_slice::<Value>(&response.body)
    {
        response.body = apply(&mask, value).to_string().into_bytes();
    }
    Ok(response)
}

fn parse(selector: &str) -> Option<Mask> {
    let (mask, rest) = list(selector)?;
    rest.is_empty().then_some(mask)
}

/// `a/b,c(d,e)` up to the end or a closing bracket; returns what follows.
fn list(mut text: &str) -> Option<(Mask, &str)> {
    let mut mask = Mask::default();
    loop {
        let rest = item(text, &mut mask)?;
        match rest.strip_prefix(',') {
            Some(next) => text = next,
            None => return Some((mask, rest)),
        }
    }
}

fn item<'a>(text: &'a str, into: &mut Mask) -> Option<&'a str> {
    let length = text.find([',', '/', '(', ')']).unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    if name.is_empty() || name.trim() != name {
        return None;
    }
    let (below, rest) = match rest.as_bytes().first() {
        Some(b'/') => {
            let mut below = Mask::default();
            let rest = item(&rest[1..], &mut below)?;
            (below, rest)
        }
        Some(b'(') => {
            let (below, rest) = list(&rest[1..])?;
            (below, rest.strip_prefix(')')?)
        }
        _ => (Mask::default(), rest),
    };
    into.0.push((name.to_owned(), below));
    Some(rest)
}

/// The first selected name that this schema does not have. `*` selects every name.
fn unknown<'a>(mask: &'a Mask, schema: &str) -> Option<&'a str> {
    let line = SCHEMAS.lines().find_map(|line| line.strip_prefix(schema)?.strip_prefix(": "))?;
    for (name, below) in &mask.0 {
        let mut known = line.split(' ').map(|entry| entry.split_once('>').unwrap_or((entry, "")));
        if name == "*" {
            continue;
        }
        let Some((_, kind)) = known.find(|(known, _)| known == name) else { return Some(name) };
        let wrong = match kind.strip_prefix('*') {
            // A map's keys are its own; what lies below them is checked where the schema knows it.
            Some("") => None,
            Some(value) => below.0.iter().find_map(|(_, below)| unknown(below, value)),
            None if kind.is_empty() => below.0.first().map(|(name, _)| name.as_str()),
            None => unknown(below, kind),
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn apply(mask: &Mask, value: Value) -> Value {
    match value {
        _ if mask.0.is_empty() => value,
        Value::Array(items) => items.into_iter().map(|item| apply(mask, item)).collect(),
        Value::Object(fields) => {
            let mut taken = Object::new();
            for (name, value) in fields {
                let mut chosen = mask.0.iter().filter(|(selected, _)| *selected == name || selected == "*").peekable();
                if chosen.peek().is_none() {
                    continue;
                }
                let mut below = Mask::default();
                let mut whole = false;
                for (_, more) in chosen {
                    whole |= more.0.is_empty();
                    below.0.extend(more.0.iter().map(|(name, mask)| (name.clone(), mask.copy())));
                }
                let below = if whole { Mask::default() } else { below };
                taken.insert(name, apply(&below, value));
            }
            taken.into()
        }
        other => other,
    }
}

impl Mask {
    fn copy(&self) -> Self {
        Mask(self.0.iter().map(|(name, mask)| (name.clone(), mask.copy())).collect())
    }
}

/// The schema of a call's answer; none where there is no JSON answer to select from.
fn schema_of(request: &Request, path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    // The method override (E20) is for POST, so what comes as GET is one.
    let is_get = request.method == "GET";
    Some(match segments.as_slice() {
        ["calendars", _, "events"] if is_get => "Events",
        ["calendars", _, "events", _, "instances"] => "Events",
        [.., "watch"] => "Channel",
        ["calendars", _, "events", ..] => "Event",
        ["calendars", _, "acl"] if is_get => "Acl",
        ["calendars", _, "acl", ..] => "AclRule",
        ["calendars"] | ["calendars", _] => "Calendar",
        ["users", "me", "calendarList"] if is_get => "CalendarList",
        ["users", "me", "calendarList", ..] => "CalendarListEntry",
        ["users", "me", "settings"] => "Settings",
        ["users", "me", "settings", _] => "Setting",
        ["colors"] => "Colors",
        ["freeBusy"] => "FreeBusyResponse",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{apply, parse, unknown};

    #[test]
    fn selectors_are_read_and_applied() {
        let whole =
            json!({"a": 1, "items": [{"id": "x", "start": {"date": "d", "timeZone": "z"}, "end": 2}, {"id": "y"}]});
        let check = |selector: &str, expected: serde_json::Value| {
            assert_eq!(apply(&parse(selector).unwrap(), whole.clone()), expected, "{selector}");
        };
        check("a", json!({"a": 1}));
        check("*", whole.clone());
        check("items/id", json!({"items": [{"id": "x"}, {"id": "y"}]}));
        check("items(id,start/date),a", json!({"a": 1, "items": [{"id": "x", "start": {"date": "d"}}, {"id": "y"}]}));
        check("items/start/date,items/end", json!({"items": [{"start": {"date": "d"}, "end": 2}, {}]}));
        check("items/*/date", json!({"items": [{"id": "x", "start": {"date": "d"}, "end": 2}, {"id": "y"}]}));
        check("items(start,start/date)", json!({"items": [{"start": {"date": "d", "timeZone": "z"}}, {}]}));
        check("nothing", json!({}));
    }

    #[test]
    fn broken_selectors_are_none() {
        for selector in ["", "a,", "a(", "a()", "a(b", "a)b", "a//b", "/a", "a(b)c", " a", ",a"] {
            assert_eq!(parse(selector), None, "{selector:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_schema() {
        let check = |selector: &str, expected: Option<&str>| {
            assert_eq!(unknown(&parse(selector).unwrap(), "Events"), expected, "{selector}");
        };
        check("kind,items(id,start(date,dateTime),extendedProperties/private/any,attendees/email)", None);
        check("items/extendedProperties/private", None);
        check("items(*)", None);
        check("itmes", Some("itmes"));
        check("items(id,nextPageToken)", Some("nextPageToken"));
        check("items/start/day", Some("day"));
        check("kind/x", Some("x"));
    }
}
