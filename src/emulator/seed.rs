//! Seed files: accounts, calendars and events to begin with.
