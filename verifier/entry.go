package verifier

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/keys"
)

// cell is what this process remembers of one key. It outlives its entry: when the key
// changes, the entry is removed, but the used part of the rate limit and the counts stay.
type cell struct {
	entry    atomic.Pointer[entry] // nil: ask the source
	bucket   bucket
	requests bucket // for requests that carry calls
	tally    tally

	// Fills a cache line, so that cores that check different keys do not wait for each other.
	_ [cacheLine - (24+unsafe.Sizeof(tally{}))%cacheLine]byte
}

func newCell(keyID string) *cell { return &cell{tally: tally{keyID: keyID}} }

const cacheLine = 64

// entry is a key as it was read, sealed and whole, with what was proved about it. It
// is immutable but for proofs.
type entry struct {
	key      *keys.Key
	identity *keys.Identity // nil if none can be made of it
	flaw     error          // why identity is nil; a revoked key is still refused as revoked
	proofs   atomic.Pointer[[]proof]
}

// proof notes that a token with this SHA-256 is one of the key's secrets. Comparing
// it costs half of the HMAC that found it out. It is as strong: only the token itself makes a
// proof match, and the proof never leaves this process.
type proof struct {
	sum    [sha256.Size]byte
	secret *keys.KeySecret
	slot   *slot // where its use is noted
	newer  bool  // the key has a newer secret
}

// sumOf hashes a token where it is: a conversion would copy it to the heap. Hashing
// only reads, so the string stays what it was.
func sumOf(token string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

func newEntry(k *keys.Key) *entry {
	identity, err := keys.NewIdentity(k)
	return &entry{key: k, identity: identity, flaw: err}
}

// proved returns the proof that a token of this sum is a secret of the key, or nil.
func (e *entry) proved(sum *[sha256.Size]byte) *proof {
	list := e.proofs.Load()
	if list == nil {
		return nil
	}
	for i := range *list {
		p := &(*list)[i]
		if equal(&p.sum, sum) {
			return p
		}
	}
	return nil
}

// equal takes the same time wherever the two differ, as crypto/subtle does. That compares
// byte by byte, which would take a tenth of the whole check.
func equal(a, b *[sha256.Size]byte) bool {
	var differ uint64
	for i := 0; i < sha256.Size; i += 8 {
		differ |= binary.NativeEndian.Uint64(a[i:]) ^ binary.NativeEndian.Uint64(b[i:])
	}
	return differ == 0
}

// note remembers that a token of this sum was proved to be the secret. A key has two
// secrets at the most, so the list stays short.
func (e *entry) note(secret *keys.KeySecret, sum *[sha256.Size]byte, t *tally) *proof {
	newest := e.key.Secrets[len(e.key.Secrets)-1].Number
	made := proof{*sum, secret, t.slot(secret.Number), secret.Number != newest}
	for {
		old := e.proofs.Load()
		if known := e.proved(sum); known != nil { // or the list would grow with each time
			return known
		}
		list := []proof{made}
		if old != nil {
			list = append(list, *old...)
		}
		if e.proofs.CompareAndSwap(old, &list) {
			return &list[0]
		}
	}
}
