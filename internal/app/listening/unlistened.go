package listening

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// flagOf is the flag that sets a field of [Options].
func flagOf(field string) string { return "--" + strings.ReplaceAll(field, "_", "-") }

// unlistened says why the server cannot listen at address, which field gave.
func unlistened(field, address string, err error) error {
	flag := flagOf(field)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens at %s; stop it, or choose another port with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; choose one with %s, such as 127.0.0.1:8420", address, flag)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not listen at %s; choose a port above 1023 with %s", address, flag)
	}
	return fmt.Errorf("cannot listen at %s; choose an address of this machine with %s, such as 127.0.0.1:8420", address, flag)
}
