//go:build !linux

package listening

import "net"

// settle does nothing where the kernel has no way to do it.
func settle(net.Listener) {}
