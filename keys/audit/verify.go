package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// VerifyOptions configures [Verify]. Nil and the zero value are ready for use.
type VerifyOptions struct {
	// Checkpoint is an earlier state of the log, or nil. Without one Verify
	// does not notice that the end of the log was cut off.
	Checkpoint *Checkpoint
	// Key is called with each key that is compared with the log, and with the error of its seal,
	// so that a program that looks at all keys need not read them again; nil is allowed. Where
	// the chain does not hold, no key is compared.
	Key func(k *keys.Key, seal error)
	// Progress is called now and then with the number of rows read; nil is allowed.
	Progress func(rows int64)
}

// Report is what [Verify] found.
type Report struct {
	Rows     int64   // valid rows
	Keys     int64   // keys compared with the log
	Head     *Event  // the newest valid row, or nil
	Faults   []Fault // at most [MaxFaults]; none means that all is valid
	Omitted  int     // faults beyond those
	Restored bool    // the store was restored or replaced since the checkpoint was made
}

// MaxFaults is how many faults a report lists.
const MaxFaults = 100

// Fault is one thing that is wrong.
type Fault struct {
	Seq    int64  // the audit row; 0 if it is not about a row
	KeyID  string // the key; empty if it is not about a key
	Reason string // a clause that follows the name of the row or key

	Tampered bool // the key's row does not match its seal
}

func (f Fault) String() string {
	switch {
	case f.KeyID != "":
		return "key " + f.KeyID + ": " + f.Reason
	case f.Seq != 0:
		return fmt.Sprintf("audit row %d %s", f.Seq, f.Reason)
	}
	return f.Reason
}

// Untold is the first fault because of which a server may accept a key that it must refuse;
// nil if there is none. That is every fault except a row that does not match its seal, which
// no server accepts.
func (r *Report) Untold() *Fault {
	i := slices.IndexFunc(r.Faults, func(f Fault) bool { return !f.Tampered })
	if i < 0 {
		return nil
	}
	return &r.Faults[i]
}

// What describes the fault, without the advice that follows it: that applies only to a key
// store in use.
func (f Fault) What() string {
	what, _, _ := strings.Cut(f.String(), "; ")
	return what
}

// Source is the part of a store that reading and verifying the audit log needs.
type Source interface {
	Changes(ctx context.Context, since feed.Position) (feed.Changes, error)
	Audit(ctx context.Context, q Query) (Page, error)
	Events(ctx context.Context, after int64, limit int) ([]Event, error)
	List(ctx context.Context, q keys.Query) (keys.Page, error)
	Key(ctx context.Context, id string) (*keys.Key, error)
}

// Verify reads the whole audit log of r and checks
//
//   - the chain: no row was changed, removed or inserted;
//   - every key: its seal matches its row, and its newest audit row has the same version.
//     This finds an old row that was put back with its old seal, and a deleted row;
//   - the checkpoint, if there is one: the log continues from it;
//   - the store itself: it contains nothing that mcpkeys did not make or write (an
//     [feed.AlteredError] of [feed.Feed]).
//
// Sealed checks the seal of a key: nil, or why it is broken. Keys are compared only if the
// chain is intact. Rows written during the check are read too. The error says that the store
// could not be read; faults are in the report. It needs about 50 bytes of memory for each
// key.
func Verify(ctx context.Context, r Source, sealed func(*keys.Key) error, o *VerifyOptions) (Report, error) {
	if o == nil {
		o = &VerifyOptions{}
	}
	v := auditCheck{reader: r, sealed: sealed, options: o, newest: map[[keys.IDLen]byte]told{}}
	v.batches.of("") // so that its maps are there
	if err := v.run(ctx); err != nil {
		return v.report, err
	}
	return v.report, nil
}

// auditCheck is one run of [Verify].
type auditCheck struct {
	reader  Source
	sealed  func(*keys.Key) error
	options *VerifyOptions
	report  Report
	newest  map[[keys.IDLen]byte]told
	batches batchLog
	saw     []byte // the hash of the checkpoint's row, if it was there
	broken  bool   // the chain does not hold
	changes feed.Changes
	altered *feed.AlteredError // what is wrong with the store itself
}

// told is the newest state of a key according to the log.
type told struct {
	seq     int64
	version int64 // 0 if no row has one
	listed  bool  // its row is there
	revoked bool
	batch   int32 // the import that it came with, in batchLog; 0 for none
}

// batchLog is the log's state of imports: until one is done its keys are not valid. They are
// removed if the import never ends, or if its row was changed outside mcpkeys. Revoked keys
// are never removed.
type batchLog struct {
	number map[string]int32
	done   map[int32]bool
}

func (l *batchLog) of(batch string) int32 {
	if l.number == nil {
		l.number, l.done = map[string]int32{}, map[int32]bool{}
	}
	if l.number[batch] == 0 {
		l.number[batch] = int32(len(l.number) + 1) //nolint:gosec // one an import
	}
	return l.number[batch]
}

func (v *auditCheck) run(ctx context.Context) error {
	if err := v.look(ctx); err != nil {
		return err
	}
	if v.altered != nil {
		defer func() { v.fault(Fault{Reason: v.altered.Error()}) }()
	}
	if err := v.readOn(ctx); err != nil {
		return err
	}
	v.checkpoint()
	if len(v.report.Faults) > 0 {
		return nil
	}
	doubtful, err := v.listKeys(ctx)
	if err != nil {
		return err
	}
	return v.settle(ctx, doubtful)
}

// look asks the feed whether the store is as mcpkeys left it.
func (v *auditCheck) look(ctx context.Context) (err error) {
	v.changes, err = v.reader.Changes(ctx, feed.Position{})
	if errors.As(err, &v.altered) {
		return nil
	}
	return err
}

// readOn verifies the rows after those already read.
func (v *auditCheck) readOn(ctx context.Context) error {
	after := int64(0)
	if v.report.Head != nil {
		after = v.report.Head.Seq
	}
	head, err := verifyChainFrom(v.report.Head, v.noting(Chain(ctx, v.reader, after)))
	v.report.Head = head
	if head != nil {
		v.report.Rows = head.Seq
	}
	var broken *ChainError
	if errors.As(err, &broken) {
		v.broken = true
		v.fault(Fault{Seq: broken.Seq, Reason: broken.Reason})
		return nil
	}
	return err
}

// noting passes rows on to be verified, and keeps what each says about its key.
func (v *auditCheck) noting(events iter.Seq2[Event, error]) iter.Seq2[Event, error] {
	const each = 10_000
	return func(yield func(Event, error) bool) {
		for e, err := range events {
			if !yield(e, err) {
				return
			}
			if err == nil {
				v.note(&e)
			}
			if v.options.Progress != nil && e.Seq%each == 0 {
				v.options.Progress(e.Seq)
			}
		}
	}
}

func (v *auditCheck) note(e *Event) {
	if c := v.options.Checkpoint; c != nil && c.Seq == e.Seq {
		v.saw = e.Hash
	}
	if e.Action == ActionImportDone || e.Action == ActionImportUndo {
		var detail BatchDetail
		if json.Unmarshal([]byte(e.Detail), &detail) == nil {
			v.batches.done[v.batches.of(detail.Batch)] = e.Action == ActionImportDone
		}
	}
	if len(e.KeyID) != keys.IDLen {
		return
	}
	id := [keys.IDLen]byte([]byte(e.KeyID))
	t := v.newest[id]
	t.seq = e.Seq
	t.revoked = t.revoked || e.Action == ActionRevoke
	var detail struct {
		After struct {
			Version int64  `json:"version"`
			Batch   string `json:"batch"`
		} `json:"after"`
	}
	if json.Unmarshal([]byte(e.Detail), &detail) == nil && detail.After.Version != 0 {
		t.version = detail.After.Version
		if t.batch == 0 && detail.After.Batch != "" {
			t.batch = v.batches.of(detail.After.Batch)
		}
	}
	v.newest[id] = t
}

func (v *auditCheck) checkpoint() {
	c := v.options.Checkpoint
	if c == nil {
		return
	}
	v.report.Restored = v.altered == nil && generationOf(v.changes.Next) != c.Generation
	switch reason := c.against(v.report.Head, v.saw); {
	case reason == "", v.broken && v.saw == nil: // the end of the log is then unknown
	case v.saw != nil:
		v.fault(Fault{Seq: c.Seq, Reason: reason})
	default:
		v.fault(Fault{Reason: reason})
	}
}

// listKeys compares all keys, and returns the ids of keys that do not agree with the log,
// perhaps because they were changed since it was read.
func (v *auditCheck) listKeys(ctx context.Context) (doubtful []string, err error) {
	q := keys.Query{Limit: keys.MaxLimit}
	for {
		page, err := v.reader.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, k := range page.Keys {
			v.report.Keys++
			seal := v.sealed(k)
			if v.options.Key != nil {
				v.options.Key(k, seal)
			}
			if v.listed(k); v.judge(k, seal) != "" {
				doubtful = append(doubtful, k.ID)
			}
		}
		if page.Next == "" {
			return append(doubtful, v.unlisted()...), nil
		}
		q.Cursor = page.Next
	}
}

func (v *auditCheck) listed(k *keys.Key) {
	if len(k.ID) != keys.IDLen {
		return
	}
	id := [keys.IDLen]byte([]byte(k.ID))
	if t, ok := v.newest[id]; ok {
		t.listed = true
		v.newest[id] = t
	}
}

// unlisted are keys in the log that have no row.
func (v *auditCheck) unlisted() (ids []string) {
	for id, t := range v.newest {
		if !t.listed && !v.neverValid(t) {
			ids = append(ids, string(id[:]))
		}
	}
	slices.Sort(ids)
	return ids
}

// neverValid reports whether a key came with an import that, by the log, was not done or
// was removed.
func (v *auditCheck) neverValid(t told) bool {
	return t.batch != 0 && !v.batches.done[t.batch] && !t.revoked
}

const reasonTampered = "its row was changed outside mcpkeys and does not match its seal; revoke it, or restore a backup"

// judge says what is wrong with a key's row, compared with the log as read so far.
func (v *auditCheck) judge(k *keys.Key, seal error) string {
	if seal != nil {
		return reasonTampered
	}
	var t told
	known := false
	if len(k.ID) == keys.IDLen {
		t, known = v.newest[[keys.IDLen]byte([]byte(k.ID))]
	}
	switch {
	case !known:
		return "it has no audit row: the row was removed, or the key was made outside mcpkeys; look at the key, and revoke it if you do not know it"
	case v.neverValid(t):
		return "it came with an import that did not finish, so it must not be valid; revoke it"
	case t.version == 0 || t.version == k.Version:
		return ""
	case k.Version < t.version:
		return fmt.Sprintf("its row is at version %d, but audit row %d is about version %d: an older row was put back; look at what that changed, and do it again", k.Version, t.seq, t.version)
	}
	return fmt.Sprintf("its row is at version %d, but its newest audit row, %d, is about version %d: a change has no audit row", k.Version, t.seq, t.version)
}

// settle checks again the keys that did not agree with the log: it reads the key, then the
// new rows of the log. A key that disagrees in the same way twice was not changed in
// between, so it is a fault.
func (v *auditCheck) settle(ctx context.Context, doubtful []string) error {
	reasons := map[string]string{}
	for len(doubtful) > 0 {
		rows, err := v.rows(ctx, doubtful)
		if err != nil {
			return err
		}
		if err := v.readOn(ctx); err != nil || v.broken {
			return err
		}
		var still []string
		for _, id := range doubtful {
			switch reason := v.reason(id, rows[id]); reason {
			case "":
			case reasons[id]:
				v.fault(Fault{KeyID: id, Reason: reason, Tampered: reason == reasonTampered})
			default:
				reasons[id] = reason
				still = append(still, id)
			}
		}
		doubtful = still
	}
	return nil
}

func (v *auditCheck) rows(ctx context.Context, ids []string) (map[string]*keys.Key, error) {
	rows := make(map[string]*keys.Key, len(ids))
	for _, id := range ids {
		k, err := v.reader.Key(ctx, id)
		if err != nil && !errors.Is(err, keys.ErrNotFound) && !errors.Is(err, keys.ErrTampered) {
			return nil, err
		}
		rows[id] = k
	}
	return rows, nil
}

// reason is judge for the key with the id; k is nil if the key is missing.
func (v *auditCheck) reason(id string, k *keys.Key) string {
	if k == nil {
		if v.neverValid(v.newest[[keys.IDLen]byte([]byte(id))]) { // it was listed a moment ago, and the log has new rows
			return ""
		}
		return "its row is missing, and mcpkeys never removes one; restore a backup"
	}
	return v.judge(k, v.sealed(k))
}

// fault adds f. In a full list it replaces a row that does not match its seal, unless it is
// one itself: see [Report.Untold].
func (v *auditCheck) fault(f Fault) {
	if len(v.report.Faults) == MaxFaults {
		v.report.Omitted++
		if i := slices.IndexFunc(v.report.Faults, func(f Fault) bool { return f.Tampered }); i >= 0 && !f.Tampered {
			v.report.Faults[i] = f
		}
		return
	}
	v.report.Faults = append(v.report.Faults, f)
}
