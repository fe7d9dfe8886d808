//! What we last did about an item: the base of the three-way merge.

use super::{body::Digest, id::EventId};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// We keep it.
    Kept,
    /// We have set out to delete it; noted before the call, so that a tombstone found after a crash is known as our own.
    Leaving,
    /// The person removed it and does not want it back.
    Dismissed,
}

/// Our memory of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub event: EventId,
    pub incarnation: u32,
    /// What we asked for. Compared with what is desired now: did the origin move?
    pub applied: Digest,
    /// What Google answered. Compared with what is observed now: did the copy move? Google trims and rewrites what it is
    /// given, so comparing with what we *sent* would update for ever.
    pub shown: Digest,
    pub memory: Memory,
    /// The target's series has no such slot: the exception is kept as an event of its own, beside the series.
    pub alone: bool,
}
