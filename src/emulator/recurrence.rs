//! stub
use super::{http::ApiError, state::{Calendar, Object}};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
#[derive(Clone, Debug)]
pub struct Slot { pub start: DateTime<Utc>, pub day: Option<NaiveDate> }
pub fn instance(_c: &Calendar, _id: &str) -> Option<Object> { None }
pub fn slots(_m: &Object, _z: &str, _f: Option<DateTime<Utc>>, _t: Option<DateTime<Utc>>, _l: usize) -> Vec<Slot> { vec![] }
pub fn check(_l: &[String], _s: &Value) -> Result<(), ApiError> { Ok(()) }
pub fn stamp(s: &Slot) -> String { match s.day { Some(d) => d.format("%Y%m%d").to_string(), None => s.start.format("%Y%m%dT%H%M%SZ").to_string() } }
