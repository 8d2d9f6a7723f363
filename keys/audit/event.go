package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/canon"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
)

// Event is one audit row: the actor, the change, its time and its request. It is written
// in the transaction of the change and linked to the row before it, so that no row
// can be changed, removed or inserted without [VerifyChain] noticing. A chain cannot
// show that its end was cut off; only a checkpoint kept elsewhere can.
type Event struct {
	Seq       int64     // 1 for the first, without gaps
	ID        uuid.UUID // version 7
	At        time.Time // UTC, microseconds
	Actor     string    // "local:alice(1000)" or "key:<id>"
	Action    Action
	KeyID     string
	RequestID string
	Detail    string // JSON, without secrets and digests
	Prev      []byte // Hash of the row before; 32 zero bytes in the first
	Hash      []byte
}

// Action is what was done to a key, or to the store.
type Action string

// The actions that exist so far.
const (
	ActionIssue   Action = "key.issue"
	ActionImport  Action = "key.import" // with a token that another system made
	ActionRotate  Action = "key.rotate" // a new secret
	ActionFinish  Action = "key.finish" // the old secret ended before its grace did
	ActionEdit    Action = "key.edit"
	ActionDisable Action = "key.disable"
	ActionEnable  Action = "key.enable"
	ActionRevoke  Action = "key.revoke"

	ActionRehash    Action = "key.rehash"    // a secret is kept in a newer way, and nothing else changed
	ActionEffective Action = "key.effective" // a change waited for guards on other hosts; see [Effective]

	ActionPepperAdd    Action = "pepper.add"
	ActionPepperReseal Action = "pepper.reseal" // seals of keys were renewed, and no other field of the keys
	ActionPepperRetire Action = "pepper.retire"

	ActionImportDone Action = "store.import"      // all keys of an import became valid
	ActionImportUndo Action = "store.import_undo" // keys of an import that was never finished were removed

	ActionRestore Action = "store.restore" // a backup replaced the store; the row names no key
	ActionMend    Action = "store.mend"    // the store was made usable as it is, perhaps without its newest changes
)

// Actions lists all of them.
func Actions() []Action {
	return []Action{
		ActionIssue, ActionImport, ActionRotate, ActionFinish, ActionEdit, ActionDisable, ActionEnable, ActionRevoke, ActionRehash, ActionEffective,
		ActionPepperAdd, ActionPepperReseal, ActionPepperRetire, ActionImportDone, ActionImportUndo, ActionRestore, ActionMend,
	}
}

// NewEvent makes the audit row of a change by actor to the store itself, for
// [store.Store.Record]. Detail is rendered as JSON and must not contain secrets; nil is an
// empty object. The error is a [*keys.InvalidError] if actor, or the request id in ctx, is
// invalid.
func NewEvent(ctx context.Context, actor Actor, action Action, at time.Time, detail any) (Event, error) {
	if detail == nil {
		detail = struct{}{}
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return Event{}, fmt.Errorf("render audit detail: %w", err)
	}
	return newEvent(ctx, actor, action, "", at, string(text))
}

func newEvent(ctx context.Context, actor Actor, action Action, keyID string, at time.Time, detail string) (Event, error) {
	if err := actor.Validate(); err != nil {
		return Event{}, err
	}
	requestID := requestid.From(ctx)
	if err := requestid.Validate(requestID); err != nil {
		return Event{}, err
	}
	return Event{
		ID: uuid.Must(uuid.NewV7()), At: keys.StoredTime(at), Actor: string(actor), Action: action,
		KeyID: keyID, RequestID: requestID, Detail: detail,
	}, nil
}

const labelAudit = "mcpkeys/audit/v1"

// Link puts e after prev, the newest row of the chain, or at its start if prev is nil. A
// store calls it inside the transaction that writes the row.
func (e *Event) Link(prev *Event) {
	e.Seq, e.Prev = 1, make([]byte, sha256.Size)
	if prev != nil {
		e.Seq, e.Prev = prev.Seq+1, bytes.Clone(prev.Hash)
	}
	e.Hash = e.sum()
}

// sum is SHA-256 without a key, so that every reader of the rows can check them.
func (e *Event) sum() []byte {
	b := make(canon.Text, 0, 512)
	b.Text(labelAudit)
	b.Text(string(e.Prev))
	b.Number(e.Seq)
	b.Text(string(e.ID[:]))
	b.Time(e.At)
	for _, text := range []string{e.Actor, string(e.Action), e.KeyID, e.RequestID, e.Detail} {
		b.Text(text)
	}
	h := sha256.Sum256(b)
	return h[:]
}

// ChainError names the first audit row at which the chain is broken.
type ChainError struct {
	Seq    int64
	Reason string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("audit row %d: %s", e.Seq, e.Reason)
}

// VerifyChain reads rows from the first on and returns the newest, nil for an
// empty log. The error is a [*ChainError], or the one that events yielded.
func VerifyChain(events iter.Seq2[Event, error]) (*Event, error) {
	return verifyChainFrom(nil, events)
}

// verifyChainFrom continues after prev, a row that was verified before; nil is the start.
// It returns prev if there are no rows after it.
func verifyChainFrom(prev *Event, events iter.Seq2[Event, error]) (*Event, error) {
	for e, err := range events {
		if err != nil {
			return prev, err
		}
		want := e
		want.Link(prev)
		switch {
		case e.Seq != want.Seq:
			return prev, &ChainError{want.Seq, "is missing"}
		case !bytes.Equal(e.Prev, want.Prev):
			return prev, &ChainError{e.Seq, "does not follow the row before it, so one of the two was changed"}
		case !bytes.Equal(e.Hash, want.Hash):
			return prev, &ChainError{e.Seq, "was changed after it was written"}
		}
		prev = &e
	}
	return prev, nil
}

// KeyState is a key in an audit row: all fields that decide, and nothing that verifies
// its secrets.
type KeyState struct {
	Kind       keys.Kind         `json:"kind"`
	Name       string            `json:"name"`
	Owner      string            `json:"owner,omitempty"`
	Scopes     []string          `json:"scopes,omitempty"`
	Audience   []string          `json:"audience,omitempty"`
	AllowedIPs []string          `json:"allowed_ips,omitempty"`
	RateLimit  string            `json:"rate_limit,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	MaxKeyLife string            `json:"max_key_life,omitempty"`
	ExpiresAt  *time.Time        `json:"expires_at,omitempty"`
	Status     keys.Status       `json:"status"`
	Reason     string            `json:"reason,omitempty"`
	Version    int64             `json:"version"`
	Batch      string            `json:"batch,omitempty"` // the import that the key came with
	Secrets    []SecretState     `json:"secrets"`
	Tampered   bool              `json:"tampered,omitempty"`
}

// SecretState is one secret of a key in an audit row, by its number.
type SecretState struct {
	Number    int64       `json:"number"`
	ExpiresAt *time.Time  `json:"expires_at,omitempty"`
	Scheme    keys.Scheme `json:"scheme,omitempty"` // of a re-hash, and of what was imported under another than HMAC
	Pepper    string      `json:"pepper,omitempty"` // only of a re-hash
}

// StateOf is k, at now, for an audit row.
func StateOf(k *keys.Key, now time.Time) *KeyState {
	d := &KeyState{
		Kind: k.Kind, Name: k.Name, Owner: k.Owner, Scopes: k.Scopes, Audience: k.Audience,
		RateLimit: k.RateLimit.String(), Metadata: k.Metadata, MaxKeyLife: keys.FormatKeyLife(k.MaxKeyLife),
		Status: k.Status(now), Reason: k.RevokedReason, Version: k.Version, Batch: hex.EncodeToString(k.Batch),
	}
	for _, p := range k.AllowedIPs {
		d.AllowedIPs = append(d.AllowedIPs, p.String())
	}
	d.ExpiresAt = deadline(k.ExpiresAt)
	for _, s := range k.Secrets {
		one := SecretState{Number: s.Number, ExpiresAt: deadline(s.ExpiresAt)}
		if s.Scheme != keys.SchemeHMAC {
			one.Scheme = s.Scheme
		}
		d.Secrets = append(d.Secrets, one)
	}
	return d
}

// deadline copies t, which may change under the row; nil means none.
func deadline(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// NewChange makes the audit row of what actor did to a key: its state before, nil for a new
// key, and after. The error is that of [NewEvent].
func NewChange(ctx context.Context, actor Actor, action Action, keyID string, at time.Time, before, after *KeyState) (Event, error) {
	text, err := detail(before, after)
	if err != nil {
		return Event{}, err
	}
	return newEvent(ctx, actor, action, keyID, at, text)
}

// detail renders the state before and after a change; before is nil for a new key.
func detail(before, after *KeyState) (string, error) {
	text, err := json.Marshal(struct {
		Before *KeyState `json:"before,omitempty"`
		After  *KeyState `json:"after"`
	}{before, after})
	if err != nil {
		return "", fmt.Errorf("render audit detail: %w", err)
	}
	return string(text), nil
}

// WithLease returns e with the longest lease of guards on other hosts in its detail, for a change
// that takes something away: in lease_s, in seconds. The detail must be a JSON object.
func (e Event) WithLease(lease time.Duration) Event {
	rest, ok := strings.CutSuffix(e.Detail, "}")
	if !ok {
		return e
	}
	if rest != "{" {
		rest += ","
	}
	e.Detail = rest + `"lease_s":` + strconv.FormatFloat(lease.Seconds(), 'g', -1, 64) + "}"
	return e
}

// ChangeDetail is the detail of the audit row of a change from before to after.
func ChangeDetail(before, after *keys.Key, now time.Time) string {
	text, _ := detail(StateOf(before, now), StateOf(after, now)) // texts, numbers and times of this century: cannot fail
	return text
}

// Actor is the person or key that makes a change: "local:alice(1000)" or "key:<id>". It
// is free text, and required for every change.
type Actor string

// Validate reports the rule that the actor breaks, as a [*keys.InvalidError].
func (actor Actor) Validate() error {
	if actor == "" {
		return keys.Invalid("actor", "is required; say who makes the change")
	}
	return keys.ValidateText("actor", string(actor))
}
