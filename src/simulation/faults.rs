//! The faults that strike a world, the steps that they strike, and which can strike which.

/// What can go wrong, with its number in the fault model; those before [`BY_CHANCE`] strike steps by chance.
pub const FAULTS: [&str; 27] = [
    "F1 lost before",
    "F2 answer lost",
    "F3 5xx before",
    "F3 5xx after",
    "F4 rate limit",
    "F5 use limit",
    "F6 forbidden",
    "F7 cursor lost",
    "F10 calendar 404",
    "F11 401",
    "F12 endless pages",
    "F14 stale",
    "F15 false empty",
    "F16 nonsense",
    "F13 told twice",
    "F17 bad notification",
    "F18 no channel",
    "F22 disk full",
    "F28 another engine",
    // What comes of itself, or is an event of its own.
    "F8 412",
    "F9 409",
    "F19 killed before it",
    "F20 two at once",
    "F21 database",
    "F24 clock",
    "F25 people",
    "F26 wishes",
];
/// Faults that strike by chance.
pub const BY_CHANCE: usize = 19;
pub const STALE: usize = 11;
pub const EMPTY: usize = 12;
pub const NOTIFICATION: usize = 15;
pub const NO_CHANNEL: usize = 16;
pub const DISK_FULL: usize = 17;
pub const ENGINE: usize = 18;
pub const CHANGED_MEANWHILE: usize = 19;
pub const ID_TAKEN: usize = 20;
pub const KILLED: usize = 21;
pub const TWO: usize = 22;
pub const DATABASE: usize = 23;
pub const CLOCK: usize = 24;
pub const PEOPLE: usize = 25;
pub const WISHES: usize = 26;

/// What the program does step by step: calls by their kinds, a notification that it hears, a commit; and the time between two ticks.
pub const STEPS: [&str; 11] =
    ["list", "delta", "get", "insert", "patch", "delete", "token", "watch", "ring", "commit", "between"];
pub const DELETE: usize = 5;
pub const TOKEN: usize = 6;
pub const WATCH: usize = 7;
pub const RING: usize = 8;
pub const COMMIT: usize = 9;
pub const BETWEEN: usize = 10;

/// Whether a fault can strike a step at all.
pub fn fits(fault: usize, step: usize) -> bool {
    let (write, listing, call) = ((3..6).contains(&step), step < 2, step <= WATCH);
    match fault {
        1 | 3 => write || step == WATCH,
        5 => write,
        4 | 9 => call && step != TOKEN,
        6 => write || listing || step == WATCH,
        7 => step == 1,
        8 | 10 | STALE | 14 => listing,
        EMPTY => step == 0,
        13 => call && step != DELETE,
        NOTIFICATION => step == RING,
        NO_CHANNEL => step == WATCH,
        DISK_FULL => step == COMMIT,
        CHANGED_MEANWHILE => step == 4 || step == DELETE,
        ID_TAKEN => step == 3,
        // Channels are brought in order between ticks, where nobody is killed.
        KILLED => step < WATCH || step == COMMIT,
        TWO => step < WATCH || step == COMMIT,
        PEOPLE => step < WATCH || step == COMMIT || step == BETWEEN,
        ENGINE | DATABASE | CLOCK | WISHES => step == BETWEEN,
        _ => call,
    }
}
