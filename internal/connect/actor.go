package connect

import (
	"os"
	"os/user"
	"strconv"

	"github.com/mcpkeys/mcpkeys/keys"
)

// localActor names the user who runs this process, as audit rows do:
// local:alice(1000), or local:1000 where the system knows no fitting name.
func localActor() keys.Actor {
	uid := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(uid); err == nil {
		named := "local:" + u.Username + "(" + uid + ")"
		if u.Username != "" && keys.ValidateText("actor", named) == nil {
			return keys.Actor(named)
		}
	}
	return keys.Actor("local:" + uid)
}
