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

// usageUnknown is the file beside the usage file that says, by being there, that use is
// not known in this key store: servers that cannot write their counts may then read it,
// and nothing is decided by its use.
func usageUnknown(usage string) string { return usage + ".unknown" }

func isUnknown(usage string) bool {
	_, err := os.Lstat(usageUnknown(usage))
	return !errors.Is(err, fs.ErrNotExist)
}

// known is inspect for those who ask for what was counted.
func (u *usageFile) known() error {
	if isUnknown(u.path) {
		return unknown(nil, "use is not known in this key store, because %s exists: a server that cannot write usage counts reads this store", usageUnknown(u.path))
	}
	return u.inspect()
}

// MayCount reports why this process could not write down what it counts, as on a
// read-only mount. A key store of which it is said that use is not known does not mind.
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

// CountingFault reports why what is counted cannot be written down as the usage file is
// now: it is another file, or damaged, or other users may open it. What to do about it is
// in the error. That is no reason to refuse keys, unlike what [Reader.MayCount] reports:
// such a file is read by nobody, so no key looks unused by it, and counting begins as soon
// as it is mended. A missing file is no fault: it is made when something is to be written.
func (r *Reader) CountingFault(ctx context.Context) error {
	if isUnknown(r.usage.path) {
		return nil
	}
	if _, err := os.Lstat(r.usage.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return r.usage.check(ctx)
}
