package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mcpkeys/mcpkeys/internal/base/shell"
)

// usageUnknown is a file beside the usage file. If it exists, use is unknown in this key
// store: servers that cannot write their counts may then read the store, and nothing may
// depend on use.
func usageUnknown(usage string) string { return usage + ".unknown" }

func isUnknown(usage string) bool {
	_, err := os.Lstat(usageUnknown(usage))
	return !errors.Is(err, fs.ErrNotExist)
}

// known is inspect for callers that need the counts.
func (u *usageFile) known() error {
	if isUnknown(u.path) {
		return unknown(nil, "use is not known in this key store, because %s exists: a server that cannot write usage counts reads this store", usageUnknown(u.path))
	}
	return u.inspect()
}

// MayCount reports why this process could not write its counts, as on a read-only mount. It
// returns nil if the key store already records that use is unknown.
func (r *Reader) MayCount() error {
	path := r.usage.path
	if isUnknown(path) {
		return nil
	}
	err := mayWrite(filepath.Dir(path))
	if _, missing := os.Lstat(path); err == nil && missing == nil {
		err = mayWrite(path)
	}
	if !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fmt.Errorf("usage counts cannot be written to %s, so keys that are used here would look unused elsewhere: "+
		"let this process write there, or mark use as unknown in this key store: touch %s", path, shell.Quote(usageUnknown(path)))
}

// CountingFault reports why counts cannot be written to the usage file: it is another file,
// or damaged, or other users may open it. The error says what to do. Unlike the error of
// [Reader.MayCount] this is not a reason to refuse keys: such a file cannot be read, so no
// key looks unused because of it, and counting starts when it is repaired. A missing file
// is not a fault: it is made with the first count.
func (r *Reader) CountingFault(ctx context.Context) error {
	if isUnknown(r.usage.path) {
		return nil
	}
	if _, err := os.Lstat(r.usage.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return r.usage.check(ctx)
}
