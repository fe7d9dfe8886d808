//! The page on which one plays the clients' side: all calendars side by side, and forms that do what people do on Google's own pages.
//!
//! ```text
//!   GET  /  or /_emulator/page                         the page: ?week=N&calendar=ID&event=ID
//!   GET  /_emulator/page.css, /_emulator/page.js       what it refers to
//!   POST /_emulator/page/create|move|delete|answer     events, by the same code as the API, as the calendar's owner
//!   POST /_emulator/page/break|mend                    faults
//! ```
//!
//! A form that is carried out leads back to the page; one that is refused is answered with the page, the reason and what was typed.
//! Faults strike applications only, never this page. Everything works without the script, which fetches the page again every moment and
//! replaces what changed; the page's etag tells whether anything did. Forms are taken from this page alone: a site elsewhere
//! must not play with it.

mod deeds;
mod view;

use std::collections::BTreeMap;

use super::{
    Core,
    http::{ApiError, Request, Response},
    time,
};
use chrono_tz::Tz;

/// The looks are those of the product's pages; what is this page's alone comes after.
const STYLE: &str =
    concat!(include_str!("../../../views/assets/busybridge.css"), include_str!("../../../views/emulator/page.css"));
const SCRIPT: &str = include_str!("../../../views/emulator/page.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What was typed into a form.
type Form = BTreeMap<String, String>;

/// Answers requests for the page; none when the path is another's.
pub fn handle(core: &mut Core, request: &Request) -> Option<Response> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/" | "/_emulator/page") => show(core, request),
        ("GET", "/_emulator/page.css") => file("text/css; charset=utf-8", STYLE),
        ("GET", "/_emulator/page.js") => file("text/javascript; charset=utf-8", SCRIPT),
        ("POST", path) => carry_out(core, path.strip_prefix("/_emulator/page/")?, request),
        _ => return None,
    })
}

fn show(core: &mut Core, request: &Request) -> Response {
    let asked: Form = request.query.iter().cloned().collect();
    let etag = etag(core, &asked);
    if request.header("if-none-match") == Some(&etag) {
        return Response::empty(304).with_header("etag", &etag);
    }
    page(200, view::render(core, &asked, None)).with_header("etag", &etag)
}

fn carry_out(core: &mut Core, deed: &str, request: &Request) -> Response {
    if !is_ours(request) {
        return page(
            403,
            "<!doctype html><title>Refused</title><p>This form did not come from the emulator's page.".into(),
        );
    }
    let form: Form = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let zone = zone(core);
    match deeds::carry_out(core, deed, &form, zone) {
        Ok(done) => {
            let week = form.get("week").and_then(|week| week.parse::<i64>().ok()).unwrap_or(0);
            let to = format!("/?week={week}&said={done}");
            page(303, String::new()).with_header("location", &to)
        }
        Err(refusal) => page(refusal.status, view::render(core, &form, Some(&refusal.message))),
    }
}

/// Whether a form was sent by this very page. What is no browser says nothing of where it comes from, and may.
fn is_ours(request: &Request) -> bool {
    let site = request.header("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let host = request.header("host").unwrap_or_default();
    let origin = request.header("origin").is_none_or(|origin| origin == format!("http://{host}"));
    site && origin
}

/// Changes with everything that the page shows.
fn etag(core: &Core, asked: &Form) -> String {
    let Core { world, faults, oauth, .. } = core;
    let day = world.now().with_timezone(&zone(core)).date_naive();
    let words: String = asked.iter().map(|(name, value)| format!("{name}={value}&")).collect();
    let words = data_encoding::HEXLOWER.encode(words.as_bytes());
    format!("\"{}.{}.{}.{day}.{words}\"", world.last_change(), faults.version(), oauth.revoked().count())
}

/// The zone of the page: that of most calendars.
fn zone(core: &Core) -> Tz {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for calendar in core.world.calendars.values() {
        *counts.entry(&calendar.time_zone).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, n)| *n);
    most.map_or(Tz::UTC, |(name, _)| time::zone(name))
}

fn page(status: u16, html: String) -> Response {
    let response = Response { status, headers: Vec::new(), body: html.into_bytes() };
    guarded(response, "text/html; charset=utf-8")
}

fn file(kind: &str, content: &str) -> Response {
    guarded(Response { status: 200, headers: Vec::new(), body: content.into() }, kind)
}

fn guarded(response: Response, kind: &str) -> Response {
    let headers = [
        ("content-type", kind),
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ];
    headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value))
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "badRequest", message)
}
