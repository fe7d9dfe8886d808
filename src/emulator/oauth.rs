//! OAuth 2.0 and OpenID Connect.
use super::{
    Caller,
    http::{ApiError, Request, Response},
    state::World,
};
pub struct OAuth;
impl OAuth {
    pub fn new() -> Self {
        OAuth
    }
    /// The caller of an API request: `Bearer dev:EMAIL`, or an access token issued here.
    pub fn caller(&self, world: &World, request: &Request) -> Result<Caller, ApiError> {
        let bearer = request.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        match bearer.and_then(|t| t.strip_prefix("dev:")) {
            Some(email) if world.accounts.contains_key(email) => {
                Ok(Caller { email: email.into(), scopes: vec!["https://www.googleapis.com/auth/calendar".into()] })
            }
            _ => Err(ApiError::new(401, "authError", "Invalid Credentials").at("header", "Authorization")),
        }
    }
    pub fn handle(&mut self, _world: &mut World, _origin: &str, _request: &Request) -> Option<Response> {
        None
    }
}
