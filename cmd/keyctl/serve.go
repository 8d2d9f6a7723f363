package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/server"
)

type serveFlags struct{ listen, cert, key, logFormat string }

func newServe(a *app) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the admin and verification API",
		GroupID: groupStore,
		Long: `Serve the admin and verification API over the key store of this machine, until
interrupted. Callers need an admin key; the first one is made here, with keyctl
issue NAME --admin, and never by the server. /openapi.yaml describes the API.

It listens on this machine alone unless told otherwise, and beyond it with TLS
only. The log goes to standard error; no secret is ever in it.`,
		Example: `  keyctl issue me --admin --out-file admin.key && keyctl serve
  KEYCTL_ADMIN_KEY_FILE=admin.key keyctl --server http://127.0.0.1:8420 list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.settings()
			if err != nil {
				return err
			}
			if err := s.Local(); err != nil {
				return err
			}
			logger, err := f.logger(a)
			if err != nil {
				return err
			}
			return server.Run(cmd.Context(), server.Options{
				DB: s.DB, PepperFile: s.PepperFile,
				Listen: f.listen, TLSCert: f.cert, TLSKey: f.key, InsecureHTTP: a.insecureHTTP,
				Logger: logger, FirstKey: a.command("issue", "me", "--admin"),
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.listen, "listen", server.DefaultListen, "the `ADDRESS` to listen at; port 0 takes any free one")
	flags.StringVar(&f.cert, "tls-cert", "", "speak TLS with the certificate in this PEM `FILE`")
	flags.StringVar(&f.key, "tls-key", "", "and its key in this PEM `FILE`")
	flags.StringVar(&f.logFormat, "log-format", "text", "log as text or json (`FORMAT`)")
	return cmd
}

func (f *serveFlags) logger(a *app) (*slog.Logger, error) {
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, nil)), nil
	}
	return nil, usagef("--log-format takes text or json")
}
