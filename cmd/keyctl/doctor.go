package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newDoctor(a *app) *cobra.Command {
	var fix, yes bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Look the key store over, and say what to mend",
		GroupID: groupStore,
		Long: `Look the key store over: modes and owners of its files, the disk, the database
page by page, the pepper, the seal of every key, the chain of the audit log, the
clock. Nothing is changed, except with --fix.

With --fix, a key store whose epoch file is missing, is a copy, is of another database,
or knows changes that the database does not hold is made usable as it is. Changes that
are missing stay lost, revocations among them; to get them back, restore a backup.

Each line is good (✓), worth knowing (!) or wrong (✗), with what to do about it. It
exits 2 if anything is wrong. Reading all of a big key store takes a while.`,
		Example: `  keyctl doctor
  keyctl doctor -o json | jq '.[] | select(.state != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fix {
				if err := a.mend(cmd.Context(), yes); err != nil {
					return err
				}
			}
			return a.doctor(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "use the database as it is, where servers refuse it because of its epoch file")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON, formatJSONL)
	return cmd
}

// mend asks, because what the database lacks is given up by it.
func (a *app) mend(ctx context.Context, yes bool) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	missing, why := s.Misplaced(ctx)
	if why == nil {
		a.say("nothing to fix: the database and its epoch file fit each other")
		return nil
	}
	if fixable := (*keys.MisplacedError)(nil); !errors.As(why, &fixable) {
		return why
	}
	a.say("%s", wording.Clean(why.Error()))
	question := "Use the database as it is?"
	if missing > 0 {
		question = "Use the database without the last " + lastChanges(missing) + ", revocations perhaps among them?"
	}
	if err := a.sure(ctx, yes, "doctor --fix", question); err != nil {
		return err
	}
	return s.Mend(ctx, a.now())
}

// lastChanges stands after "the last".
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
	Fix   string       `json:"fix"` // empty when nothing is to be done, or says names it
}

func (a *app) doctor(ctx context.Context) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	all, lost := []findingJSON{}, error(nil)
	worst, err := s.Examine(ctx, a.now(), func(f doctor.Finding) {
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

// unsoundError ends a doctor's look that found something wrong. What it is went to
// standard output; there is nothing more to report.
type unsoundError struct{}

func (*unsoundError) Error() string { return "something is wrong with the key store" }
