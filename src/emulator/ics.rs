//! Calendar exports (.ics) as calendars.
