//! The database over the years: is it sound, is there room, copies of it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use chrono::{DateTime, Utc};

use super::{Attempt, Store, StoreError, instant};

/// With less room than this on the disk nothing is begun whose outcome could not be recorded, in bytes.
pub const ROOM: u64 = 32 << 20;

impl Store {
    /// Where the database lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is sound, as far as SQLite can tell quickly.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not.
    pub async fn check(&self) -> Result<(), StoreError> {
        let verdict: String =
            sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&self.reader).await.when("checking the database")?;
        if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged(verdict)) }
    }

    /// The newest time that was written down; none: nothing was.
    pub async fn newest_time(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let at: Option<String> = sqlx::query_scalar(
            "SELECT max(at) FROM (SELECT max(planned_at) AS at FROM plans UNION ALL SELECT max(created_at) FROM sync_log
                 UNION ALL SELECT max(listed_at) FROM calendar_sync_state UNION ALL SELECT max(created_at) FROM users)",
        )
        .fetch_one(&self.reader)
        .await
        .when("looking for the newest time")?;
        at.map(|text| instant("plans", &text)).transpose()
    }

    /// Whether what Google is about to be asked could be recorded.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] when there is too little room.
    pub async fn ensure_room(&self) -> Result<(), StoreError> {
        match room(&self.path) {
            Ok(free) if free < self.spare.load(Ordering::Relaxed) => Err(StoreError::NoRoom),
            // A file system that does not say lets us find out.
            Ok(_) | Err(_) => {
                // A limit of the file itself is told by a write alone. It changes nothing.
                let mut transaction = self.write().await?;
                sqlx::query("CREATE TABLE room_probe AS SELECT zeroblob(65536) AS room")
                    .execute(&mut *transaction)
                    .await
                    .when("looking for room")?;
                transaction.rollback().await.when("looking for room")
            }
        }
    }

    /// So many bytes have to be free on the disk, instead of [`ROOM`].
    #[cfg(test)]
    pub fn spare(&self, bytes: u64) {
        self.spare.store(bytes, Ordering::Relaxed);
    }

    /// Lets the file grow by so many pages and no more, or as it likes: how a simulation fills the disk.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn limit_pages(&self, more: Option<i64>) -> Result<(), StoreError> {
        /// SQLite's own limit.
        const MOST: i64 = 4_294_967_294;
        let limit = match more {
            Some(more) => {
                let count = sqlx::query_scalar("PRAGMA page_count").fetch_one(&self.writer);
                count.await.map(|pages: i64| pages + more).when("limiting the file")?
            }
            None => MOST,
        };
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {limit}"));
        sqlx::query(limit).execute(&self.writer).await.when("limiting the file")?;
        Ok(())
    }

    /// Merges the log into the file once more, and never again.
    #[cfg(test)]
    pub async fn keep_log(&self) {
        for statement in ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint = 0"] {
            sqlx::query(statement).execute(&self.writer).await.expect("a pragma");
        }
    }

    /// Lets the disk be full at the `nth` row that any transaction changes from now on; none: it has room.
    #[cfg(test)]
    pub async fn full_at(&self, nth: Option<u32>) {
        let mut connection = self.writer.acquire().await.expect("a connection");
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
                .fetch_all(&mut *connection)
                .await
                .expect("tables");
        let mut statements = vec!["PRAGMA max_page_count = 1000000".to_owned()];
        for table in &tables {
            statements
                .extend(["INSERT", "UPDATE", "DELETE"].map(|on| format!("DROP TRIGGER IF EXISTS full_{table}_{on}")));
        }
        statements.push("DROP TABLE IF EXISTS temp.fullness".into());
        if let Some(nth) = nth {
            statements.push("CREATE TABLE IF NOT EXISTS main.ballast (b)".into());
            statements.push("CREATE TEMP TABLE fullness AS SELECT 0 AS rows".into());
            // More than there is room for, in the statement that is at work.
            statements.extend(tables.iter().flat_map(|table| {
                ["INSERT", "UPDATE", "DELETE"].map(|on| {
                    format!(
                        "CREATE TEMP TRIGGER full_{table}_{on} BEFORE {on} ON main.{table} BEGIN
                             UPDATE fullness SET rows = rows + 1;
                             INSERT INTO ballast SELECT zeroblob(90000000) FROM fullness WHERE rows = {nth};
                         END"
                    )
                })
            }));
        }
        for statement in statements {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await.expect("a statement");
        }
        drop(connection);
        if nth.is_some() {
            self.limit_pages(Some(2000)).await.expect("a limit");
        }
    }

    /// Makes the schema that of the version before.
    #[cfg(test)]
    pub async fn undo_last_migration(&self) {
        for statement in
            ["DROP TABLE sessions", "DROP TABLE sign_ins", "DELETE FROM _sqlx_migrations WHERE version = 9"]
        {
            sqlx::query(statement).execute(&self.writer).await.expect("the last migration made these");
        }
    }

    /// Writes a consistent copy of the database to a new file that its owner alone may read. It appears whole or not at all.
    ///
    /// # Errors
    /// If the file is there already, or cannot be written; what was begun is removed.
    pub async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let cannot = |error: io::Error| StoreError::File(to.to_owned(), error);
        if to.try_exists().map_err(cannot)? {
            return Err(StoreError::Exists(to.to_owned()));
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = to.file_name().ok_or_else(|| cannot(io::Error::other("it names no file")))?;
        let passing = parent.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
        // Copies must not be what fills the disk.
        let size = fs::metadata(&self.path).map_or(0, |file| file.len());
        if room(&passing).is_ok_and(|free| free < size.saturating_add(self.spare.load(Ordering::Relaxed))) {
            return Err(StoreError::NoRoom);
        }
        // Of a process that died at it.
        let _ = fs::remove_file(&passing);
        let copied = self.copy_to(&passing).await;
        let landed = match copied {
            Ok(()) => land(&passing, to, parent).map_err(cannot),
            Err(error) => Err(error),
        };
        if landed.is_err() {
            let _ = fs::remove_file(&passing);
        }
        landed
    }

    async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let cannot = |error: io::Error| StoreError::File(file.to_owned(), error);
        // Made before SQLite does, so that nobody else may read it even for a moment.
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(file).map_err(cannot)?;
        let text = file.to_str().ok_or_else(|| cannot(io::Error::other("its name is no text")))?;
        sqlx::query("VACUUM INTO ?").bind(text).execute(&self.reader).await.when("copying the database")?;
        Ok(())
    }
}

/// Puts a finished copy in its place, on the disk for certain, without ever replacing a file.
fn land(passing: &Path, to: &Path, parent: &Path) -> io::Result<()> {
    File::open(passing)?.sync_all()?;
    fs::hard_link(passing, to)?;
    fs::remove_file(passing)?;
    File::open(parent)?.sync_all()
}

/// Free bytes on the file system of a file.
pub fn room(file: &Path) -> io::Result<u64> {
    let parent: PathBuf = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let found = rustix::fs::statvfs(&parent)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
