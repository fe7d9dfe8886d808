//! What is only assumed of Google, or differs between observers: each statement marked `[A]`, `[O]` or "knob" in the
//! checklist that a program could come to depend on has its switch here. A conformance test proves the default; a program
//! must survive every other value.

use std::collections::BTreeSet;

/// What happens to exceptions when the master's start moves (checklist C14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests set what the checklist leaves open"))]
pub enum ExceptionShift {
    /// Kept under their old slot, no longer masking an instance.
    Orphan,
    /// Cancelled.
    Drop,
    /// Moved to the slot of the same ordinal.
    Reanchor,
}

/// The switches; `Default` is what the checklist takes as the usual behaviour.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Empty pages that still have a `nextPageToken` (A05).
    pub empty_pages: bool,
    /// An event changed while paging may come twice (A11).
    pub duplicate_across_pages: bool,
    /// Exceptions come before their master (A12).
    pub exceptions_first: bool,
    /// Listings come in an order of their own: the same each time, and no order that anybody could rely on (A12).
    pub listings_shuffled: bool,
    /// Items on one page at most, whatever was asked for (A03); 0 is without limit.
    pub page_limit: usize,
    /// A cancelled instance comes as `{id, status}` only (B18).
    pub sparse_instance_tombstones: bool,
    /// A deleted master's exceptions are listed too (B20).
    pub master_delete_lists_exceptions: bool,
    /// Listings without `showDeleted` hold deleted masters, as Google's did in 2025 (semantics §1.4).
    pub cancelled_masters_listed: bool,
    /// A master whose series ended before `timeMin` is listed without `singleEvents` (A23).
    pub ended_series_listed: bool,
    /// A listing without items has no `items` at all (A31).
    pub empty_items_omitted: bool,
    /// Changes are listed only after this many seconds (B21).
    pub late_visibility_seconds: i64,
    /// A page token with other parameters (A08), or a sync token with others than it began with (B12), is 400 instead of
    /// undefined.
    pub strict_tokens: bool,
    /// Resource calendars show all-day events as times from midnight to midnight (M08).
    pub resource_days_as_times: bool,
    /// Sync tokens expire after this many seconds (B08).
    pub token_lifetime_seconds: i64,
    /// C14.
    pub exception_on_master_shift: ExceptionShift,
    /// An exception takes over what changes on its master in fields where it had said the same as the master (C13).
    pub exceptions_follow_master: bool,
    /// An import over a deleted event revives it instead of 409.
    pub import_revives: bool,
    /// A second insert of an id made within the last seconds answers 200 and replaces the first (D11).
    pub id_collision_undetected: bool,
    /// With `guestsCanModify`, a guest's edits through the API reach the organizer.
    pub guest_edits_flow: bool,
    /// Addresses whose setting is "add invitations only if the sender is known" (G02, G17).
    pub known_senders_only: BTreeSet<String>,
    /// A PUT without status revives a deleted event instead of 403 (D08).
    pub put_revives: bool,
    /// Two private property filters mean OR instead of AND (F07).
    pub private_filter_or: bool,
    /// A change of reminders alone appears in a delta (B28).
    pub reminders_in_delta: bool,
    /// Requests a minute that one account may make; 0 is without limit (K03).
    pub user_quota: u32,
    /// Requests a minute of everybody together; 0 is without limit (K04).
    pub project_quota: u32,
    /// Limits answer 429 instead of 403 (K03).
    pub limits_as_429: bool,
    /// Writes to one calendar within ten seconds; 0 is without limit (K05).
    pub calendar_write_burst: u32,
    /// Events that one account may create within six hours; 0 is without limit. Beyond it the account only reads (K06).
    pub creation_quota: u32,
    /// The application's publishing status is Testing: refresh tokens die after seven days (L07).
    pub testing_mode: bool,
    /// Revoking one token ends everything that client may do for that account (semantics §12, assumed); otherwise only
    /// the refresh token and its access tokens.
    pub revoke_whole_grant: bool,
    /// Channels may ring at http addresses on this machine, too; Google wants https (J01).
    pub push_to_loopback: bool,
    /// Of a thousand messages, how many never come (J17).
    pub push_drop_permille: u32,
    /// Of a thousand messages, how many come twice.
    pub push_duplicate_permille: u32,
    /// Messages come up to this many seconds late (J18).
    pub push_delay_seconds: u32,
    /// A change for which a message waits already makes no other (J19).
    pub push_batched: bool,
    /// Access tokens of a revoked grant work for this many seconds more (L16).
    pub revocation_delay_seconds: i64,
}

impl Settings {
    /// Everything at once that a program has to survive without coming to another result: pages in any order, short, empty or with
    /// things twice; tombstones that say little or too much.
    pub fn chaos() -> Self {
        Settings {
            empty_pages: true,
            duplicate_across_pages: false,
            exceptions_first: true,
            listings_shuffled: true,
            page_limit: 3,
            sparse_instance_tombstones: true,
            master_delete_lists_exceptions: true,
            cancelled_masters_listed: true,
            ended_series_listed: true,
            empty_items_omitted: true,
            limits_as_429: true,
            ..Settings::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            empty_pages: false,
            duplicate_across_pages: false,
            exceptions_first: false,
            listings_shuffled: false,
            page_limit: 0,
            sparse_instance_tombstones: false,
            master_delete_lists_exceptions: false,
            cancelled_masters_listed: false,
            ended_series_listed: true,
            empty_items_omitted: false,
            late_visibility_seconds: 0,
            strict_tokens: true,
            resource_days_as_times: true,
            token_lifetime_seconds: 7 * 86_400,
            exception_on_master_shift: ExceptionShift::Orphan,
            exceptions_follow_master: false,
            import_revives: true,
            id_collision_undetected: false,
            guest_edits_flow: true,
            known_senders_only: BTreeSet::new(),
            put_revives: false,
            private_filter_or: false,
            reminders_in_delta: true,
            user_quota: 0,
            project_quota: 0,
            limits_as_429: false,
            calendar_write_burst: 0,
            creation_quota: 0,
            testing_mode: false,
            revoke_whole_grant: true,
            push_to_loopback: true,
            push_drop_permille: 0,
            push_duplicate_permille: 0,
            push_delay_seconds: 0,
            push_batched: false,
            revocation_delay_seconds: 0,
        }
    }
}
