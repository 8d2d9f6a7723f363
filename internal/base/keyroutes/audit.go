package keyroutes

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// auditInput is an [audit.Query]. A key that was pasted into a filter is refused and not
// searched for.
type auditInput struct {
	KeyID  string `query:"key_id" doc:"Of exactly this key, also if it no longer exists"`
	Actor  string `query:"actor" doc:"By exactly this actor: key:id or local:user(uid)"`
	Action string `query:"action" doc:"Exactly this action, such as key.revoke; revoke means the same"`
	Since  string `query:"since" doc:"At this time or later: a time before now, such as 24h or 7d, a date, or an RFC 3339 time"`
	Until  string `query:"until" doc:"Before this RFC 3339 time"`
	Order  string `query:"order" enum:"newest,oldest" default:"newest" doc:"Which row comes first"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Rows a page"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before, or the seq of a row, to continue after it; use seq with order=oldest to follow the log"`

	empty []string // parameters that were given without a value
}

// Resolve implements [huma.Resolver].
func (in *auditInput) Resolve(ctx huma.Context) []error {
	in.empty = emptyParameters(ctx, "cursor")
	return nil
}

type auditOutput struct{ Body api.AuditPage }

func (s *service) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	page, err := ask(ctx, s, in.query, admin.Manager.Audit)
	if err != nil {
		return nil, err
	}
	out := &auditOutput{api.AuditPage{Data: make([]api.AuditEvent, 0, len(page.Events))}}
	for i := range page.Events {
		out.Body.Data = append(out.Body.Data, wire.Event(&page.Events[i]))
	}
	if page.Next != 0 {
		out.Body.NextCursor = strconv.FormatInt(page.Next, 10)
	}
	return out, nil
}

func (in *auditInput) query(now time.Time) (q audit.Query, err error) {
	if len(in.empty) > 0 { // an unset variable in a script must not mean all rows
		return q, &keys.InvalidError{Field: in.empty[0], Reason: "is empty; give it a value or leave it out"}
	}
	q = audit.Query{KeyID: in.KeyID, Actor: in.Actor, OldestFirst: in.Order == "oldest", Limit: in.Limit}
	if in.KeyID != "" && !keys.ValidID(in.KeyID) {
		return q, &keys.InvalidError{Field: "key_id", Reason: "must be the id of a key, 12 letters and digits"}
	}
	if err := keys.ValidateText("actor", in.Actor); err != nil {
		return q, err
	}
	if in.Action != "" {
		if q.Action, err = audit.ParseAction(in.Action); err != nil {
			return q, err
		}
	}
	if in.Since != "" {
		if q.Since, err = usage.ParseSince(in.Since, now); err != nil {
			return q, err
		}
	}
	if q.Until, _, err = span("", "", "until", in.Until); err != nil {
		return q, err
	}
	if in.Cursor != "" {
		q.After, err = strconv.ParseInt(in.Cursor, 10, 64)
		if err != nil || q.After < 1 || strconv.FormatInt(q.After, 10) != in.Cursor {
			return q, &keys.InvalidError{Field: "cursor", Reason: "is not a cursor of this list; start again without it"}
		}
	}
	return q, nil
}
