package sqlite

import (
	"path/filepath"
	"testing"
)

// Two readers of one process look at once, while others write. The slower one must not take
// what the quicker one has seen meanwhile for changes that the database lost.
func TestStandBesideAQuickerReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := Create(path, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	now, err := s.committed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quicker := func() (numbers, error) {
		n, err := readNumbers(s.numbers.QueryRowContext(t.Context()))
		raise(&s.seen, now.word+2)
		return n, err
	}
	if _, err := s.stand(quicker); err != nil {
		t.Errorf("beside a quicker reader: %v", err)
	}
	if _, err := s.committed(t.Context()); err == nil {
		t.Error("behind what was seen before: got no error")
	}
	s.seen.Store(now.word) // so that it can be closed
}
