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
    -- The run that this one takes back; none: an ordinary tick.
    undoes INTEGER,
    -- JSON: the plan without its steps.
    plan_encrypted BLOB NOT NULL
) STRICT;

CREATE INDEX plans_of_user ON plans (user_id, id);

CREATE TABLE plan_steps (
    plan_id INTEGER NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    -- Counted from 0, in the order of the plan.
    number INTEGER NOT NULL,
    action TEXT NOT NULL,
    -- The keyed hash that names the item, so that what was done to it can be found without opening everything.
    item TEXT NOT NULL,
    step_encrypted BLOB NOT NULL,
    -- None: not reached, or the process ended before it was noted.
    outcome TEXT CHECK (outcome IN ('done', 'skipped', 'failed')),
    -- Why it was skipped, or the class of the error.
    outcome_reason TEXT,
    message_encrypted BLOB,
    -- When that was noted.
    outcome_at TEXT,
    -- JSON: what stood at Google before and after.
    effect_encrypted BLOB,
    PRIMARY KEY (plan_id, number)
) STRICT;

CREATE INDEX plan_steps_of_item ON plan_steps (item, plan_id);

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

-- What of ours stays behind at Google because it could not be removed. It outlives calendar and user: nothing is forgotten.
CREATE TABLE left_behind (
    id INTEGER PRIMARY KEY,
    -- JSON: the user's address, the calendar, the events. Sealed.
    what_encrypted BLOB NOT NULL,
    events INTEGER NOT NULL,
    why TEXT NOT NULL,
    noted_at TEXT NOT NULL
) STRICT;
