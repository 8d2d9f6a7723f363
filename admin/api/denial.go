package api

import "time"

// Denial is how often one minute saw one kind of refusal.
type Denial struct {
	Minute   time.Time `json:"minute" doc:"Its beginning"`
	Code     string    `json:"code" doc:"Why" example:"revoked"`
	KeyID    string    `json:"key_id" doc:"The id that was presented; empty where there was none, and where many are counted together"`
	Proved   bool      `json:"proved" doc:"true: the caller had the key; false: anybody can bring this about"`
	Source   string    `json:"source" doc:"An address, of IPv6 its network of 64 bits; empty when unknown, and where many are counted together" example:"192.0.2.1/32"`
	Audience string    `json:"audience" doc:"The server that refused; empty for one without a name" example:"weather"`
	Scope    string    `json:"scope" doc:"With insufficient_scope: what the call takes, joined by spaces; * where that was too much to be told apart" example:"tools:set_reading"`
	Offered  string    `json:"offered" doc:"With wrong_audience: the servers that the key is for, joined by spaces" example:"maps"`
	Agent    string    `json:"agent" doc:"The first word of a User-Agent among them; empty when unknown" example:"curl/8.5.0"`
	Calls    int64     `json:"calls"`
}

// Denials is what was refused lately.
type Denials struct {
	Data []Denial `json:"data" nullable:"false"`
}
