package api

import (
	"encoding/json"
	"time"
)

// AuditEvent is one row of the audit log.
type AuditEvent struct {
	Seq       int64           `json:"seq" doc:"1 for the first, without gaps"`
	ID        string          `json:"id" doc:"A UUID"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor" doc:"local:user(uid), or key:id" example:"local:alice(1000)"`
	Action    string          `json:"action" example:"key.revoke"`
	KeyID     string          `json:"key_id" doc:"Id of the changed key; empty if no key was changed" example:"8Jd0sLmQ2xYz"`
	RequestID string          `json:"request_id"`
	Detail    json.RawMessage `json:"detail" doc:"What changed: a key's state before and after, without secrets; null if it was damaged"`
	Prev      string          `json:"prev" doc:"The hash of the row before, in hex"`
	Hash      string          `json:"hash" doc:"SHA-256 over this row and prev, in hex"`
}

// AuditPage is a page of the audit log.
type AuditPage struct {
	Data       []AuditEvent `json:"data" nullable:"false"`
	NextCursor string       `json:"next_cursor" doc:"Pass it as cursor for the next page; empty on the last"`
}
