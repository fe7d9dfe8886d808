//! BusyBridge keeps a consultant's calendars telling the truth: client meetings in full on the main calendar, "Busy" and
//! nothing else on every other client calendar, personal calendars as read-only sources.
//!
//! # One tick
//!
//! ```text
//!   1 observe    Google ──► mirror and cursor, in one transaction      controller::observe, google, store::mirror
//!   2 snapshot   everything the planner may know, as one value         store::snapshot ──► model::snapshot
//!  ═════════════════════════════════════════════════════════ pure: nothing waits, fails or looks at a clock
//!   3 desire     what should stand on each calendar                    planner::desired, flows, face, horizon
//!   4 diff       desired × observed × remembered ──► steps             planner::diff, hand, sameness
//!   5 order      series first, deletions last; the brake               planner::order, policy
//!   6 check      a second opinion                                      planner::check
//!  ═════════════════════════════════════════════════════════ effects
//!   7 journal    what is about to be done (a dry run stops before)     store::journal
//!   8 apply      one call a step; what Google answered is stored       controller::apply
//!   9 settle     when to look again                                    controller::settle
//! ```
//!
//! # The service
//!
//! ```text
//!   webhooks ──► bell ──┐
//!   timetable ──────────┼──► queue, one slot for each user ──► ticks, some at once ──► what follows
//!   roster ─────────────┘     controller::queue                controller::service
//!   chores: channels, tokens, mail, copies, what is forgotten  controller::chores
//! ```
//!
//! A tick reads only the calendars that rang or are due; the others count as last seen. Polling is the promise, push the hint.
//!
//! # Layers
//!
//! ```text
//!  L4   cli        web        emulator            operators, people and Google, and a stand-in for Google
//!       simulation                                random worlds, in process, to find what must not happen
//!  L3   controller                                the loop; where effects are put in order
//!  L2   google     store ──► vault   mail ──► pages  one foreign thing each
//!  L1   planner                                   the decisions
//!  L0   model                                     the nouns; its page is the glossary
//! ```
//!
//! Imports point downwards; `tests/tidy.rs` holds the table and fails with the offending line. The emulator imports the clock and
//! nothing else of ours: it is a witness, not an accomplice.
//!
//! # What must never happen
//!
//! * An event that is not provably ours is changed or deleted (`controller::observe` decides once whose an event is).
//! * Something is deleted because it could not be seen: a deletion needs an origin that is seen now, and known to be gone or not
//!   wanted (`planner::diff`, `planner::check`).
//! * A word of one calendar's event reaches another client (`planner::face::block` is given times and a rule, nothing else).
//! * A personal calendar is written; a guest is invited, or told against the person's wish (`google::client`).
//! * An origin is changed but for something a person did to its copy, seen by us, since we last looked (`planner::hand`,
//!   `planner::check`).
//! * Two events stand for one item: ids are keyed hashes of the item, so that a repeated creation meets itself.
//!
//! # Walkthroughs
//!
//! *A meeting is moved at a client.* The listing since the cursor names it; mirror and cursor are stored. The snapshot's origin
//! has another time than the mapping's *applied*: the copy and each block get an `Update` under the etag that was observed. What
//! Google answers becomes the mapping's *shown*; when the write comes back in the next listing, it is equal, and the plan is empty.
//!
//! *A copy is edited at home.* The listing shows it with another digest than the mapping's *shown*, in one field. The origin did not
//! move in that field, and may be changed: the plan carries the field to the origin, under the etag of the origin that was seen
//! (`planner::hand`). The next tick finds both alike and remembers it; blocks follow. Where both moved, the origin wins.
//!
//! *A calendar is left.* The person's wish is one row (`controller::intent`). It has no flows any more, so everything that stands
//! there or derives from it is not desired: the ordinary plan removes it, and `controller::standing` ends the matter when nothing is
//! left, or lists what stays behind.
//!
//! *A token is revoked.* The calendar is stale in this tick: its origins stay as they were last seen, nothing derived from them is
//! deleted, nothing is written to it. The plan says so in its first line. The other calendars go on.
//!
//! *The database is lost.* Keys are not. The listings name our events by their markers; what is as desired is adopted, what an
//! event's origin is not known to be is asked of Google, one by one, and only a 404, 410 or `cancelled` is proof.

mod cli;
mod controller;
mod emulator;
mod google;
mod mail;
mod model;
mod pages;
mod planner;
mod simulation;
mod store;
#[cfg(test)]
mod tests;
mod vault;
mod web;

#[cfg(doc)]
#[doc = include_str!("why.md")]
mod why {}

use std::{io, process::ExitCode};

/// Runs the program with this process's arguments, environment and streams.
pub fn run() -> ExitCode {
    let env = std::env::vars().collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("busybridge: this machine gives no threads: {error}");
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(cli::run(std::env::args_os(), &env, &mut io::stdout(), &mut io::stderr()));
    ExitCode::from(code)
}
