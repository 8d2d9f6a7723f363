package sqlite

import "database/sql"

// What tests of this package see besides its API.

// JudgeFS exposes judgeFS.
var JudgeFS = judgeFS

// Connections returns the pool that reads.
func (r *Reader) Connections() *sql.DB { return r.db }

// Writer returns the pool that writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// Waiting returns how many callers wait for those who write now.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.waiting)
}

// MaxGroup is how many callers share a transaction at most.
const MaxGroup = maxGroup

// UsageWriter returns the pool that counts, nil before the first use.
func (r *Reader) UsageWriter() *sql.DB { return r.usage.db }

// Path returns where the key store is.
func (r *Reader) Path() string { return r.path }
