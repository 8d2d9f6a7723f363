//go:build !linux

package server

import "net"

// settle does nothing where the kernel offers no way to do it.
func settle(net.Listener) {}
