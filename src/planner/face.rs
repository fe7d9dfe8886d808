//! How a copy, a busy block and a personal block look (product description, "What a managed event looks like").
//!
//! Invariant: a block is made of the origin's times, its rule and fixed texts. No other word of an origin can reach one,
//! because [`block`] is given nothing else.

use crate::model::{
    body::{Body, Visibility, When},
    event::{Answer, Event, Rights},
    item::Face,
};

/// Guests that a copy lists by name; of more it gives the number.
const GUESTS_LISTED: usize = 50;

/// A copy of `event` on main. `calendar` is what the user calls the origin's calendar, `why` the address of the page that
/// says why the copy is there.
pub fn copy(event: &Event, calendar: &str, why: &str) -> Body {
    let Body { title, description, location, when, recurrence, free, visibility, colour } = event.body.clone();
    let title = match event.rights {
        Rights::Editable => title,
        Rights::ReadOnly => title.map(|title| format!("🔒 {title}")),
    };
    let mut parts: Vec<String> = description.into_iter().collect();
    parts.extend(guests(event));
    parts.extend(event.join_link.as_ref().map(|link| format!("Join: {link}")));
    parts.extend(answer(event).map(str::to_owned));
    parts.push(format!("From {calendar} by BusyBridge\n{why}"));
    let description = Some(parts.join("\n\n"));
    Body { title, description, location, when, recurrence, free, visibility, colour }.canonical()
}

/// A block over `when`, repeated by `recurrence`.
///
/// A single event's zone is left to the target calendar: it would tell where the person is.
pub fn block(face: Face, prefix: &str, when: &When, recurrence: &[String]) -> Body {
    let words = match face {
        Face::PersonalBusy => "Busy (Personal)",
        Face::Busy | Face::Copy => "Busy",
    };
    let recurrence: Vec<String> = recurrence.iter().filter(|line| is_rule(line)).cloned().collect();
    let when = match when.clone() {
        When::Times { start, end, .. } if recurrence.is_empty() => {
            When::Times { start, end, start_zone: None, end_zone: None }
        }
        when => when,
    };
    Body {
        title: Some(format!("{prefix} {words}")),
        description: None,
        location: None,
        when,
        recurrence,
        free: false,
        visibility: Visibility::Private,
        colour: None,
    }
    .canonical()
}

/// Whether a recurrence line is nothing but a rule or dates, so that no text can hide in it.
fn is_rule(line: &str) -> bool {
    ["RRULE:", "EXRULE:", "RDATE", "EXDATE"].iter().any(|name| line.starts_with(name))
        && !line.contains("X-")
        && line.bytes().all(|b| b.is_ascii_alphanumeric() || b":;=,+-/_".contains(&b))
}

fn guests(event: &Event) -> Option<String> {
    if event.guests.iter().all(|guest| guest.own) {
        return None;
    }
    let mut names: Vec<String> = event
        .guests
        .iter()
        .take(GUESTS_LISTED)
        .map(|guest| match guest.answer {
            Answer::Accepted => format!("{} (yes)", guest.name),
            Answer::Maybe => format!("{} (maybe)", guest.name),
            Answer::Declined => format!("{} (no)", guest.name),
            Answer::None => guest.name.clone(),
        })
        .collect();
    if event.guests.len() > GUESTS_LISTED {
        names.push(format!("{} more", event.guests.len() - GUESTS_LISTED));
    }
    Some(format!("Guests: {}", names.join(", ")))
}

fn answer(event: &Event) -> Option<&'static str> {
    match event.answer {
        Some(Answer::None) => Some("You have not answered yet."),
        Some(Answer::Maybe) => Some("You answered maybe."),
        _ if event.tentative => Some("This is not confirmed yet."),
        _ => None,
    }
}
