//! Conferences on events: `conferenceData` is heard from clients that set `conferenceDataVersion=1` (checklist E14, E15).
//!
//! A `createRequest` succeeds at once; the answer to the write itself still says `pending`, as Google's does, and every
//! later reading shows the conference.

use serde_json::{Value, json};

use super::{http::ApiError, state::Object};

/// Carries out a `createRequest` in the body of a write. A request whose id is that of the stored conference is ignored.
///
/// # Errors
/// 400 `required` without a `requestId`.
pub fn settle(event: &mut Object, stored: Option<&Object>) -> Result<(), ApiError> {
    let before = stored.and_then(|s| s.get("conferenceData"));
    let Some(asked) = event.get("conferenceData") else {
        event.remove("hangoutLink");
        return Ok(());
    };
    let Some(request) = asked.get("createRequest").filter(|_| before != Some(asked)) else { return Ok(()) };
    let Some(id) = request.get("requestId").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return Err(ApiError::new(400, "required", "Missing conference requestId."));
    };
    if let Some(before) = before.filter(|before| before["createRequest"]["requestId"] == id) {
        event.insert("conferenceData".into(), before.clone());
        return Ok(());
    }
    let key = request.get("conferenceSolutionKey").cloned().unwrap_or_else(|| json!({"type": "hangoutsMeet"}));
    // A code as Meet writes them, the same for the same request.
    let letters: String = id.bytes().chain(*b"busybridge").map(|b| char::from(b'a' + b % 26)).take(10).collect();
    let code = format!("{}-{}-{}", &letters[..3], &letters[3..7], &letters[7..]);
    let link = format!("https://meet.google.com/{code}");
    let conference = json!({
        "createRequest": {"requestId": id, "conferenceSolutionKey": key, "status": {"statusCode": "success"}},
        "entryPoints": [{"entryPointType": "video", "uri": link, "label": format!("meet.google.com/{code}")}],
        "conferenceSolution": {"key": key, "name": "Google Meet"},
        "conferenceId": code,
    });
    event.insert("conferenceData".into(), conference);
    event.insert("hangoutLink".into(), link.into());
    Ok(())
}

/// Shows a conference that this very write asked for as it is at that moment: still being made.
pub fn pending(answer: &mut Value, before: Option<&Object>) {
    let made = answer["conferenceData"]["createRequest"]["requestId"].clone();
    let had = before.and_then(|b| b.get("conferenceData")).map(|c| &c["createRequest"]["requestId"]);
    if made.is_string() && had != Some(&made) {
        let mut request = answer["conferenceData"]["createRequest"].clone();
        request["status"] = json!({"statusCode": "pending"});
        answer["conferenceData"] = json!({"createRequest": request});
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("hangoutLink");
        }
    }
}
