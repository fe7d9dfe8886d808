//! The nouns of BusyBridge, one word for each thing. Pure data: nothing here waits, fails on the world or looks at a clock.
//!
//! | word | meaning |
//! |---|---|
//! | *user* | a consultant of the home organization |
//! | *calendar* | one Google calendar that a user connected, in the role of *main*, *client* or *personal* |
//! | *event* | what Google shows under one id |
//! | *origin* | an event that a person or another program made; everything we keep derives from one |
//! | *copy* | an origin shown in full on main; *busy block*, *personal block*: its time alone, elsewhere |
//! | *item* | one copy or block, named by its [`item::ItemKey`]: this origin on that target |
//! | *series*, *exception*, *slot* | a recurring event; one changed or cancelled instance; the start which the rule gives it |
//! | *marker* | the sealed reference on each event we make, which says that it is ours and of which item |
//! | *incarnation* | how often an item had to be made anew; a deleted id stays taken at Google |
//! | *mirror*, *cursor* | events as Google last told them; how far it told them |
//! | *tombstone* | proof that an event is gone; absence proves nothing |
//! | *suspect* | missing from a full listing and not yet proven gone; counts as present |
//! | *mapping* | what we last asked for an item, and what Google answered |
//! | *standing*, *freshness* | what the person wants of a calendar; how far its mirror may be trusted now |
//! | *flow* | one rule: from this calendar to that, which events, with this face and shape |
//! | *write-back*, *answer*, *withdrawal* | what a person did to a copy, done to its origin: changed, answered, removed |
//! | *refusal* | Google would not take a step; it is tried again later, or when what is asked changes |
//! | *wish*, *desired* | what should stand under an item |
//! | *snapshot*, *plan*, *step*, *held*, *outcome* | all that is known; all that will be done; one of it; what waits; how it went |
//! | *alert*, *condition* | what only a person can mend; that it is wrong now |
//! | *channel* | where Google rings when a calendar changes |
//! | *tick* | observe, plan, apply, settle: once for one user |

pub mod alert;
pub mod body;
pub mod calendar;
pub mod channel;
pub mod clock;
pub mod event;
pub mod flow;
pub mod id;
pub mod item;
pub mod mapping;
#[cfg(test)]
pub mod mutant;
pub mod plan;
pub mod run;
pub mod secret;
pub mod smtp;
pub mod snapshot;
pub mod tokens;
