//! Who may do what on a calendar: rules for single users. Groups, domains and the public are not modelled.
//!
//! Every change ends the calendar's sync tokens (checklist B09), and is not announced by the calendar list's (B30).

use serde_json::{Value, json};

use super::{body, find_as, gone, invalid, list::strike, read_sync_token, sync_token};
use crate::emulator::{
    Caller,
    http::{ApiError, Request},
    state::{Calendar, Object, Role, World},
};

/// Gives an account a role on a calendar, or takes its access away; then the calendar leaves the account's list.
///
/// # Errors
/// 404 for an unknown calendar, 403 for the owner's own rule.
pub fn set_access(world: &mut World, id: &str, account: &str, role: Option<Role>) -> Result<(), ApiError> {
    let calendar = world.calendars.get_mut(id).ok_or_else(ApiError::not_found)?;
    if calendar.owner == account && role != Some(Role::Owner) {
        let message = "The owner of a calendar keeps access to it.";
        return Err(ApiError::new(403, "cannotChangeOwnAcl", message).domain("calendar"));
    }
    let before = match role {
        Some(role) => calendar.acl.insert(account.into(), role),
        None => calendar.acl.remove(account),
    };
    if before != role {
        calendar.epoch += 1;
    }
    if role.is_none() {
        strike(world, account, id);
    }
    Ok(())
}

/// `acl.list`. A sync token is good while nothing changed.
pub(super) fn list(world: &World, caller: &Caller, id: &str, request: &Request) -> Result<Value, ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    let mut rules: Vec<Value> = calendar.acl.keys().map(|email| render(calendar, email)).collect();
    if let Some(text) = request.param("syncToken") {
        let values = read_sync_token(world, "acl", text)?;
        if values.get("id") != Some(&calendar.id.clone().into()) {
            return Err(invalid("Invalid sync token value.").at("parameter", "syncToken"));
        }
        if values.get("epoch") != Some(&calendar.epoch.into()) {
            return Err(gone());
        }
        rules.clear();
    }
    let token = sync_token(world, "acl", json!({"id": calendar.id, "epoch": calendar.epoch}));
    Ok(json!({"kind": "calendar#acl", "etag": etag(calendar), "items": rules, "nextSyncToken": token}))
}

/// `acl.get`.
pub(super) fn get(world: &World, caller: &Caller, id: &str, rule: &str) -> Result<Value, ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    Ok(render(calendar, email_of(calendar, rule)?))
}

/// `acl.insert`. A rule that exists takes the new role.
pub(super) fn insert(world: &mut World, caller: &Caller, id: &str, request: &Request) -> Result<Value, ApiError> {
    let id = find_as(world, caller, id, Role::Owner)?.id.clone();
    let fields = body(request)?;
    let scope = fields.get("scope").cloned().unwrap_or_default();
    let email = scope["value"].as_str().filter(|_| scope["type"] == "user");
    let email = email.ok_or_else(|| invalid("Invalid scope value."))?.to_ascii_lowercase();
    apply(world, &id, &email, &fields)
}

/// `acl.update` and `.patch`: only the role can change.
pub(super) fn change(
    world: &mut World,
    caller: &Caller,
    id: &str,
    rule: &str,
    request: &Request,
) -> Result<Value, ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    let (id, email) = (calendar.id.clone(), email_of(calendar, rule)?.to_owned());
    apply(world, &id, &email, &body(request)?)
}

/// `acl.delete`.
pub(super) fn delete(world: &mut World, caller: &Caller, id: &str, rule: &str) -> Result<(), ApiError> {
    let calendar = find_as(world, caller, id, Role::Owner)?;
    let (id, email) = (calendar.id.clone(), email_of(calendar, rule)?.to_owned());
    set_access(world, &id, &email, None)
}

fn apply(world: &mut World, id: &str, email: &str, fields: &Object) -> Result<Value, ApiError> {
    let name = fields.get("role").and_then(Value::as_str).ok_or_else(|| ApiError::new(400, "required", "Required"))?;
    let role = match (name, Role::parse(name)) {
        ("none", _) => None,
        (_, Some(role)) => Some(role),
        (_, None) => return Err(invalid("Invalid role.")),
    };
    set_access(world, id, email, role)?;
    Ok(render(world.calendars.get(id).ok_or_else(ApiError::not_found)?, email))
}

fn email_of<'a>(calendar: &'a Calendar, rule: &str) -> Result<&'a str, ApiError> {
    let email = rule.strip_prefix("user:").ok_or_else(ApiError::not_found)?;
    calendar.acl.keys().find(|e| *e == email).map(String::as_str).ok_or_else(ApiError::not_found)
}

fn render(calendar: &Calendar, email: &str) -> Value {
    json!({
        "kind": "calendar#aclRule",
        "etag": etag(calendar),
        "id": format!("user:{email}"),
        "scope": {"type": "user", "value": email},
        "role": calendar.acl.get(email).map_or("none", |role| role.name()),
    })
}

fn etag(calendar: &Calendar) -> String {
    format!("\"{}\"", calendar.epoch)
}
