package sqlite_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// planted are objects by which somebody with a database shell, and without the
// pepper, makes a revocation undo itself: an older row is put back with the good seal
// that it had.
var planted = map[string][]string{
	"a trigger on keys": {
		`CREATE TABLE old AS SELECT * FROM keys`,
		`CREATE TRIGGER undo AFTER UPDATE ON keys WHEN NEW.revoked_at IS NOT NULL BEGIN
			UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old WHERE id = NEW.id), seal = (SELECT seal FROM old WHERE id = NEW.id) WHERE id = NEW.id; END`,
	},
	"a trigger on audit": {
		`CREATE TABLE old AS SELECT * FROM keys`,
		`CREATE TRIGGER undo AFTER INSERT ON audit BEGIN
			UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old WHERE id = keys.id), seal = (SELECT seal FROM old WHERE id = keys.id); END`,
	},
}

// TestA27PlantedTriggersUndoNothing: the objects are there before, and after, a
// program opens the store. Before, it refuses to open and names them. After, the
// revocation is not acknowledged.
func TestA27PlantedTriggersUndoNothing(t *testing.T) {
	for name, statements := range planted {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			id := issue(t, s, keys.IssueRequest{Name: "victim"}).Key.ID
			db := shell(t, path)
			for _, statement := range statements {
				mustExec(t, db, statement)
			}
			k, err := manager(t, s).Revoke(t.Context(), id, "leaked")
			if err == nil {
				t.Errorf("Revoke: got %v and no error, want none acknowledged", k)
			}
			for what, err := range openBoth(path) {
				if err == nil || !strings.Contains(err.Error(), `"undo"`) && !strings.Contains(err.Error(), `"old"`) {
					t.Errorf("%s: got %v, want it refused and the object named", what, err)
				}
			}
		})
	}
}

// What is missing is as bad: without the triggers of the feed no process would learn
// of a change.
func TestMissingObjectsAreNoticed(t *testing.T) {
	for _, statement := range []string{
		`DROP TRIGGER keys_updated`, `DROP INDEX keys_name`, `CREATE VIEW v AS SELECT 1`, `CREATE INDEX mine ON keys (version)`,
		`DROP TRIGGER keys_updated; CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN SELECT 1; END`,
	} {
		path := create(t)
		mustExec(t, shell(t, path), statement)
		for what, err := range openBoth(path) {
			if err == nil {
				t.Errorf("%s after %q: got no error", what, statement)
			}
		}
	}
	path := create(t) // what SQLite makes for itself is nobody's doing
	mustExec(t, shell(t, path), `ANALYZE`)
	for what, err := range openBoth(path) {
		if err != nil {
			t.Errorf("%s after ANALYZE: %v", what, err)
		}
	}
}

func openBoth(path string) map[string]error {
	errs := map[string]error{}
	s, err := sqlite.Open(path, nil)
	if errs["Open"] = err; err == nil {
		_ = s.Close()
	}
	r, err := sqlite.OpenVerifier(path, nil)
	if errs["OpenVerifier"] = err; err == nil {
		_ = r.Close()
	}
	return errs
}

// A database that others may open is refused like a pepper that they may read.
func TestOpenToOthersIsRefused(t *testing.T) {
	path := create(t)
	chmod(t, path, 0o640)
	for what, err := range openBoth(path) {
		if err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s: got %v, want the fix named", what, err)
		}
	}
}

// Who only reads waits for no writer, also when it opens the store for writing, as
// commands do that resolve a name first.
func TestOpenWaitsForNoWriter(t *testing.T) {
	path := create(t)
	db := shell(t, path)
	db.SetMaxOpenConns(1)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	s := open(t, path) // what waits for the lock fails, because it is held until the end
	if _, err := s.List(t.Context(), keys.Query{}); err != nil {
		t.Fatalf("List: %v", err)
	}
	mustExec(t, db, `ROLLBACK`)
	if _, err := s.Key(t.Context(), "zzzzzzzzzzzz"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Key: got %v, want ErrNotFound", err)
	}
}
