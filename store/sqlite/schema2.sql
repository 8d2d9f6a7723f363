
-- Schema 2: what was done to one key is asked for by people who wait, and the log is
-- the longest of the tables.
CREATE INDEX audit_key ON audit (key_id, seq);
