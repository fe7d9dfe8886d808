//! How a copy, a busy block and a personal block look (product description, "What a managed event looks like"), and what a
//! changed copy says of its origin.
//!
//! Invariant: a block is made of the origin's times, its rule and fixed texts or the person's own. No other word of an origin can
//! reach one, because [`block`] is given nothing else.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::model::{
    body::{Answer, Body, Visibility, When},
    event::Event,
    flow::Shape,
    item::Face,
};

/// Guests that a copy lists by name; of more it gives the number.
const GUESTS_LISTED: usize = 50;
/// Before the title of a copy that cannot be changed.
const LOCK: &str = "🔒 ";

/// What a copy says besides its event.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the user calls the origin's calendar.
    pub calendar: &'a str,
    /// The address of the page that says why the copy is there.
    pub why: &'a str,
    /// A change of the copy can be carried back.
    pub editable: bool,
    /// The copy can carry the person's answer.
    pub answerable: bool,
    pub shape: &'a Shape,
}

/// A copy of `event` on main. Its time is that of the event whatever the shape says: minutes around it are for blocks.
pub fn copy(event: &Event, about: About) -> Body {
    let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = event.body.clone();
    let before = before_title(about);
    let title = match title {
        Some(title) => Some(format!("{before}{title}")),
        // An untitled meeting stays untitled.
        None => about.shape.prefix.clone(),
    };
    let description = match description {
        Some(text) => format!("{text}\n\n{}", tail(event, about)),
        None => tail(event, about),
    };
    Body {
        title,
        description: Some(description),
        location,
        when,
        recurrence,
        free,
        visibility: about.shape.visibility.unwrap_or(visibility),
        colour: about.shape.colour.clone().or(colour),
        answer: answer.filter(|_| about.answerable),
    }
    .canonical()
}

fn before_title(about: About) -> String {
    let prefix = about.shape.prefix.as_ref().map(|prefix| format!("{prefix} ")).unwrap_or_default();
    let lock = if about.editable { "" } else { LOCK };
    format!("{lock}{prefix}")
}

/// The title that a changed copy gives its origin.
pub fn title_of(edited: Option<&str>, about: About) -> Option<String> {
    let before = before_title(about);
    let title = edited?;
    let title = title.strip_prefix(before.as_str()).or_else(|| title.strip_prefix(before.trim_end())).unwrap_or(title);
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}

/// What we add below an event's own description.
fn tail(event: &Event, about: About) -> String {
    let mut parts: Vec<String> = guests(event).into_iter().collect();
    parts.extend(event.join_link.as_ref().map(|link| format!("Join: {link}")));
    parts.extend(answer(event).map(str::to_owned));
    parts.push(format!("From {} by BusyBridge\n{}", about.calendar, about.why));
    parts.join("\n\n")
}

/// The description that a changed copy gives its origin: without what we added, wherever the person wrote around it. None where
/// our part was changed or removed, so that it cannot be told apart.
pub fn description_of(edited: Option<&str>, event: &Event, about: About) -> Option<Option<String>> {
    let text = edited?;
    let (ours, _) = squeeze(&tail(event, about));
    let (squeezed, places) = squeeze(text);
    let at = squeezed.find(&ours)?;
    let first = squeezed[..at].chars().count();
    let last = first + ours.chars().count() - 1;
    let (begin, end) = (places.get(first)?.0, places.get(last)?.1);
    let head = without_breaks(&text[..begin]);
    let mut rest = text[end..].trim_start();
    while let Some(after) = ["</a>", "</span>", "</p>", "<br>", "<br/>"].iter().find_map(|tag| rest.strip_prefix(tag)) {
        rest = after.trim_start();
    }
    let parts: Vec<&str> = [head, rest].into_iter().filter(|part| !part.is_empty()).collect();
    Some(Some(parts.join("\n")).filter(|text| !text.is_empty()))
}

/// A text without blanks and tags, and where each of its characters stood: Google's editor turns line ends into tags and
/// addresses into links.
fn squeeze(text: &str) -> (String, Vec<(usize, usize)>) {
    const ENTITIES: [(&str, &str); 6] =
        [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", "")];
    let (mut out, mut places) = (String::new(), Vec::new());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let tag = rest.strip_prefix('<').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'));
        if let Some(length) = tag.and_then(|_| rest.find('>')) {
            at += length + 1;
        } else if let Some((entity, meaning)) = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity)) {
            out.push_str(meaning);
            places.extend(meaning.chars().map(|_| (at, at + entity.len())));
            at += entity.len();
        } else {
            if !c.is_whitespace() {
                out.push(c);
                places.push((at, at + c.len_utf8()));
            }
            at += c.len_utf8();
        }
    }
    (out, places)
}

/// Without blanks, breaks and the tag of a link at the end.
fn without_breaks(mut text: &str) -> &str {
    loop {
        text = text.trim_end();
        let shorter = ["<br>", "<br/>", "<p>", "<span>"].iter().find_map(|tag| text.strip_suffix(tag));
        let link = || text.rfind("<a ").filter(|at| text.ends_with('>') && !text[*at..].contains("</a>"));
        match shorter.or_else(|| link().map(|at| &text[..at])) {
            Some(less) => text = less,
            None => return text,
        }
    }
}

/// A block over `when`, repeated by `recurrence`, and how long before its event it begins.
///
/// A single event's zone is left to the target calendar: it would tell where the person is.
pub fn block(face: Face, prefix: &str, shape: &Shape, when: &When, recurrence: &[String]) -> (Body, TimeDelta) {
    let recurrence: Vec<String> = recurrence.iter().filter(|line| is_rule(line)).cloned().collect();
    let (when, recurrence, lead) = padded(when, recurrence, shape);
    let when = match when {
        When::Times { start, end, .. } if recurrence.is_empty() => {
            When::Times { start, end, start_zone: None, end_zone: None }
        }
        when => when,
    };
    let body = Body {
        title: Some(block_title(face, prefix, shape)),
        description: None,
        location: None,
        when,
        recurrence,
        free: false,
        visibility: shape.visibility.unwrap_or(Visibility::Private),
        colour: shape.colour.clone(),
        answer: None,
    };
    (body.canonical(), lead)
}

/// The title of a block: fixed words, or the person's own.
pub fn block_title(face: Face, prefix: &str, shape: &Shape) -> String {
    let words = match (&shape.title, face) {
        (Some(words), _) => words,
        (None, Face::PersonalBusy) => "Busy (Personal)",
        (None, Face::Busy | Face::Copy) => "Busy",
    };
    let prefix = shape.prefix.as_deref().unwrap_or(prefix);
    format!("{prefix} {words}").trim().to_owned()
}

/// A time with the shape's minutes around it, and how many of those before it are given. A series keeps its beginning where
/// the minutes before it would lead to another day: its rule names days.
fn padded(when: &When, recurrence: Vec<String>, shape: &Shape) -> (When, Vec<String>, TimeDelta) {
    let When::Times { start, end, start_zone, end_zone } = when else {
        return (when.clone(), recurrence, TimeDelta::zero());
    };
    let zone: Tz = start_zone.as_deref().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
    let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    let lead = shape.lead();
    let lead = if recurrence.is_empty() || day(*start - lead) == day(*start) { lead } else { TimeDelta::zero() };
    let when = When::Times {
        start: *start - lead,
        end: *end + shape.tail(),
        start_zone: start_zone.clone(),
        end_zone: end_zone.clone(),
    };
    if lead.is_zero() {
        return (when, recurrence, lead);
    }
    (when, recurrence.iter().map(|line| earlier(line, lead)).collect(), lead)
}

/// A recurrence line whose points in time are so much earlier.
fn earlier(line: &str, lead: TimeDelta) -> String {
    let moved = |text: &str| {
        let (digits, utc) = text.strip_suffix('Z').map_or((text, ""), |digits| (digits, "Z"));
        match NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S") {
            Ok(at) => format!("{}{utc}", (at - lead).format("%Y%m%dT%H%M%S")),
            Err(_) => text.to_owned(),
        }
    };
    let Some((name, value)) = line.split_once(':') else { return line.to_owned() };
    let separator = if name.ends_with("RULE") { ';' } else { ',' };
    let parts: Vec<String> = value
        .split(separator)
        .map(|part| match part.split_once('=') {
            Some(("UNTIL", until)) => format!("UNTIL={}", moved(until)),
            Some(_) => part.to_owned(),
            None => moved(part),
        })
        .collect();
    format!("{name}:{}", parts.join(&separator.to_string()))
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
    match event.body.answer {
        Some(Answer::None) => Some("You have not answered yet."),
        Some(Answer::Maybe) => Some("You answered maybe."),
        _ if event.tentative => Some("This is not confirmed yet."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_of_a_rule_move_with_the_block() {
        let lead = TimeDelta::minutes(15);
        for (line, expected) in [
            ("RRULE:FREQ=WEEKLY;UNTIL=20260406T080000Z;BYDAY=MO", "RRULE:FREQ=WEEKLY;UNTIL=20260406T074500Z;BYDAY=MO"),
            ("RRULE:FREQ=DAILY;COUNT=3", "RRULE:FREQ=DAILY;COUNT=3"),
            ("RRULE:FREQ=DAILY;UNTIL=20260406", "RRULE:FREQ=DAILY;UNTIL=20260406"),
            (
                "EXDATE;TZID=Europe/Vienna:20260309T090000,20260316T000000",
                "EXDATE;TZID=Europe/Vienna:20260309T084500,20260315T234500",
            ),
        ] {
            assert_eq!(earlier(line, lead), expected);
        }
    }

    #[test]
    fn a_text_is_compared_without_blanks_and_tags() {
        assert_eq!(squeeze("a <b>c</b>\n&amp; <br>1 < 2").0, "ac&1<2");
        assert_eq!(without_breaks("notes<br> <br><a href=\"x\">"), "notes");
        assert_eq!(without_breaks("<a href=\"x\">x</a>"), "<a href=\"x\">x</a>");
    }
}
