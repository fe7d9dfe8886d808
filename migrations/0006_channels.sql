-- Where Google rings when a calendar changes.
--
-- A channel is a hint and never more: whatever it says or leaves out, calendars are read by the timetable. What a notification
-- must show us is kept as a hash, so that nobody who reads this file can ring.

CREATE TABLE webhook_channels (
    id INTEGER PRIMARY KEY,
    client_calendar_id INTEGER NOT NULL REFERENCES client_calendars (id) ON DELETE CASCADE,
    -- Our name for it at Google.
    channel_id TEXT NOT NULL UNIQUE,
    -- SHA-256 of the token that each notification repeats.
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32),
    -- Google's name for what is watched; a channel is stopped by both names.
    resource_id TEXT NOT NULL,
    expiration TEXT NOT NULL,
    created_at TEXT NOT NULL,
    -- The last notification, noted at most every few hours. None: it never rang.
    notified_at TEXT
) STRICT;

CREATE INDEX webhook_channels_of_calendar ON webhook_channels (client_calendar_id);

-- Calendars for which Google opens no channel now, and when it is asked again.
CREATE TABLE webhook_trouble (
    client_calendar_id INTEGER PRIMARY KEY REFERENCES client_calendars (id) ON DELETE CASCADE,
    tries INTEGER NOT NULL,
    message TEXT NOT NULL,
    again_at TEXT NOT NULL
) STRICT;
