package sqlite

import (
	"strconv"
	"strings"
)

// LeastVersion is the first SQLite in which concurrent checkpoints of two connections
// cannot corrupt a database in WAL mode.
const LeastVersion = "3.51.3"

// TooOld reports whether version, such as 3.40.1, is older than [LeastVersion], or cannot be
// read.
func TooOld(version string) bool {
	have, least := strings.Split(version, "."), strings.Split(LeastVersion, ".")
	for i := range least {
		if i >= len(have) {
			return true
		}
		h, err := strconv.Atoi(have[i])
		l, _ := strconv.Atoi(least[i]) // a constant
		if err != nil || h != l {
			return err != nil || h < l
		}
	}
	return false
}
