//! calendarList, calendars, colours and freeBusy.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
pub fn handle(
    _world: &mut World,
    _caller: &Caller,
    _method: &str,
    _path: &[&str],
    _request: &Request,
) -> Result<Response, ApiError> {
    Err(ApiError::not_found())
}
