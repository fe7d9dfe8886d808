-- What the service remembers for itself from one start to the next.

-- Requests to Google by day in California. A row a day; old ones go with retention.
CREATE TABLE api_usage (
    day TEXT PRIMARY KEY,
    requests INTEGER NOT NULL,
    -- Of these, for the rest of large pieces of work.
    backfill INTEGER NOT NULL
) STRICT;

-- Scheduled jobs: who runs one, and how it went last. A lock whose holder died is taken over when its time is up.
CREATE TABLE job_locks (
    job_name TEXT PRIMARY KEY,
    locked_at TEXT,
    -- The process that runs it; none: nobody.
    locked_by TEXT,
    locked_until TEXT,
    started_at TEXT,
    ended_at TEXT,
    outcome TEXT CHECK (outcome IN ('done', 'failed')),
    CHECK ((locked_by IS NULL) = (locked_until IS NULL))
) STRICT;
