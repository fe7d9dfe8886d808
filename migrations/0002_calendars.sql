-- Which calendars are connected, and how far Google has told us each of them.
--
-- The main calendar stands here beside the clients' and the personal ones: everything is a flow between calendars, and the
-- role says which. The cursor has a table of its own, since it changes with every listing and the rest hardly ever.

CREATE TABLE client_calendars (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- None once the calendar is left and its account is forgotten.
    oauth_token_id INTEGER,
    google_calendar_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    calendar_type TEXT NOT NULL CHECK (calendar_type IN ('main', 'client', 'personal')),
    -- IANA name; days without a zone lie in it.
    zone TEXT NOT NULL,
    -- Offered: chosen, but its person has not said yes to what would change; it takes part in nothing.
    -- Leaving: everything of ours that stands there or derives from it goes away first. Left: kept for the record only.
    standing TEXT NOT NULL DEFAULT 'connected' CHECK (standing IN ('offered', 'connected', 'leaving', 'left')),
    left_at TEXT,
    -- Since when it is neither read nor written; none: not paused.
    paused_at TEXT,
    -- Whether the account may write there, by Google's last word.
    writable INTEGER NOT NULL DEFAULT 1 CHECK (writable IN (0, 1)),
    created_at TEXT NOT NULL,
    CHECK (standing = 'left' OR oauth_token_id IS NOT NULL),
    CHECK ((standing = 'left') = (left_at IS NOT NULL)),
    UNIQUE (user_id, google_calendar_id),
    FOREIGN KEY (oauth_token_id, user_id) REFERENCES oauth_tokens (id, user_id)
) STRICT;

CREATE UNIQUE INDEX one_main_calendar_for_each_user ON client_calendars (user_id)
    WHERE calendar_type = 'main' AND standing = 'connected';

CREATE TABLE calendar_sync_state (
    client_calendar_id INTEGER PRIMARY KEY REFERENCES client_calendars (id) ON DELETE CASCADE,
    -- Google's cursor. It always belongs to what mirror_events holds: both are written in one transaction.
    sync_token TEXT,
    -- When that cursor was stored. It stays when the cursor is lost.
    listed_at TEXT,
    last_full_sync TEXT,
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    last_error_at TEXT
) STRICT;

-- Rules that a person declared, each in the place of the usual one between two calendars. Named by Google's ids, like items.
CREATE TABLE flows (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source_google_calendar_id TEXT NOT NULL,
    target_google_calendar_id TEXT NOT NULL,
    -- None: nothing flows.
    face TEXT CHECK (face IN ('copy', 'busy', 'personal')),
    -- JSON: filter and shape. Sealed, since a title pattern tells what somebody's meetings are called.
    rules_encrypted BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (user_id, source_google_calendar_id, target_google_calendar_id),
    CHECK (source_google_calendar_id <> target_google_calendar_id)
) STRICT;
