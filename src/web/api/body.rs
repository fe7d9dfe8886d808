//! What programs send: JSON, understood strictly.

use std::time::Duration;

use salvo::{Request, http::StatusCode};
use serde::de::DeserializeOwned;

use super::super::{error::Refusal, session};

/// Bodies are at most this long, in bytes.
const MAX: usize = 64 << 10;
/// A text is at most this long, in characters.
const TEXT_MAX: usize = 1024;

/// Something that a program sends.
pub trait Body: DeserializeOwned {
    /// The names of its fields.
    const FIELDS: &'static [&'static str];
}

/// Reads the body.
///
/// # Errors
/// A refusal that says what is wrong with it.
pub async fn read<T: Body>(req: &mut Request, patience: Duration) -> Result<T, Refusal> {
    let kind = req.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let message = "Send application/json.";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let bytes = session::body(req, MAX, patience).await?;
    let bad = |code, message: &str| Refusal::malformed(code, message);
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| bad("invalid_json", "This is not JSON."))?;
    let object = value.as_object().ok_or_else(|| bad("invalid_type", "Send an object."))?;
    if let Some(name) = object.keys().find(|name| !T::FIELDS.contains(&name.as_str())) {
        let named = name.chars().count() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let message = if named { format!("There is no field {name}.") } else { "There is no such field.".to_owned() };
        return Err(bad("unknown_field", &message));
    }
    check_texts(&value)?;
    match (serde_json::from_slice::<T>(&bytes), serde_json::from_value::<T>(value)) {
        (Ok(body), _) => Ok(body),
        // What only the text has wrong is a field that stands there twice.
        (Err(_), Ok(_)) => Err(bad("invalid_json", "A field stands there twice.")),
        (Err(_), Err(_)) => {
            let message = format!("A field is missing or of the wrong type. There are: {}.", T::FIELDS.join(", "));
            Err(Refusal::unfit("invalid_type", message))
        }
    }
}

/// Refuses texts that are none, or too long.
fn check_texts(value: &serde_json::Value) -> Result<(), Refusal> {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => {
            Err(Refusal::unfit("invalid_text", "A text holds a character that is none."))
        }
        serde_json::Value::String(text) if text.chars().count() > TEXT_MAX => {
            Err(Refusal::unfit("too_long", "A text is too long."))
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(check_texts),
        serde_json::Value::Object(items) => items.values().try_for_each(check_texts),
        _ => Ok(()),
    }
}
