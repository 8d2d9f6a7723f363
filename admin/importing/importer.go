package importing

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

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// importer is one running import. It keeps little of the rows that it has read, because there
// may be very many.
type importer struct {
	manager *admin.Local
	peppers *pepper.Set
	now     time.Time
	options Options
	batch   []byte
	report  Report
	failed  error // why the rows could not be read to the end

	lines   map[string]int // by id: keys given to the store, whose result is not known yet
	refused []RefusedRow   // the first ones, and a few more

	seed    maphash.Seed
	names   map[uint64]int32 // the line of each name and owner
	tokens  map[uint64]int32 // the line of each token, or slow hash
	handles map[uint64]int32 // how many slow hashes share a handle
}

func newImporter(m *admin.Local, o Options) *importer {
	return &importer{
		manager: m, peppers: m.Store().Peppers(), now: m.Now(), options: o, batch: pepper.NewBatchID(),
		lines: map[string]int{}, seed: maphash.MakeSeed(),
		names: map[uint64]int32{}, tokens: map[uint64]int32{}, handles: map[uint64]int32{},
	}
}

// keys makes keys of the rows, and does all work that is possible before the store writes, so
// that other writers wait less.
func (im *importer) keys(ctx context.Context, rows iter.Seq2[Row, error]) iter.Seq2[*keys.Key, audit.Event] {
	return func(yield func(*keys.Key, audit.Event) bool) {
		for row, err := range rows {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				im.report.Rows++
			}
			if im.report.Rows > MaxImport {
				err = keys.Invalid("rows", "must be at most %d in one import; split the file", MaxImport)
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
			case k == nil: // it exists already
			case !yield(k, event):
				return
			}
		}
	}
}

// take makes the key of a row. The key is nil if the store already has it with the same values.
func (im *importer) take(ctx context.Context, row *Row) (*keys.Key, audit.Event, error) {
	k, err := im.key(row)
	if err != nil {
		return nil, audit.Event{}, err
	}
	if err := im.unlike(k); err != nil {
		return nil, audit.Event{}, err
	}
	other, err := im.known(ctx, row, k)
	if err != nil {
		return nil, audit.Event{}, err
	}
	if other != nil {
		im.names[im.sum(k.Name, k.Owner)] = int32(row.Line) //nolint:gosec // see MaxImport
		return nil, audit.Event{}, im.already(row, k, other)
	}
	im.peppers.Seal(k)
	event, err := audit.NewChange(ctx, im.manager.Actor(), audit.ActionImport, k.ID, im.now, nil, audit.StateOf(k, im.now))
	if err != nil {
		return nil, audit.Event{}, err
	}
	im.note(k, row.Line)
	return k, event, nil
}

// key makes the key of one row, with a new id.
func (im *importer) key(row *Row) (*keys.Key, error) {
	if row.Flaw != nil {
		return nil, row.Flaw
	}
	if row.Kind != "" && row.Kind != keys.KindKey {
		return nil, keys.Invalid("kind", "must be key: admin keys are issued, never imported")
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
	k.ID, k.Batch = keys.NewID(), im.batch
	secret, err := im.peppers.ImportedSecret(pepper.Imported{Token: row.Key, Hash: row.Hash, ID: row.ID, KeyID: row.KeyID}, im.now)
	if err != nil {
		return nil, err
	}
	if secret.Scheme.Slow() && !row.Key.IsZero() && k.ExpiresAt.IsZero() {
		return nil, keys.Invalid("expires", "must not be never for a token that is short enough to guess; give a time, and replace the key before that time")
	}
	k.Secrets = []keys.KeySecret{secret}
	if row.Hash.Carried() && !secret.Imported() {
		k.ID = row.KeyID // the id in its token
	}
	return k, nil
}

// findOf is what no two keys of an import may share: what finds the secret, or the id of an
// mcpkeys token.
func findOf(k *keys.Key) string {
	if lookup := k.Secrets[0].Lookup; lookup != nil {
		return "lookup " + string(lookup)
	}
	return "id " + k.ID
}

// noteID keeps the old id, if it is plain text.
func (row *Row) noteID() {
	_, taken := row.Metadata[keys.MetaImportedID]
	if row.ID == "" || taken || keys.ValidateText("id", row.ID) != nil {
		return
	}
	metadata := map[string]string{keys.MetaImportedID: row.ID}
	for name, value := range row.Metadata {
		metadata[name] = value
	}
	row.Metadata = metadata
}

// unlike refuses a key that collides with one of the rows before.
func (im *importer) unlike(k *keys.Key) error {
	if line, taken := im.names[im.sum(k.Name, k.Owner)]; taken {
		return keys.Conflict("line %d has the same name and owner; give each its own name", line)
	}
	line, taken := im.tokens[im.tokenSum(k)]
	slow := k.Secrets[0].Scheme.Slow()
	switch {
	case taken && slow:
		return keys.Conflict("line %d has the same id and hash", line)
	case taken:
		return keys.Conflict("line %d has the same token", line)
	case slow && im.handles[im.sum(findOf(k))] >= keys.MaxPerHandle:
		return keys.ErrHandleTaken
	}
	return nil
}

// note remembers what later rows must not repeat.
func (im *importer) note(k *keys.Key, line int) {
	im.lines[k.ID] = line
	im.names[im.sum(k.Name, k.Owner)] = int32(line) //nolint:gosec // see MaxImport
	im.tokens[im.tokenSum(k)] = int32(line)         //nolint:gosec // see MaxImport
	if k.Secrets[0].Scheme.Slow() {
		im.handles[im.sum(findOf(k))]++
	}
}

// tokenSum is a sum of the token, or of a handle with its hash.
func (im *importer) tokenSum(k *keys.Key) uint64 {
	s := &k.Secrets[0]
	if s.Scheme.Slow() {
		return im.sum(findOf(k), string(s.Digest))
	}
	return im.sum(findOf(k))
}

// sum is a short sum of texts. The chance that two of 200,000 rows collide is one in a thousand
// million imports, and a message then reports them as equal.
func (im *importer) sum(texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(im.seed)
	for _, text := range texts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text)))) // otherwise "a", "bc" would equal "ab", "c"
		_, _ = h.WriteString(text)
	}
	return h.Sum64()
}

// known finds the key that already has the token, under any pepper; nil if there is none. Two
// slow hashes of one token are never equal, and a sum does not look like either: a token is
// tried against all of them, a hash against those of its own kind.
func (im *importer) known(ctx context.Context, row *Row, k *keys.Key) (*keys.Key, error) {
	s := &k.Secrets[0]
	if !s.Imported() { // an mcpkeys secret, imported with its id
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
	if s.Scheme.Slow() && row.Key.IsZero() && len(ids) >= keys.MaxPerHandle {
		return nil, keys.ErrHandleTaken
	}
	return nil, nil
}

// lookupsOf are the values by which the secret of a row may be found.
func (im *importer) lookupsOf(row *Row, s *keys.KeySecret) [][]byte {
	switch {
	case !row.Key.IsZero():
		return im.peppers.Lookups(row.Key)
	case row.Hash.Carried():
		return [][]byte{s.Lookup}
	}
	return im.peppers.LookupsOfHash(row.Hash, row.ID)
}

// has reports whether one of other's secrets is the secret of the row.
func (im *importer) has(other *keys.Key, row *Row, s *keys.KeySecret) bool {
	if !row.Key.IsZero() && im.peppers.Verify(other, row.Key) != nil {
		return true
	}
	return slices.ContainsFunc(other.Secrets, func(o keys.KeySecret) bool {
		switch {
		case !row.Key.IsZero():
			return o.Scheme.Slow() && pepper.ProvenBy(&o, row.Key)
		case s.Scheme.Slow():
			return slices.Equal(o.Digest, s.Digest)
		}
		return o.Imported() // found by the sum itself
	})
}

// keyOf returns nil if the key does not exist.
func (im *importer) keyOf(ctx context.Context, id string) (*keys.Key, error) {
	other, err := im.manager.Store().Key(ctx, id)
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("compare with key %s: %w", id, err)
	}
	return other, nil
}

// already handles a row whose token belongs to a key: it is fine if that key has the values of
// the row. A duration counts from now on, so it is not compared; and a key that was disabled
// since stays disabled.
func (im *importer) already(row *Row, k, other *keys.Key) error {
	if !other.RevokedAt.IsZero() || im.peppers.CheckSeal(other) != nil {
		return keys.ErrTokenTaken
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
		return keys.Conflict("key %s already has this token, but differs in %s; edit that key, or change the row", other.ID, strings.Join(differs, ", "))
	}
	im.report.Already++
	return nil
}

// hasDigest compares an imported digest with the stored one, under the same pepper.
func hasDigest(k *keys.Key, s *keys.KeySecret) bool {
	return slices.ContainsFunc(k.Secrets, func(o keys.KeySecret) bool { return o.PepperID == s.PepperID && slices.Equal(o.Digest, s.Digest) })
}

func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(one T) bool { return !slices.Contains(b, one) })
}

// told handles the store's result for a key.
func (im *importer) told(k *keys.Key, refused error) {
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

// refuse notes a row that is not imported. The store reports rows later than they are read, so
// more are kept than are listed in the end.
func (im *importer) refuse(line int, reason error) {
	const kept = 5000
	im.report.Refused++
	if len(im.refused) < kept {
		im.refused = append(im.refused, RefusedRow{line, reason})
	}
}

// vain reports whether the import will write nothing.
func (im *importer) vain() bool {
	return im.judge() != nil
}

// judge decides, before the keys become valid, whether the import may be committed.
func (im *importer) judge() error {
	switch {
	case im.failed != nil:
		return im.failed
	case im.options.DryRun:
		return errDryRun
	case im.report.Refused > 0 && !im.options.Partial:
		return ErrRefused
	}
	return nil
}

// done makes the audit row of the import as a whole.
func (im *importer) done(ctx context.Context, n int) (audit.Event, error) {
	return audit.NewEvent(ctx, im.manager.Actor(), audit.ActionImportDone, im.now, audit.BatchDetail{Batch: hex.EncodeToString(im.batch), Keys: n})
}

// tell completes the report.
func (im *importer) tell() {
	slices.SortStableFunc(im.refused, func(a, b RefusedRow) int { return a.Line - b.Line })
	im.report.Reasons = im.refused[:min(len(im.refused), maxRefused)]
}
