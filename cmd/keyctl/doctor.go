package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

func newDoctor(a *app) *cobra.Command {
	var fix, yes bool
	proxy := &proxyFlags{}
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Check the key store, or a proxy, and say what to fix",
		GroupID: groupStore,
		Long: `Check the key store: the modes and owners of its files, the disk, every page of
the database, the pepper, the seal of every key, the chain of the audit log, and
the clock. It changes nothing, except with --fix.

Each line is good (✓), a warning (!) or wrong (✗), and says what to do. doctor
exits 2 if anything is wrong. Reading a large key store takes a while.

--fix makes the database usable as it is, if servers refuse it because its epoch
file is missing, is a copy, belongs to another database, or knows changes that
the database lacks. The missing changes, which may be revocations, stay lost; to
get them back, restore a backup instead.

--proxy checks a proxy in front of an MCP server that asks keyctl serve about
keys, instead of the key store. It plays clients without a key and with invalid
ones. With --audience it also makes keys for ten minutes, plays them, and
revokes them at the end; the audit log shows both. With --key it plays one of
yours. With --behind it plays the MCP server too, and sees what arrives there:
stop yours first.`,
		Example: `  keyctl doctor
  keyctl doctor --proxy https://mcp.example.com/mcp --audience weather
  keyctl doctor -o json | jq '.[] | select(.state != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := proxy.check(); err != nil {
				return err
			}
			if proxy.url != "" {
				if fix {
					return usagef("--fix is for the key store, and --proxy checks a proxy; run doctor twice")
				}
				return a.doctorProxy(cmd.Context(), proxy)
			}
			if fix {
				if err := a.mend(cmd.Context(), yes); err != nil {
					return err
				}
			}
			return a.doctor(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "use the database as it is, if servers refuse it because of its epoch file")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	proxy.register(cmd)
	formats(cmd, formatTable, formatJSON, formatJSONL)
	return cmd
}

// mend makes the database usable as it is. It asks first, because changes that the database
// lacks are then lost.
func (a *app) mend(ctx context.Context, yes bool) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	missing, why := s.Misplaced(ctx)
	if why == nil {
		a.say("nothing to fix: the database and its epoch file match")
		return nil
	}
	if fixable := (*feed.MisplacedError)(nil); !errors.As(why, &fixable) {
		return why
	}
	a.say("%s", wording.Clean(why.Error()))
	question := "Use the database as it is?"
	if missing > 0 {
		question = "Use the database without the last " + lastChanges(missing) + ", perhaps revocations?"
	}
	if err := a.sure(ctx, yes, "doctor --fix", question); err != nil {
		return err
	}
	return s.Mend(ctx, a.now())
}

// lastChanges is a text that follows "the last".
func lastChanges(n uint64) string {
	if n == 1 {
		return "change"
	}
	return wording.Counted(int(n), "change", "changes") //nolint:gosec // 48 bits
}

// findingJSON is a finding as scripts read it.
type findingJSON struct {
	Check string       `json:"check"`
	State doctor.State `json:"state"`
	Says  string       `json:"says"`
	Fix   string       `json:"fix"` // empty if there is nothing to do, or if says tells it
}

func (a *app) doctor(ctx context.Context) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	return a.findings(func(tell func(doctor.Finding)) (doctor.State, error) { return s.Examine(ctx, a.now(), tell) })
}

// findings prints what examine reports.
func (a *app) findings(examine func(tell func(doctor.Finding)) (worst doctor.State, err error)) error {
	all, lost := []findingJSON{}, error(nil)
	worst, err := examine(func(f doctor.Finding) {
		one := findingJSON{f.Check, f.State, wording.Clean(a.hinted(f.Says)), wording.Clean(a.hinted(f.Fix))}
		if all = append(all, one); a.output != formatJSON {
			lost = errors.Join(lost, a.printFinding(one))
		}
	})
	if a.output == formatJSON && err == nil {
		err = a.printJSON(all)
	}
	if err := errors.Join(err, lost); err != nil {
		return err
	}
	if worst == doctor.Problem {
		return &unsoundError{}
	}
	return nil
}

func (a *app) printFinding(f findingJSON) error {
	if a.output == formatJSONL {
		return a.printJSON(f)
	}
	mark := map[doctor.State]string{doctor.OK: "✓", doctor.Warning: "!", doctor.Problem: "✗"}[f.State]
	const indent = 14
	width := a.width(a.stdout)
	lines := hanging(mark+" "+fit(f.Check, indent-3)+" ", f.Says, width)
	if f.Fix != "" {
		for _, line := range hanging("→ ", f.Fix, width-indent) {
			lines = append(lines, strings.Repeat(" ", indent)+line)
		}
	}
	line := strings.Join(lines, "\n") + "\n"
	if f.State != doctor.OK {
		line = a.yellow(a.stdout, mark) + strings.TrimPrefix(line, mark)
	}
	return a.print(line)
}

// unsoundError ends doctor when something is wrong. The findings are on standard output;
// there is nothing more to report.
type unsoundError struct{}

func (*unsoundError) Error() string { return "something is wrong" }
