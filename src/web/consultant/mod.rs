//! Consultants' pages.

pub mod calendars;
pub mod dashboard;
pub mod log;
pub mod settings;
