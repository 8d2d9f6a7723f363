package keys

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// importer is one import under way. Of the rows that it has dealt with it keeps little,
// because there may be very many.
type importer struct {
	manager *LocalManager
	peppers *Peppers
	now     time.Time
	options ImportOptions
	batch   []byte
	report  ImportReport
	failed  error // why the rows were not read to their end

	lines   map[string]int // of the keys that the store has and has not told of, by id
	refused []RefusedRow   // the first of them, and a few more

	seed    maphash.Seed
	names   map[uint64]int32 // of each name and owner the line that has it
	tokens  map[uint64]int32 // of each token, or slow hash
	handles map[uint64]int32 // how many slow hashes share it
}

func newImporter(m *LocalManager, o ImportOptions) *importer {
	return &importer{
		manager: m, peppers: m.Store().Peppers(), now: m.Now(), options: o, batch: NewBatchID(),
		lines: map[string]int{}, seed: maphash.MakeSeed(),
		names: map[uint64]int32{}, tokens: map[uint64]int32{}, handles: map[uint64]int32{},
	}
}

// keys makes keys of the rows, one after another, and does all that can be done before
// the store writes: nobody else should wait for it.
func (im *importer) keys(ctx context.Context, rows iter.Seq2[ImportRow, error]) iter.Seq2[*Key, Event] {
	return func(yield func(*Key, Event) bool) {
		for row, err := range rows {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				im.report.Rows++
			}
			if im.report.Rows > MaxImport {
				err = Invalid("rows", "must be at most %d in one import; split the file", MaxImport)
			}
			if err != nil {
				im.failed = err
				return
			}
			if im.options.Progress != nil && im.report.Rows%1000 == 0 {
				im.options.Progress(im.report.Rows)
			}
			k, event, err := im.take(ctx, &row)
			switch {
			case err != nil:
				im.refuse(row.Line, err)
			case k == nil: // it is there already
			case !yield(k, event):
				return
			}
		}
	}
}

// take makes the key of a row. The key is nil when it is in the store already, as the row
// says it.
func (im *importer) take(ctx context.Context, row *ImportRow) (*Key, Event, error) {
	k, err := im.key(row)
	if err != nil {
		return nil, Event{}, err
	}
	if err := im.unlike(k); err != nil {
		return nil, Event{}, err
	}
	other, err := im.known(ctx, row, k)
	if err != nil {
		return nil, Event{}, err
	}
	if other != nil {
		im.names[im.sum(k.Name, k.Owner)] = int32(row.Line) //nolint:gosec // see MaxImport
		return nil, Event{}, im.already(row, k, other)
	}
	im.peppers.Seal(k)
	event, err := NewChange(ctx, im.manager.Actor(), ActionImport, k.ID, im.now, nil, StateOf(k, im.now))
	if err != nil {
		return nil, Event{}, err
	}
	im.note(k, row.Line)
	return k, event, nil
}

// key makes the key of one row, with a fresh id of ours.
func (im *importer) key(row *ImportRow) (*Key, error) {
	if row.Flaw != nil {
		return nil, row.Flaw
	}
	if row.Kind != "" && row.Kind != KindKey {
		return nil, Invalid("kind", "must be key: admin keys are issued, never imported")
	}
	var err error
	if row.Hash, err = row.Hash.Bind(row.ID); err != nil {
		return nil, err
	}
	if row.Owner == "" {
		row.Owner = im.options.Owner
	}
	if row.Expires.IsDefault() {
		row.Expires = im.options.Expires
	}
	row.noteID()
	k, err := row.NewKey(im.now, im.manager.Actor())
	if err != nil {
		return nil, err
	}
	k.ID, k.Batch = NewID(), im.batch
	secret, err := im.peppers.ImportedSecret(ImportedCredential{Token: row.Key, Hash: row.Hash, ID: row.ID, KeyID: row.KeyID}, im.now)
	if err != nil {
		return nil, err
	}
	if secret.Scheme.Slow() && !row.Key.IsZero() && k.ExpiresAt.IsZero() {
		return nil, Invalid("expires", "must not be never for a token that is short enough to be guessed; name a time, and issue a new key before it")
	}
	k.Secrets = []KeySecret{secret}
	if row.Hash.Carried() && !secret.Imported() {
		k.ID = row.KeyID // its token says so
	}
	return k, nil
}

// findOf is what no two keys of an import share: what finds the secret, or our own id.
func findOf(k *Key) string {
	if lookup := k.Secrets[0].Lookup; lookup != nil {
		return "lookup " + string(lookup)
	}
	return "id " + k.ID
}

// noteID keeps what the key was called, where that is plain text.
func (row *ImportRow) noteID() {
	_, taken := row.Metadata[MetaImportedID]
	if row.ID == "" || taken || ValidateText("id", row.ID) != nil {
		return
	}
	metadata := map[string]string{MetaImportedID: row.ID}
	for name, value := range row.Metadata {
		metadata[name] = value
	}
	row.Metadata = metadata
}

// unlike compares the key with those of the rows before.
func (im *importer) unlike(k *Key) error {
	if line, taken := im.names[im.sum(k.Name, k.Owner)]; taken {
		return Conflict("line %d has the same name and owner; give each its own name", line)
	}
	line, taken := im.tokens[im.tokenSum(k)]
	slow := k.Secrets[0].Scheme.Slow()
	switch {
	case taken && slow:
		return Conflict("line %d has the same id and hash", line)
	case taken:
		return Conflict("line %d has the same token", line)
	case slow && im.handles[im.sum(findOf(k))] >= MaxPerHandle:
		return ErrHandleTaken
	}
	return nil
}

// note remembers what a later row must not have too.
func (im *importer) note(k *Key, line int) {
	im.lines[k.ID] = line
	im.names[im.sum(k.Name, k.Owner)] = int32(line) //nolint:gosec // see MaxImport
	im.tokens[im.tokenSum(k)] = int32(line)         //nolint:gosec // see MaxImport
	if k.Secrets[0].Scheme.Slow() {
		im.handles[im.sum(findOf(k))]++
	}
}

// tokenSum stands for the token, or for a handle with its hash.
func (im *importer) tokenSum(k *Key) uint64 {
	s := &k.Secrets[0]
	if s.Scheme.Slow() {
		return im.sum(findOf(k), string(s.Digest))
	}
	return im.sum(findOf(k))
}

// sum stands for texts. By chance two of 200,000 rows are taken for one in one of a
// thousand million imports, and a message then says so.
func (im *importer) sum(texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(im.seed)
	for _, text := range texts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text)))) // or "a", "bc" would be "ab", "c"
		_, _ = h.WriteString(text)
	}
	return h.Sum64()
}

// known finds the key that has the token already, under whatever pepper; nil if none has.
// Two slow hashes of one token are never alike, and a sum does not look like either: from
// a token all of them are tried, from a hash those of its own sort.
func (im *importer) known(ctx context.Context, row *ImportRow, k *Key) (*Key, error) {
	s := &k.Secrets[0]
	if !s.Imported() { // one of our own, carried over with its id
		return im.keyOf(ctx, k.ID)
	}
	ids, err := im.manager.Store().FindImported(ctx, im.lookupsOf(row, s))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		other, err := im.keyOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if other != nil && im.has(other, row, s) {
			return other, nil
		}
	}
	if s.Scheme.Slow() && row.Key.IsZero() && len(ids) >= MaxPerHandle {
		return nil, ErrHandleTaken
	}
	return nil, nil
}

// lookupsOf are the values under which the secret of a row may be found.
func (im *importer) lookupsOf(row *ImportRow, s *KeySecret) [][]byte {
	switch {
	case !row.Key.IsZero():
		return im.peppers.Lookups(row.Key)
	case row.Hash.Carried():
		return [][]byte{s.Lookup}
	}
	return im.peppers.LookupsOfHash(row.Hash, row.ID)
}

// has reports whether one of other's secrets is that of the row.
func (im *importer) has(other *Key, row *ImportRow, s *KeySecret) bool {
	if !row.Key.IsZero() && im.peppers.Verify(other, row.Key) != nil {
		return true
	}
	return slices.ContainsFunc(other.Secrets, func(o KeySecret) bool {
		switch {
		case !row.Key.IsZero():
			return o.Scheme.Slow() && ProvenBy(&o, row.Key)
		case s.Scheme.Slow():
			return slices.Equal(o.Digest, s.Digest)
		}
		return o.Imported() // found by the sum itself
	})
}

// keyOf returns nil where there is no such key.
func (im *importer) keyOf(ctx context.Context, id string) (*Key, error) {
	other, err := im.manager.Store().Key(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("compare with key %s: %w", id, err)
	}
	return other, nil
}

// already judges a row whose token is a key's: nothing is to be done when that key is as
// the row says. A duration counts from now on, so it is not compared; and a key that was
// disabled since stays so.
func (im *importer) already(row *ImportRow, k, other *Key) error {
	if !other.RevokedAt.IsZero() || im.peppers.CheckSeal(other) != nil {
		return ErrTokenTaken
	}
	fixed := row.Expires.IsFixed()
	var differs []string
	for _, one := range []struct {
		field string
		same  bool
	}{
		{"name", k.Name == other.Name},
		{"owner", k.Owner == other.Owner},
		{"scopes", sameSet(k.Scopes, other.Scopes)},
		{"audience", sameSet(k.Audience, other.Audience)},
		{"allowed_ips", sameSet(k.AllowedIPs, other.AllowedIPs)},
		{"rate_limit", k.RateLimit == other.RateLimit},
		{"metadata", maps.Equal(k.Metadata, other.Metadata)},
		{"expires_at", !fixed || k.ExpiresAt.Equal(other.ExpiresAt)},
		{"hash", k.ID != other.ID || hasDigest(other, &k.Secrets[0])},
	} {
		if !one.same {
			differs = append(differs, one.field)
		}
	}
	if len(differs) > 0 {
		return Conflict("key %s has this token already, and differs in %s; edit that key, or make the row like it", other.ID, strings.Join(differs, ", "))
	}
	im.report.Already++
	return nil
}

// hasDigest compares what was carried over with what is there, under the same pepper.
func hasDigest(k *Key, s *KeySecret) bool {
	return slices.ContainsFunc(k.Secrets, func(o KeySecret) bool { return o.PepperID == s.PepperID && slices.Equal(o.Digest, s.Digest) })
}

func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(one T) bool { return !slices.Contains(b, one) })
}

// told hears what became of a key in the store.
func (im *importer) told(k *Key, refused error) {
	line := im.lines[k.ID]
	delete(im.lines, k.ID)
	if refused != nil {
		im.refuse(line, refused)
		return
	}
	im.report.Imported++
	if k.Secrets[0].Scheme.Slow() {
		im.report.Slow++
	}
}

// refuse notes a row that is not imported. The store tells of rows later than they are
// read, so more are kept than are told in the end.
func (im *importer) refuse(line int, reason error) {
	const kept = 5000
	im.report.Refused++
	if len(im.refused) < kept {
		im.refused = append(im.refused, RefusedRow{line, reason})
	}
}

// vain reports whether nothing will come of it.
func (im *importer) vain() bool {
	return im.judge() != nil
}

// judge decides, before the keys become valid, whether they may.
func (im *importer) judge() error {
	switch {
	case im.failed != nil:
		return im.failed
	case im.options.DryRun:
		return errDryRun
	case im.report.Refused > 0 && !im.options.Partial:
		return ErrImportRefused
	}
	return nil
}

// done makes the audit row of the import as a whole.
func (im *importer) done(ctx context.Context, n int) (Event, error) {
	return NewEvent(ctx, im.manager.Actor(), ActionImportDone, im.now, BatchDetail{hex.EncodeToString(im.batch), n})
}

// tell completes the report.
func (im *importer) tell() {
	slices.SortStableFunc(im.refused, func(a, b RefusedRow) int { return a.Line - b.Line })
	im.report.Reasons = im.refused[:min(len(im.refused), maxRefused)]
}
