package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// followEvery is the pause between two looks at the log.
const followEvery = time.Second

// followAudit shows the latest rows and then each new one, until ctx ends, which is how
// it is meant to end.
func (a *app) followAudit(ctx context.Context, m keys.Manager, q keys.AuditQuery, f *auditFlags, out *auditPrinter) error {
	if err := a.follow(ctx, m, q, f, out); ctx.Err() == nil {
		return err
	}
	return nil
}

func (a *app) follow(ctx context.Context, m keys.Manager, q keys.AuditQuery, f *auditFlags, out *auditPrinter) error {
	last, err := newestSeq(ctx, m)
	if err != nil {
		return err
	}
	limit := f.limit
	if limit == 0 && f.since == "" {
		limit = auditFollowed
	}
	begin := q
	begin.After = last + 1 // from that one down
	rows, err := latest(ctx, m, begin, limit)
	if err != nil {
		return err
	}
	for _, e := range rows {
		if err := out.add(e); err != nil {
			return err
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	pause := time.NewTicker(followEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		if last, err = a.followOn(ctx, m, q, last, out); err != nil {
			return err
		}
	}
}

// followOn shows what was written behind the row numbered last, and returns the number
// to go on from. Whatever the conditions, it is that of the log's newest row, so that no
// row is looked at twice.
func (a *app) followOn(ctx context.Context, m keys.Manager, q keys.AuditQuery, last int64, out *auditPrinter) (int64, error) {
	newest, err := newestSeq(ctx, m)
	switch {
	case err != nil || newest == last:
		return last, err
	case newest < last:
		return last, fmt.Errorf("the audit log ends with row %d, and had %d before: a backup was restored, or somebody cut it off; `%s` tells more", newest, last, a.command("audit", "verify"))
	}
	q.OldestFirst, q.After = true, last
	_, err = auditPages(ctx, m, q, 0, func(e keys.Event) error {
		newest = max(newest, e.Seq)
		return out.add(e)
	})
	if err != nil {
		return last, err
	}
	return newest, out.flush()
}

// newestSeq is 0 for an empty log.
func newestSeq(ctx context.Context, m keys.Manager) (int64, error) {
	page, err := m.Audit(ctx, keys.AuditQuery{Limit: 1})
	if err != nil || len(page.Events) == 0 {
		return 0, err
	}
	return page.Events[0].Seq, nil
}
