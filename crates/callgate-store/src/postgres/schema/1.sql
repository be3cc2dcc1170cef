-- `size` is how many entries the log has. Whoever appends holds its row until they have committed: so indexes have no gaps, their
-- order is that of the commits, and what is in force changes one record after the other.
CREATE TABLE log (size BIGINT NOT NULL, proofs BIGINT NOT NULL);
INSERT INTO log VALUES (0, 0);

-- A writer lives until then, unless it says so again. An append is of one attempt; a later one takes its place, wherever it is.
CREATE TABLE writers (
    writer TEXT COLLATE "C" PRIMARY KEY,
    attempt BIGINT NOT NULL,
    lives_until_ms BIGINT NOT NULL
);
-- The calls that have an intent and no outcome, and whose they are: what the dead left open is found among these, however long the log is.
CREATE TABLE open_calls (
    call TEXT COLLATE "C" PRIMARY KEY,
    writer TEXT COLLATE "C" NOT NULL
);

CREATE TABLE evidence (
    id BIGINT PRIMARY KEY,
    writer TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    call TEXT COLLATE "C",
    verdict TEXT COLLATE "C",
    outcome TEXT COLLATE "C",
    entry TEXT NOT NULL,
    UNIQUE (writer, sequence)
);
CREATE INDEX evidence_call ON evidence (call, kind) WHERE call IS NOT NULL;
CREATE INDEX evidence_writers ON evidence (id, writer) WHERE sequence = 0;
CREATE INDEX evidence_time ON evidence (at_ms, id);
CREATE INDEX evidence_hashes ON evidence (id) INCLUDE (hash);
CREATE INDEX evidence_unknown ON evidence (id) WHERE outcome IN ('cancelled', 'indeterminate', 'timed_out');
-- `links` is by what the record is found: it is linked by that later.
CREATE TABLE payloads (
    id BIGINT PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    links TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX payloads_time ON payloads (kind, at_ms);
CREATE FUNCTION callgate_append_only() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'evidence is append-only'; END $$;
-- They are against mistakes; against intent there is the chain.
CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE OR DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION callgate_append_only();
CREATE TRIGGER evidence_is_not_removed BEFORE TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION callgate_append_only();
CREATE TRIGGER payloads_are_not_changed BEFORE UPDATE ON payloads
    FOR EACH ROW EXECUTE FUNCTION callgate_append_only();
CREATE TABLE link_values (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link TEXT COLLATE "C" NOT NULL,
    value BYTEA NOT NULL
);
CREATE UNIQUE INDEX link_values_once ON link_values (link, sha256(value));
CREATE TABLE links (
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (number, at_ms, id)
);
CREATE TABLE linked (upto BIGINT NOT NULL);
INSERT INTO linked VALUES (0);

CREATE FUNCTION callgate_now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT $$;

-- Waits for its turn to append so many entries: how many there are before, and when that is; nothing, if a later attempt has taken the
-- place of this one. The turn lasts until the end of the transaction.
CREATE FUNCTION callgate_turn(by_writer TEXT, by_attempt BIGINT, lease_ms BIGINT, entries BIGINT)
RETURNS TABLE (before BIGINT, now_ms BIGINT) LANGUAGE plpgsql AS $$
BEGIN
    IF by_attempt IS NULL THEN
        INSERT INTO writers VALUES (by_writer, 0, 0) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE writers SET lives_until_ms = callgate_now_ms() + lease_ms
            WHERE writers.writer = by_writer AND writers.attempt = by_attempt;
        IF NOT FOUND THEN RETURN; END IF;
    END IF;
    RETURN QUERY UPDATE log SET size = log.size + entries
        RETURNING log.size - entries, callgate_now_ms();
END $$;

-- Stores entries and their payloads behind those that were there before.
CREATE FUNCTION callgate_record(
    before BIGINT, of_writers TEXT[], sequences BIGINT[], hashes BYTEA[], ats BIGINT[], kinds TEXT[], calls TEXT[],
    verdicts TEXT[], outcomes TEXT[], entries TEXT[], payload_kinds TEXT[], all_links TEXT[], texts TEXT[]
) RETURNS VOID LANGUAGE sql AS $$
    INSERT INTO evidence (id, writer, sequence, hash, at_ms, kind, call, verdict, outcome, entry)
        SELECT before + n, writer, sequence, hash, at_ms, kind, call, verdict, outcome, entry
        FROM unnest(of_writers, sequences, hashes, ats, kinds, calls, verdicts, outcomes, entries)
        WITH ORDINALITY AS one (writer, sequence, hash, at_ms, kind, call, verdict, outcome, entry, n);
    INSERT INTO open_calls (call, writer)
        SELECT call, writer FROM unnest(of_writers, kinds, calls) AS one (writer, kind, call)
        WHERE kind = 'intent' ON CONFLICT DO NOTHING;
    DELETE FROM open_calls WHERE call IN (
        SELECT call FROM unnest(kinds, calls) AS one (kind, call) WHERE kind = 'outcome');
    INSERT INTO payloads (id, kind, at_ms, links, text)
        SELECT before + n, kind, at_ms, links, text
        FROM unnest(payload_kinds, ats, all_links, texts) WITH ORDINALITY AS one (kind, at_ms, links, text, n);
$$;

-- Both at once, for records that change nothing that is in force. `FALSE`: a later attempt has taken the place of this one.
CREATE FUNCTION callgate_append(
    by_writer TEXT, by_attempt BIGINT, lease_ms BIGINT,
    of_writers TEXT[], sequences BIGINT[], hashes BYTEA[], ats BIGINT[], kinds TEXT[], calls TEXT[],
    verdicts TEXT[], outcomes TEXT[], entries TEXT[], payload_kinds TEXT[], all_links TEXT[], texts TEXT[]
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE turn RECORD;
BEGIN
    SELECT * INTO turn FROM callgate_turn(by_writer, by_attempt, lease_ms, cardinality(entries));
    IF NOT FOUND THEN RETURN FALSE; END IF;
    PERFORM callgate_record(turn.before, of_writers, sequences, hashes, ats, kinds, calls, verdicts, outcomes, entries,
        payload_kinds, all_links, texts);
    RETURN TRUE;
END $$;

CREATE TABLE tree (size BIGINT NOT NULL, frontier BYTEA NOT NULL);
INSERT INTO tree VALUES (0, '');
CREATE TABLE subtrees (
    level BIGINT NOT NULL,
    place BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (level, place)
);
CREATE TABLE checkpoints (
    size BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE cursors (
    name TEXT COLLATE "C" PRIMARY KEY,
    next BIGINT NOT NULL,
    holder TEXT COLLATE "C",
    held_until_ms BIGINT,
    moved_ms BIGINT,
    error BYTEA,
    error_ms BIGINT
);

-- `text` is the thing as it was made; what became of it is beside it. A grant that is in force has its places.
CREATE TABLE authority (version BIGINT NOT NULL);
INSERT INTO authority VALUES (0);
CREATE TABLE tokens (
    id TEXT COLLATE "C" PRIMARY KEY,
    ends_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    replaced BOOLEAN NOT NULL DEFAULT FALSE,
    used_ms BIGINT,
    text TEXT NOT NULL
);
CREATE TABLE grants (
    id TEXT COLLATE "C" PRIMARY KEY,
    uses_left BIGINT NOT NULL,
    begins_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    text TEXT NOT NULL
);
CREATE TABLE grant_places (
    holder BYTEA NOT NULL,
    place BYTEA NOT NULL,
    ends_ms BIGINT NOT NULL,
    grant_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (holder, place, ends_ms, grant_id)
);
CREATE INDEX grant_places_grant ON grant_places (grant_id);
CREATE TABLE revocations (
    id TEXT COLLATE "C" PRIMARY KEY,
    lifted_ms BIGINT,
    text TEXT NOT NULL
);
CREATE TABLE secrets (
    binding BYTEA PRIMARY KEY,
    sealed TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE pins (
    server TEXT COLLATE "C" NOT NULL,
    tool BYTEA NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (server, tool)
);
-- `asker` is whose calls they are. The arguments, and what was seen of what the call touches, are forgotten when it ends.
CREATE TABLE approvals (
    id TEXT COLLATE "C" PRIMARY KEY,
    binding TEXT COLLATE "C" NOT NULL,
    asker BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    decide_until_ms BIGINT NOT NULL,
    use_until_ms BIGINT,
    ended TEXT COLLATE "C",
    ended_ms BIGINT,
    spent_by TEXT COLLATE "C",
    text TEXT NOT NULL,
    arguments TEXT,
    looks TEXT
);
CREATE INDEX approvals_binding ON approvals (binding, at_ms);
CREATE INDEX approvals_asker ON approvals (asker, at_ms);
CREATE UNIQUE INDEX approvals_spent ON approvals (spent_by) WHERE spent_by IS NOT NULL;
CREATE INDEX approvals_open ON approvals (at_ms) WHERE ended IS NULL;
CREATE INDEX approvals_to_expire ON approvals (COALESCE(use_until_ms, decide_until_ms)) WHERE ended IS NULL;
CREATE TABLE votes (
    approval TEXT COLLATE "C" NOT NULL,
    voter BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (approval, voter)
);
CREATE TABLE glass (
    approval TEXT COLLATE "C" PRIMARY KEY,
    breaker BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    text TEXT NOT NULL,
    review TEXT
);
CREATE INDEX glass_to_review ON glass (breaker) WHERE review IS NULL;
-- Of what browsers have, and of what is in links, there are digests only.
CREATE TABLE sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    who BYTEA NOT NULL,
    ends_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    sealed TEXT,
    text TEXT NOT NULL
);
CREATE INDEX sessions_who ON sessions (who, seen_ms);
CREATE TABLE sign_in_links (
    id TEXT COLLATE "C" PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    ends_ms BIGINT NOT NULL,
    used_ms BIGINT,
    text TEXT NOT NULL
);
-- What proofs are checked by is no part of the record.
CREATE TABLE passkeys (
    id TEXT COLLATE "C" PRIMARY KEY,
    who BYTEA NOT NULL,
    added_ms BIGINT NOT NULL,
    counter BIGINT NOT NULL,
    used_ms BIGINT,
    key TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passkeys_who ON passkeys (who, added_ms);
-- What people are told. `due_ms` is when it is to be sent, or sent again; until then, whoever has taken it sends it.
CREATE TABLE notices (
    id TEXT COLLATE "C" PRIMARY KEY,
    channel TEXT COLLATE "C" NOT NULL,
    about TEXT COLLATE "C" NOT NULL,
    occasion TEXT COLLATE "C" NOT NULL,
    page TEXT,
    due_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    error BYTEA,
    error_ms BIGINT,
    ended TEXT COLLATE "C",
    ended_ms BIGINT
);
CREATE INDEX notices_open ON notices (channel, due_ms, attempts) WHERE ended IS NULL;
CREATE INDEX notices_about ON notices (about);

-- What counts in budgets that all replicas share, until when.
CREATE TABLE budget_marks (
    key TEXT COLLATE "C" NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    PRIMARY KEY (key, mark)
);
CREATE INDEX budget_marks_ends ON budget_marks (ends_ms);
