package api

import "time"

// Verifier is a guard on another host that has a lease of the server.
type Verifier struct {
	KeyID     string    `json:"key_id" doc:"Its verify key"`
	Instance  string    `json:"instance" doc:"Tells processes with one verify key apart" example:"9f86d081"`
	Audience  string    `json:"audience" doc:"The server that it guards; empty for one without a name" example:"weather"`
	Address   string    `json:"address" doc:"Where it calls from; empty for a Unix socket" example:"10.0.0.7"`
	Agent     string    `json:"agent" doc:"The first word of its User-Agent" example:"mcpkeys"`
	Since     time.Time `json:"since" doc:"When it got its first lease without a gap"`
	Applied   uint64    `json:"applied,string" doc:"The position up to which it has applied changes"`
	Behind    bool      `json:"behind" doc:"true: it has not applied all changes yet"`
	LeaseEnds time.Time `json:"lease_ends" doc:"When its lease has ended, unless it renews it"`
	Streaming bool      `json:"streaming" doc:"true: it hears of changes at once; false: when it renews its lease"`
}

// Verifiers are the guards on other hosts with a lease.
type Verifiers struct {
	Data []Verifier `json:"data" nullable:"false"`
}
