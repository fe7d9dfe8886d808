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
    -- Two digests of 16 bytes: what we asked for, what Google answered. Sealed, since a digest confirms a guess.
    digests_encrypted BLOB NOT NULL,
    memory TEXT NOT NULL CHECK (memory IN ('kept', 'leaving', 'dismissed')),
    alone INTEGER NOT NULL CHECK (alone IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (user_id, target_google_calendar_id, origin_google_calendar_id, origin_event_id, slot)
) STRICT;
