package api

import "time"

// VerifyRequest asks whether a key is valid for a call. The audience and the address are those
// of the call that the key came with.
type VerifyRequest struct {
	Key      string   `json:"key" doc:"The secret as it was presented"`
	Audience string   `json:"audience,omitempty" doc:"The server that was called; without it only keys for every server are valid" example:"weather"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" doc:"The scopes that the call needs, all of them, without wildcards" example:"[\"tools:get_forecast\"]"`
	ClientIP string   `json:"client_ip,omitempty" doc:"The client's address; required for keys that are limited to addresses" example:"10.0.0.7"`
}

// Verification is the answer, with status 200 for any key. Only a valid key has name, owner,
// scopes, expiry and lease.
type Verification struct {
	Valid      bool        `json:"valid"`
	Code       string      `json:"code" doc:"valid, or the reason of the refusal" enum:"valid,no_credential,malformed,not_found,superseded,revoked,disabled,expired,wrong_kind,wrong_audience,ip_not_allowed,rate_limited,insufficient_scope,unavailable"`
	KeyID      string      `json:"key_id,omitempty" doc:"The id in the presented secret, also if the secret is wrong"`
	Missing    []string    `json:"missing,omitempty" nullable:"false" doc:"With insufficient_scope: the requested scopes that it was not granted"`
	Offered    []string    `json:"offered,omitempty" nullable:"false" doc:"With wrong_audience: the servers that it is for"`
	Name       string      `json:"name,omitempty"`
	Owner      string      `json:"owner,omitempty"`
	Scopes     []string    `json:"scopes,omitempty" nullable:"false" doc:"The granted scopes"`
	ExpiresAt  *time.Time  `json:"expires_at,omitempty" doc:"Left out of a valid answer if the key never expires"`
	Secret     *SecretUsed `json:"secret,omitempty" doc:"With valid, and with superseded: the secret that was presented, whether it has been superseded, and when it ends or ended"`
	Lease      *time.Time  `json:"lease_expires_at,omitempty" doc:"With valid: how long the answer may be kept, one minute at most; then verify again. Without it, do not keep the answer"`
	RateLimit  *RateState  `json:"rate_limit,omitempty" doc:"What is left of the key's rate limit; left out if the call was not counted"`
	RetryAfter int         `json:"retry_after,omitempty" doc:"With rate_limited and unavailable: seconds to wait before the next attempt"`
	Tampered   bool        `json:"tampered,omitempty" doc:"With unavailable: the key's row was changed outside mcpkeys"`
}

// RateState is a rate limit and what is left of it, as this server counts it.
type RateState struct {
	Limit     int `json:"limit" doc:"How many calls"`
	Window    int `json:"window" doc:"In how many seconds"`
	Remaining int `json:"remaining" doc:"How many more calls are allowed now"`
	Reset     int `json:"reset" doc:"Seconds until the full burst is allowed again"`
}
