package api

import "time"

// Usage is the recorded use of one key.
type Usage struct {
	ID       string     `json:"id"`
	Since    time.Time  `json:"since" doc:"The requested time; counts begin with its hour"`
	Began    time.Time  `json:"counting_began" doc:"When counting began; use before that is not known"`
	LastUsed []LastUse  `json:"last_used" nullable:"false" doc:"One for each secret that was ever accepted, the newest first"`
	Counts   []UseCount `json:"counts" nullable:"false" doc:"The oldest first: by the hour for 90 days, before that by the day for two years"`
}

// LastUse says when one of a key's secrets was last accepted, and from where.
type LastUse struct {
	Secret   int64     `json:"secret" doc:"Its number"`
	At       time.Time `json:"at"`
	ClientIP string    `json:"client_ip" doc:"Empty if unknown" example:"192.0.2.1"`
	Agent    string    `json:"agent" doc:"The first word of the User-Agent; empty if unknown" example:"curl/8.5.0"`
}

// UseCount is how often a key was presented in one hour with one outcome, or in one day whose
// hours were summed up.
type UseCount struct {
	Hour  time.Time `json:"hour" doc:"Start of the hour, or of the day"`
	Day   bool      `json:"day,omitempty" doc:"The count is of a whole day, in UTC: its hours were summed up"`
	Code  string    `json:"code" doc:"The outcome: valid, revoked, rate_limited and so on; with a scope, valid or insufficient_scope" example:"valid"`
	Scope string    `json:"scope" doc:"Empty: requests, each counted once. Otherwise a scope that was checked in addition; * stands for scopes beyond the limit, which are counted together" example:"tools:get_forecast"`
	Calls int64     `json:"calls"`
}
