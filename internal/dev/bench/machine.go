package bench

import (
	"fmt"
	"runtime"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Machine says what a figure has to be read with.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d processors, %s, SQLite %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), sqlite.Version())
}
