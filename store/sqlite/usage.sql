-- The schema of the file that use is counted in, version 1. See docs/adr/0005.
--
-- Times are integer microseconds since 1970, UTC. Nothing here decides anything, and
-- no row refers to the key store: a key that is gone leaves its counts behind until
-- they are let go.

-- One row: when this file was made. What was used before is not known here, which is
-- not the same as unused.
CREATE TABLE counting (
  since INTEGER NOT NULL PRIMARY KEY
) STRICT;

-- How often a key was presented in one hour with one outcome; with a scope, what was
-- asked beyond that.
CREATE TABLE usage (
  key_id BLOB    NOT NULL,
  hour   INTEGER NOT NULL,  -- its beginning
  code   TEXT    NOT NULL CHECK (code <> '' AND length(code) <= 64),
  scope  TEXT    NOT NULL CHECK (length(scope) <= 1024),
  calls  INTEGER NOT NULL CHECK (calls > 0),
  PRIMARY KEY (key_id, hour, code, scope)
) STRICT, WITHOUT ROWID;

-- Old hours are let go, whichever key they are of.
CREATE INDEX usage_hour ON usage (hour);

-- When a secret of a key was last accepted.
CREATE TABLE last_used (
  key_id    BLOB    NOT NULL,
  secret    INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  client_ip TEXT    NOT NULL CHECK (length(client_ip) <= 64),  -- empty: unknown
  agent     TEXT    NOT NULL CHECK (length(agent) <= 64),      -- empty: unknown
  PRIMARY KEY (key_id, secret)
) STRICT, WITHOUT ROWID;

-- The number of the last message of each guard on another host, so that a message that is
-- repeated is counted once.
CREATE TABLE heard (
  caller TEXT    NOT NULL CHECK (caller <> '' AND length(caller) <= 64),  -- the verify key
  sender BLOB    NOT NULL CHECK (length(sender) = 16),
  n      INTEGER NOT NULL CHECK (n > 0),
  at     INTEGER NOT NULL,
  PRIMARY KEY (caller, sender)
) STRICT, WITHOUT ROWID;

-- Old numbers are let go.
CREATE INDEX heard_at ON heard (at);

-- Refusals, sampled by the minute: who was refused what, where, how often.
CREATE TABLE denied (
  minute   INTEGER NOT NULL,  -- its beginning
  code     TEXT    NOT NULL CHECK (code <> '' AND length(code) <= 64),
  key_id   TEXT    NOT NULL CHECK (length(key_id) <= 64),    -- as presented; empty: none, or of many
  proved   INTEGER NOT NULL CHECK (proved IN (0, 1)),        -- whether the key was
  source   TEXT    NOT NULL CHECK (length(source) <= 64),    -- a network; empty: unknown, or of many
  audience TEXT    NOT NULL CHECK (length(audience) <= 1024),
  scope    TEXT    NOT NULL CHECK (length(scope) <= 1024),   -- as asked for, with insufficient_scope
  offered  TEXT    NOT NULL,                                 -- the servers of the key, with wrong_audience
  agent    TEXT    NOT NULL CHECK (length(agent) <= 64),     -- empty: unknown
  calls    INTEGER NOT NULL CHECK (calls > 0),
  PRIMARY KEY (proved, minute, code, key_id, source, audience, scope)
) STRICT, WITHOUT ROWID;
