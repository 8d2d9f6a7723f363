package sqlite

import (
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
)

// The pepper file is replaced while other processes have the key store open: a pepper is
// added, an old one retired. Each handle compares the file's identity and date with every
// look at the feed, before each change, and when it finds an unknown pepper; it reads the
// file again if it changed. So a row with a pepper that does not exist costs one stat, not
// a read.
//
// New peppers are used only if they match the database, like those with which the handle was
// opened. Otherwise the peppers in memory are kept: they are valid, and the next process
// that opens the store reports the fault.

// pepperStamp tells one pepper file from the next. The zero value stands for none.
type pepperStamp struct {
	file fileID
	size int64
	at   time.Time
}

func stampOf(file string) pepperStamp {
	info, err := os.Stat(file)
	if err != nil {
		return pepperStamp{}
	}
	return stampFrom(info)
}

func stampFrom(info fs.FileInfo) pepperStamp {
	id, _ := identityOf(info) // where files have no identity, size and date must do
	return pepperStamp{id, info.Size(), info.ModTime()}
}

// retryPeppers is how soon a file that could not be taken over is read again.
const retryPeppers = time.Second

// misfit is a pepper file that could not be taken over, and when that was tried.
type misfit struct {
	stamp pepperStamp
	at    time.Time
}

// loadPeppers reads the peppers of a database. A file that is replaced between the two
// readings is read again, for its successor may have been noted meanwhile.
func (r *Reader) loadPeppers(ctx context.Context, h *handle) (*pepper.Set, error) {
	for try := 1; ; try++ {
		h.stamp = stampOf(r.pepperFile)
		peppers, err := pepperfile.Load(r.pepperFile)
		if err == nil {
			err = checkPeppers(ctx, h.db, peppers, r.pepperFile)
		}
		if err == nil || try == 3 || h.stamp == stampOf(r.pepperFile) {
			return peppers, err
		}
	}
}

// samePeppers reports whether there is nothing to be read. It is asked inside the gate.
func (r *Reader) samePeppers() bool {
	now := stampOf(r.pepperFile)
	return now == r.stamp || now == r.misfit.stamp && time.Since(r.misfit.at) < retryPeppers
}

// followPeppers takes over the peppers that stand in the file, if it is another one.
func (r *Reader) followPeppers(ctx context.Context) error {
	if err := r.gate.enter(); err != nil {
		return err
	}
	same := r.samePeppers()
	r.gate.leave()
	if same {
		return nil
	}
	return r.gate.alone(func() error {
		r.renewPeppers(ctx)
		return nil
	})
}

// renewPeppers is called while the gate is shut. New peppers are a new incarnation: all
// remembered secrets are proved again, and so get a new digest.
func (r *Reader) renewPeppers(ctx context.Context) {
	if r.samePeppers() {
		return
	}
	h := r.handle
	peppers, err := r.loadPeppers(context.WithoutCancel(ctx), &h)
	if err != nil || peppers.Store() != r.Peppers().Store() { // the store that was opened stays the store
		r.misfit = misfit{h.stamp, time.Now()} //nolint:forbidigo // only its monotonic reading is used
		return
	}
	r.stamp = h.stamp
	if string(peppers.Encode()) != string(r.Peppers().Encode()) {
		r.peppers.Store(peppers)
		r.incarnation++
	}
}

// meet follows the file if a key that was read has a pepper that this handle does not know.
// It is called outside the gate.
func (r *Reader) meet(ctx context.Context, found ...*keys.Key) error {
	for _, k := range found {
		if k != nil && !r.knows(k) {
			return r.followPeppers(ctx)
		}
	}
	return nil
}

// knows reports whether the peppers of k are at hand. A key without a seal could not be
// understood and has none.
func (r *Reader) knows(k *keys.Key) bool {
	peppers := r.Peppers()
	if k.Seal.PepperID != "" && !peppers.Has(k.Seal.PepperID) {
		return false
	}
	for _, s := range k.Secrets {
		if !peppers.Has(s.PepperID) {
			return false
		}
	}
	return true
}
