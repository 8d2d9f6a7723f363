package api

import "time"

// Usage is what is known of the use of one key.
type Usage struct {
	ID       string     `json:"id"`
	Since    time.Time  `json:"since" doc:"What was asked for; counts are those of its hour and later ones"`
	LastUsed []LastUse  `json:"last_used" nullable:"false" doc:"One a secret that was ever accepted, the newest first"`
	Counts   []UseCount `json:"counts" nullable:"false" doc:"Of 90 days at the most, the oldest hour first"`
}

// LastUse tells when one of a key's secrets was last accepted, and from where.
type LastUse struct {
	Secret   int64     `json:"secret" doc:"Its number"`
	At       time.Time `json:"at"`
	ClientIP string    `json:"client_ip" doc:"Empty when unknown" example:"192.0.2.1"`
	Agent    string    `json:"agent" doc:"The first word of the User-Agent; empty when unknown" example:"curl/8.5.0"`
}

// UseCount is how often a key was presented in one hour with one outcome.
type UseCount struct {
	Hour  time.Time `json:"hour" doc:"Its beginning"`
	Code  string    `json:"code" doc:"The outcome: valid, revoked, rate_limited and so on; with a scope, valid or insufficient_scope" example:"valid"`
	Scope string    `json:"scope" doc:"Empty: requests, each counted once. Else a scope that was asked for beyond that; * stands for those that were too many to be counted each on its own" example:"tools:get_forecast"`
	Calls int64     `json:"calls"`
}
