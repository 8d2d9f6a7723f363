package client

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Audit implements [admin.Manager].
func (c *Client) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	if fitsNoRow(&q) {
		return audit.Page{}, nil
	}
	var answer api.AuditPage
	if err := c.get(ctx, "/v1/audit", auditParameters(&q), &answer); err != nil {
		return audit.Page{}, err
	}
	var page audit.Page
	for i := range answer.Data {
		e, err := event(&answer.Data[i])
		if err != nil {
			return audit.Page{}, err
		}
		page.Events = append(page.Events, e)
	}
	if answer.NextCursor != "" {
		next, err := strconv.ParseInt(answer.NextCursor, 10, 64)
		if err != nil || next < 1 {
			return audit.Page{}, errUnknownAudit
		}
		page.Next = next
	}
	return page, nil
}

// fitsNoRow reports whether no row can match q. It may hold a secret in a wrong place, so it is
// not sent.
func fitsNoRow(q *audit.Query) bool {
	if q.KeyID != "" && !keys.ValidID(q.KeyID) || keys.ValidateText("filter", q.Actor) != nil {
		return true
	}
	action, err := audit.ParseAction(string(q.Action))
	return q.Action != "" && (err != nil || action != q.Action)
}

func auditParameters(q *audit.Query) url.Values {
	out := url.Values{}
	for name, value := range map[string]string{"key_id": q.KeyID, "actor": q.Actor, "action": string(q.Action)} {
		if value != "" {
			out.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			out.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.OldestFirst {
		out.Set("order", "oldest")
	}
	if q.After > 0 {
		out.Set("cursor", strconv.FormatInt(q.After, 10))
	}
	if q.Limit > 0 {
		out.Set("limit", strconv.Itoa(min(q.Limit, keys.MaxLimit)))
	}
	return out
}

var errUnknownAudit = fmt.Errorf("%w: the server sent an invalid audit row; check that it has the same version", keys.ErrUnavailable)

// event converts a row from the server's answer.
func event(in *api.AuditEvent) (audit.Event, error) {
	e := audit.Event{
		Seq: in.Seq, At: in.At, Actor: in.Actor, Action: audit.Action(in.Action),
		KeyID: in.KeyID, RequestID: in.RequestID, Detail: string(in.Detail),
	}
	var err2, err3 error
	id, err1 := hex.DecodeString(strings.ReplaceAll(in.ID, "-", ""))
	e.Prev, err2 = hex.DecodeString(in.Prev)
	e.Hash, err3 = hex.DecodeString(in.Hash)
	if err1 != nil || err2 != nil || err3 != nil || len(id) != len(e.ID) {
		return audit.Event{}, errUnknownAudit
	}
	copy(e.ID[:], id)
	return e, nil
}
