-- What we last did about each item: the base of the three-way merge.
--
-- Items are named by Google's ids, not by our row numbers, because our own events are named by them, too: a database made
-- anew comes to the same names. Copies and blocks are both items, so the specification's busy_blocks need no table.

CREATE TABLE event_mappings (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    target_google_calendar_id TEXT NOT NULL,
    origin_google_calendar_id TEXT NOT NULL,
    origin_event_id TEXT NOT NULL,
    -- Of an exception; else empty.
    slot TEXT NOT NULL,
    face TEXT NOT NULL CHECK (face IN ('copy', 'busy', 'personal')),
    event_id TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    -- Two digests of equal length: what we asked for, what Google answered. Sealed, since a digest confirms a guess.
    digests_encrypted BLOB NOT NULL,
    memory TEXT NOT NULL CHECK (memory IN ('kept', 'leaving', 'dismissed', 'undone')),
    alone INTEGER NOT NULL CHECK (alone IN (0, 1)),
    -- JSON: when it was put back lately, oldest first.
    restored_at TEXT NOT NULL CHECK (json_valid(restored_at)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot)
) STRICT;

-- Steps that Google would not take, so that one bad event is not asked for again in every tick.
CREATE TABLE refusals (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    target_google_calendar_id TEXT NOT NULL,
    origin_google_calendar_id TEXT NOT NULL,
    origin_event_id TEXT NOT NULL,
    slot TEXT NOT NULL,
    -- The digest of what was asked, sealed.
    asked_encrypted BLOB NOT NULL,
    tries INTEGER NOT NULL,
    -- What Google said, in words that repeat nothing of the event.
    message TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    again_at TEXT NOT NULL,
    PRIMARY KEY (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot)
) STRICT;

-- Removals that a person agreed to: exactly these events, for a day.
CREATE TABLE approvals (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    google_calendar_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    approved_at TEXT NOT NULL,
    PRIMARY KEY (user_id, google_calendar_id, event_id)
) STRICT;
