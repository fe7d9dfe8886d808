//! Writing events.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
pub fn insert(_world: &mut World, _caller: &Caller, _calendar: &str, _request: &Request) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn import(_world: &mut World, _caller: &Caller, _calendar: &str, _request: &Request) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn update(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn patch(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn delete(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn move_to(
    _world: &mut World,
    _caller: &Caller,
    _calendar: &str,
    _event: &str,
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
pub fn seed(world: &mut World, calendar: &str, mut event: super::state::Object) -> Result<String, ApiError> {
    let id = event.get("id").and_then(|v| v.as_str()).map(String::from).unwrap_or_else(|| world.new_event_id());
    event.insert("id".into(), id.clone().into());
    world.record(calendar, event, true);
    Ok(id)
}
pub fn control(_core: &mut super::Core, _segments: &[&str], _request: &Request) -> Option<Response> {
    None
}
