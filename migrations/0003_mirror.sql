-- Events as Google last told them, so that a tick can compare everything without asking for everything again.
--
-- While its calendar is connected, only a tombstone is ever forgotten, a month after and when nothing refers to it. A tombstone is proof that an event is gone; a suspect was missing
-- from a full listing, proves nothing and counts as present. What an event says is sealed; ids, versions and whose event it
-- is stay readable, because queries and operators need them.

CREATE TABLE mirror_events (
    client_calendar_id INTEGER NOT NULL REFERENCES client_calendars (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'tombstone', 'suspect')),
    owner TEXT NOT NULL CHECK (owner IN ('person', 'ours', 'foreign')),
    -- Of an exception: its series, and the start which the rule gave it (20260302 or 20260302T080000Z).
    series_event_id TEXT,
    slot TEXT,
    -- Of ours: the item. Its target is this calendar.
    item_origin_calendar_id TEXT,
    item_origin_event_id TEXT,
    item_slot TEXT,
    item_incarnation INTEGER,
    item_in_series INTEGER,
    -- Google's `updated`, which never goes back. A tombstone keeps that of the last living version.
    updated TEXT,
    etag TEXT,
    -- Of a tombstone: whether Google itself called the event cancelled, rather than finding nothing there. Only that is a
    -- person's word.
    told INTEGER CHECK (told IN (0, 1)),
    -- Of a tombstone: when we heard of it.
    gone_at TEXT,
    -- JSON. None for a tombstone: nobody needs to know what it said.
    event_encrypted BLOB,
    PRIMARY KEY (client_calendar_id, event_id),
    CHECK ((series_event_id IS NULL) = (slot IS NULL)),
    CHECK ((state = 'tombstone') = (event_encrypted IS NULL)),
    CHECK ((state = 'tombstone') = (told IS NOT NULL)),
    CHECK ((state = 'tombstone') = (gone_at IS NOT NULL)),
    CHECK ((owner = 'ours') = (item_origin_calendar_id IS NOT NULL)),
    CHECK ((owner = 'ours') = (item_origin_event_id IS NOT NULL)),
    CHECK ((owner = 'ours') = (item_incarnation IS NOT NULL)),
    CHECK ((owner = 'ours') = (item_in_series IS NOT NULL))
) STRICT;

CREATE INDEX mirror_exceptions ON mirror_events (client_calendar_id, series_event_id, slot) WHERE slot IS NOT NULL;
CREATE INDEX mirror_suspects ON mirror_events (client_calendar_id) WHERE state = 'suspect';
