package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// followEvery is the pause between two reads of the log.
const followEvery = time.Second

// followAudit shows the latest rows and then each new one until ctx ends or the reader closes
// its pipe, which is not an error.
func (a *app) followAudit(ctx context.Context, m admin.Manager, q audit.Query, f *auditFlags, out *auditPrinter) error {
	if err := a.follow(ctx, m, q, f, out); ctx.Err() == nil && !closedByReader(err) {
		return err
	}
	return nil
}

func (a *app) follow(ctx context.Context, m admin.Manager, q audit.Query, f *auditFlags, out *auditPrinter) error {
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
	if err := out.add(rows); err != nil {
		return err
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

// followOn shows the rows after number last, and returns the number of the log's newest row.
func (a *app) followOn(ctx context.Context, m admin.Manager, q audit.Query, last int64, out *auditPrinter) (int64, error) {
	newest, err := newestSeq(ctx, m)
	switch {
	case err != nil || newest == last:
		return last, err
	case newest < last:
		return last, fmt.Errorf("the audit log ends with row %d, but had row %d before: a backup was restored, or rows were cut off; run `%s`", newest, last, a.command("audit", "verify"))
	}
	q.OldestFirst, q.After = true, last
	_, err = auditPages(ctx, m, q, 0, func(rows []audit.Event) error {
		for i := range rows {
			newest = max(newest, rows[i].Seq)
		}
		return out.add(rows)
	})
	if err != nil {
		return last, err
	}
	return newest, out.flush()
}

// newestSeq returns the number of the newest row, or 0 for an empty log.
func newestSeq(ctx context.Context, m admin.Manager) (int64, error) {
	page, err := m.Audit(ctx, audit.Query{Limit: 1})
	if err != nil || len(page.Events) == 0 {
		return 0, err
	}
	return page.Events[0].Seq, nil
}
