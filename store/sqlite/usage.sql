-- The schema of the file that use is counted in, version 2. See docs/adr/0005.
--
-- Times are integer microseconds since 1970, UTC. Nothing here decides anything, and
-- no row refers to the key store: a key that is gone leaves its counts behind until
-- they are let go.

-- One row: when this file was made. What was used before is not known here, which is
-- not the same as unused.
CREATE TABLE counting (
  since INTEGER NOT NULL PRIMARY KEY
) STRICT;

-- What is counted: how often a key was presented with one outcome; with a scope, how often
-- that scope was asked for besides. It is here once, and has a number in the counts.
CREATE TABLE series (
  n      INTEGER NOT NULL PRIMARY KEY,
  key_id BLOB    NOT NULL,
  code   TEXT    NOT NULL CHECK (code <> '' AND length(code) <= 64),
  scope  TEXT    NOT NULL CHECK (length(scope) <= 1024),
  UNIQUE (key_id, code, scope)
) STRICT;

-- The counts of a day's hours. Day counts days since 1970. It comes first, so that a flush
-- changes rows that lie side by side.
CREATE TABLE hours (
  day    INTEGER NOT NULL,
  series INTEGER NOT NULL,
  h00 INTEGER NOT NULL DEFAULT 0, h01 INTEGER NOT NULL DEFAULT 0, h02 INTEGER NOT NULL DEFAULT 0,
  h03 INTEGER NOT NULL DEFAULT 0, h04 INTEGER NOT NULL DEFAULT 0, h05 INTEGER NOT NULL DEFAULT 0,
  h06 INTEGER NOT NULL DEFAULT 0, h07 INTEGER NOT NULL DEFAULT 0, h08 INTEGER NOT NULL DEFAULT 0,
  h09 INTEGER NOT NULL DEFAULT 0, h10 INTEGER NOT NULL DEFAULT 0, h11 INTEGER NOT NULL DEFAULT 0,
  h12 INTEGER NOT NULL DEFAULT 0, h13 INTEGER NOT NULL DEFAULT 0, h14 INTEGER NOT NULL DEFAULT 0,
  h15 INTEGER NOT NULL DEFAULT 0, h16 INTEGER NOT NULL DEFAULT 0, h17 INTEGER NOT NULL DEFAULT 0,
  h18 INTEGER NOT NULL DEFAULT 0, h19 INTEGER NOT NULL DEFAULT 0, h20 INTEGER NOT NULL DEFAULT 0,
  h21 INTEGER NOT NULL DEFAULT 0, h22 INTEGER NOT NULL DEFAULT 0, h23 INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, series)
) STRICT, WITHOUT ROWID;

-- The sums of days whose hours were deleted.
CREATE TABLE days (
  day    INTEGER NOT NULL,
  series INTEGER NOT NULL,
  calls  INTEGER NOT NULL CHECK (calls > 0),
  PRIMARY KEY (day, series)
) STRICT, WITHOUT ROWID;

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
