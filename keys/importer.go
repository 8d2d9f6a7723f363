package keys

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// importer is one import under way.
type importer struct {
	manager *LocalManager
	peppers *Peppers
	now     time.Time
	options ImportOptions
	report  ImportReport

	names   map[[2]string]int // name and owner, and the line that has them
	lookups map[string][]int  // positions in ready
	ready   []imported
	unread  []RefusedRow // refused before the store was asked
	refused []RefusedRow // all
}

// imported is a row that became a key.
type imported struct {
	line  int
	key   *Key
	event Event
}

// read takes the rows one after another and does all that can be done before the store
// is asked: nobody else should wait for it.
func (im *importer) read(ctx context.Context, rows iter.Seq2[ImportRow, error]) error {
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if im.report.Rows++; im.report.Rows > MaxImport {
			return invalid("rows", "must be at most %d in one import; split the file", MaxImport)
		}
		if err := im.take(ctx, &row); err != nil {
			im.unread = append(im.unread, RefusedRow{row.Line, err})
		}
	}
	return nil
}

func (im *importer) take(ctx context.Context, row *ImportRow) error {
	k, err := im.key(row)
	if err != nil {
		return err
	}
	if err := im.unlike(k); err != nil {
		return err
	}
	if err := im.notBefore(ctx, row, k); err != nil {
		return err
	}
	im.peppers.Seal(k)
	event, err := im.manager.event(ctx, ActionImport, k.ID, im.now, nil, detailOf(k, im.now))
	if err != nil {
		return err
	}
	im.names[[2]string{k.Name, k.Owner}] = row.Line
	find := string(k.Secrets[0].Lookup)
	im.lookups[find] = append(im.lookups[find], len(im.ready))
	im.ready = append(im.ready, imported{row.Line, k, event})
	return nil
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
	k.ID = randomBase62(IDLen)
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
	if line, taken := im.names[[2]string{k.Name, k.Owner}]; taken {
		return conflict("line %d has the same name and owner; give each its own name", line)
	}
	s := &k.Secrets[0]
	others := im.lookups[string(s.Lookup)]
	if !s.Scheme.Slow() && len(others) > 0 {
		return conflict("line %d has the same token", im.ready[others[0]].line)
	}
	for _, i := range others {
		if slices.Equal(im.ready[i].key.Secrets[0].Digest, s.Digest) {
			return conflict("line %d has the same id and hash", im.ready[i].line)
		}
	}
	if len(others) >= MaxPerHandle {
		return ErrHandleTaken
	}
	return nil
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

// all yields the keys in the order of their rows. The store may ask more than once.
func (im *importer) all() iter.Seq2[*Key, Event] {
	const every = 1000
	return func(yield func(*Key, Event) bool) {
		for i := range im.ready {
			if im.options.Progress != nil && i%every == 0 {
				im.options.Progress(i, len(im.ready))
			}
			if !yield(im.ready[i].key, im.ready[i].event) {
				return
			}
		}
	}
}

// judge hears, before anything is committed, what the store refused. An error takes
// everything back.
func (im *importer) judge(refused []RefusedKey) error {
	im.refused = slices.Clone(im.unread)
	reasons := make(map[*Key]error, len(refused))
	for _, r := range refused {
		reasons[r.Key] = r.Reason
	}
	im.report.Imported, im.report.Slow = len(im.ready)-len(refused), 0
	for _, one := range im.ready {
		if reason := reasons[one.key]; reason != nil {
			im.refused = append(im.refused, RefusedRow{one.line, reason})
		} else if one.key.Secrets[0].Scheme.Slow() {
			im.report.Slow++
		}
	}
	if im.options.DryRun {
		return errDryRun
	}
	if len(im.refused) > 0 && !im.options.Partial {
		return ErrImportRefused
	}
	return nil
}

// tell completes the report.
func (im *importer) tell() {
	slices.SortStableFunc(im.refused, func(a, b RefusedRow) int { return a.Line - b.Line })
	im.report.Refused = len(im.refused)
	im.report.Reasons = im.refused[:min(len(im.refused), maxRefused)]
}
