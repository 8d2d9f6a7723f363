// Package shell quotes words for a POSIX shell, for commands that are printed to be pasted.
// Call [Quote] on every word that is not fixed.
//
// [Same] reports whether the program that a shell finds is the one that is meant.
//
// It refuses nothing and runs nothing. It does not remove control characters: do that before.
package shell

import (
	"os"
	"strings"
)

// Quote quotes word if it needs quotes.
func Quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Same reports whether two paths lead to one file.
func Same(a, b string) bool {
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}
