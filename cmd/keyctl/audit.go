package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/keys"
)

type auditFlags struct {
	key, actor, action, since string
	limit                     int
	follow, denied            bool
}

// How many rows are shown unasked: a screenful, and as many as tail begins with.
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
		Long: `Show the audit log, newest first: who changed which key, when, and what was
different afterwards. Every change of a key has its row, written together with the
change or not at all. Conditions add up.

The table shows the latest 50 rows, cut to fit a terminal or COLUMNS; -o json,
jsonl and csv show everything. -f goes on with what is written from now on,
oldest first, until Ctrl-C.

KEY is an id, also of a key that is not there any more, or a name or the
beginning of an id, as elsewhere. ACTOR is as the rows name it: key:ID or
local:USER(UID). ACTION is issue, edit, rotate, finish, disable, enable, revoke
and others that the rows name.

--denied shows something else: what guarded servers refused lately, by the minute.
That is a sample, and no part of the log. KEY is then what was presented; with a
question mark anybody can have presented it, without the secret.`,
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
				return usagef("-f prints row by row, and -o json one list at the end, which never comes; use -o jsonl")
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
	flags.StringVar(&f.since, "since", "", "changes from this `TIME` ago on, such as 24h or 7d, or from a date and time")
	flags.IntVarP(&f.limit, "limit", "n", 0, "at most the latest `COUNT`")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written from now on")
	flags.BoolVar(&f.denied, "denied", false, "show what was refused, instead of what was changed")
	_ = cmd.RegisterFlagCompletionFunc("key", a.completeKeys) // fails for unknown flags only
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV)
	cmd.AddGroup(&cobra.Group{ID: groupAudit, Title: "Can it be believed"})
	cmd.AddCommand(newAuditVerify(a), newAuditCheckpoint(a))
	return cmd
}

const groupAudit = "audit"

func (f *auditFlags) query(cmd *cobra.Command, now time.Time) (q keys.AuditQuery, err error) {
	for _, name := range []string{"key", "actor", "action", "since"} {
		if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() == "" {
			return q, usagef("--%s is empty; give it a value, or leave the flag out", name)
		}
	}
	if f.limit < 0 || (f.limit == 0 && cmd.Flags().Changed("limit")) {
		return q, usagef("--limit takes a whole number from 1 up")
	}
	if err := keys.ValidateText("actor", f.actor); err != nil {
		return q, err
	}
	q.Actor = f.actor
	if f.action != "" {
		if q.Action, err = keys.ParseAction(f.action); err != nil {
			return q, err
		}
	}
	if f.since != "" {
		if q.Since, err = keys.ParseSince(f.since, now); err != nil {
			return q, usagef("--since takes a whole number and a unit, such as 24h or 7d, a date, such as 2027-01-31, or a time, such as 2027-01-31T00:00:00Z")
		}
	}
	return q, nil
}

func (a *app) audit(ctx context.Context, m keys.Manager, q keys.AuditQuery, f *auditFlags) (err error) {
	if f.key != "" {
		if q.KeyID, err = a.auditedKey(ctx, m, f.key); err != nil {
			return err
		}
	}
	if f.denied {
		return a.denied(ctx, m, q, f)
	}
	out := newAuditPrinter(a, f.follow)
	if f.follow {
		return a.followAudit(ctx, m, q, f, out)
	}
	more, err := auditPages(ctx, m, q, f.most(a.output), out.add)
	if err != nil {
		return err
	}
	if err := out.end(); err != nil {
		return err
	}
	switch {
	case more && f.limit == 0:
		a.say("more: say --limit COUNT, or -o jsonl for all of it")
	case out.rows == 0 && a.output == formatTable:
		a.say("No audit row fits.")
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

// auditedKey is the id that ref means. Unlike elsewhere an id need not exist: rows
// outlive keys.
func (a *app) auditedKey(ctx context.Context, m keys.Manager, ref string) (string, error) {
	if keys.ValidID(ref) {
		return ref, nil
	}
	k, err := a.resolve(ctx, m, ref)
	if k != nil && (err == nil || errors.Is(err, keys.ErrTampered)) {
		return k.ID, nil // who changed a key that cannot be trusted is what one wants to know
	}
	return "", err
}

// auditPages hands each row to add, at most limit of them unless that is 0, and says
// whether there are more.
func auditPages(ctx context.Context, m keys.Manager, q keys.AuditQuery, limit int, add func(keys.Event) error) (more bool, err error) {
	left := limit
	for {
		q.Limit = keys.MaxLimit
		if limit > 0 {
			q.Limit = min(keys.MaxLimit, left)
		}
		page, err := m.Audit(ctx, q)
		if err != nil {
			return false, err
		}
		for _, e := range page.Events {
			if err := add(e); err != nil {
				return false, err
			}
		}
		left -= len(page.Events)
		if page.Next == 0 || limit > 0 && left <= 0 {
			return page.Next != 0, nil
		}
		q.After = page.Next
	}
}

// latest are the newest rows that fit q, the oldest of them first.
func latest(ctx context.Context, m keys.Manager, q keys.AuditQuery, limit int) ([]keys.Event, error) {
	var rows []keys.Event
	_, err := auditPages(ctx, m, q, limit, func(e keys.Event) error {
		rows = append(rows, e)
		return nil
	})
	slices.Reverse(rows)
	return rows, err
}
