//! Bugs of the past, planted again for a test: each must be caught by the simulation, or the simulation is worth little. Nothing of
//! this is in a program that anybody runs.

use std::cell::Cell;

/// A bug that some synchronizer once had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An update drops the marker.
    TagStripped,
    /// An update that fails makes a new event.
    CreateOnAnyError,
    /// The id of a new event is another at every try.
    RandomIds,
    /// What a listing does not name is deleted.
    EmptyMeansDeleted,
    /// The cursor is stored before the rows.
    TokenBeforeRows,
    /// A deletion that was refused counts as done.
    ForbiddenAsDeleted,
    /// What is to be deleted is forgotten before Google deletes it.
    ForgottenFirst,
    /// Whatever is called like a block of ours is swept.
    SweptByTitle,
    /// A block bears its origin's title.
    TitleInBlock,
    /// A marker makes an event ours, whatever its id.
    MarkerAloneOwns,
    /// Changes name no version.
    NoIfMatch,
    /// What Google shows after a change of ours is not remembered, so that it counts as somebody's edit.
    EchoAsEdit,
    /// Suspects are never asked about.
    SuspectsForgotten,
    /// Guests are told of new events.
    GuestsTold,
    /// An origin that is not known counts as dead.
    UnknownIsDead,
    /// However many removals there are at once, they are carried out.
    NoBrake,
    /// What somebody paused goes on.
    PauseForgotten,
}

/// All of them.
pub const ALL: [Mutant; 17] = [
    Mutant::TagStripped,
    Mutant::CreateOnAnyError,
    Mutant::RandomIds,
    Mutant::EmptyMeansDeleted,
    Mutant::TokenBeforeRows,
    Mutant::ForbiddenAsDeleted,
    Mutant::ForgottenFirst,
    Mutant::SweptByTitle,
    Mutant::TitleInBlock,
    Mutant::MarkerAloneOwns,
    Mutant::NoIfMatch,
    Mutant::EchoAsEdit,
    Mutant::SuspectsForgotten,
    Mutant::GuestsTold,
    Mutant::UnknownIsDead,
    Mutant::NoBrake,
    Mutant::PauseForgotten,
];

thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this bug is planted on this thread.
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Plants a bug on this thread, or none.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}
