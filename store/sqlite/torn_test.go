package sqlite_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// tear writes a position word into the epoch file that processes have mapped.
func tear(t *testing.T, path string, word uint64) {
	t.Helper()
	f, err := os.OpenFile(path+"-epoch", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	const position = 24
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, word), position); err != nil {
		t.Fatal(err)
	}
}

// A power cut tore the position word of the epoch page. What is said of it is true, and
// Mend and a restore get the store out of it, under the eyes of those who have it open.
func TestTornPosition(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, path, backup string) error{
		"Mend": func(t *testing.T, path, _ string) error {
			_, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now())
			return err
		},
		"a restore": func(t *testing.T, path, backup string) error {
			r, err := sqlite.PrepareRestore(t.Context(), path, backup, nil)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			_, err = r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"})
			return err
		},
	}
	for name, word := range map[string]uint64{
		"all ones":                    1<<64 - 1,
		"the largest generation":      0xffff << 48,
		"the largest change":          1<<49 - 1,
		"all zeros":                   0,
		"a change without generation": 7,
	} {
		for way, mend := range ways {
			t.Run(name+", "+way, func(t *testing.T) {
				path, id := closedStore(t)
				backup := filepath.Join(t.TempDir(), "backup.db")
				s := open(t, path)
				if _, err := s.Backup(t.Context(), backup, nil); err != nil {
					t.Fatal(err)
				}
				r := openVerifier(t, path)
				mustChanges(t, r, feed.Position{})
				tear(t, path, word)
				refusesAll(t, path, id, "contains a position that mcpkeys did not write")
				if missing, err := sqlite.CheckPosition(t.Context(), path); missing != 0 || err == nil {
					t.Errorf("CheckPosition: got %d, %v, want that it cannot be told", missing, err)
				}
				if err := mend(t, path, backup); err != nil {
					t.Fatal(err)
				}
				next := mustChanges(t, r, feed.Position{}).Next
				mustRevoke(t, s, id)
				if c := mustChanges(t, r, next); len(c.IDs) != 1 {
					t.Errorf("Changes: got %+v, want the revocation", c)
				}
			})
		}
	}
}
