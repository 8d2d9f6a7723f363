-- The schema of an mcpkeys database, version 1. Once a version is released its text
-- never changes: a later one adds a step (see steps in schema.go). Use is counted in
-- another file: usage.sql.
--
-- Times are integer microseconds since 1970, UTC; NULL means "not set". Ids are
-- blobs, so that no collation ever folds their case. Lists are JSON text. All
-- tables are STRICT: a shell cannot slip a text in where a number belongs. Times are of
-- the years 1 to 9999, and what counts on has room in 48 bits.
--
-- Whatever changes keys or secrets, be it another process or a database shell,
-- bumps meta.change_seq and leaves a row in events, in the same transaction: the
-- triggers at the end see to it, not the program.

-- One value a row:
--   change_seq    number of the newest row in events
--   generation    random; a restored database gets another
--   generation_number  counts generations; it also stands in the epoch file
--   store_id      16 random bytes that name this key store, as its pepper file does; seals
--                 cover them; copies and backups keep them
--   epoch_id      16 random bytes that also stand in the epoch file beside the database
--   created_at    when the database was made
--   pepper/<id>   32 bytes by which a wrong pepper is noticed at start, and without
--                 which nothing is written that was made with it
--   pepper_since/<id>  when that was noted
CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value ANY  NOT NULL,
  CHECK (CASE
    WHEN name = 'change_seq' THEN typeof(value) = 'integer' AND value BETWEEN 0 AND 281474976710655
    WHEN name = 'generation' THEN typeof(value) = 'text' AND value <> ''
    WHEN name IN ('store_id', 'epoch_id') THEN typeof(value) = 'blob' AND length(value) = 16
    WHEN name = 'created_at' OR name GLOB 'pepper_since/*' THEN typeof(value) = 'integer'
    WHEN name GLOB 'pepper/*' THEN typeof(value) = 'blob' AND length(value) = 32
    ELSE 1 END)
) STRICT, WITHOUT ROWID;

-- One row a key. The seal binds every column and the key's rows in secrets to a
-- pepper outside this file: a row that was edited here is refused, not obeyed.
CREATE TABLE keys (
  id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
  kind           TEXT    NOT NULL CHECK (kind IN ('key', 'admin')),
  name           TEXT    NOT NULL CHECK (name <> ''),
  owner          TEXT    NOT NULL,
  owner_id       BLOB    CHECK (owner_id IS NULL OR length(owner_id) = 16),
  scopes         TEXT    NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
  audience       TEXT    NOT NULL CHECK (json_valid(audience) AND json_type(audience) = 'array'),
  allowed_ips    TEXT    NOT NULL CHECK (json_valid(allowed_ips) AND json_type(allowed_ips) = 'array'),
  metadata       TEXT    NOT NULL CHECK (json_valid(metadata) AND json_type(metadata) = 'object'),
  rate_count     INTEGER NOT NULL CHECK (rate_count BETWEEN 0 AND 2147483647),  -- 0: no limit
  rate_window    INTEGER NOT NULL CHECK (rate_window >= 0),  -- nanoseconds
  rate_burst     INTEGER NOT NULL CHECK (rate_burst BETWEEN 0 AND 2147483647),
  max_concurrent INTEGER NOT NULL CHECK (max_concurrent BETWEEN 0 AND 2147483647),  -- running calls; 0: no limit
  max_key_life   INTEGER NOT NULL CHECK (max_key_life >= 0),    -- nanoseconds, of the keys that this admin key issues; the largest number: for ever
  quiet          INTEGER NOT NULL CHECK (quiet >= 0),           -- nanoseconds without use that end an old secret early; 0: never
  created_at     INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
  created_by     TEXT    NOT NULL,
  batch          BLOB    CHECK (batch IS NULL OR length(batch) = 16),  -- the import that the key came with
  expires_at     INTEGER CHECK (expires_at BETWEEN -62135596800000000 AND 253402300799999999),
  disabled_at    INTEGER CHECK (disabled_at BETWEEN -62135596800000000 AND 253402300799999999),
  revoked_at     INTEGER CHECK (revoked_at BETWEEN -62135596800000000 AND 253402300799999999),
  revoked_reason TEXT    NOT NULL,
  version        INTEGER NOT NULL CHECK (version BETWEEN 1 AND 281474976710655),
  seal_format    INTEGER NOT NULL CHECK (seal_format >= 1),     -- how the sealed text is rendered
  seal_pepper    TEXT    NOT NULL,
  seal           BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT, WITHOUT ROWID;

-- A name is free again once its key is revoked. The name comes first, because people
-- name a key without its owner.
CREATE UNIQUE INDEX keys_name ON keys (name, owner) WHERE revoked_at IS NULL;
-- Lists run newest first. What they may be filtered by stands in this index too: to
-- look for one key in a million in the rows themselves takes a hundred times as long.
CREATE INDEX keys_newest ON keys (created_at DESC, id, name, owner, scopes, audience, kind, expires_at, disabled_at, revoked_at, batch);
CREATE INDEX keys_owner ON keys (owner, created_at DESC, id, batch);
CREATE INDEX keys_batch ON keys (batch) WHERE batch IS NOT NULL;

-- What is kept in place of a secret: one row, or two during a rotation's grace.
-- lookup finds an imported secret whose token names no id.
CREATE TABLE secrets (
  key_id     BLOB    NOT NULL REFERENCES keys (id),
  number     INTEGER NOT NULL CHECK (number BETWEEN 1 AND 281474976710655),
  scheme     TEXT    NOT NULL CHECK (scheme <> ''),
  pepper_id  TEXT    NOT NULL,
  digest     BLOB    NOT NULL CHECK (scheme <> 'hmac-sha256' OR length(digest) = 32),
  lookup     BLOB,
  created_at INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
  expires_at INTEGER CHECK (expires_at BETWEEN -62135596800000000 AND 253402300799999999),
  PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX secrets_lookup ON secrets (lookup) WHERE lookup IS NOT NULL;

CREATE TRIGGER secrets_at_most_two BEFORE INSERT ON secrets
WHEN (SELECT count(*) FROM secrets WHERE key_id = NEW.key_id) >= 2
BEGIN
  SELECT RAISE(ABORT, 'a key has at most two secrets');
END;

-- Digests of secrets that have ended. They authorise nothing: they let a log and
-- 'keyctl verify' say that a secret was replaced, and of which key.
CREATE TABLE superseded (
  key_id    BLOB    NOT NULL REFERENCES keys (id),
  number    INTEGER NOT NULL CHECK (number >= 1),
  scheme    TEXT    NOT NULL CHECK (scheme <> ''),
  pepper_id TEXT    NOT NULL,
  digest    BLOB    NOT NULL,
  lookup    BLOB,
  ended_at  INTEGER NOT NULL,
  PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX superseded_lookup ON superseded (lookup) WHERE lookup IS NOT NULL;
CREATE INDEX superseded_ended ON superseded (ended_at);

-- Requests that were carried out under an Idempotency-Key, each written in the
-- transaction of its change, and kept for a day.
CREATE TABLE idempotency (
  caller    TEXT    NOT NULL,
  route     TEXT    NOT NULL,
  word      TEXT    NOT NULL CHECK (word <> ''),
  at        INTEGER NOT NULL,
  pepper_id TEXT    NOT NULL,
  body      BLOB    NOT NULL CHECK (length(body) = 32),  -- HMAC of the request's body
  key_id    TEXT    NOT NULL,
  secret    INTEGER NOT NULL CHECK (secret >= 0),        -- the number of the one that the answer carried; 0: none
  answer    TEXT    NOT NULL CHECK (answer = '' OR json_valid(answer)), -- the first answer; empty where it carried a secret
  PRIMARY KEY (caller, route, word)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_at ON idempotency (at);

-- Imports. The keys of a batch are not found until valid_at is set, under the seal.
CREATE TABLE batches (
  id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  started_at  INTEGER NOT NULL,
  actor       TEXT    NOT NULL CHECK (actor <> ''),
  valid_at    INTEGER,
  seal_pepper TEXT    NOT NULL,
  seal        BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT, WITHOUT ROWID;

-- Who changed what. Each row's hash covers the row and the hash before it.
CREATE TABLE audit (
  seq        INTEGER NOT NULL PRIMARY KEY CHECK (seq BETWEEN 1 AND 281474976710655),
  id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
  at         INTEGER NOT NULL,
  actor      TEXT    NOT NULL CHECK (actor <> ''),
  action     TEXT    NOT NULL CHECK (action <> ''),
  key_id     TEXT    NOT NULL,
  request_id TEXT    NOT NULL,
  detail     TEXT    NOT NULL CHECK (json_valid(detail)),
  prev       BLOB    NOT NULL CHECK (length(prev) = 32),
  hash       BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- What was done to one key is asked for by people who wait, and the log is the longest
-- of the tables.
CREATE INDEX audit_key ON audit (key_id, seq);

-- The feed: which key changed, in the order of commits, numbered without gaps. A
-- gap tells a reader that it missed something and must forget all it knows. Old events are
-- deleted; the newest one stays. The id is
-- random: where the database was put back to an older state, other changes have the
-- numbers that a reader knows, and never the ids.
CREATE TABLE events (
  seq    INTEGER NOT NULL PRIMARY KEY CHECK (seq <= 281474976710655),
  id     BLOB    NOT NULL CHECK (length(id) = 16),
  key_id BLOB    NOT NULL,
  kind   TEXT    NOT NULL,
  at     INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER) * 1000000)
) STRICT;

CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.id, 'key.inserted' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.id, 'key.updated' FROM meta WHERE name = 'change_seq';
END;

-- A row that is given another id changes two keys.
CREATE TRIGGER keys_renamed AFTER UPDATE OF id ON keys WHEN OLD.id <> NEW.id BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), OLD.id, 'key.renamed' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), OLD.id, 'key.deleted' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER secrets_inserted AFTER INSERT ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.key_id, 'secret.inserted' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER secrets_updated AFTER UPDATE ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.key_id, 'secret.updated' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER secrets_moved AFTER UPDATE OF key_id ON secrets WHEN OLD.key_id <> NEW.key_id BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), OLD.key_id, 'secret.moved' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER secrets_deleted AFTER DELETE ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), OLD.key_id, 'secret.deleted' FROM meta WHERE name = 'change_seq';
END;

-- Whether the keys of an import are valid changes for all of them at once.
CREATE TRIGGER batches_inserted AFTER INSERT ON batches WHEN NEW.valid_at IS NOT NULL BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.id, 'batch.inserted' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER batches_updated AFTER UPDATE ON batches BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), NEW.id, 'batch.updated' FROM meta WHERE name = 'change_seq';
END;

CREATE TRIGGER batches_deleted AFTER DELETE ON batches WHEN OLD.valid_at IS NOT NULL BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, id, key_id, kind) SELECT value, randomblob(16), OLD.id, 'batch.deleted' FROM meta WHERE name = 'change_seq';
END;
