// Package scan looks for keys where none should be: in files, in the history of a git
// repository, in what a pipe brings. It works offline, by the shape and the check
// digits of a token.
//
// Call [Stream] for a pipe, [Tree] for a file or a folder, [History] for a repository.
// Each tells of every place it finds to a function; what the key is worth is for the
// caller to find out, from a key store.
//
// The package refuses to follow symbolic links, which could lead it anywhere and in
// circles, and to pass over in silence what it could not read. It does not look into
// compressed files, and so not into archives. It prints nothing, and a [Finding] prints
// no secret.
package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Finding is one place that holds a token.
type Finding struct {
	File   string // empty for a pipe; see [Masked]
	Line   int    // from 1; 0 where the token is in the file's name
	Commit string // where a history has it first, abbreviated; empty elsewhere
	Token  keys.Token
}

// window is how much of a stream is looked at in one go, in bytes.
const window = 256 << 10

// Stream reads r to its end and tells report of every token in it, with its line. Bytes
// of zero are passed over, so that a text in UTF-16, as some shells write it, is read
// like any other. The error is r's.
func Stream(r io.Reader, report func(line int, t keys.Token)) error {
	var (
		text = make([]byte, 0, window)
		line = 1 // at the start of text
		told = 0 // how much of text needs no second look
	)
	for {
		n, err := r.Read(text[len(text):cap(text)])
		text = append(text, withoutZeros(text[len(text):len(text)+n])...)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return fmt.Errorf("read: %w", err)
		}
		if len(text) < cap(text) && !last {
			continue
		}
		for _, f := range FindTokens(text) {
			if f.At >= told {
				report(line+bytes.Count(text[:f.At], newline), f.Token)
				told = f.At + 1
			}
		}
		if last {
			return nil
		}
		// The end of the window may be the beginning of a token.
		cut := max(0, len(text)-MaxFound+1)
		line += bytes.Count(text[:cut], newline)
		told = max(0, told-cut)
		text = text[:copy(text, text[cut:])]
	}
}

var newline = []byte{'\n'}

// Masked leaves of the tokens in a path, or in a sentence about one, their ids only; and of
// what may be a secret without its id, or the larger part of one, how long it is. Names of
// words, such as those of classes, stay, and so do UUIDs and digests in hex.
func Masked(text string) string {
	var b strings.Builder
	end := 0
	for _, f := range FindTokens([]byte(text)) {
		if f.At >= end {
			b.WriteString(text[end:f.At] + "[key " + f.Token.ID() + "]")
			end = f.At + f.Len
		}
	}
	return longRun.ReplaceAllStringFunc(b.String()+text[end:], func(run string) string {
		if !keys.LooksLikeToken(run) || !jumbled(run) {
			return run
		}
		return fmt.Sprintf("[%d characters that may be a secret]", len(run))
	})
}

var longRun = regexp.MustCompile(`[0-9A-Za-z]{24,}`)

// jumbled reports whether the kind of characters (digits, small letters, capitals) changes
// as often as it does by chance, and more often than words make it. By chance it changes at
// six places in ten, in names of words at one or two in ten; one secret in a thousand is
// below three and a half.
func jumbled(run string) bool {
	changes := 0
	for i := 1; i < len(run); i++ {
		if kindOf(run[i]) != kindOf(run[i-1]) {
			changes++
		}
	}
	return 100*changes >= 35*len(run)
}

func kindOf(c byte) int {
	switch {
	case c <= '9':
		return 0
	case c <= 'Z':
		return 1
	}
	return 2
}

// withoutZeros leaves the zeros out of text, in place.
func withoutZeros(text []byte) []byte {
	if bytes.IndexByte(text, 0) < 0 {
		return text
	}
	kept := text[:0]
	for _, c := range text {
		if c != 0 {
			kept = append(kept, c)
		}
	}
	return kept
}
