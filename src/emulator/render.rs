//! stub
use super::{Caller, state::{Calendar, Role, Stored}};
use serde_json::{Value, json};
pub fn event(c: &Calendar, _w: &Caller, _r: Role, s: &Stored, max: Option<usize>) -> Value {
    let mut v = Value::Object(s.fields.clone());
    v["etag"] = s.etag().into();
    v["kind"] = "calendar#event".into();
    v["updated"] = chrono::DateTime::from_timestamp_micros(s.updated_us).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into();
    for n in ["organizer", "creator"] { if v[n]["email"] == c.id.as_str() { v[n]["self"] = json!(true); } }
    if let Some(l) = v.get_mut("attendees").and_then(Value::as_array_mut) { for a in l.iter_mut() { if a["email"] == c.id.as_str() { a["self"] = json!(true); } }
      if max.is_some_and(|m| l.len() > m) { l.retain(|a| a["self"] == true); v["attendeesOmitted"] = json!(true); } }
    v
}
