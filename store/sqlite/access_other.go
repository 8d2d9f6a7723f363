//go:build !unix

package sqlite

// mayWrite leaves it to the first change to find out.
func mayWrite(string) error { return nil }

// lockDir cannot keep others waiting here. Who makes a file in the same moment as
// another process may make it in vain.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
