package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// checkDenied refuses what denials do not have.
func (f *auditFlags) checkDenied(cmd *cobra.Command) error {
	for _, name := range []string{"actor", "action", "follow"} {
		if cmd.Flags().Changed(name) {
			return usagef("--denied shows what was refused, which has no --%s; leave one of the two out", name)
		}
	}
	return nil
}

// denied shows what guards refused lately.
func (a *app) denied(ctx context.Context, m keys.Manager, q keys.AuditQuery, f *auditFlags) error {
	limit := f.most(a.output)
	if limit == 0 {
		limit = 2 * keys.DenialsKept // all there are
	}
	list, err := m.Denials(ctx, keys.DenialQuery{KeyID: q.KeyID, Since: q.Since, Limit: limit})
	if err != nil {
		return err
	}
	switch a.output {
	case formatJSON:
		all := make([]deniedJSON, 0, len(list))
		for _, d := range list {
			all = append(all, newDeniedJSON(d))
		}
		return a.printJSON(all)
	case formatJSONL:
		for _, d := range list {
			if err := a.printJSON(newDeniedJSON(d)); err != nil {
				return err
			}
		}
		return nil
	case formatCSV:
		text := csvLine([]string{"minute", "code", "key_id", "proved", "source", "audience", "scope", "offered", "agent", "calls"})
		for _, d := range list {
			text += csvLine([]string{
				d.Minute.Format(time.RFC3339), csvCell(string(d.Code)), csvCell(d.KeyID), strconv.FormatBool(d.Proved),
				source(d), csvCell(d.Audience), csvCell(d.Scope), csvCell(d.Offered), csvCell(d.Agent), calls(d.Calls),
			})
		}
		return a.print(text)
	}
	if len(list) == 0 {
		a.say("Nothing was refused, as far as is known.")
		return nil
	}
	return a.print(deniedTable(list, a.width(a.stdout)))
}

func source(d keys.Denial) string {
	switch {
	case !d.Source.IsValid():
		return ""
	case d.Source.IsSingleIP():
		return d.Source.Addr().String()
	}
	return d.Source.String()
}

// lacks says what the key would have needed.
func lacks(d keys.Denial) string {
	if d.Code == keys.CodeWrongAudience && d.Offered != "" {
		return "is for " + d.Offered
	}
	return d.Scope
}

// deniedTable leaves out at the right what does not fit the screen.
func deniedTable(list []keys.Denial, screen int) string {
	rows := [][]string{{"TIME", "CALLS", "CODE", "KEY", "FROM", "SERVER", "LACKS", "AGENT"}}
	for _, d := range list {
		key := orDash(wording.Clean(d.KeyID))
		if d.KeyID != "" && !d.Proved {
			key += "?" // anybody can say that it is his
		}
		rows = append(rows, []string{
			wording.Date(d.Minute, time.Local), calls(d.Calls), wording.Clean(string(d.Code)), key,
			orDash(source(d)), orDash(wording.Clean(d.Audience)), orDash(wording.Clean(lacks(d))), orDash(d.Agent),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, text := range r {
			widths[i] = max(widths[i], cells(text))
		}
	}
	text := ""
	for _, r := range rows {
		line, left := "", screen
		for i, cell := range r {
			if w := min(widths[i], left); w >= 4 || cells(cell) <= w {
				line += fit(cell, w)
				left -= w + gap
			}
			if left < 4 {
				break
			}
			line += "  "
		}
		text += strings.TrimRight(line, " ") + "\n"
	}
	return text
}

// deniedJSON is a denial as scripts read it, and as the API shows it.
type deniedJSON struct {
	Minute   time.Time `json:"minute"`
	Code     keys.Code `json:"code"`
	KeyID    string    `json:"key_id"`
	Proved   bool      `json:"proved"`
	Source   string    `json:"source"`
	Audience string    `json:"audience"`
	Scope    string    `json:"scope"`
	Offered  string    `json:"offered"`
	Agent    string    `json:"agent"`
	Calls    int64     `json:"calls"`
}

func newDeniedJSON(d keys.Denial) deniedJSON {
	return deniedJSON{d.Minute, d.Code, d.KeyID, d.Proved, source(d), d.Audience, d.Scope, d.Offered, d.Agent, d.Calls}
}
