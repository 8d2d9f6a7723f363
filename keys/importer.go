package keys

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
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
		manager: m, peppers: m.store.Peppers(), now: m.now(), options: o, batch: NewBatchID(),
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
				err = invalid("rows", "must be at most %d in one import; split the file", MaxImport)
			}
			if err != nil {
				im.failed = err
				return
			}
			if im.options.Progress != nil && im.report.Rows%1000 == 0 {
				im.options.Progress(im.report.Rows)
			}
			k, event, err := im.take(ctx, &row)
			if err != nil {
				im.refuse(row.Line, err)
			} else if !yield(k, event) {
				return
			}
		}
	}
}

func (im *importer) take(ctx context.Context, row *ImportRow) (*Key, Event, error) {
	k, err := im.key(row)
	if err != nil {
		return nil, Event{}, err
	}
	if err := im.unlike(k); err != nil {
		return nil, Event{}, err
	}
	if err := im.notBefore(ctx, row, k); err != nil {
		return nil, Event{}, err
	}
	im.peppers.Seal(k)
	event, err := im.manager.event(ctx, ActionImport, k.ID, im.now, nil, detailOf(k, im.now))
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
		return nil, invalid("kind", "must be key: admin keys are issued, never imported")
	}
	if row.Owner == "" {
		row.Owner = im.options.Owner
	}
	if row.Expires.IsDefault() {
		row.Expires = im.options.Expires
	}
	row.noteID()
	k, err := row.key(im.now, im.manager.actor)
	if err != nil {
		return nil, err
	}
	k.ID, k.Batch = randomBase62(IDLen), im.batch
	secret, err := row.secret(im.peppers, im.now)
	if err != nil {
		return nil, err
	}
	if secret.Scheme.Slow() && !row.Key.IsZero() && k.ExpiresAt.IsZero() {
		return nil, invalid("expires", "must not be never for a token that is short enough to be guessed; name a time, and issue a new key before it")
	}
	k.Secrets = []KeySecret{secret}
	return k, nil
}

// noteID keeps what the key was called, where that is plain text.
func (row *ImportRow) noteID() {
	_, taken := row.Metadata[metaImportedID]
	if row.ID == "" || taken || ValidateText("id", row.ID) != nil {
		return
	}
	metadata := map[string]string{metaImportedID: row.ID}
	for name, value := range row.Metadata {
		metadata[name] = value
	}
	row.Metadata = metadata
}

func (row *ImportRow) secret(p *Peppers, now time.Time) (KeySecret, error) {
	switch {
	case row.Key.IsZero() == row.Hash.IsZero():
		return KeySecret{}, invalid("key", "or hash must be given, and not both")
	case !row.Key.IsZero():
		return row.tokenSecret(p, now)
	case !row.Hash.scheme.Slow():
		return p.importSum(row.Hash, now), nil
	case row.ID == "":
		return KeySecret{}, invalid("id", "is required with a %s hash: what the token has before its first dot, by which the key is found", row.Hash.scheme)
	case !isHandle(row.ID):
		return KeySecret{}, invalid("id", "must be what the token has before its first dot: printable ASCII without spaces, commas and dots, at most %d characters", MaxText)
	}
	return p.importSlow(row.Hash, row.ID, now), nil
}

func (row *ImportRow) tokenSecret(p *Peppers, now time.Time) (KeySecret, error) {
	text := row.Key.Reveal()
	_, _, divided := splitHandle(text)
	switch {
	case HasOwnPrefix(text):
		return KeySecret{}, invalid("key", "is a token of mcpkeys, and good only in the key store that issued it; move that one by backup and restore")
	case !IsForeignToken(text):
		return KeySecret{}, invalid("key", "must be %d to %d characters of printable ASCII without spaces and commas, as a header can carry it", MinForeignToken, MaxForeignToken)
	case !isStrong(text) && !divided:
		return KeySecret{}, invalid("key", "is short enough to be guessed, and has no public id before a dot by which a slow hash of it could be found; issue a new key instead")
	}
	return p.importToken(row.Key, now), nil
}

func isHandle(id string) bool {
	if len(id) > MaxText {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == ',' || c == handleAt[0] {
			return false
		}
	}
	return !HasOwnPrefix(id)
}

// unlike compares the key with those of the rows before.
func (im *importer) unlike(k *Key) error {
	if line, taken := im.names[im.sum(k.Name, k.Owner)]; taken {
		return conflict("line %d has the same name and owner; give each its own name", line)
	}
	line, taken := im.tokens[im.tokenSum(k)]
	slow := k.Secrets[0].Scheme.Slow()
	switch {
	case taken && slow:
		return conflict("line %d has the same id and hash", line)
	case taken:
		return conflict("line %d has the same token", line)
	case slow && im.handles[im.sum(string(k.Secrets[0].Lookup))] >= MaxPerHandle:
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
		im.handles[im.sum(string(k.Secrets[0].Lookup))]++
	}
}

// tokenSum stands for the token, or for a handle with its hash.
func (im *importer) tokenSum(k *Key) uint64 {
	s := &k.Secrets[0]
	if s.Scheme.Slow() {
		return im.sum(string(s.Lookup), string(s.Digest))
	}
	return im.sum(string(s.Lookup))
}

// sum stands for texts. By chance two of 200,000 rows are taken for one in one of a
// thousand million imports, and a message then says so.
func (im *importer) sum(texts ...string) uint64 {
	var c canonical
	c.texts(texts)
	return maphash.Bytes(im.seed, c)
}

// notBefore looks for the token among what was imported under a pepper that is retired
// by now. What is under the current one the store finds itself as it writes.
func (im *importer) notBefore(ctx context.Context, row *ImportRow, k *Key) error {
	if !row.Key.IsZero() {
		return im.notKnown(ctx, row.Key)
	}
	s := &k.Secrets[0]
	var older [][]byte
	for _, one := range im.peppers.order {
		if one == im.peppers.current {
			continue
		}
		switch {
		case s.Scheme.Slow():
			older = append(older, one.lookup(s.Scheme, row.ID))
		default:
			older = append(older, one.lookup(s.Scheme, row.Hash.stored))
		}
	}
	if len(older) == 0 {
		return nil
	}
	ids, err := im.manager.store.FindImported(ctx, older)
	if err != nil || len(ids) == 0 {
		return err
	}
	if !s.Scheme.Slow() {
		return ErrTokenTaken
	}
	if len(ids) >= MaxPerHandle {
		return ErrHandleTaken
	}
	for _, id := range ids {
		other, err := im.manager.store.Key(ctx, id)
		if err != nil {
			return fmt.Errorf("compare with key %s: %w", id, err)
		}
		for i := range other.Secrets {
			if slices.Equal(other.Secrets[i].Digest, s.Digest) {
				return ErrTokenTaken
			}
		}
	}
	return nil
}

// notKnown refuses a token that some key has, under whatever hash and pepper: two slow
// hashes of one token are never alike, and a sum does not look like either. Its handle
// leads to [MaxPerHandle] slow hashes at the most.
func (im *importer) notKnown(ctx context.Context, token Secret) error {
	ids, err := im.manager.store.FindImported(ctx, im.peppers.Lookups(token))
	if err != nil {
		return err
	}
	for _, id := range ids {
		other, err := im.manager.store.Key(ctx, id)
		if err != nil {
			return fmt.Errorf("compare with key %s: %w", id, err)
		}
		if im.peppers.Verify(other, token) != nil {
			return ErrTokenTaken
		}
		for i := range other.Secrets {
			if other.Secrets[i].Scheme.Slow() && other.Secrets[i].ProvenBy(token) {
				return ErrTokenTaken
			}
		}
	}
	return nil
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
	return NewEvent(ctx, im.manager.actor, ActionImportDone, im.now, BatchDetail{hex.EncodeToString(im.batch), n})
}

// tell completes the report.
func (im *importer) tell() {
	slices.SortStableFunc(im.refused, func(a, b RefusedRow) int { return a.Line - b.Line })
	im.report.Reasons = im.refused[:min(len(im.refused), maxRefused)]
}
