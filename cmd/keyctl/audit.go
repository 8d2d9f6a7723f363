package main

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

type auditFlags struct {
	key, actor, action, since string
	limit                     int
	follow, denied            bool
}

// How many rows are shown without --limit: of a table, and before the rows that -f adds.
const (
	auditShown    = 50
	auditFollowed = 10
)

func newAudit(a *app) *cobra.Command {
	f := &auditFlags{}
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Show who changed which key, when and how",
		GroupID: groupKeys,
		Long: `Show the audit log, newest first: who changed which key, when, and what changed.
Every change of a key has a row, which is written together with the change. A
row is shown if it matches every flag that you give.

The table shows the latest 50 rows, cut to fit a terminal or COLUMNS; -o json,
jsonl and csv show all rows, and print them while they are read. -f prints the
latest rows, oldest first, and then each new row until Ctrl-C.

KEY is a name, an id or the beginning of an id; the whole id of a key that no
longer exists works too. ACTOR is key:ID or local:USER(UID), as in the rows.
ACTION is issue, edit, rotate, finish, disable, enable, revoke, or another
action that a row has.

--denied shows what guarded servers refused lately, by the minute, instead of
the log. It is a sample. KEY is then the id that was presented; a question mark
after it means that the caller did not prove to have the key.`,
		Example: `  keyctl audit --key ci
  keyctl audit --action revoke --since 7d
  keyctl audit -f -o jsonl | logger -t mcpkeys
  keyctl audit --denied --since 1h`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, a.now())
			if err != nil {
				return err
			}
			if f.follow && a.output == formatJSON {
				return usagef("-f prints row by row, but -o json prints one list at the end; use -o jsonl")
			}
			if f.denied {
				if err := f.checkDenied(cmd); err != nil {
					return err
				}
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.audit(cmd.Context(), m, q, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.key, "key", "", "changes of this `KEY`")
	flags.StringVar(&f.actor, "actor", "", "changes by exactly this `ACTOR`")
	flags.StringVar(&f.action, "action", "", "changes of this kind: an `ACTION`")
	flags.StringVar(&f.since, "since", "", "changes since `TIME`: 24h or 7d ago, or a date and time")
	flags.IntVarP(&f.limit, "limit", "n", 0, "at most the latest `COUNT` of rows")
	flags.BoolVarP(&f.follow, "follow", "f", false, "keep printing new rows")
	flags.BoolVar(&f.denied, "denied", false, "show what was refused instead of what was changed")
	_ = cmd.RegisterFlagCompletionFunc("key", a.completeKeys) // fails for unknown flags only
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV)
	cmd.AddGroup(&cobra.Group{ID: groupAudit, Title: "Check the log"})
	cmd.AddCommand(newAuditVerify(a), newAuditCheckpoint(a))
	return cmd
}

const groupAudit = "audit"

func (f *auditFlags) query(cmd *cobra.Command, now time.Time) (q audit.Query, err error) {
	for _, name := range []string{"key", "actor", "action", "since"} {
		if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() == "" {
			return q, usagef("--%s is empty; give it a value, or leave the flag out", name)
		}
	}
	if f.limit < 0 || (f.limit == 0 && cmd.Flags().Changed("limit")) {
		return q, usagef("--limit takes a whole number, 1 or more")
	}
	if err := keys.ValidateText("actor", f.actor); err != nil {
		return q, err
	}
	q.Actor = f.actor
	if f.action != "" {
		if q.Action, err = audit.ParseAction(f.action); err != nil {
			return q, err
		}
	}
	if f.since != "" {
		if q.Since, err = usage.ParseSince(f.since, now); err != nil {
			return q, usagef("--since takes a whole number and a unit, such as 24h or 7d, a date, such as 2027-01-31, or a time, such as 2027-01-31T00:00:00Z")
		}
	}
	return q, nil
}

func (a *app) audit(ctx context.Context, m admin.Manager, q audit.Query, f *auditFlags) (err error) {
	if f.key != "" {
		if q.KeyID, err = a.auditedKey(ctx, m, f.key); err != nil {
			return err
		}
	}
	if f.denied {
		return a.denied(ctx, m, q, f)
	}
	out := newAuditPrinter(a)
	if f.follow {
		return a.followAudit(ctx, m, q, f, out)
	}
	more, err := auditPages(ctx, m, q, f.most(a.output), out.add)
	if err == nil {
		err = out.end()
	}
	if err != nil {
		return incomplete(err, out.printed, "row", "rows")
	}
	switch {
	case more && f.limit == 0:
		a.say("more: use --limit COUNT, or -o jsonl for all rows")
	case out.rows == 0 && a.output == formatTable:
		a.say("No matching audit rows.")
	}
	return nil
}

// most is how many rows are wanted; 0 is all of them.
func (f *auditFlags) most(output format) int {
	if f.limit == 0 && output == formatTable {
		return auditShown
	}
	return f.limit
}

// auditedKey returns the id that ref means. An id need not exist, because rows outlive keys.
func (a *app) auditedKey(ctx context.Context, m admin.Manager, ref string) (string, error) {
	if keys.ValidID(ref) {
		return ref, nil
	}
	k, err := a.resolve(ctx, m, ref)
	if k != nil && (err == nil || errors.Is(err, keys.ErrTampered)) {
		return k.ID, nil // the log says who changed a tampered key
	}
	return "", err
}

// auditPages gives the rows of each page to add, at most limit rows unless limit is 0, and
// reports whether there are more.
func auditPages(ctx context.Context, m admin.Manager, q audit.Query, limit int, add func([]audit.Event) error) (more bool, err error) {
	left := limit
	for {
		q.Limit = keys.MaxLimit
		if limit > 0 {
			q.Limit = min(keys.MaxLimit, left)
		}
		page, err := m.Audit(ctx, q)
		if err == nil {
			err = add(page.Events)
		}
		if err != nil {
			return false, err
		}
		left -= len(page.Events)
		if page.Next == 0 || limit > 0 && left <= 0 {
			return page.Next != 0, nil
		}
		q.After = page.Next
	}
}

// latest returns the newest rows that fit q, in the order in which they were written.
func latest(ctx context.Context, m admin.Manager, q audit.Query, limit int) ([]audit.Event, error) {
	var rows []audit.Event
	_, err := auditPages(ctx, m, q, limit, func(page []audit.Event) error {
		rows = append(rows, page...)
		return nil
	})
	slices.Reverse(rows)
	return rows, err
}

// auditPrinter takes the rows of each page and prints them in the chosen format: a table at the
// end, all else at once, because a log may be larger than memory. With -f the widths of a table
// are set before the rows are known.
type auditPrinter struct {
	*app
	begun   bool // a page was added
	rows    int
	printed int // of the rows
	table   *table
	list    *jsonList
	widths  []int
}

func newAuditPrinter(a *app) *auditPrinter {
	return &auditPrinter{app: a, table: auditTable(), list: newJSONList(a, a.stdout)}
}

func (p *auditPrinter) add(page []audit.Event) error {
	var cells [][]string
	if !p.begun {
		cells = append(cells, auditHeader)
	}
	p.begun = true
	p.rows += len(page)
	for i := range page {
		e := &page[i]
		switch p.output {
		case formatJSON, formatJSONL:
			if err := p.list.add(wire.Event(e)); err != nil {
				return err
			}
		case formatCSV:
			cells = append(cells, auditCSV(e))
		default:
			p.addRow(e)
		}
	}
	switch p.output {
	case formatTable:
		return nil
	case formatCSV:
		if err := p.print(csvText(cells...)); err != nil {
			return err
		}
	default:
		if err := p.list.flush(); err != nil {
			return err
		}
	}
	p.printed = p.rows
	return nil
}

func (p *auditPrinter) addRow(e *audit.Event) {
	id := e.KeyID
	if p.width(p.stdout) < 110 { // a narrow table has the name only; -o json has both
		id = ""
	}
	p.table.add(wording.Date(e.At, time.Local), wording.Action(e.Action), wording.KeyOf(e), id, e.Actor, wording.Change(e))
}

// flush prints the collected rows of a table that follows the log.
func (p *auditPrinter) flush() error {
	if p.output != formatTable {
		return nil
	}
	screen, heading := p.width(p.stdout), ""
	if p.widths == nil {
		settled := auditTable()
		settled.rows = append(settled.rows, p.table.rows...)
		settled.add(followed...)
		p.widths = settled.widths(screen)
		heading = p.table.heading(p.widths)
	}
	text := heading + p.table.lines(p.widths, screen)
	p.table.rows = nil
	return p.print(text)
}

func (p *auditPrinter) end() error {
	switch {
	case p.output == formatJSON:
		return p.list.end()
	case p.output == formatTable && p.rows > 0:
		return p.print(p.table.text(p.width(p.stdout)))
	}
	return nil
}

// auditTable gives the last column at least a third of the screen; the actor and the key's
// name shrink for it, but stay readable.
func auditTable() *table {
	const key, actor, what = 2, 4, 5
	return &table{
		columns: []column{
			{heading: "TIME", ifAny: true},
			{heading: "ACTION", ifAny: true, most: 16},
			key: {heading: "KEY", ifAny: true},
			{heading: "ID", ifAny: true},
			actor: {heading: "ACTOR", ifAny: true}, what: {heading: "WHAT CHANGED", ifAny: true},
		},
		rest: what, share: 3, least: 8,
		gives: []give{
			{column: actor, least: 12},
			{column: key, least: 10},
			{column: actor, least: 6, below: 80}, // this cuts the name off local:alice(1000)
		},
	}
}

// followed is a row as wide as later rows may be, to set the widths before they are known.
var followed = []string{"2006-01-02 15:04", "disable", strings.Repeat("x", 16), "", strings.Repeat("x", 20), strings.Repeat("x", 200)}

var auditHeader = []string{"seq", "at", "action", "key_id", "key", "actor", "change", "request_id", "hash"}

func auditCSV(e *audit.Event) []string {
	return []string{
		strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339Nano), string(e.Action), e.KeyID,
		wording.KeyOf(e), e.Actor, wording.Change(e), e.RequestID, hex.EncodeToString(e.Hash),
	}
}
