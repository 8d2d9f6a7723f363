//go:build !linux

package sqlite

// refuseNetwork cannot tell here. Do not put a key store on a network drive.
func refuseNetwork(string) error { return nil }
