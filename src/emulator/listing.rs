//! Reading events.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
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
