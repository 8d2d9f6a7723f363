//go:build !unix

package sqlite

// mayWrite leaves it to the first change to find out.
func mayWrite(string) error { return nil }
