//! Reading events.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
pub fn list(_world: &mut World, _caller: &Caller, _calendar: &str, _request: &Request) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn get(world: &mut World, caller: &Caller, calendar: &str, event: &str, _request: &Request) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let c = &world.calendars[&id];
    let s = c.events.get(event).ok_or_else(ApiError::not_found)?;
    Ok(Response::json(200, &super::render::event(c, caller, role, s, None)))
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
pub fn calendar_for(world: &World, caller: &Caller, id: &str) -> Result<(String, super::state::Role), ApiError> {
    let id = if id == "primary" { &caller.email } else { id };
    let c = world.calendars.get(id).ok_or_else(ApiError::not_found)?;
    Ok((id.to_owned(), *c.acl.get(&caller.email).ok_or_else(ApiError::not_found)?))
}
