-- A key store of schema 1, as keyctl made it before schema 2 was known, as SQL. Its peppers and
-- keys are in schema1.pepper and schema1.keys; they open nothing but this file's key store.
PRAGMA application_id = 1835233387;
PRAGMA user_version = 1;
CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
  id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
  kind           TEXT    NOT NULL CHECK (kind IN ('key', 'admin')),
  name           TEXT    NOT NULL CHECK (name <> ''),
  owner          TEXT    NOT NULL,
  scopes         TEXT    NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
  audience       TEXT    NOT NULL CHECK (json_valid(audience) AND json_type(audience) = 'array'),
  allowed_ips    TEXT    NOT NULL CHECK (json_valid(allowed_ips) AND json_type(allowed_ips) = 'array'),
  metadata       TEXT    NOT NULL CHECK (json_valid(metadata) AND json_type(metadata) = 'object'),
  rate_count     INTEGER NOT NULL CHECK (rate_count >= 0),   -- 0: no limit
  rate_window    INTEGER NOT NULL CHECK (rate_window >= 0),  -- nanoseconds
  rate_burst     INTEGER NOT NULL CHECK (rate_burst >= 0),
  created_at     INTEGER NOT NULL,
  created_by     TEXT    NOT NULL,
  expires_at     INTEGER,
  disabled_at    INTEGER,
  revoked_at     INTEGER,
  revoked_reason TEXT    NOT NULL,
  version        INTEGER NOT NULL CHECK (version >= 1),
  seal_pepper    TEXT    NOT NULL,
  seal           BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT, WITHOUT ROWID;
CREATE TABLE secrets (
  key_id     BLOB    NOT NULL REFERENCES keys (id),
  number     INTEGER NOT NULL CHECK (number >= 1),
  scheme     TEXT    NOT NULL CHECK (scheme <> ''),
  pepper_id  TEXT    NOT NULL,
  digest     BLOB    NOT NULL CHECK (scheme <> 'hmac-sha256' OR length(digest) = 32),
  lookup     BLOB,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  seq        INTEGER NOT NULL PRIMARY KEY CHECK (seq >= 1),
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
CREATE TABLE events (
  seq    INTEGER NOT NULL PRIMARY KEY,
  key_id BLOB    NOT NULL,
  kind   TEXT    NOT NULL
) STRICT;
INSERT INTO meta VALUES ('change_seq', 13);
INSERT INTO meta VALUES ('created_at', 1795405590742303);
INSERT INTO meta VALUES ('generation', '4f6c466a-3958-43fd-be04-9b16bec96ac1');
INSERT INTO meta VALUES ('pepper/pTxqMzv', X'62C58EE884F5470A20B695A27CBC9DC346837B721F70D606AAAF2B2CD4B2D3D7');
INSERT INTO keys VALUES (X'3231506B7051325654677433', 'key', 'leaked', 'ops', '[]', '[]', '[]', '{}', 0, 0, 0, 1795405590818842, 'local:root(0)', NULL, NULL, 1795405590889457, 'laptop lost', 2, 'pTxqMzv', X'F42F86725FE89D3591436A9DBE7000AEC3B03F07E67C29B747E41EA2709DEFD9');
INSERT INTO keys VALUES (X'446B4A50586E59467A346965', 'admin', 'boss', '', '["keys:read","keys:write","audit:read","verify"]', '[]', '[]', '{}', 0, 0, 0, 1795405590841414, 'local:root(0)', NULL, 1795405590930005, NULL, '', 2, 'pTxqMzv', X'C5CC88902C25954B33A5B57A30F97BE36CEFC5D6D6EC574F7B2734C3C48076CE');
INSERT INTO keys VALUES (X'505038694770774256795963', 'key', 'ci', '', '["tools:get_*"]', '["weather"]', '[]', '{}', 0, 0, 0, 1795405590800542, 'local:root(0)', NULL, NULL, NULL, '', 1, 'pTxqMzv', X'AB6A024AF9BF04AADF6F3B0C173A02EA7B681856974EA9E5F138BD1D09EB06D9');
INSERT INTO keys VALUES (X'684364696E6F723561747233', 'key', 'turned', '', '[]', '[]', '["10.0.0.0/8"]', '{"team":"data"}', 60, 60000000000, 60, 1795405590868230, 'local:root(0)', NULL, NULL, NULL, '', 2, 'pTxqMzv', X'8C27303D36F195929BEC3404C736C52475350FD17C71AAC8F25BEF162CFD6B0B');
INSERT INTO secrets VALUES (X'3231506B7051325654677433', 1, 'hmac-sha256', 'pTxqMzv', X'16499DD3D700607C6A6252535FE4B8AF735F237AED668325C37C0869FA31EB26', NULL, 1795405590818842, NULL);
INSERT INTO secrets VALUES (X'446B4A50586E59467A346965', 1, 'hmac-sha256', 'pTxqMzv', X'57212F03ADDE99B22DF5D66CC1532A5C7C19719170A378B40A486AE10AA9DB4F', NULL, 1795405590841414, NULL);
INSERT INTO secrets VALUES (X'505038694770774256795963', 1, 'hmac-sha256', 'pTxqMzv', X'CA75AB39BD28D4913B6E0C7C9819E689667B4D8C66930EA6F6F0F69420FEE624', NULL, 1795405590800542, NULL);
INSERT INTO secrets VALUES (X'684364696E6F723561747233', 1, 'hmac-sha256', 'pTxqMzv', X'CED3779ACB373D030F5F24D95D49891EFA659B2D1CF38A0FA3F77FC35DD32C68', NULL, 1795405590868230, 1795409190904169);
INSERT INTO secrets VALUES (X'684364696E6F723561747233', 2, 'hmac-sha256', 'pTxqMzv', X'CC26ADC1A8F4D8E1A0144E1E64C2F788A36C53374C3FBF2BB42D5998F8DB71B3', NULL, 1795405590904169, NULL);
INSERT INTO audit VALUES (1, X'01A2068331107AD883AFF1657A4FF035', 1795405590800542, 'local:root(0)', 'key.issue', 'PP8iGpwBVyYc', '01a20683-3110-7a8c-865c-489f8ac73147', '{"after":{"kind":"key","name":"ci","scopes":["tools:get_*"],"audience":["weather"],"status":"active","version":1,"secrets":[{"number":1}]}}', X'0000000000000000000000000000000000000000000000000000000000000000', X'0BA07E9CC824545E78F8E62F846DC1FF8F1C4F2752F7405AEF8E0D11C4402E73');
INSERT INTO audit VALUES (2, X'01A206833123702FA809FC51202742EF', 1795405590818842, 'local:root(0)', 'key.issue', '21PkpQ2VTgt3', '01a20683-3122-7ec7-98b1-e0ab507da81f', '{"after":{"kind":"key","name":"leaked","owner":"ops","status":"active","version":1,"secrets":[{"number":1}]}}', X'0BA07E9CC824545E78F8E62F846DC1FF8F1C4F2752F7405AEF8E0D11C4402E73', X'5B2CFE06D4F7865A44DE8ACE73D0C5F53AFA7CB8C23C6B72DA69069AF15B9E26');
INSERT INTO audit VALUES (3, X'01A20683313978C8A7911B75B3609326', 1795405590841414, 'local:root(0)', 'key.issue', 'DkJPXnYFz4ie', '01a20683-3139-787a-802f-070765091831', '{"after":{"kind":"admin","name":"boss","scopes":["keys:read","keys:write","audit:read","verify"],"status":"active","version":1,"secrets":[{"number":1}]}}', X'5B2CFE06D4F7865A44DE8ACE73D0C5F53AFA7CB8C23C6B72DA69069AF15B9E26', X'207B51C450DF8AFFCDFDE5F1C338190E01F58B6DFA3BA471B2B5A525F4607EBB');
INSERT INTO audit VALUES (4, X'01A20683315475C3B92A258097993FBF', 1795405590868230, 'local:root(0)', 'key.issue', 'hCdinor5atr3', '01a20683-3154-755f-9845-93079c5a5a33', '{"after":{"kind":"key","name":"turned","allowed_ips":["10.0.0.0/8"],"rate_limit":"60/m","metadata":{"team":"data"},"status":"active","version":1,"secrets":[{"number":1}]}}', X'207B51C450DF8AFFCDFDE5F1C338190E01F58B6DFA3BA471B2B5A525F4607EBB', X'48F142B2841F79B8077772563A9103BF4F1C3CCAD5BD61F7AD8AF54E1047A50C');
INSERT INTO audit VALUES (5, X'01A20683316978BD9888B42BD58A1656', 1795405590889457, 'local:root(0)', 'key.revoke', '21PkpQ2VTgt3', '01a20683-3169-7856-a0b0-ecaf62e4ed27', '{"before":{"kind":"key","name":"leaked","owner":"ops","status":"active","version":1,"secrets":[{"number":1}]},"after":{"kind":"key","name":"leaked","owner":"ops","status":"revoked","reason":"laptop lost","version":2,"secrets":[{"number":1}]}}', X'48F142B2841F79B8077772563A9103BF4F1C3CCAD5BD61F7AD8AF54E1047A50C', X'950FA31A111C7581F40919EC1531037F24223AA5FAD493163925EF632BD52564');
INSERT INTO audit VALUES (6, X'01A20683317875648AC023F81C036862', 1795405590904169, 'local:root(0)', 'key.rotate', 'hCdinor5atr3', '01a20683-3178-7511-9c3d-f154f8f8e274', '{"before":{"kind":"key","name":"turned","allowed_ips":["10.0.0.0/8"],"rate_limit":"60/m","metadata":{"team":"data"},"status":"active","version":1,"secrets":[{"number":1}]},"after":{"kind":"key","name":"turned","allowed_ips":["10.0.0.0/8"],"rate_limit":"60/m","metadata":{"team":"data"},"status":"active","version":2,"secrets":[{"number":1,"expires_at":"2026-11-23T04:46:30.904169Z"},{"number":2}]}}', X'950FA31A111C7581F40919EC1531037F24223AA5FAD493163925EF632BD52564', X'0EEED75D6B50B4FAB1D420676F1FF60C815DD4558E5A7F3FD7B1B0EA19ACD5AF');
INSERT INTO audit VALUES (7, X'01A2068331927264BA0B86576ED49260', 1795405590930005, 'local:root(0)', 'key.disable', 'DkJPXnYFz4ie', '01a20683-3192-71bd-af6e-e95ed2b4c87c', '{"before":{"kind":"admin","name":"boss","scopes":["keys:read","keys:write","audit:read","verify"],"status":"active","version":1,"secrets":[{"number":1}]},"after":{"kind":"admin","name":"boss","scopes":["keys:read","keys:write","audit:read","verify"],"status":"disabled","version":2,"secrets":[{"number":1}]}}', X'0EEED75D6B50B4FAB1D420676F1FF60C815DD4558E5A7F3FD7B1B0EA19ACD5AF', X'5E0CC03B769C9A327702006D23BD4B3F0F6682928BF51E1AC049B28322230810');
INSERT INTO events VALUES (1, X'505038694770774256795963', 'key.inserted');
INSERT INTO events VALUES (2, X'505038694770774256795963', 'secret.inserted');
INSERT INTO events VALUES (3, X'3231506B7051325654677433', 'key.inserted');
INSERT INTO events VALUES (4, X'3231506B7051325654677433', 'secret.inserted');
INSERT INTO events VALUES (5, X'446B4A50586E59467A346965', 'key.inserted');
INSERT INTO events VALUES (6, X'446B4A50586E59467A346965', 'secret.inserted');
INSERT INTO events VALUES (7, X'684364696E6F723561747233', 'key.inserted');
INSERT INTO events VALUES (8, X'684364696E6F723561747233', 'secret.inserted');
INSERT INTO events VALUES (9, X'3231506B7051325654677433', 'key.updated');
INSERT INTO events VALUES (10, X'684364696E6F723561747233', 'key.updated');
INSERT INTO events VALUES (11, X'684364696E6F723561747233', 'secret.updated');
INSERT INTO events VALUES (12, X'684364696E6F723561747233', 'secret.inserted');
INSERT INTO events VALUES (13, X'446B4A50586E59467A346965', 'key.updated');
CREATE UNIQUE INDEX keys_name ON keys (name, owner) WHERE revoked_at IS NULL;
CREATE INDEX keys_newest ON keys (created_at DESC, id, name, owner, scopes, audience, kind, expires_at, disabled_at, revoked_at);
CREATE INDEX keys_owner ON keys (owner, created_at DESC, id);
CREATE INDEX secrets_lookup ON secrets (lookup) WHERE lookup IS NOT NULL;
CREATE TRIGGER secrets_at_most_two BEFORE INSERT ON secrets
WHEN (SELECT count(*) FROM secrets WHERE key_id = NEW.key_id) >= 2
BEGIN
  SELECT RAISE(ABORT, 'a key has at most two secrets');
END;
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, NEW.id, 'key.inserted' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, NEW.id, 'key.updated' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER keys_renamed AFTER UPDATE OF id ON keys WHEN OLD.id <> NEW.id BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, OLD.id, 'key.renamed' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, OLD.id, 'key.deleted' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER secrets_inserted AFTER INSERT ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, NEW.key_id, 'secret.inserted' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER secrets_updated AFTER UPDATE ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, NEW.key_id, 'secret.updated' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER secrets_moved AFTER UPDATE OF key_id ON secrets WHEN OLD.key_id <> NEW.key_id BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, OLD.key_id, 'secret.moved' FROM meta WHERE name = 'change_seq';
END;
CREATE TRIGGER secrets_deleted AFTER DELETE ON secrets BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'change_seq';
  INSERT INTO events (seq, key_id, kind) SELECT value, OLD.key_id, 'secret.deleted' FROM meta WHERE name = 'change_seq';
END;
