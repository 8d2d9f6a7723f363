package connect

import (
	"os"
	"os/user"
	"strconv"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// localActor names the user who runs this process, as in audit rows: local:alice(1000), or
// local:1000 if the system has no valid name.
func localActor() audit.Actor {
	uid := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(uid); err == nil {
		named := "local:" + u.Username + "(" + uid + ")"
		if u.Username != "" && keys.ValidateText("actor", named) == nil {
			return audit.Actor(named)
		}
	}
	return audit.Actor("local:" + uid)
}
