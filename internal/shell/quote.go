// Package shell writes words so that a POSIX shell reads them back as they are: for
// commands that are printed to be pasted. Call [Quote] on every word that is not
// fixed.
//
// It refuses nothing and runs nothing. What a terminal is to be kept from, control
// characters say, is not its business: see to that before.
package shell

import "strings"

// Quote quotes word when it needs it.
func Quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
