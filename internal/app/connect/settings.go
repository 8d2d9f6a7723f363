package connect

import (
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// DefaultDB is the key store when nobody names one.
const DefaultDB = "mcpkeys.db"

// Settings say where the keys are: in a database on this machine, or behind a server.
// Empty fields are open; [Settings.WithEnv] fills them.
type Settings struct {
	DB         string // path of the database
	PepperFile string // path of its pepper; empty means DB with .pepper behind it

	Server       string      // URL of an admin API, instead of DB
	AdminKeyFile string      // file with the admin key for Server
	AdminKey     keys.Secret // the admin key, where there is no file
	InsecureHTTP bool        // allow a Server on another machine without TLS
}

// WithEnv fills what is empty from the environment, where an empty variable counts
// as unset, and then from the defaults.
func (s Settings) WithEnv(getenv func(string) string) Settings {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.DB, getenv("KEYCTL_DB"))
	fill(&s.Server, getenv("KEYCTL_SERVER"))
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

// Validate refuses settings that cannot be acted upon as they are meant. The error
// is a [*keys.InvalidError].
func (s Settings) Validate() error {
	switch {
	case s.Server != "" && s.DB != "":
		return &keys.InvalidError{
			Field:  "server",
			Reason: "and a database are both named, by flag or by KEYCTL_SERVER and KEYCTL_DB; name one, so that nobody changes keys in the wrong place",
		}
	case s.Server != "" && s.AdminKeyFile == "" && s.AdminKey.IsZero():
		return &keys.InvalidError{
			Field:  "KEYCTL_ADMIN_KEY_FILE",
			Reason: "is not set; it names a file with the admin key for the server (or put the key into KEYCTL_ADMIN_KEY)",
		}
	}
	return nil
}

// Local refuses settings that name a server, for what only a file can be asked.
func (s Settings) Local() error {
	if s.Server != "" {
		return &keys.InvalidError{
			Field:  "server",
			Reason: "is named, by --server or KEYCTL_SERVER, but this works on the key store of this machine only: name that with --db",
		}
	}
	return s.Validate()
}

func (s Settings) options() *sqlite.Options { return &sqlite.Options{PepperFile: s.PepperFile} }
