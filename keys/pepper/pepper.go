package pepper

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// Labels separate the uses of one pepper, so that a value made for one purpose
// means nothing in another.
const (
	labelDigest = "mcpkeys/digest/v1"
	labelCheck  = "mcpkeys/check/v1"
	labelRow    = "mcpkeys/row/v1"
	labelIndex  = "mcpkeys/index/v1"
	labelOnce   = "mcpkeys/once/v1"
	labelPass   = "mcpkeys/pass/v1"
)

// pepperLen is the size of a pepper in bytes.
const pepperLen = 32

// Set contains the peppers, the secrets outside the database without which nothing in it
// can be verified or forged: one current, for new digests, and any number of old ones
// that still verify. A program with the peppers and write access to the database can make
// valid keys; with one of the two it cannot.
//
// A Set is safe for concurrent use and prints nothing. There is no useful zero
// value: use [Generate] or [Parse].
type Set struct {
	store   StoreID // the store of the peppers; every seal covers it
	current *pepper
	byID    map[string]*pepper
	order   []*pepper
}

type pepper struct {
	id     string
	root   keys.Secret
	digest mac
	row    mac
	index  mac // finds imported secrets
	once   mac // compares the bodies of repeated requests
	pass   mac // shows that a verifier on another host proved a secret
	check  Digest
}

// mac computes one labelled HMAC-SHA-256. It is a closure, so that printers that
// follow pointers do not find key material.
type mac func(message string) Digest

// Generate draws one fresh current pepper.
func Generate() (*Set, error) {
	var root [pepperLen]byte
	_, _ = rand.Read(root[:]) // documented to never fail
	p, err := newPepper("p"+base62.Random(6), root[:])
	if err != nil {
		return nil, err
	}
	return newPeppers(p, []*pepper{p}), nil
}

func newPeppers(current *pepper, all []*pepper) *Set {
	byID := make(map[string]*pepper, len(all))
	for _, p := range all {
		byID[p.id] = p
	}
	return &Set{current: current, byID: byID, order: all}
}

func newPepper(id string, root []byte) (*pepper, error) {
	p := &pepper{id: id, root: keys.NewSecret(string(root))}
	derived := make(map[string][]byte, 6)
	for _, label := range []string{labelDigest, labelRow, labelIndex, labelOnce, labelPass, labelCheck} {
		key, err := hkdf.Key(sha256.New, root, nil, label, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive %s: %w", label, err)
		}
		derived[label] = key
	}
	p.digest, p.row, p.index = newMAC(derived[labelDigest]), newMAC(derived[labelRow]), newMAC(derived[labelIndex])
	p.once, p.pass = newMAC(derived[labelOnce]), newMAC(derived[labelPass])
	p.check = Digest(derived[labelCheck])
	return p, nil
}

// macState is what one computation needs; pooled, because setting up an HMAC costs
// five allocations and three times the computation itself.
type macState struct {
	hash hash.Hash
	in   [256]byte
	out  [sha256.Size]byte
}

func newMAC(key []byte) mac {
	pool := sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, key)} }}
	return func(message string) Digest {
		s := pool.Get().(*macState)
		s.hash.Reset()
		for len(message) > 0 {
			n := copy(s.in[:], message)
			_, _ = s.hash.Write(s.in[:n]) // a hash never fails to write
			message = message[n:]
		}
		d := Digest(s.hash.Sum(s.out[:0]))
		clear(s.in[:])
		pool.Put(s)
		return d
	}
}

const pepperHeader = `# mcpkeys peppers. Without this file no key of its database can be verified.
# Keep it 0600, and back it up apart from the database.
`

// storeWord begins the line of a pepper file that names the store.
const storeWord = "store"

// Parse reads the text that [Set.Encode] writes: a line "store hex", unless
// the peppers belong to no store yet, a line per pepper of "id current|old hex", and
// comments after #. Errors name the line, never its content.
func Parse(text []byte) (*Set, error) {
	read := pepperText{seen: map[string]bool{}}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := read.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if read.current == nil {
		return nil, fmt.Errorf("it has no current pepper")
	}
	return newPeppers(read.current, read.all).ForStore(read.store), nil
}

// pepperText is what was read so far of a pepper file.
type pepperText struct {
	store   StoreID
	current *pepper
	all     []*pepper
	seen    map[string]bool
}

func (t *pepperText) line(line string) (err error) {
	if fields := strings.Fields(line); len(fields) == 2 && fields[0] == storeWord {
		if !t.store.IsZero() {
			return errors.New("it names a second store")
		}
		t.store, err = ParseStoreID(fields[1])
		return err
	}
	p, isCurrent, err := parsePepperLine(line)
	if err != nil {
		return err
	}
	if t.seen[p.id] || (isCurrent && t.current != nil) {
		return errors.New("its id is in the file twice, or a second pepper is current")
	}
	if isCurrent {
		t.current = p
	}
	t.seen[p.id] = true
	t.all = append(t.all, p)
	return nil
}

func parsePepperLine(line string) (p *pepper, isCurrent bool, err error) {
	fields := strings.Fields(line)
	if len(fields) != 3 || (fields[1] != "current" && fields[1] != "old") {
		return nil, false, fmt.Errorf("must be: id, current or old, %d hex digits", 2*pepperLen)
	}
	root, err := hex.DecodeString(fields[2])
	if err != nil || len(root) != pepperLen || !base62.Is(fields[0]) {
		return nil, false, fmt.Errorf("must have an id of letters and digits, and %d hex digits", 2*pepperLen)
	}
	p, err = newPepper(fields[0], root)
	return p, fields[1] == "current", err
}

// Encode renders the peppers for their file. The result is the secret itself.
func (p *Set) Encode() []byte {
	var b strings.Builder
	b.WriteString(pepperHeader)
	if !p.store.IsZero() {
		fmt.Fprintf(&b, "%s %s\n", storeWord, p.store)
	}
	for _, one := range p.order {
		state := "old"
		if one == p.current {
			state = "current"
		}
		fmt.Fprintf(&b, "%s %s %x\n", one.id, state, one.root.Reveal())
	}
	return []byte(b.String())
}

// Checks returns, by pepper id, the value by which a store notices a wrong pepper when
// it is opened. It reveals nothing about the pepper.
func (p *Set) Checks() map[string]Digest {
	out := make(map[string]Digest, len(p.order))
	for _, one := range p.order {
		out[one.id] = one.check
	}
	return out
}

// Format prints the ids only, whatever the verb.
func (p *Set) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "[%d peppers]", len(p.order))
}

// Store is the id of the key store that the peppers are for; zero if they do not belong to
// a store yet.
func (p *Set) Store() StoreID { return p.store }

// ForStore returns the same peppers for the store with that id. The receiver stays as it
// is.
func (p *Set) ForStore(id StoreID) *Set {
	other := newPeppers(p.current, p.order)
	other.store = id
	return other
}
