// Package protocol has the messages between verifier/remote and the server that it asks
// (ADR 0012): their paths, their JSON, and the two values that both sides compute, [Tag] and
// [Position].
//
// A verifier posts a [Renewal] every [RenewEvery], and again when it has applied a change. It
// posts a [Question] for a secret that it does not remember, a [KeyQuestion] for a key with open
// requests, and [Counts]. All are posted, because a URL may be logged. [PathChanges] answers with
// server-sent events, each of which is one [Event].
//
// Every message names the audience, which must be the caller's own. No answer says anything
// about keys of other audiences, except that an id has changed, by a [Tag] that only the holder
// of the id understands.
package protocol

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// The paths of the messages, all for POST.
const (
	PathLease   = "/v1/lease"
	PathChanges = "/v1/lease/changes"
	PathProve   = "/v1/lease/prove"
	PathKey     = "/v1/lease/key"
	PathCounts  = "/v1/lease/counts"
)

// RenewEvery is how often a verifier renews its lease, which lasts [feed.Lease].
const RenewEvery = 500 * time.Millisecond

// Limits of the messages, in bytes and entries.
const (
	MaxMessage  = 1 << 20 // of every body, in both directions
	MaxUses     = 1000    // keys in one Counts
	MaxDenials  = 1000    // rows in one Counts
	MaxDrop     = 10_000  // tags in one Granted; more changes are All
	MaxTags     = 100     // in one Event; of more changes it has no tags
	MaxEvent    = 4096    // of one line in the stream of changes
	HeartEvery  = 10 * time.Second
	instanceLen = 16
)

// Instance is a random number of one verifier's process. It is also the key of its tags, so it
// must not be logged; [Instance.Short] may.
type Instance [instanceLen]byte

// NewInstance returns a new random Instance.
func NewInstance() (i Instance) {
	_, _ = rand.Read(i[:]) // documented to never fail
	return i
}

// Short is a part of the instance that tells processes apart in lists and logs.
func (i Instance) Short() string { return hex.EncodeToString(i[:4]) }

// MarshalText implements [encoding.TextMarshaler].
func (i Instance) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, i[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *Instance) UnmarshalText(text []byte) error { return fixed(i[:], text) }

// Tag names a changed key to one verifier: an HMAC of its id under the instance.
type Tag [8]byte

// TagOf returns the tag of a key's id.
func (i Instance) TagOf(keyID string) (t Tag) {
	mac := hmac.New(sha256.New, i[:])
	_, _ = mac.Write([]byte(keyID)) // never fails
	copy(t[:], mac.Sum(nil))
	return t
}

// MarshalText implements [encoding.TextMarshaler].
func (t Tag) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, t[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Tag) UnmarshalText(text []byte) error { return fixed(t[:], text) }

// Pass proves that one secret of a key was proved to this instance. Whatever has a Pass also has
// the number of that secret.
type Pass [16]byte

// MarshalText implements [encoding.TextMarshaler].
func (p Pass) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Pass) UnmarshalText(text []byte) error { return fixed(p[:], text) }

var errLength = errors.New("has the wrong length")

func fixed(out, text []byte) error {
	if len(text) != hex.EncodedLen(len(out)) {
		return errLength
	}
	_, err := hex.Decode(out, text)
	return err
}

// Position is how far a key store had come: the number of its generation (16 bits) over the
// number of its newest change (48 bits). In JSON it is a text, because it does not fit into a
// JavaScript number. The zero Position is before everything.
type Position uint64

// Generation is the number of the generation, which grows with each restore.
func (p Position) Generation() uint64 { return uint64(p) >> 48 }

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(p), 10), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Position) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	*p = Position(n)
	return err
}

// From is who sends a message, in each of them.
type From struct {
	Instance Instance `json:"instance"`
	Audience string   `json:"audience,omitempty"` // empty only if the caller's key has exactly one, or for a guard without a name
}

// Sender returns f, for all messages alike.
func (f *From) Sender() *From { return f }

// Renewal asks for a lease.
type Renewal struct {
	From
	Applied Position `json:"applied"` // everything up to here was dropped; zero for a new process
	// Era is that of the last answer whose All was heeded. If the server's is another one, the
	// verifier must drop everything, whatever it has applied.
	Era string `json:"era,omitempty"`
}

// Granted is the answer to a [Renewal].
type Granted struct {
	Position Position  `json:"position"`       // of the look at the store
	Era      string    `json:"era"`            // changes when the server cannot tell what changed since
	All      bool      `json:"all,omitempty"`  // drop everything
	Drop     []Tag     `json:"drop,omitempty"` // drop these
	Imported bool      `json:"imported"`       // see [feed.Changes]
	Time     time.Time `json:"time"`           // by the server's clock
	Lease    int64     `json:"lease_ms"`       // zero: no lease; ask for each request
}

// Event says that the key store has come from one position to another, and which keys changed on
// the way. A verifier that stands between the two in that era drops these keys, and has then applied
// everything up to To. If From is zero, the event says only that it is time to renew, and so
// does an event about another era or other positions. No event extends a lease.
type Event struct {
	Era      string   `json:"era"`
	From     Position `json:"from,omitempty"`
	To       Position `json:"to"`
	Drop     []Tag    `json:"drop,omitempty"` // with From: a tag for each key that changed after From
	Imported bool     `json:"imported"`       // see [feed.Changes]
}

// Question asks whose secret a token is.
type Question struct {
	From
	Token string `json:"token"`
}

// KeyQuestion asks for a key of which a secret was proved to this instance.
type KeyQuestion struct {
	From
	KeyID  string `json:"key_id"`
	Secret int64  `json:"secret"`
	Pass   Pass   `json:"pass"`
}

// Answer is the answer to a [Question] and to a [KeyQuestion].
type Answer struct {
	Position Position  `json:"position"` // the store was read at this position or later
	Time     time.Time `json:"time"`     // by the server's clock

	KeyID    string `json:"key_id,omitempty"`   // the key that it is about, also if nothing was proved
	Key      *Key   `json:"key,omitempty"`      // to a Question only with a Secret
	Secret   int64  `json:"secret,omitempty"`   // the number of the secret that was proved
	Pass     *Pass  `json:"pass,omitempty"`     // with a Secret, unless the key is withheld
	Unproved bool   `json:"unproved,omitempty"` // to a KeyQuestion: the pass is not valid
	Ended    *Ended `json:"ended,omitempty"`    // a rotation ended the secret
	Tampered bool   `json:"tampered,omitempty"` // the key's row was changed outside mcpkeys, so it cannot be checked
}

// Ended is a secret that a rotation ended.
type Ended struct {
	Secret int64     `json:"secret"`
	At     time.Time `json:"at"`
}

// Key is what a guard needs to know of a key. Of a key that is not for the caller's audience, or
// is an admin key, only ID, Kind, Version and the secret that was proved are set, and Withheld.
type Key struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Withheld   bool              `json:"withheld,omitempty"`
	Name       string            `json:"name,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Scopes     []string          `json:"scopes,omitempty"`
	Audience   []string          `json:"audience,omitempty"` // the caller's own; empty if it is for every server
	AllowedIPs []string          `json:"allowed_ips,omitempty"`
	RateLimit  string            `json:"rate_limit,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	CreatedAt  time.Time         `json:"created_at,omitzero"`
	ExpiresAt  time.Time         `json:"expires_at,omitzero"`
	DisabledAt time.Time         `json:"disabled_at,omitzero"`
	RevokedAt  time.Time         `json:"revoked_at,omitzero"`
	Version    int64             `json:"version"`
	Secrets    []Secret          `json:"secrets"`
}

// Secret is a secret of a key, without anything that could prove it.
type Secret struct {
	Number    int64     `json:"number"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Counts are the uses and denials since the last message that was accepted. A message that is
// repeated has the same N, and is counted once.
type Counts struct {
	From
	N       int64    `json:"n"` // 1 for the first of an instance, one more with each
	Uses    []Use    `json:"uses,omitempty"`
	Denials []Denial `json:"denials,omitempty"`
}

// Use is [usage.Use] with a pass of its key.
type Use struct {
	KeyID  string    `json:"key_id"`
	Secret int64     `json:"secret"`
	Pass   Pass      `json:"pass"`
	Counts []Count   `json:"counts,omitempty"`
	Last   []LastUse `json:"last,omitempty"`
}

// Count is [usage.Count].
type Count struct {
	Hour  time.Time `json:"hour"`
	Code  string    `json:"code"`
	Scope string    `json:"scope,omitempty"`
	Calls int64     `json:"calls"`
}

// LastUse is [keys.LastUse] with the pass of its secret.
type LastUse struct {
	Secret   int64     `json:"secret"`
	Pass     Pass      `json:"pass"`
	At       time.Time `json:"at"`
	ClientIP string    `json:"client_ip,omitempty"`
	Agent    string    `json:"agent,omitempty"`
}

// Denial is [usage.Denial]. Only with a pass of its key it counts as proved.
type Denial struct {
	Minute   time.Time `json:"minute"`
	Code     string    `json:"code"`
	KeyID    string    `json:"key_id,omitempty"`
	Secret   int64     `json:"secret,omitempty"`
	Pass     *Pass     `json:"pass,omitempty"`
	Source   string    `json:"source,omitempty"`
	Audience string    `json:"audience,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	Offered  string    `json:"offered,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Calls    int64     `json:"calls"`
}
