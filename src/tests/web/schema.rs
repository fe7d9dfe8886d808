//! What the API's own description promises of its answers, taken by its word: nothing else is in them (reliability E2).

use std::{collections::BTreeSet, sync::OnceLock};

use serde_json::{Value, json};

use super::{Site, api::Program};

/// The description as programs get it, with every object closed: a field that it does not name must not be there.
static DESCRIPTION: OnceLock<Value> = OnceLock::new();

/// Fetches the description, once.
pub async fn learn(url: &str) {
    if DESCRIPTION.get().is_none() {
        let text = reqwest::get(format!("{url}/api/openapi.json")).await.unwrap().text().await.unwrap();
        let mut description = serde_json::from_str(&text).unwrap();
        close(&mut description);
        let _ = DESCRIPTION.set(description);
    }
}

fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let open = fields.contains_key("properties") && !fields.contains_key("additionalProperties");
            if open && fields.get("type").is_some_and(|kind| kind == "object") {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// What is described for a path: its template's operations.
fn described<'a>(description: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (these, those): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        these.len() == those.len() && these.iter().zip(&those).all(|(a, b)| a == b || a.starts_with('{'))
    };
    let paths = description["paths"].as_object().unwrap();
    paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, operations)| operations))
}

/// Fails when an answer is not what the description says of it.
pub fn check(method: &str, path: &str, status: u16, body: &Value) {
    let Some(description) = DESCRIPTION.get() else { return };
    let Some(operations) = described(description, path) else { return };
    let operation = &operations[method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(status, 405, "{method} {path} is not described");
        return;
    }
    let response = &operation["responses"][status.to_string()];
    let name = format!("{method} {path}: {status}");
    assert!(response.is_object(), "{name} is not described: {}", operation["responses"]);
    let Some(content) = response["content"].as_object().filter(|content| !content.is_empty()) else {
        assert!(body.as_str().is_some_and(str::is_empty), "{name} is described as empty: {body}");
        return;
    };
    let Some(json) = content.get("application/json") else { return };
    let mut schema = json["schema"].clone();
    schema["components"] = description["components"].clone();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> =
        schema.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{body:#}");
}

/// Names of all fields that a schema leads to.
fn fields(description: &Value, schema: &Value, found: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str)
                && seen.insert(name.to_owned())
            {
                fields(description, description.pointer(&name[1..]).unwrap(), found, seen);
            }
            for (name, value) in object {
                if let ("properties", Some(properties)) = (name.as_str(), value.as_object()) {
                    found.extend(properties.keys().cloned());
                }
                fields(description, value, found, seen);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(description, item, found, seen)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_described_and_no_field_of_any_is_secret() {
    let (_site, ada) = Site::ready().await;
    let _ = Program::of(&ada).await;
    let description = DESCRIPTION.get().unwrap();
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let name = format!("{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            let good = responses.keys().filter(|status| status.starts_with('2')).count();
            assert_eq!(good, 1, "{name}: {:?}", responses.keys());
            for (status, response) in responses {
                let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
                fields(description, response, &mut found, &mut seen);
                if !status.starts_with('2') {
                    assert_eq!(
                        found.iter().map(String::as_str).collect::<Vec<_>>(),
                        ["code", "error", "field", "message", "request_id"],
                        "{name}: {status}"
                    );
                    continue;
                }
                for secret in ["access", "refresh", "channel_", "resource", "cursor", "sync_token", "subject", "raw"] {
                    let field = found.iter().find(|field| field.contains(secret));
                    assert_eq!(field, None, "{name}");
                }
                if path.starts_with("/api/admin") {
                    for word in ["title", "location", "description", "attendees", "csrf_token"] {
                        assert!(!found.contains(word), "{name}: an admin is told {word}");
                    }
                }
            }
        }
    }
    assert!(operations > 40, "{operations}");
    // What is checked can fail.
    let more = json!({"id": 1, "email": "a", "name": "b", "is_admin": true, "csrf_token": "c", "secret": 1});
    assert!(std::panic::catch_unwind(|| check("GET", "/api/me", 200, &more)).is_err());
    assert!(std::panic::catch_unwind(|| check("GET", "/api/me", 299, &json!(""))).is_err());
}
