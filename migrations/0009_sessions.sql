-- Who is signed in, and who is on the way to it.

CREATE TABLE sessions (
    -- SHA-256 of the id that the browser's cookie carries.
    id_hash BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- When the person signed in at Google.
    created_at TEXT NOT NULL,
    -- The last use, to the hour.
    seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user_id);

-- A way to Google and back. It is good once, for ten minutes, in the browser that began it.
CREATE TABLE sign_ins (
    state_hash BLOB PRIMARY KEY,
    browser_hash BLOB NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('setup', 'home', 'client', 'personal')),
    -- Who connects an account; none: who it is will be known afterwards.
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    -- JSON: nonce, verifier, where it goes on. Sealed.
    pending_encrypted BLOB NOT NULL,
    created_at TEXT NOT NULL,
    CHECK ((user_id IS NOT NULL) = (purpose IN ('client', 'personal')))
) STRICT, WITHOUT ROWID;
