package server

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// unlistened says why the server cannot listen at address.
func unlistened(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens at %s; stop it, or choose another port with --listen", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; choose one with --listen, such as %s", address, DefaultListen)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not listen at %s; choose a port above 1023 with --listen", address)
	}
	return fmt.Errorf("cannot listen at %s; choose an address of this machine with --listen, such as %s", address, DefaultListen)
}
