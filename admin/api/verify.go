package api

import "time"

// VerifyRequest asks whether a key is valid for a call. The audience and the address are those
// of the call that the key came with.
type VerifyRequest struct {
	Key      string   `json:"key" doc:"The secret as it was presented. If none was, an empty text: no_credential"`
	Audience string   `json:"audience,omitempty" doc:"The server that was called; without it only keys for every server are valid" example:"weather"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" maxItems:"500" doc:"The scopes that the call needs, all of them, without wildcards" example:"[\"tools:get_forecast\"]"`
	Ask      []string `json:"ask,omitempty" nullable:"false" maxItems:"500" doc:"Scopes without wildcards, such as one for each tool of a list. The answer sorts them into allowed and missing. They do not decide whether the key is valid" example:"[\"tools:get_forecast\",\"tools:set_alarm\"]"`
	ClientIP string   `json:"client_ip,omitempty" doc:"The client's address; required for keys that are limited to addresses" example:"10.0.0.7"`
	Agent    string   `json:"agent,omitempty" doc:"The client's User-Agent; its first word is noted with the last use" example:"claude-code/2.1"`
	Cost     int      `json:"cost,omitempty" minimum:"0" maximum:"1000000" doc:"What the call counts against the key's rate limit; without it, 1" example:"1"`
}

// Verification is the answer, with status 200 for any key.
type Verification struct {
	Valid      bool         `json:"valid"`
	Code       string       `json:"code" doc:"valid, or the reason of the refusal" enum:"valid,no_credential,malformed,not_found,superseded,revoked,disabled,expired,wrong_kind,wrong_audience,ip_not_allowed,rate_limited,insufficient_scope,unavailable"`
	KeyID      string       `json:"key_id,omitempty" doc:"The id in the presented secret, also if the secret is wrong"`
	Allowed    []string     `json:"allowed,omitempty" nullable:"false" doc:"With valid: the scopes of ask that the key grants"`
	Missing    []string     `json:"missing,omitempty" nullable:"false" doc:"The scopes that the key does not grant: with valid, those of ask; with insufficient_scope, those of scopes"`
	Offered    []string     `json:"offered,omitempty" nullable:"false" doc:"With wrong_audience: the servers that it is for"`
	Key        *VerifiedKey `json:"key,omitempty" doc:"With valid: the key"`
	Secret     *SecretUsed  `json:"secret,omitempty" doc:"With valid, and with superseded: the secret that was presented, whether it has been superseded, and when it ends or ended"`
	Lease      *time.Time   `json:"lease_expires_at,omitempty" doc:"With valid: how long the answer may be kept, one minute at most; then verify again. Without it, do not keep the answer"`
	RateLimit  *RateState   `json:"rate_limit,omitempty" doc:"What is left of the key's rate limit; left out if the call was not counted"`
	RetryAfter int          `json:"retry_after,omitempty" doc:"With rate_limited and unavailable: seconds to wait before the next attempt"`
	Tampered   bool         `json:"tampered,omitempty" doc:"With unavailable: the key's row was changed outside mcpkeys"`
}

// VerifiedKey is what a guarded server may know of the key that it was presented.
type VerifiedKey struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Owner     string            `json:"owner,omitempty"`
	Scopes    []string          `json:"scopes" nullable:"false" doc:"The granted scopes, which may have wildcards"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty" doc:"Left out if the key never expires"`
	Metadata  map[string]string `json:"metadata,omitempty"`
}

// RateState is a rate limit and what is left of it, as this server counts it.
type RateState struct {
	Limit     int `json:"limit" doc:"How many calls"`
	Window    int `json:"window" doc:"In how many seconds"`
	Remaining int `json:"remaining" doc:"How many more calls are allowed now"`
	Reset     int `json:"reset" doc:"Seconds until the full burst is allowed again"`
}

// VerifyBatchRequest asks about several keys in one request. Each check is decided and counted as if
// it came alone.
type VerifyBatchRequest struct {
	Checks []VerifyRequest `json:"checks" nullable:"false" minItems:"1" maxItems:"100"`
}

// Verifications are the answers to a batch, in its order.
type Verifications struct {
	Data []Verification `json:"data" nullable:"false"`
}

// Introspection is the answer of RFC 7662. For a key that is not valid it is {"active":false},
// with nothing else.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty" doc:"The scopes of the request's scope that the key grants, separated by spaces; if the request has none, the granted scopes, which may have wildcards"`
	ClientID  string `json:"client_id,omitempty" doc:"The key's id"`
	Subject   string `json:"sub,omitempty" doc:"The key's id"`
	Username  string `json:"username,omitempty" doc:"The key's owner and name, with a slash between them; the name alone if it has no owner"`
	Audience  string `json:"aud,omitempty" doc:"The audience that was asked for"`
	TokenType string `json:"token_type,omitempty" doc:"Bearer"`
	ExpiresAt int64  `json:"exp,omitempty" doc:"How long the answer may be kept, one minute at most, in seconds since 1970; then ask again"`
}
