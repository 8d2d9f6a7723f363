package sqlite

import "database/sql"

// What tests of this package see besides its API.

// JudgeFS exposes judgeFS.
var JudgeFS = judgeFS

// Connections returns the pool that reads.
func (r *Reader) Connections() *sql.DB { return r.db }

// Writer returns the pool that writes.
func (s *Store) Writer() *sql.DB { return s.writer }
