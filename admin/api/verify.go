package api

import "time"

// VerifyRequest asks whether a key is good, here and now, for this. The audience
// and the address are those of the call that the key came with.
type VerifyRequest struct {
	Key      string   `json:"key" doc:"The key as it was presented"`
	Audience string   `json:"audience,omitempty" doc:"The server that was called; left out: one that takes only keys for every server" example:"weather"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" doc:"What the call needs, literally and all of it" example:"[\"tools:get_forecast\"]"`
	ClientIP string   `json:"client_ip,omitempty" doc:"Where the call came from; a key bound to addresses is refused without it" example:"10.0.0.7"`
}

// Verification is the answer: always 200, whatever the key. Name, owner, scopes, expiry
// and lease are told of a valid key only.
type Verification struct {
	Valid      bool        `json:"valid"`
	Code       string      `json:"code" doc:"valid, or the reason why not" enum:"valid,no_credential,malformed,not_found,superseded,revoked,disabled,expired,wrong_kind,wrong_audience,ip_not_allowed,rate_limited,insufficient_scope,unavailable"`
	KeyID      string      `json:"key_id,omitempty" doc:"The id that the key names, proved or not"`
	Missing    []string    `json:"missing,omitempty" nullable:"false" doc:"With insufficient_scope: the scopes of the question that it was not granted"`
	Offered    []string    `json:"offered,omitempty" nullable:"false" doc:"With wrong_audience: the servers that it is for"`
	Name       string      `json:"name,omitempty"`
	Owner      string      `json:"owner,omitempty"`
	Scopes     []string    `json:"scopes,omitempty" nullable:"false" doc:"What it was granted"`
	ExpiresAt  *time.Time  `json:"expires_at,omitempty" doc:"Left out of a valid answer: never"`
	Secret     *SecretUsed `json:"secret,omitempty" doc:"With valid, and with superseded: the secret that was presented, whether it has been superseded, and when it ends or ended"`
	Lease      *time.Time  `json:"lease_expires_at,omitempty" doc:"With valid: until when the answer may be kept, a minute at most; then ask again"`
	RateLimit  *RateState  `json:"rate_limit,omitempty" doc:"What is left of the key's rate limit; left out when the call was not counted against one"`
	RetryAfter int         `json:"retry_after,omitempty" doc:"With rate_limited and unavailable: seconds until it is worth asking again"`
	Tampered   bool        `json:"tampered,omitempty" doc:"With unavailable: the key's row was changed outside mcpkeys"`
}

// RateState is a rate limit and what is left of it, as this server counts.
type RateState struct {
	Limit     int `json:"limit" doc:"How many calls"`
	Window    int `json:"window" doc:"in how many seconds"`
	Remaining int `json:"remaining" doc:"How many more fit now"`
	Reset     int `json:"reset" doc:"Seconds until the whole burst fits again"`
}
