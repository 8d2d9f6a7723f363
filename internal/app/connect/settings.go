package connect

import (
	"github.com/mcpkeys/mcpkeys/internal/base/peercheck"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// DefaultDB is the key store if none is named.
const DefaultDB = "mcpkeys.db"

// Settings say where the keys are: in a database on this machine, or behind a server.
// [Settings.WithEnv] fills empty fields.
type Settings struct {
	DB         string // path of the database
	PepperFile string // path of its pepper; empty means DB with .pepper behind it

	Server       string      // URL of an admin API, instead of DB; or unix: and the path of its socket
	ServerUser   string      // who runs the server behind a socket, besides root; empty means this user
	AdminKeyFile string      // file with the admin key for Server
	AdminKey     keys.Secret // the admin key, if there is no file
	InsecureHTTP bool        // allow a Server on another machine without TLS
}

// WithEnv fills empty fields from the environment and then from the defaults. An empty
// variable counts as unset.
func (s Settings) WithEnv(getenv func(string) string) Settings {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.DB, getenv("KEYCTL_DB"))
	fill(&s.Server, getenv("KEYCTL_SERVER"))
	if _, isSocket := peercheck.Path(s.Server); isSocket { // for other servers it would be refused
		fill(&s.ServerUser, getenv("KEYCTL_SERVER_USER"))
	}
	fill(&s.AdminKeyFile, getenv("KEYCTL_ADMIN_KEY_FILE"))
	if text := getenv("KEYCTL_ADMIN_KEY"); s.AdminKey.IsZero() && text != "" {
		s.AdminKey = keys.NewSecret(text)
	}
	if s.Server == "" {
		fill(&s.DB, DefaultDB)
	}
	fill(&s.PepperFile, getenv("KEYCTL_PEPPER_FILE"))
	fill(&s.PepperFile, s.DB+".pepper")
	return s
}

const fieldServer = "server"

// Validate refuses settings that contradict each other or lack the admin key. The error is a
// [*keys.InvalidError].
func (s Settings) Validate() error {
	switch {
	case s.Server != "" && s.DB != "":
		return &keys.InvalidError{
			Field:  fieldServer,
			Reason: "cannot be combined with --db or KEYCTL_DB; use one of the two",
		}
	case s.Server != "" && s.AdminKeyFile == "" && s.AdminKey.IsZero():
		return &keys.InvalidError{
			Field:  "KEYCTL_ADMIN_KEY_FILE",
			Reason: "is not set; set it to a file with the admin key for the server, or set KEYCTL_ADMIN_KEY to the key",
		}
	}
	return nil
}

// Local refuses settings that name a server, for commands that need the file.
func (s Settings) Local() error {
	if s.Server != "" {
		return &keys.InvalidError{
			Field:  fieldServer,
			Reason: "cannot be used: this command works on the key store of this machine only; name it with --db",
		}
	}
	return s.Validate()
}

// cacheMiB is enough for a process that reads a key, or all keys once: lists of any length then
// take little memory.
const cacheMiB = 4

func (s Settings) options() *sqlite.Options {
	return &sqlite.Options{PepperFile: s.PepperFile, CacheMiB: cacheMiB}
}
