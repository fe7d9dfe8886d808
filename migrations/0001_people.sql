-- Who uses this installation, and what their Google accounts allow us.
--
-- Secrets are sealed (columns *_encrypted): the database alone, without the key file, opens no account. A sealed value is
-- bound to its table, column and row, so it cannot be moved to another user. Times are RFC 3339 in UTC, to be read here.

-- The home organization. One row at most: an installation serves one.
CREATE TABLE organization (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    google_workspace_domain TEXT NOT NULL,
    google_client_id_encrypted BLOB NOT NULL,
    google_client_secret_encrypted BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- The subject of the home account at Google. It never changes; ids and markers of our events derive from it.
    google_user_id TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
    -- Since when nothing is read or written for this user; none: not paused.
    paused_at TEXT,
    -- To be removed: all calendars are left first.
    removing INTEGER NOT NULL DEFAULT 0 CHECK (removing IN (0, 1)),
    -- Guests are told by mail of what the person does to a copy of their meeting.
    tell_guests INTEGER NOT NULL DEFAULT 0 CHECK (tell_guests IN (0, 1)),
    -- Grows whenever what is wanted changes, so that a plan made before is not carried out after.
    generation INTEGER NOT NULL DEFAULT 0,
    -- When the person signed in last; none: never.
    signed_in_at TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE oauth_tokens (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    account_type TEXT NOT NULL CHECK (account_type IN ('home', 'client', 'personal')),
    google_account_email TEXT NOT NULL COLLATE NOCASE,
    access_token_encrypted BLOB NOT NULL,
    refresh_token_encrypted BLOB NOT NULL,
    token_expiry TEXT NOT NULL,
    scopes TEXT NOT NULL,
    -- When the person gave their consent last.
    consented_at TEXT NOT NULL,
    -- Since when Google accepts the refresh token no more, and why, as far as can be told: the account is not asked again until it
    -- is connected anew. Everything else stays.
    ended_at TEXT,
    ended_why TEXT CHECK (ended_why IN ('revoked', 'lapsed')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL)),
    UNIQUE (user_id, google_account_email),
    -- For calendars to refer to, so that none can use the account of another user.
    UNIQUE (id, user_id)
) STRICT;
