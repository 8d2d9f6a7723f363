package main

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/snippet"
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newSnippet(a *app) *cobra.Command {
	var audience string
	names := snippet.Servers()
	list := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	cmd := &cobra.Command{
		Use:     "snippet SERVER",
		Short:   "Print the code or configuration that checks keys elsewhere",
		GroupID: groupOther,
		Long: `Print the code or the configuration with which an MCP server in another
language, or a proxy in front of one, asks keyctl serve about keys. ts is for
the TypeScript SDK v2, ts-v1 for v1. docs/other-languages.md and, for proxies,
docs/forward-auth.md explain each text. SERVER is one of:
  ` + list + `

The text has the audience, and the URL of --server or KEYCTL_SERVER (default
` + snippet.DefaultURL + `), which is not contacted. It has no secret: it reads the
verify key from the file that MCPKEYS_VERIFY_KEY_FILE names (spring: from
MCPKEYS_VERIFY_KEY itself), and a proxy needs none. Replace its tools, names
and ports with yours.`,
		Example: `  keyctl issue weather-server --admin --scope verify --audience weather \
    --expires 365d --out-file verify.key
  keyctl snippet fastmcp --audience weather --server https://keys.internal:8420`,
		ValidArgs: names,
		Args:      oneArg("a server: " + list),
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(names, args[0]) {
				return usagef("snippet takes one of %s", strings.Join(names, ", "))
			}
			if audience == "" {
				return usagef("snippet needs --audience: the name of the server as its keys have it, such as weather")
			}
			if err := keys.ValidateAudience(audience); err != nil {
				return err
			}
			at, err := a.snippetURL()
			if err != nil {
				return err
			}
			if snippet.PlainHTTP(args[0]) && strings.HasPrefix(at, "https:") {
				return usagef("the text for %s works only with a keyctl serve without TLS: --server must be an http URL, such as %s", args[0], snippet.DefaultURL)
			}
			return a.print(snippet.Text(args[0], audience, at))
		},
	}
	cmd.Flags().StringVar(&audience, "audience", "", "the guarded server's `NAME` or URL, as its keys have it")
	return cmd
}

// snippetURL is the URL of the server that the text asks.
func (a *app) snippetURL() (string, error) {
	s, err := a.named()
	if err != nil {
		return "", err
	}
	if s.Server == "" {
		return snippet.DefaultURL, nil
	}
	u, err := url.Parse(s.Server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("--server must be the http or https URL of a keyctl serve, such as https://keys.internal:8420")
	}
	if u.Scheme == "http" && !a.insecureHTTP && !hostcheck.ThisMachine(u.Hostname()) {
		return "", usagef("--server is http to another machine, and the requests carry secrets: use https, or --insecure-http on a network that you trust")
	}
	return u.Scheme + "://" + u.Host, nil
}
