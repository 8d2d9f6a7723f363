package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

type issueFlags struct {
	scopes, tools, prompts, resources []string
	audience, allowIPs, meta          []string
	owner, expires, rate              string
	outFile, maxKeyLife               string
	admin                             bool
}

func newIssue(a *app) *cobra.Command {
	f := &issueFlags{}
	cmd := &cobra.Command{
		Use:     "issue NAME",
		Short:   "Make a new key and show its secret, once",
		GroupID: groupKeys,
		Long: `Make a new key and show its secret, once: only a keyed hash of it is kept. The
secret goes to standard output, everything else to standard error.

NAME says what the key is for; it is unique among its owner's unrevoked keys.
In scopes, tools, prompts and resources, * stands for any characters. If the
name of a tool has a comma, write %2C in a scope: --scope tools:a%2Cb.

--rate counts each tool call, prompt or resource read at an MCP server, in
batches too; elsewhere each request. Each server process counts for itself.`,
		Example: `  keyctl issue ci --tool 'get_*' --audience weather --expires 30d
  KEY=$(keyctl issue nightly-report --tool get_forecast --owner data-team)`,
		Args: oneArg("a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			req, err := f.request(args[0])
			if err != nil {
				return err
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.issue(cmd.Context(), m, req, f.outFile)
			})
		},
	}
	f.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (f *issueFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	listVar(flags, &f.tools, "tool", "may call this `TOOL`, such as get_*")
	listVar(flags, &f.prompts, "prompt", "may get this `PROMPT`")
	listVar(flags, &f.resources, "resource", "may read this `URI`, such as file:///x/*")
	listVar(flags, &f.scopes, "scope", "is granted this `SCOPE`, such as reports:read")
	listVar(flags, &f.audience, "audience", "is for this `SERVER`; default: all servers")
	flags.StringVar(&f.owner, "owner", "", "the `OWNER`: a person or team")
	flags.StringVar(&f.expires, "expires", "", "expires at `TIME`: 90d, 12w, 1y, 2027-01-31, never (default 90d)")
	flags.StringVar(&f.rate, "rate", "", "may call at this `RATE`: 60/m, 100/10s, or 1000/h:50 (50 at once)")
	listVar(flags, &f.allowIPs, "allow-ip", "may call from this `CIDR` or address")
	flags.StringArrayVar(&f.meta, "meta", nil, "a note of your own, `NAME=VALUE`; repeat it for more")
	flags.StringVar(&f.outFile, "out-file", "", "write the secret to this new `FILE` instead of printing it")
	flags.BoolVar(&f.admin, "admin", false, "make an admin key: for the admin API, not for servers")
	flags.StringVar(&f.maxKeyLife, "max-key-life", "", "with --admin: the keys that it issues expire within this `TIME`; never means no limit (default 366d)")
}

// check refuses an empty value: it may come from an unset variable of a script, and the key
// would get a default instead.
func (f *issueFlags) check(cmd *cobra.Command) error {
	for _, flag := range []string{"owner", "rate", "expires", "max-key-life"} {
		if given := cmd.Flags().Lookup(flag); given.Changed && given.Value.String() == "" {
			return usagef("--%s is empty; give it a value, or leave the flag out", flag)
		}
	}
	return nil
}

// request turns the flags into a request.
func (f *issueFlags) request(name string) (admin.IssueRequest, error) {
	req := admin.IssueRequest{Kind: keys.KindKey, Name: name, Owner: f.owner, Scopes: grants(f.scopes, f.tools, f.prompts, f.resources), Audience: f.audience}
	if f.admin {
		req.Kind = keys.KindAdmin
	}
	var err error
	if req.AllowedIPs, err = keys.ParseAllowedIPs(f.allowIPs); err != nil {
		return req, err
	}
	if req.Metadata, err = metadata(f.meta); err != nil {
		return req, err
	}
	if f.rate != "" {
		if req.RateLimit, err = keys.ParseRateLimit(f.rate); err != nil {
			return req, err
		}
	}
	if f.maxKeyLife != "" && !f.admin {
		return req, usagef("--max-key-life goes with --admin: it limits the keys that an admin key issues")
	}
	if req.MaxKeyLife, err = keys.ParseKeyLife(f.maxKeyLife); err != nil {
		return req, err
	}
	req.Expires, err = keys.ParseExpiry(f.expires)
	return req, err
}

// grants returns the scopes that the four flags grant together.
func grants(scopes, tools, prompts, resources []string) []string {
	scopes = slices.Clone(scopes)
	for _, one := range []struct {
		typed   []string
		pattern func(string) string
	}{
		{tools, mcpscope.ToolPattern}, {prompts, mcpscope.PromptPattern}, {resources, mcpscope.ResourcePattern},
	} {
		for _, glob := range one.typed {
			scopes = append(scopes, one.pattern(glob))
		}
	}
	return scopes
}

func metadata(pairs []string) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--meta takes NAME=VALUE, such as env=prod")
		}
		if _, twice := out[name]; twice {
			return nil, usagef("--meta has the same NAME twice; give each its own")
		}
		out[name] = value
	}
	return out, nil
}

// issue creates the file for the secret first: if that fails, no key is issued.
func (a *app) issue(ctx context.Context, m admin.Manager, req admin.IssueRequest, outFile string) error {
	file, err := newSecretFile(outFile, "issued")
	if err != nil {
		return err
	}
	issued, err := m.Issue(ctx, req)
	if err != nil {
		return errors.Join(err, file.remove())
	}
	if err := a.handOver(issued.Token, file, a.issuedCard(issued.Key)); err != nil {
		return fmt.Errorf("key %s was issued, but its secret could not be handed over; revoke it and issue another: %w", issued.Key.ID, err)
	}
	return nil
}

func (a *app) issuedCard(k *keys.Key) card {
	return card{
		top:    func() { a.cardTop(k) },
		bottom: func() { a.cardBottom(k) },
		json: func(secret string) any {
			return api.Issued{Key: changedJSON(k, a.now()), Secret: secret}
		},
	}
}
