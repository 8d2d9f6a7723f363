package newfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Replace makes temp durable, gives it the owner and the group's rights of the file at path,
// and replaces that file, which must exist. Both must be in one directory. A reader finds the
// complete old file or the complete new one at any moment. The name temp is gone afterwards,
// also after an error; then path is one of the two files.
func Replace(temp, path string) error {
	err := replace(temp, path)
	if err != nil {
		_ = os.Remove(temp) // fails after the rename, which is fine
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
