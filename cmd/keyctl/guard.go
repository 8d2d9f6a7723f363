package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
	"github.com/mcpkeys/mcpkeys/internal/app/listening"
	"github.com/mcpkeys/mcpkeys/keys"
)

type guardFlags struct {
	serveFlags
	one     guardproxy.Server
	config  string
	keyFile string
	methods []string
	origins []string
	headers []string
}

func newGuard(a *app) *cobra.Command {
	f := &guardFlags{}
	cmd := &cobra.Command{
		Use:     "guard (--upstream URL | --config FILE | -- COMMAND)",
		Short:   "Guard any MCP server, over HTTP or stdio",
		GroupID: groupStore,
		Long: `Guard an MCP server without a line of its code, until interrupted. Clients call
the guard at /mcp with a key; only what their key grants reaches the server, and
lists show nothing else.

The server is the one at --upstream, or a COMMAND that speaks on standard input
and output: the guard runs one process for each session. With --config a file
names several servers, each at /NAME/mcp (docs/guard.md).

Keys are read from the key store of this machine (--db), or from a server:
--server URL with --key-file, a verify key for the audience. Then the guard
holds neither key store nor pepper. KEYCTL_SERVER is not read.

A COMMAND must not read what the guard protects: --user runs it as another user,
for which the guard must run as root. For a trial, --same-user runs it as you,
and it can then read all that you can.

SIGHUP reads --config and the certificate again; servers that stay the same keep
their sessions. SIGINT or SIGTERM ends the guard as it ends keyctl serve.`,
		Example: `  keyctl guard --same-user -- npx -y @modelcontextprotocol/server-filesystem .
  keyctl guard --audience weather --upstream http://127.0.0.1:9001/mcp`,
		Args: f.args,
		RunE: func(cmd *cobra.Command, args []string) error { return a.guard(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.one.Audience, "audience", "", "the server's `NAME`; without it, only keys without an audience are valid")
	flags.StringVar(&f.one.Upstream, "upstream", "", "the `URL` of the MCP server, or unix:SOCKET[:PATH]")
	flags.StringVar(&f.one.HeaderFile, "upstream-header-file", "", "add the header in this `FILE` to each request to the MCP server")
	flags.StringVar(&f.config, "config", "", "guard the servers that this JSON `FILE` names")
	flags.StringVar(&f.keyFile, "key-file", "", "with --server: the `FILE` with the guard's verify key")
	flags.StringVar(&f.one.User, "user", "", "run COMMAND as this `USER`; needs root")
	flags.BoolVar(&f.one.SameUser, "same-user", false, "run COMMAND as this user, who can read the guard's files: for a trial")
	listVar(flags, &f.one.Env, "env", "pass this environment `VARIABLE` to COMMAND")
	flags.StringVar(&f.one.Dir, "dir", "", "run COMMAND in this `DIRECTORY`")
	listVar(flags, &f.methods, "method", "let `METHOD=SCOPE`, a method of the server's own, pass with that scope")
	listVar(flags, &f.headers, "key-header", "also accept the key in this `HEADER`")
	flags.StringVar(&f.listen, "listen", guardproxy.DefaultListen, "the `ADDRESS` to listen on, or unix:PATH; port 0 means any free port")
	flags.StringVar(&f.cert, "tls-cert", "", "use TLS with the certificate in this PEM `FILE`")
	flags.StringVar(&f.key, "tls-key", "", "the certificate's key, in this PEM `FILE`")
	listVar(flags, &f.proxies, "trusted-proxy", "trust X-Forwarded-For from this address or `CIDR` range")
	listVar(flags, &f.hosts, "allowed-host", "also accept this `NAME` in the Host header")
	listVar(flags, &f.origins, "trusted-origin", "let web pages of this `ORIGIN` call, such as https://inspector.example")
	flags.StringVar(&f.drain, "drain", "0", "accept connections for this `TIME` after the signal to end")
	flags.Lookup("drain").DefValue = "" // help would show it in quotes
	flags.StringVar(&f.logFormat, "log-format", "text", "the log's `FORMAT`: text or json")
	return cmd
}

// args takes a command after --, and nothing before it.
func (f *guardFlags) args(cmd *cobra.Command, args []string) error {
	at := cmd.ArgsLenAtDash()
	switch {
	case at > 0 || at < 0 && len(args) > 0:
		return usagef("put -- before the command of the MCP server: keyctl guard … -- COMMAND")
	case at == 0 && len(args) == 0:
		return usagef("the command of the MCP server is missing after --")
	}
	return nil
}

func (a *app) guard(cmd *cobra.Command, f *guardFlags, command []string) error {
	o, err := f.options(a, command)
	if err != nil {
		return err
	}
	reload, abort, stop := a.serverSignals()
	defer stop()
	o.Reload, o.Abort = reload, abort
	return guardproxy.Run(cmd.Context(), o)
}

func (f *guardFlags) options(a *app, command []string) (o guardproxy.Options, err error) {
	f.one.Command = command
	for _, name := range f.one.Env {
		if strings.Contains(name, "=") {
			return o, usagef("--env takes the name of a variable: a value on a command line can be read by other users of the machine")
		}
	}
	if err := f.checkServers(); err != nil {
		return o, err
	}
	if f.one.Methods, err = methodScopes(f.methods); err != nil {
		return o, err
	}
	if err := checkListen("--listen", f.listen); err != nil {
		return o, err
	}
	if o.Keys, err = f.keysFrom(a); err != nil {
		return o, err
	}
	if o.TrustedProxies, err = f.trustedProxies(); err != nil {
		return o, err
	}
	logger, err := f.logger(a)
	if err != nil {
		return o, err
	}
	drain, err := f.drainTime()
	if err != nil {
		return o, err
	}
	o.Options = listening.Options{
		Listen: f.listen, TLSCert: f.cert, TLSKey: f.key, InsecureHTTP: a.insecureHTTP, Logger: logger, Drain: drain,
	}
	o.AllowedHosts, o.TrustedOrigins, o.Headers = f.hosts, f.origins, f.headers
	if o.Config = f.config; o.Config == "" {
		o.Server = &f.one
	}
	return o, nil
}

// checkServers wants one way to say what is guarded.
func (f *guardFlags) checkServers() error {
	if f.config == "" {
		if f.one.Upstream == "" && len(f.one.Command) == 0 {
			return usagef("say what to guard: --upstream URL, --config FILE, or the command of an MCP server after --")
		}
		return nil
	}
	one := f.one
	if len(f.methods) > 0 || one.Audience != "" || one.Upstream != "" || one.HeaderFile != "" || len(one.Command) > 0 || one.User != "" || one.SameUser || one.Dir != "" || len(one.Env) > 0 {
		return usagef("--config cannot be combined with a server on the command line; write that server into the file")
	}
	return nil
}

func methodScopes(list []string) (map[string]string, error) {
	var out map[string]string
	for _, entry := range list {
		method, scope, ok := strings.Cut(entry, "=")
		if !ok || method == "" || scope == "" {
			return nil, usagef("--method takes METHOD=SCOPE, such as acme/export=tools:export")
		}
		if out == nil {
			out = map[string]string{}
		}
		out[method] = scope
	}
	return out, nil
}

// keysFrom says where keys are read. KEYCTL_SERVER is for administration: a guard whose keys come
// from another place than its command line says would be a surprise.
func (f *guardFlags) keysFrom(a *app) (k guardproxy.Keys, err error) {
	if a.server == "" {
		if f.keyFile != "" {
			return k, usagef("--key-file is for --server")
		}
		s := connect.Settings{DB: a.db, PepperFile: a.pepper}.WithEnv(func(name string) string {
			if name == "KEYCTL_SERVER" {
				return ""
			}
			return a.getenv(name)
		})
		return guardproxy.Keys{DB: s.DB, PepperFile: s.PepperFile}, refuseTokens([]string{s.DB, s.PepperFile})
	}
	switch {
	case a.db != "":
		return k, &keys.InvalidError{Field: "server", Reason: "cannot be combined with --db; use one of the two"}
	case f.keyFile == "" && f.config == "":
		return k, usagef("--server needs --key-file with a verify key; make one with: keyctl issue guard --admin --scope verify --audience NAME --out-file verify.key")
	}
	return guardproxy.Keys{Server: a.server, ServerUser: a.serverUser, KeyFile: f.keyFile, InsecureHTTP: a.insecureHTTP}, nil
}
