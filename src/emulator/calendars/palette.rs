//! The two palettes of `colors.get` (checklist I12).

use serde_json::{Map, Value, json};

/// Backgrounds of calendars, ids from 1.
const CALENDAR: [&str; 24] = [
    "#ac725e", "#d06b64", "#f83a22", "#fa573c", "#ff7537", "#ffad46", "#42d692", "#16a765", "#7bd148", "#b3dc6c",
    "#fbe983", "#fad165", "#92e1c0", "#9fe1e7", "#9fc6e7", "#4986e7", "#9a9cff", "#b99aff", "#c2c2c2", "#cabdbf",
    "#cca6ac", "#f691b2", "#cd74e6", "#a47ae2",
];

/// Backgrounds of events, ids from 1.
const EVENT: [&str; 11] = [
    "#a4bdfc", "#7ae7bf", "#dbadff", "#ff887c", "#fbd75b", "#ffb878", "#46d6db", "#e1e1e1", "#5484ed", "#51b749",
    "#dc2127",
];

/// `colors.get`.
pub(super) fn colors() -> Value {
    json!({
        "kind": "calendar#colors",
        "updated": "2012-02-14T00:00:00.000Z",
        "calendar": table(&CALENDAR),
        "event": table(&EVENT),
    })
}

/// The background of a calendar colour.
pub(super) fn calendar(id: &str) -> Option<&'static str> {
    CALENDAR.get(id.parse::<usize>().ok()?.checked_sub(1)?).copied()
}

fn table(backgrounds: &[&str]) -> Map<String, Value> {
    let entry = |(i, background): (usize, &&str)| {
        ((i + 1).to_string(), json!({"background": background, "foreground": "#1d1d1d"}))
    };
    backgrounds.iter().enumerate().map(entry).collect()
}
