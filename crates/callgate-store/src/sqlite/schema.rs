//! The schema of the SQLite file, in steps that only go forward. `PRAGMA user_version` counts them.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::OpenError;

/// Step `n` makes version `n + 1`. A step that was released is never edited.
pub(super) const STEPS: &[&str] = &[
    // The order of `id` is the order of commits. The triggers are against mistakes; against intent there is the chain.
    "CREATE TABLE evidence (
        id INTEGER PRIMARY KEY,
        writer TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        hash BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        call TEXT,
        server TEXT,
        tool TEXT,
        operation TEXT,
        verdict TEXT,
        outcome TEXT,
        accountable TEXT,
        agent TEXT,
        text TEXT NOT NULL,
        UNIQUE (writer, sequence)
    ) STRICT;
    CREATE INDEX evidence_call ON evidence (call, kind) WHERE call IS NOT NULL;
    CREATE INDEX evidence_writers ON evidence (id, writer) WHERE sequence = 0;
    CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE TRIGGER evidence_is_not_removed BEFORE DELETE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE TABLE proof_of_life (commits INTEGER NOT NULL) STRICT;
    INSERT INTO proof_of_life VALUES (0);",
    // `text` is the thing as it was made; what became of it is beside it. A grant that is in force has its places.
    "CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        ends_ms INTEGER NOT NULL,
        revoked_ms INTEGER,
        replaced INTEGER NOT NULL DEFAULT FALSE,
        used_ms INTEGER,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grants (
        id TEXT PRIMARY KEY,
        uses_left INTEGER NOT NULL,
        begins_ms INTEGER NOT NULL,
        ends_ms INTEGER NOT NULL,
        revoked_ms INTEGER,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grant_places (
        holder TEXT NOT NULL,
        place TEXT NOT NULL,
        ends_ms INTEGER NOT NULL,
        grant_id TEXT NOT NULL,
        PRIMARY KEY (holder, place, ends_ms, grant_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grant_places_grant ON grant_places (grant_id);
    CREATE TABLE revocations (
        id TEXT PRIMARY KEY,
        lifted_ms INTEGER,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE secrets (
        binding BLOB PRIMARY KEY,
        sealed TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE authority (version INTEGER NOT NULL) STRICT;
    INSERT INTO authority VALUES (0);",
    "CREATE TABLE pins (
        server TEXT NOT NULL,
        tool TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (server, tool)
    ) STRICT, WITHOUT ROWID;",
    // `asker` is whose calls they are. The arguments are forgotten when it ends.
    "CREATE TABLE approvals (
        id TEXT PRIMARY KEY,
        binding TEXT NOT NULL,
        asker TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        decide_until_ms INTEGER NOT NULL,
        use_until_ms INTEGER,
        ended TEXT,
        ended_ms INTEGER,
        spent_by TEXT,
        text TEXT NOT NULL,
        arguments TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX approvals_binding ON approvals (binding, at_ms);
    CREATE INDEX approvals_asker ON approvals (asker, at_ms);
    CREATE UNIQUE INDEX approvals_spent ON approvals (spent_by) WHERE spent_by IS NOT NULL;
    CREATE INDEX approvals_open ON approvals (at_ms) WHERE ended IS NULL;
    CREATE TABLE votes (
        approval TEXT NOT NULL,
        voter TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (approval, voter)
    ) STRICT, WITHOUT ROWID;",
    // What was seen of what the call touches: forgotten as the arguments are.
    "ALTER TABLE approvals ADD COLUMN looks TEXT;",
    // Of what browsers have, and of what is in links, there are digests only.
    "CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        who TEXT NOT NULL,
        ends_ms INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL,
        sealed TEXT,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_who ON sessions (who, seen_ms);
    CREATE TABLE sign_in_links (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        ends_ms INTEGER NOT NULL,
        used_ms INTEGER,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // What people are told. `due_ms` is when it is to be sent, or sent again; until then, whoever has taken it sends it.
    "CREATE TABLE notices (
        id TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        approval TEXT NOT NULL,
        occasion TEXT NOT NULL,
        page TEXT,
        due_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        error_ms INTEGER,
        ended TEXT,
        ended_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notices_open ON notices (channel, due_ms, attempts) WHERE ended IS NULL;
    CREATE INDEX notices_approval ON notices (approval);",
    // An approval, or a call that was let through.
    "ALTER TABLE notices RENAME COLUMN approval TO about;",
    // What proofs are checked by is no part of the record.
    "CREATE TABLE passkeys (
        id TEXT PRIMARY KEY,
        who TEXT NOT NULL,
        added_ms INTEGER NOT NULL,
        counter INTEGER NOT NULL,
        used_ms INTEGER,
        key TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX passkeys_who ON passkeys (who, added_ms);",
    "CREATE TABLE glass (
        approval TEXT PRIMARY KEY,
        breaker TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        text TEXT NOT NULL,
        review TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX glass_to_review ON glass (breaker) WHERE review IS NULL;",
    // Records of format 1 are kept as they are. Entries are for ever, payloads can be erased, and `links` is by what records
    // are found: a value's number, the time, the record; a payload names its values' numbers, so that they go with it,
    // and so that it is found before it is linked: records up to `linked` are.
    "DROP INDEX evidence_call;
    DROP INDEX evidence_writers;
    DROP TRIGGER evidence_is_not_changed;
    DROP TRIGGER evidence_is_not_removed;
    ALTER TABLE evidence RENAME TO evidence_format_1;
    CREATE TABLE evidence (
        id INTEGER PRIMARY KEY,
        writer TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        hash BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        call TEXT,
        verdict TEXT,
        outcome TEXT,
        entry TEXT NOT NULL,
        UNIQUE (writer, sequence)
    ) STRICT;
    CREATE INDEX evidence_call ON evidence (call, kind) WHERE call IS NOT NULL;
    CREATE INDEX evidence_writers ON evidence (id, writer) WHERE sequence = 0;
    CREATE INDEX evidence_time ON evidence (at_ms, id);
    CREATE INDEX evidence_hashes ON evidence (id, hash);
    CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE TRIGGER evidence_is_not_removed BEFORE DELETE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE INDEX evidence_unknown ON evidence (id)
        WHERE outcome IN ('cancelled', 'indeterminate', 'timed_out');
    CREATE TABLE payloads (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        links TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX payloads_time ON payloads (kind, at_ms);
    CREATE TRIGGER payloads_are_not_changed BEFORE UPDATE ON payloads
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE TABLE link_values (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        link TEXT NOT NULL,
        value TEXT NOT NULL,
        UNIQUE (link, value)
    ) STRICT;
    CREATE TABLE links (
        number INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (number, at_ms, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE linked (upto INTEGER NOT NULL) STRICT;
    INSERT INTO linked VALUES (0);
    UPDATE approvals SET ended = 'withdrawn', ended_ms = at_ms, arguments = NULL, looks = NULL
        WHERE ended IS NULL;
    CREATE INDEX approvals_to_expire ON approvals (COALESCE(use_until_ms, decide_until_ms))
        WHERE ended IS NULL;
    CREATE TABLE tree (size INTEGER NOT NULL, frontier BLOB NOT NULL) STRICT;
    INSERT INTO tree VALUES (0, x'');
    CREATE TABLE subtrees (
        level INTEGER NOT NULL,
        place INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (level, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE checkpoints (
        size INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
    CREATE TABLE cursors (
        name TEXT PRIMARY KEY,
        next INTEGER NOT NULL,
        holder TEXT,
        held_until_ms INTEGER,
        moved_ms INTEGER,
        error TEXT,
        error_ms INTEGER
    ) STRICT, WITHOUT ROWID;",
    // What counts in budgets that all share, until when.
    "CREATE TABLE budget_marks (
        key TEXT NOT NULL,
        mark TEXT NOT NULL,
        count INTEGER NOT NULL,
        ends_ms INTEGER NOT NULL,
        PRIMARY KEY (key, mark)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX budget_marks_ends ON budget_marks (ends_ms);",
];

/// Brings a database to the latest version.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::database(path, source);
    let found = refuse_newer(connection, path).await?;
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        // The only dynamic part is a number of ours.
        let step = format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT");
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Refuses a database that is not of the latest version.
pub(super) async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found = refuse_newer(connection, path).await?;
    if found < known() {
        return Err(OpenError::Older { path: path.to_owned(), found, known: known() });
    }
    Ok(())
}

/// The version of a database, unless it is one that we do not know.
pub(super) async fn refuse_newer(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<i64, OpenError> {
    let found = version(connection).await.map_err(|source| OpenError::database(path, source))?;
    if found > known() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: known() });
    }
    Ok(found)
}

fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Commits the version once more: what changes nothing and has to be written nevertheless.
pub(super) async fn touch(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let version = version(connection).await?;
    let touch = format!("PRAGMA user_version = {version}; COMMIT");
    sqlx::raw_sql(AssertSqlSafe(touch)).execute(connection).await.map(drop)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}
