//! Copies of invitations on guests' calendars.
