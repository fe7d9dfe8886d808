//! Faults by command.
use super::{
    Answer, Core,
    http::{ApiError, Request, Response},
};
use std::time::Duration;
#[derive(Debug, Default)]
pub struct Faults;
pub struct Effect;
impl Faults {
    pub fn decide(&mut self, _request: &Request) -> Effect {
        Effect
    }
}
impl Effect {
    pub fn before(&self) -> Option<Answer> {
        None
    }
    pub fn after(self, response: Response) -> Answer {
        Answer::Reply(Duration::ZERO, response)
    }
}
pub fn control(_core: &mut Core, _request: &Request) -> Response {
    ApiError::not_found().response()
}
