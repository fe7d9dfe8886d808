//! SQLite: people, tokens, calendars, the mirror of their events, mappings and the journal. Owns every SQL string.
//!
//! One connection writes, in transactions that begin as writers (`BEGIN IMMEDIATE`), so that none fails half-way for want of a
//! lock; two read. A commit is on the disk when it returns (`synchronous=FULL`): a rotated refresh token is nowhere else.
//! Dropping any of these futures equals a crash at that point: its transaction is rolled back.
//!
//! Invariants:
//!
//! * what events say and all secrets are sealed by the data key ([`keys`]), each bound to its row; ids, times and flags are plain;
//! * the mirror and its cursor change in one transaction, and only onward from the cursor the listing began with;
//! * a row of the mirror never goes back to an older version; while its calendar is connected only a tombstone is ever forgotten, a
//!   month after, and when nothing refers to it ([`retention`]);
//! * a database of another key, of a newer program, damaged, or no database at all is refused, never repaired or replaced.

pub mod admin;
pub mod alerts;
pub mod calendars;
pub mod channels;
mod flows;
mod history;
mod jobs;
pub mod journal;
mod keys;
pub mod lock;
pub mod log;
pub mod mappings;
pub mod mirror;
pub mod people;
pub mod retention;
pub mod roster;
pub mod sessions;
pub mod settings;
pub mod setup;
pub mod snapshot;
pub mod standing;
mod stored;
pub mod tokens;
pub mod upkeep;
mod usage;
mod wishes;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    model::{clock::Clock, secret::Secret},
    vault::{DataKey, Place, Vault, VaultError},
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Why something could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "there is no database at {0}. Check the path, or restore the last backup; `busybridge restore --without-backup` begins anew for these keys"
    )]
    Missing(PathBuf),
    #[error("the database file {0} cannot be made or opened. Check that its directory may be written")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} is not an SQLite database. Check the path; the file is left as it is")]
    NotADatabase(PathBuf),
    #[error("{0} is the database of another application. Check the path; the file is left as it is")]
    OtherApplication(PathBuf),
    #[error(
        "the database belongs to another {file}. Put back the key file that was in use when it was last opened; nothing \
         was changed"
    )]
    WrongKey { file: &'static str },
    #[error(
        "the database was last used by a newer version of this program (its schema has step {0}). Use that version, or \
         restore the backup that was made before the upgrade"
    )]
    NewerSchema(i64),
    #[error("the database could not be brought to this version's schema. It is as it was; keep a copy and report this")]
    Migration(#[source] MigrateError),
    #[error("the database is damaged ({0}). Stop the service and restore the last good backup")]
    Damaged(String),
    #[error("the disk is full, so nothing can be recorded. Free some space; the service goes on by itself")]
    DiskFull(#[source] sqlx::Error),
    #[error(
        "the disk is nearly full, so nothing is begun that could not be recorded. Free some space; the service goes on by itself"
    )]
    NoRoom,
    #[error("the clock of this machine is not to be believed, so nothing is forgotten by it. Set it, best by NTP")]
    ClockDoubtful,
    #[error("there is a file {0} already; nothing was written. Choose another name")]
    Exists(PathBuf),
    #[error("another process serves the database {0} already. Stop that one first, or leave the work to it")]
    Served(PathBuf),
    #[error("another listing of this calendar was stored meanwhile. Nothing was changed; list again")]
    Superseded,
    #[error("there is no such user (any more)")]
    NoSuchUser,
    #[error("there is no such calendar (any more)")]
    NoSuchCalendar,
    #[error("there is no such account (any more)")]
    NoSuchAccount,
    #[error(
        "a sealed value in {table} does not open. Restore the last good backup, or the key file that belongs to it"
    )]
    Sealed {
        table: &'static str,
        #[source]
        source: VaultError,
    },
    #[error("a stored value in {table} cannot be understood. It was changed by hand or by a newer version")]
    Format { table: &'static str },
    #[error("the database did not answer as expected while {attempted}")]
    Query {
        attempted: &'static str,
        #[source]
        source: sqlx::Error,
    },
}

/// Says what was attempted when SQLite refuses.
trait Attempt<T> {
    /// `what` completes the sentence "… while".
    fn when(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> Attempt<T> for Result<T, sqlx::Error> {
    fn when(self, attempted: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| {
            let code = source.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
            // The primary code is in the low byte: SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB.
            match code.map(|code| code & 0xff) {
                Some(11 | 26) => StoreError::Damaged(format!("found while {attempted}")),
                Some(13) => StoreError::DiskFull(source),
                _ => StoreError::Query { attempted, source },
            }
        })
    }
}

/// Waits, before something is written, until it may be: where a simulation stops the world.
pub type Gate = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// How the database is kept.
#[derive(Clone, Default)]
pub struct Manner {
    /// Nothing is waited for until it is on the disk, and the file's soundness is taken for granted. For simulations alone: the
    /// next power cut may take what was acknowledged.
    pub fleeting: bool,
    pub gate: Option<Gate>,
}

impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manner { fleeting, gate } = self;
        f.debug_struct("Manner").field("fleeting", fleeting).field("gate", &gate.is_some()).finish()
    }
}

/// The database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    vault: Arc<Vault>,
    data_key: DataKey,
    clock: Clock,
    path: PathBuf,
    manner: Manner,
    /// Bytes that have to be free on the disk.
    spare: Arc<AtomicU64>,
}

/// Connections that stay. A file does not go away as a server does, so that none is tried before it is used.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

impl Store {
    /// Opens the database, making it (and its directory) if there is none, readable by its owner alone.
    ///
    /// # Errors
    /// If the file is no database, is damaged, or belongs to other keys or a newer version; it is then left as it is.
    pub async fn open(path: &Path, vault: Arc<Vault>, clock: Clock) -> Result<Store, StoreError> {
        Store::open_so(path, vault, clock, Manner::default()).await
    }

    /// [`Store::open`], kept in another manner.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_so(path: &Path, vault: Arc<Vault>, clock: Clock, manner: Manner) -> Result<Store, StoreError> {
        create(path).map_err(|e| StoreError::File(path.to_owned(), e))?;
        Store::open_file(path, vault, clock, manner).await
    }

    /// Opens a database that must be there, for commands which make no sense without one.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Missing`].
    pub async fn open_existing(path: &Path, vault: Arc<Vault>, clock: Clock) -> Result<Store, StoreError> {
        match fs::metadata(path) {
            Ok(file) if file.len() > 0 => Store::open_file(path, vault, clock, Manner::default()).await,
            Ok(_) => Err(StoreError::Missing(path.to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(path.to_owned())),
            Err(e) => Err(StoreError::File(path.to_owned(), e)),
        }
    }

    async fn open_file(path: &Path, vault: Arc<Vault>, clock: Clock, manner: Manner) -> Result<Store, StoreError> {
        if !begins_as_database(path).map_err(|e| StoreError::File(path.to_owned(), e))? {
            return Err(StoreError::NotADatabase(path.to_owned()));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("temp_store", "MEMORY")
            .pragma("trusted_schema", "OFF")
            // Rows cross from SQLite's thread in lots of this size; the default makes a snapshot wait for each fifty.
            .row_buffer_size(1000);
        refuse_other_applications(options.clone(), path).await?;
        let synchronous = if manner.fleeting { SqliteSynchronous::Off } else { SqliteSynchronous::Full };
        let writing = options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
        let writer = pool(1);
        let writer = writer.connect_with(writing).await.when("opening the database")?;
        let data_key = match prepare(&writer, path, &vault, &clock, manner.fleeting).await {
            Ok(data_key) => data_key,
            Err(error) => {
                writer.close().await;
                return Err(error);
            }
        };
        let reader = pool(2);
        let reader = reader.connect_with(options.read_only(true)).await.when("opening the database to read")?;
        let spare = Arc::new(AtomicU64::new(upkeep::ROOM));
        Ok(Store { writer, reader, vault, data_key, clock, path: path.to_owned(), manner, spare })
    }

    /// Lets all connections go; the write-ahead log is then merged into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that may write. It waits for the one before it.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        self.pass().await;
        match self.writer.begin_with(BEGIN).await {
            // SQLite takes a transaction back by itself where the disk is full, and sqlx, whose own word to that end finds none any
            // more, believes for good that there is one (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let stuck = self.writer.acquire().await.when("beginning to write")?;
                stuck.close().await.when("beginning to write")?;
                self.writer.begin_with(BEGIN).await
            }
            begun => begun,
        }
        .when("beginning to write")
    }

    /// Waits where a simulation wants it.
    async fn pass(&self) {
        if let Some(gate) = &self.manner.gate {
            gate().await;
        }
    }

    /// A transaction that sees one state of everything.
    async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.reader.begin().await.when("beginning to read")
    }

    /// The present instant, as stored.
    fn now(&self) -> String {
        stamp(self.clock.now())
    }

    /// Rows changed by this store's writer so far, for tests that nothing was written.
    #[cfg(test)]
    pub async fn changes_so_far(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT total_changes()").fetch_one(&self.writer).await.when("counting changes")
    }

    fn seal(&self, place: &Place, secret: &Secret<String>) -> Vec<u8> {
        self.data_key.seal(place, secret.reveal().as_bytes())
    }

    fn open_text(&self, place: &Place, sealed: &[u8]) -> Result<Secret<String>, StoreError> {
        let plain = open_sealed(&self.data_key, place, sealed)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| StoreError::Format { table: place.table })
    }
}

/// An event as it comes back from its stored bytes.
#[cfg(test)]
pub fn stored_and_read(event: &crate::model::event::Event) -> Option<crate::model::event::Event> {
    stored::from_bytes(&stored::to_bytes(event))
}

/// The event of any bytes.
#[cfg(test)]
pub fn read_stored(bytes: &[u8]) -> Option<crate::model::event::Event> {
    stored::from_bytes(bytes)
}

fn open_sealed(key: &DataKey, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    key.open(place, sealed).map_err(|source| StoreError::Sealed { table: place.table, source })
}

/// Takes the lock of a database that is not there yet, having made sure that it could be made. Nothing else is left but its directory.
///
/// # Errors
/// [`StoreError::File`] when it could not, [`StoreError::Served`] while another process has it.
pub fn claim(path: &Path) -> Result<lock::Held, StoreError> {
    let failed = |error| StoreError::File(path.to_owned(), error);
    make_directory(path).map_err(failed)?;
    let held = lock::hold(path)?;
    if !path.exists() {
        // Under another name: whoever dies in between must not leave a database without keys.
        let probe = PathBuf::from(format!("{}.claim", path.display()));
        create(&probe).and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
    }
    Ok(held)
}

fn make_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes an empty file if there is none. SQLite gives its side files the same permissions.
fn create(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
        // Its name must survive a power cut: keys without their database are refused as an installation that lost it.
        Ok(_) => match path.parent().filter(|d| !d.as_os_str().is_empty()) {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        },
    }
}

/// Whether the file is empty, or begins as SQLite's files do.
fn begins_as_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head.is_empty() || head == b"SQLite format 3\0")
}

/// Everything that must hold before the database is used. Nothing is changed before key and soundness are certain.
async fn prepare(
    pool: &SqlitePool,
    path: &Path,
    vault: &Vault,
    clock: &Clock,
    fleeting: bool,
) -> Result<DataKey, StoreError> {
    let mut connection = pool.acquire().await.when("opening the database")?;
    let connection: &mut SqliteConnection = &mut connection;
    let (journal, synchronous): (String, i64) =
        sqlx::query_as("SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous")
            .fetch_one(&mut *connection)
            .await
            .when("asking how it writes")?;
    // 2 is FULL. With less, a power cut may take back a commit that we have acted upon.
    if !fleeting && (journal.as_str(), synchronous) != ("wal", 2) {
        return Err(StoreError::Damaged(format!("it writes with {journal} and level {synchronous}")));
    }
    if !fleeting {
        let check = sqlx::query_scalar("PRAGMA quick_check(1)");
        let verdict: String = check.fetch_one(&mut *connection).await.when("checking the database")?;
        if verdict != "ok" {
            return Err(StoreError::Damaged(verdict));
        }
    }
    keys::refuse_other_keys(connection, &vault.key_check()).await?;
    keep_before_upgrade(connection, path).await?;
    MIGRATIONS.run(&mut *connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(step) => StoreError::NewerSchema(step),
        error => StoreError::Migration(error),
    })?;
    keys::unlock(connection, vault, &stamp(clock.now())).await
}

/// Refuses a database that has tables, and none of ours. It is asked without writing, because the way in which a database is written is
/// noted in its file. Only the journal of a writer that died is taken back, as whoever reads the file next would do.
async fn refuse_other_applications(options: SqliteConnectOptions, path: &Path) -> Result<(), StoreError> {
    /// SQLITE_READONLY_ROLLBACK: there is such a journal.
    const JOURNAL: &str = "776";
    let mut found = tables(options.clone().read_only(true)).await;
    if let Err(sqlx::Error::Database(error)) = &found
        && error.code().as_deref() == Some(JOURNAL)
    {
        found = tables(options).await;
    }
    // A first start may have died between its migrations, the first of which makes the organization's table.
    match found.when("looking for its schema")? {
        (0, ..) | (1, 1, 0) | (_, 1, 1) => Ok(()),
        _ => Err(StoreError::OtherApplication(path.to_owned())),
    }
}

/// How many tables there are, and whether those are among them that say what is migrated, and what belongs to the organization.
async fn tables(options: SqliteConnectOptions) -> Result<(i64, i64, i64), sqlx::Error> {
    let mut connection = options.connect().await?;
    let found = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE name = '_sqlx_migrations'), count(*) FILTER (WHERE name = 'organization')
         FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_one(&mut connection)
    .await;
    connection.close().await?;
    found
}

/// Keeps a copy of a database of an older schema beside it before it is brought to this version's.
async fn keep_before_upgrade(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await
        .when("looking for its schema")?;
    if tables == 0 {
        return Ok(());
    }
    let has: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .when("looking for its schema")?;
    let (Some(has), Some(newest)) = (has, MIGRATIONS.iter().map(|step| step.version).max()) else { return Ok(()) };
    if has >= newest {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-upgrade-{has}"));
    let copy = PathBuf::from(name);
    // One of an upgrade that did not come to its end is as good: the schema is as it was.
    if copy.exists() {
        return Ok(());
    }
    create(&copy).map_err(|error| StoreError::File(copy.clone(), error))?;
    let text = copy.to_str().ok_or_else(|| StoreError::File(copy.clone(), io::Error::other("its name is no text")))?;
    sqlx::query("VACUUM INTO ?")
        .bind(text)
        .execute(&mut *connection)
        .await
        .when("copying the database before an upgrade")?;
    Ok(())
}

/// An instant as stored: RFC 3339 in UTC with milliseconds, so that text order is time order.
fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn instant(table: &'static str, text: &str) -> Result<DateTime<Utc>, StoreError> {
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(|_| StoreError::Format { table })
}

#[cfg(test)]
mod tests;
