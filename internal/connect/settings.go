package connect

import (
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// DefaultDB is the key store when nobody names one.
const DefaultDB = "mcpkeys.db"

// Settings say where the keys are. Empty fields are open; [Settings.WithEnv] fills
// them.
type Settings struct {
	DB         string // path of the database
	PepperFile string // path of its pepper; empty means DB with .pepper behind it
	Server     string // URL of an admin API; refused so far
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
	fill(&s.DB, DefaultDB)
	fill(&s.PepperFile, getenv("KEYCTL_PEPPER_FILE"))
	fill(&s.PepperFile, s.DB+".pepper")
	fill(&s.Server, getenv("KEYCTL_SERVER"))
	return s
}

// Validate refuses settings that cannot be acted upon as they are meant. The error
// is a [*keys.InvalidError].
func (s Settings) Validate() error {
	if s.Server != "" {
		return &keys.InvalidError{
			Field:  "KEYCTL_SERVER",
			Reason: "is set, but this version acts on a local key store only; unset it to do so",
		}
	}
	return nil
}

func (s Settings) options() *sqlite.Options { return &sqlite.Options{PepperFile: s.PepperFile} }
