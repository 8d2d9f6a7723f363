
-- Refusals, sampled by the minute: who was refused what, where, how often. Added by
-- version 2.
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
