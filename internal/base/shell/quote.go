// Package shell writes words so that a POSIX shell reads them back as they are: for
// commands that are printed to be pasted. Call [Quote] on every word that is not
// fixed.
//
// [Same] tells whether what a shell finds is the program that is meant.
//
// It refuses nothing and runs nothing. What a terminal is to be kept from, control
// characters say, is not its business: see to that before.
package shell

import (
	"os"
	"strings"
)

// Quote quotes word when it needs it.
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
