package api

import "time"

// Denial is how often one kind of refusal happened in one minute.
type Denial struct {
	Minute   time.Time `json:"minute" doc:"Start of the minute"`
	Code     string    `json:"code" doc:"The reason" example:"revoked"`
	KeyID    string    `json:"key_id" doc:"The presented id; empty without one, and if many are counted together"`
	Proved   bool      `json:"proved" doc:"true: the caller presented the key's secret; false: any caller can cause this"`
	Source   string    `json:"source" doc:"An address, for IPv6 its /64 network; empty if unknown, and if many are counted together" example:"192.0.2.1/32"`
	Audience string    `json:"audience" doc:"The server that refused; empty for one without a name" example:"weather"`
	Scope    string    `json:"scope" doc:"With insufficient_scope: the scopes that the call needs, separated by spaces; * if there were too many" example:"tools:set_reading"`
	Offered  string    `json:"offered" doc:"With wrong_audience: the servers that the key is for, separated by spaces" example:"maps"`
	Agent    string    `json:"agent" doc:"The first word of one of their User-Agents; empty if unknown" example:"curl/8.5.0"`
	Calls    int64     `json:"calls"`
}

// Denials are the recently refused requests.
type Denials struct {
	Data []Denial `json:"data" nullable:"false"`
}
