package newfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Replace makes temp durable, gives it the owner of the file at path, and its group's rights, and puts it in
// that file's place, which must exist. Both must be in one directory. Readers find the
// old file or the new one, whole, at any moment. The name temp is gone afterwards,
// whatever the outcome; after an error path holds the one or the other.
func Replace(temp, path string) error {
	err := replace(temp, path)
	if err != nil {
		_ = os.Remove(temp) // after the rename it is gone already
	}
	return err
}

func replace(temp, path string) error {
	was, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	if err := sameOwner(temp, was); err != nil {
		return fmt.Errorf("give the new file its owner: %w", err)
	}
	if err := flush(temp); err != nil {
		return fmt.Errorf("flush file to disk: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("put file in place: %w", err)
	}
	if err := flush(filepath.Dir(path)); err != nil {
		return fmt.Errorf("flush directory to disk: %w", err)
	}
	return nil
}
