package api

import "time"

// Key is all that is known of a key, but its secret.
type Key struct {
	ID            string            `json:"id" doc:"Public id: 12 letters and digits" example:"8Jd0sLmQ2xYz"`
	Name          string            `json:"name" doc:"What it is for" example:"ci"`
	Owner         string            `json:"owner" doc:"Who answers for it; may be empty" example:"data-team"`
	Kind          string            `json:"kind" enum:"key,admin" doc:"key opens MCP servers, admin opens this API"`
	Scopes        []string          `json:"scopes" nullable:"false" doc:"What it was granted; wildcards allowed"`
	Audience      []string          `json:"audience" nullable:"false" doc:"The servers it is for; none means every one"`
	AllowedIPs    []string          `json:"allowed_ips" nullable:"false" doc:"CIDR ranges it may be used from; none means anywhere"`
	RateLimit     string            `json:"rate_limit" doc:"How often it may call; empty means unlimited" example:"60/m"`
	Metadata      map[string]string `json:"metadata" doc:"Notes of your own"`
	MaxKeyLife    string            `json:"max_key_life,omitempty" doc:"Of an admin key: how long from now the ordinary keys may live that it issues, or never for no bound" example:"366d"`
	Status        string            `json:"status" enum:"active,expiring,expired,disabled,revoked" doc:"What it amounts to now"`
	CreatedAt     time.Time         `json:"created_at"`
	CreatedBy     string            `json:"created_by" doc:"local:user(uid), or key:id"`
	ExpiresAt     *time.Time        `json:"expires_at" doc:"null means never"`
	DisabledAt    *time.Time        `json:"disabled_at"`
	RevokedAt     *time.Time        `json:"revoked_at"`
	RevokedReason string            `json:"revoked_reason"`
	LastUsedAt    *time.Time        `json:"last_used_at,omitempty" doc:"When it was last accepted; left out for a key that never was, where that is not known, and in answers to a change"`
	Version       int64             `json:"version" doc:"1 when issued, one more with each change"`
	Secrets       []KeySecret       `json:"secrets" nullable:"false" doc:"One, or two from a rotation until the old one is removed"`
	Warnings      []string          `json:"warnings,omitempty" nullable:"false" doc:"In answers to issue, edit and rotate: what is allowed and seldom meant, a sentence each" example:"[\"it has no scopes, so it can call nothing that needs one\"]"`
}

// KeySecret tells of a secret all but anything that proves it.
type KeySecret struct {
	Number    int64      `json:"number" doc:"1 for the first, one more with each rotation"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"The end of a rotation's grace; null means the key's own expiry"`
	Imported  string     `json:"imported,omitempty" doc:"How a token that another system made is verified; bcrypt and argon2id are slow. Left out for our own" example:"bcrypt"`
}

// KeyPage is one page of a list, newest first.
type KeyPage struct {
	Data       []Key    `json:"data" nullable:"false"`
	NextCursor string   `json:"next_cursor" doc:"Pass it as cursor for the next page; empty on the last"`
	UsageKnown bool     `json:"usage_known" doc:"false: what was counted cannot be read now, so that no last_used_at does not mean never"`
	Tampered   []string `json:"tampered" nullable:"false" doc:"Ids of those in data that were changed outside mcpkeys: what they say is not to be believed; revoke them"`
}

// IssueRequest says what a new key shall be. Only the name is required.
type IssueRequest struct {
	Name       string            `json:"name" doc:"What the key is for; unique among the owner's unrevoked keys" example:"ci"`
	Owner      string            `json:"owner,omitempty" doc:"Who answers for it" example:"data-team"`
	Kind       string            `json:"kind,omitempty" enum:"key,admin" doc:"Left out: key"`
	Scopes     []string          `json:"scopes,omitempty" nullable:"false" doc:"What it may do; none grants nothing, and an admin key then gets all admin scopes" example:"[\"tools:get_*\"]"`
	Audience   []string          `json:"audience,omitempty" nullable:"false" doc:"The servers it is for; none means every one"`
	AllowedIPs []string          `json:"allowed_ips,omitempty" nullable:"false" doc:"CIDR ranges or addresses it may be used from; none means anywhere"`
	RateLimit  string            `json:"rate_limit,omitempty" doc:"A count per time, with an optional burst" example:"60/m"`
	Metadata   map[string]string `json:"metadata,omitempty" doc:"Notes of your own"`
	ExpiresIn  string            `json:"expires_in,omitempty" doc:"A duration such as 90d, or never; left out, with expires_at: 90d" example:"90d"`
	ExpiresAt  string            `json:"expires_at,omitempty" doc:"An RFC 3339 time or a date, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	MaxKeyLife string            `json:"max_key_life,omitempty" doc:"Of an admin key: how long the ordinary keys may live that it issues, or never; left out: 366d" example:"366d"`
}

// Issued is a key and its new secret, which is in this answer and nowhere else, ever.
type Issued struct {
	Key
	Secret string `json:"secret,omitempty" doc:"The key to present; shown once, only a keyed hash is kept. Left out where none was made, and of an answer that is given again for an Idempotency-Key"`
}

// RotateRequest says how a key gets a new secret. Nothing is required.
type RotateRequest struct {
	Grace     string `json:"grace,omitempty" doc:"How long the old secret stays good, such as 24h, or 0 to end it at once; left out: 24h" example:"24h"`
	ExpiresIn string `json:"expires_in,omitempty" doc:"The key ends after this time from now, such as 90d, or never; left out, with expires_at: when it would have ended" example:"90d"`
	ExpiresAt string `json:"expires_at,omitempty" doc:"An RFC 3339 time or a date, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	Finish    int64  `json:"finish,omitempty" minimum:"1" doc:"The number of the old secret, while two are valid: end it now, and make no new one" example:"1"`
	Replace   int64  `json:"replace,omitempty" minimum:"1" doc:"The number of the newest secret: end it now, and make a new one in its place" example:"2"`
}

// EditRequest says what shall be different. What is left out stays as it is; what is
// given replaces all that was there.
type EditRequest struct {
	Name       *string            `json:"name,omitempty" nullable:"false" doc:"Unique among the owner's unrevoked keys" example:"ci"`
	Owner      *string            `json:"owner,omitempty" nullable:"false" doc:"Who answers for it; may be empty" example:"data-team"`
	Scopes     *[]string          `json:"scopes,omitempty" nullable:"false" doc:"What it may do; an empty list grants nothing" example:"[\"tools:get_*\"]"`
	Audience   *[]string          `json:"audience,omitempty" nullable:"false" doc:"The servers it is for; an empty list means every one"`
	AllowedIPs *[]string          `json:"allowed_ips,omitempty" nullable:"false" doc:"CIDR ranges or addresses it may be used from; an empty list means anywhere"`
	RateLimit  *string            `json:"rate_limit,omitempty" nullable:"false" doc:"A count per time; empty lifts the limit" example:"60/m"`
	Metadata   *map[string]string `json:"metadata,omitempty" doc:"Notes of your own, all of them"`
	ExpiresIn  *string            `json:"expires_in,omitempty" nullable:"false" doc:"A duration from now such as 90d, or never" example:"90d"`
	ExpiresAt  *string            `json:"expires_at,omitempty" nullable:"false" doc:"An RFC 3339 time, instead of expires_in" example:"2027-01-31T00:00:00Z"`
	MaxKeyLife *string            `json:"max_key_life,omitempty" nullable:"false" doc:"Of an admin key: how long the ordinary keys may live that it issues, or never" example:"366d"`
}

// DisableRequest may say why.
type DisableRequest struct {
	Reason string `json:"reason,omitempty" doc:"For the audit log" example:"odd calls at night"`
}

// EnableRequest has no members: to enable takes no word.
type EnableRequest struct{}

// RevokeRequest may say why.
type RevokeRequest struct {
	Reason string `json:"reason,omitempty" doc:"For the audit log" example:"laptop lost"`
}

// Whoami is what a key learns about itself.
type Whoami struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" enum:"key,admin"`
	Name      string     `json:"name"`
	Owner     string     `json:"owner"`
	Scopes    []string   `json:"scopes" nullable:"false"`
	Audience  []string   `json:"audience" nullable:"false"`
	ExpiresAt *time.Time `json:"expires_at" doc:"When the key ends; null means never"`
	Secret    SecretUsed `json:"secret" doc:"The secret that was presented"`
}

// SecretUsed tells of the secret that was presented, which may end before its key does.
type SecretUsed struct {
	Number     int64      `json:"number" doc:"1 for the first, one more with each rotation"`
	EndsAt     *time.Time `json:"ends_at" doc:"When it ends, with the key or with a rotation's grace before that; null means never" example:"2027-01-31T00:00:00Z"`
	Superseded bool       `json:"superseded" doc:"A rotation has made a newer one: change over to that before this one ends"`
}
