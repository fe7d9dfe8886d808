-- What was decided, what came of it, and what the installation has settled for itself.
--
-- A plan is written down before its first step is carried out. Its steps have rows of their own, so that an outcome is one
-- small update. What a step says (calendars, times, titles) is sealed; how it went can be counted without the key.

CREATE TABLE plans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The instant of the snapshot.
    planned_at TEXT NOT NULL,
    steps INTEGER NOT NULL,
    held INTEGER NOT NULL,
    -- JSON: the plan without its steps.
    plan_encrypted BLOB NOT NULL
) STRICT;

CREATE INDEX plans_of_user ON plans (user_id, id);

CREATE TABLE plan_steps (
    plan_id INTEGER NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    -- Counted from 0, in the order of the plan.
    number INTEGER NOT NULL,
    action TEXT NOT NULL,
    step_encrypted BLOB NOT NULL,
    -- None: not reached, or the process ended before it was noted.
    outcome TEXT CHECK (outcome IN ('done', 'skipped', 'failed')),
    -- Why it was skipped, or the class of the error.
    outcome_reason TEXT,
    message_encrypted BLOB,
    PRIMARY KEY (plan_id, number)
) STRICT;

-- One line for each thing an operator may want to know later. No titles, addresses or tokens.
CREATE TABLE sync_log (
    id INTEGER PRIMARY KEY,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    calendar_id INTEGER REFERENCES client_calendars (id) ON DELETE SET NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('success', 'failure', 'warning')),
    -- JSON.
    details TEXT NOT NULL CHECK (json_valid(details)),
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX sync_log_of_user ON sync_log (user_id, id);

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value_plain TEXT,
    value_encrypted BLOB,
    updated_at TEXT NOT NULL,
    CHECK ((value_plain IS NULL) <> (value_encrypted IS NULL))
) STRICT;
