//! Webhook channels: where Google rings when a calendar changes.

use chrono::{DateTime, Utc};

/// A calendar that is connected and not silent, and so wants a channel.
#[derive(Clone, Debug)]
pub struct Wanting {
    /// The number of the calendar.
    pub calendar: i64,
    /// Google refused to open a channel; it is asked again at this time.
    pub again_at: Option<DateTime<Utc>>,
    /// A reading found what no channel had told; channels opened before this are doubted.
    pub doubted: Option<DateTime<Utc>>,
}

/// A channel that was opened and not closed.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The number of the row.
    pub number: i64,
    pub calendar: i64,
    pub opened: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}
