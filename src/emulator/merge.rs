//! How a body meets what is stored: JSON merge for PATCH (guide "Improve performance"), full replacement for PUT.

use serde_json::Value;

use super::state::Object;

/// PATCH: objects are merged key by key, `null` deletes, anything else — arrays too — replaces (checklist E08–E11).
pub fn patch(stored: &mut Object, body: &Object) {
    for (name, value) in body {
        match (stored.get_mut(name), value) {
            (_, Value::Null) => {
                stored.remove(name);
            }
            (Some(Value::Object(old)), Value::Object(new)) => patch(old, new),
            (_, Value::Object(new)) => {
                let mut fresh = Object::new();
                patch(&mut fresh, new);
                stored.insert(name.clone(), fresh.into());
            }
            _ => {
                stored.insert(name.clone(), value.clone());
            }
        }
    }
}

/// PUT and insert: a `null` is as good as absence.
pub fn without_nulls(body: &Object) -> Object {
    let mut whole = Object::new();
    patch(&mut whole, body);
    whole
}

/// Takes the fields `names` from `stored`, whatever `event` says of them.
pub fn keep(event: &mut Object, stored: &Object, names: &[&str]) {
    for name in names {
        match stored.get(*name) {
            Some(value) => {
                event.insert((*name).into(), value.clone());
            }
            None => {
                event.remove(*name);
            }
        }
    }
}
