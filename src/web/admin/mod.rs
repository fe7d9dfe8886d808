//! Admins' pages. What concerns a user's meetings is told in kinds, calendars, times and counts, never in titles.

pub mod plans;
pub mod settings;
pub mod status;
pub mod users;
