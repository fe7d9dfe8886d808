-- What went wrong and who was told.
--
-- An alert is open from the time its condition is seen until it is seen to have ended. Mails about it wait in a queue, so that a mail
-- server that is down holds up nothing. What a mail says and to whom is sealed.

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    alert_type TEXT NOT NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    calendar_id INTEGER REFERENCES client_calendars (id) ON DELETE CASCADE,
    -- In words that name no event.
    message TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    -- The last time that mails were queued for it.
    told_at TEXT NOT NULL,
    resolved_at TEXT
) STRICT;

CREATE UNIQUE INDEX one_open_alert ON alerts (alert_type, coalesce(user_id, 0), coalesce(calendar_id, 0))
    WHERE resolved_at IS NULL;

CREATE TABLE alert_queue (
    id INTEGER PRIMARY KEY,
    alert_type TEXT NOT NULL,
    recipient_email_encrypted BLOB NOT NULL,
    subject_encrypted BLOB NOT NULL,
    -- JSON: text and HTML.
    body_encrypted BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_attempt TEXT,
    -- None: sent, or given up.
    next_attempt TEXT,
    sent_at TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX alerts_to_send ON alert_queue (next_attempt) WHERE next_attempt IS NOT NULL;

-- Types of alerts that a person does not want, or, of those for admins alone, does.
CREATE TABLE alert_preferences (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    alert_type TEXT NOT NULL,
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    PRIMARY KEY (user_id, alert_type)
) STRICT;
