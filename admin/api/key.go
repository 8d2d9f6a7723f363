package api

import "time"

// Key is a key without its secret.
type Key struct {
	ID            string            `json:"id" doc:"Public id: 12 letters and digits" example:"8Jd0sLmQ2xYz"`
	Name          string            `json:"name" doc:"What the key is for" example:"ci"`
	Owner         string            `json:"owner" doc:"The team or person responsible for it; may be empty" example:"data-team"`
	Kind          string            `json:"kind" enum:"key,admin" doc:"key: for MCP servers; admin: for this API"`
	Scopes        []string          `json:"scopes" nullable:"false" doc:"The granted scopes, which may have wildcards"`
	Audience      []string          `json:"audience" nullable:"false" doc:"The servers it is for; empty means every server"`
	AllowedIPs    []string          `json:"allowed_ips" nullable:"false" doc:"Address ranges (CIDR) it may be used from; empty means anywhere"`
	RateLimit     string            `json:"rate_limit" doc:"How often it may call; empty means unlimited" example:"60/m"`
	Metadata      map[string]string `json:"metadata" doc:"Your own notes"`
	MaxKeyLife    string            `json:"max_key_life,omitempty" doc:"Of an admin key: the longest time that ordinary keys it issues are valid, from now; never means no limit" example:"366d"`
	Status        string            `json:"status" enum:"active,expiring,expired,disabled,revoked" doc:"The current status"`
	CreatedAt     time.Time         `json:"created_at"`
	CreatedBy     string            `json:"created_by" doc:"local:user(uid), or key:id"`
	ExpiresAt     *time.Time        `json:"expires_at" doc:"null means never"`
	DisabledAt    *time.Time        `json:"disabled_at"`
	RevokedAt     *time.Time        `json:"revoked_at"`
	RevokedReason string            `json:"revoked_reason"`
	LastUsedAt    *time.Time        `json:"last_used_at,omitempty" doc:"When it was last accepted; left out if it never was, if that is not known, and in answers to a change"`
	Version       int64             `json:"version" doc:"1 when issued, then 1 more with each change"`
	Secrets       []KeySecret       `json:"secrets" nullable:"false" doc:"One, or two after a rotation until the old one is removed"`
	// EffectiveEverywhereAt is set in answers to a change that took something away.
	EffectiveEverywhereAt *time.Time `json:"effective_everywhere_at,omitempty" doc:"In answers to a change that took something away: from then on no guard on any host, and no program that keeps an answer of the verification API, accepts what it took"`

	Warnings []string `json:"warnings,omitempty" nullable:"false" doc:"In answers to issue, edit and rotate: settings that are allowed but rarely meant, one sentence each" example:"[\"the key has no scopes, so it can call nothing that needs one\"]"`
}

// KeySecret describes a secret, without anything that proves it.
type KeySecret struct {
	Number    int64      `json:"number" doc:"1 for the first, 1 more with each rotation"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"When the grace of a rotation ends; null means when the key expires"`
	Imported  string     `json:"imported,omitempty" doc:"The hash of a secret that was imported from another system; bcrypt and argon2id are slow. Left out for other secrets" example:"bcrypt"`
}

// KeyPage is one page of a list, newest first.
type KeyPage struct {
	Data       []Key    `json:"data" nullable:"false"`
	NextCursor string   `json:"next_cursor" doc:"Pass it as cursor for the next page; empty on the last"`
	UsageKnown bool     `json:"usage_known" doc:"false: use cannot be read now, so a missing last_used_at does not mean never used"`
	Tampered   []string `json:"tampered" nullable:"false" doc:"Ids of keys in data that were changed outside mcpkeys: do not trust them; revoke them"`
}

// IssueRequest describes a new key. Only the name is required.
type IssueRequest struct {
	Name       string            `json:"name" doc:"What the key is for; unique among the owner's unrevoked keys" example:"ci"`
	Owner      string            `json:"owner,omitempty" doc:"The team or person responsible for it" example:"data-team"`
	Kind       string            `json:"kind,omitempty" enum:"key,admin" doc:"Default: key"`
	Scopes     []string          `json:"scopes,omitempty" nullable:"false" doc:"What it may do; without scopes a key may do nothing, but an admin key gets all admin scopes" example:"[\"tools:get_*\"]"`
	Audience   []string          `json:"audience,omitempty" nullable:"false" doc:"The servers it is for; empty means every server"`
	AllowedIPs []string          `json:"allowed_ips,omitempty" nullable:"false" doc:"Addresses or ranges (CIDR) it may be used from; empty means anywhere"`
	RateLimit  string            `json:"rate_limit,omitempty" doc:"How often it may call, with an optional burst" example:"60/m"`
	Metadata   map[string]string `json:"metadata,omitempty" doc:"Your own notes"`
	ExpiresIn  string            `json:"expires_in,omitempty" doc:"A duration such as 90d, or never; without this and expires_at: 90d" example:"90d"`
	ExpiresAt  string            `json:"expires_at,omitempty" doc:"An RFC 3339 time or a date, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	MaxKeyLife string            `json:"max_key_life,omitempty" doc:"Of an admin key: the longest time that ordinary keys it issues are valid, or never; default 366d" example:"366d"`
}

// Issued is a key and its new secret. The secret is only in this answer and is not stored.
type Issued struct {
	Key
	Secret string `json:"secret,omitempty" doc:"The secret that a client presents. It is shown once; only a keyed hash is kept. Left out if none was made, and if the answer is repeated for an Idempotency-Key"`
}

// RotateRequest says how a key gets a new secret. No member is required.
type RotateRequest struct {
	Grace     string `json:"grace,omitempty" doc:"How long the old secret stays valid, such as 24h, or 0 to end it at once; default 24h" example:"24h"`
	ExpiresIn string `json:"expires_in,omitempty" doc:"The key's new expiry from now, such as 90d, or never; without this and expires_at it does not change" example:"90d"`
	ExpiresAt string `json:"expires_at,omitempty" doc:"An RFC 3339 time or a date, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	Finish    int64  `json:"finish,omitempty" minimum:"1" doc:"The number of the old secret, while two are valid: ends it now and makes no new one" example:"1"`
	Replace   int64  `json:"replace,omitempty" minimum:"1" doc:"The number of the newest secret: ends it now and makes a new one in its place" example:"2"`
}

// EditRequest says what to change. A member that is left out stays as it is; one that is given
// replaces the whole value.
type EditRequest struct {
	Name       *string            `json:"name,omitempty" nullable:"false" doc:"Unique among the owner's unrevoked keys" example:"ci"`
	Owner      *string            `json:"owner,omitempty" nullable:"false" doc:"The team or person responsible for it; may be empty" example:"data-team"`
	Scopes     *[]string          `json:"scopes,omitempty" nullable:"false" doc:"What it may do; an empty list grants nothing" example:"[\"tools:get_*\"]"`
	Audience   *[]string          `json:"audience,omitempty" nullable:"false" doc:"The servers it is for; an empty list means every server"`
	AllowedIPs *[]string          `json:"allowed_ips,omitempty" nullable:"false" doc:"Addresses or ranges (CIDR) it may be used from; an empty list means anywhere"`
	RateLimit  *string            `json:"rate_limit,omitempty" nullable:"false" doc:"How often it may call; empty removes the limit" example:"60/m"`
	Metadata   *map[string]string `json:"metadata,omitempty" doc:"Your own notes; replaces all of them"`
	ExpiresIn  *string            `json:"expires_in,omitempty" nullable:"false" doc:"A duration from now such as 90d, or never" example:"90d"`
	ExpiresAt  *string            `json:"expires_at,omitempty" nullable:"false" doc:"An RFC 3339 time, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	MaxKeyLife *string            `json:"max_key_life,omitempty" nullable:"false" doc:"Of an admin key: the longest time that ordinary keys it issues are valid, or never" example:"366d"`
}

// DisableRequest may give a reason.
type DisableRequest struct {
	Reason string `json:"reason,omitempty" doc:"For the audit log" example:"odd calls at night"`
}

// EnableRequest has no members.
type EnableRequest struct{}

// RevokeRequest may give a reason.
type RevokeRequest struct {
	Reason string `json:"reason,omitempty" doc:"For the audit log" example:"laptop lost"`
}

// Whoami is what a key may know about itself.
type Whoami struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" enum:"key,admin"`
	Name      string     `json:"name"`
	Owner     string     `json:"owner"`
	Scopes    []string   `json:"scopes" nullable:"false"`
	Audience  []string   `json:"audience" nullable:"false"`
	ExpiresAt *time.Time `json:"expires_at" doc:"When the key expires; null means never"`
	Secret    SecretUsed `json:"secret" doc:"The secret that was presented"`
}

// SecretUsed describes the presented secret, which may end before its key expires.
type SecretUsed struct {
	Number     int64      `json:"number" doc:"1 for the first, 1 more with each rotation"`
	EndsAt     *time.Time `json:"ends_at" doc:"When the secret ends: when the key expires, or earlier with the grace of a rotation; null means never" example:"2027-01-31T00:00:00Z"`
	Superseded bool       `json:"superseded" doc:"A rotation made a newer secret: change to it before this one ends"`
}
