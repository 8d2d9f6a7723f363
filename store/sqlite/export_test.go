package sqlite

import "database/sql"

// What tests of this package see besides its API.

// JudgeFS exposes judgeFS.
var JudgeFS = judgeFS

// Connections returns the pool that reads.
func (r *Reader) Connections() *sql.DB { return r.db }

// Writer returns the pool that writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// UsageWriter returns the pool that counts, nil before the first use.
func (r *Reader) UsageWriter() *sql.DB { return r.usage.db }

// Path returns where the key store is.
func (r *Reader) Path() string { return r.path }
