//! Reading events.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::{Role, World},
};

/// The calendar that a caller means by an id or `primary`, and what it may do there.
///
/// # Errors
/// 404 `notFound` for a calendar that does not exist or that the caller cannot see (I02).
pub fn calendar_for(world: &World, caller: &Caller, id: &str) -> Result<(String, Role), ApiError> {
    let id = if id == "primary" { &caller.email } else { id };
    let calendar = world.calendars.get(id).ok_or_else(ApiError::not_found)?;
    let role = calendar.acl.get(&caller.email).ok_or_else(ApiError::not_found)?;
    Ok((calendar.id.clone(), *role))
}

pub fn list(_world: &mut World, _caller: &Caller, _calendar: &str, _request: &Request) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn get(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn instances(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
