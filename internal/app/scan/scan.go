// Package scan finds leaked keys in files, in the history of a git repository, and in a stream.
// It works offline, by the shape and the check digits of a token.
//
// Call [Stream] for a pipe, [Tree] for a file or a folder, [History] for a repository. Each
// reports every place to a function. The caller asks a key store whether the key is valid.
//
// The package follows no symbolic links, which could lead anywhere and in circles, and reports
// every file that it cannot read. It does not look into compressed files and archives. It
// prints nothing, and a [Finding] prints no secret.
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
	Line   int    // from 1; 0 if the token is in the file's name
	Commit string // the first commit that has it, abbreviated; empty outside of a history
	Token  keys.Token
}

// window is how much of a stream is searched at once, in bytes.
const window = 256 << 10

// Stream reads r to its end and reports every token in it, with its line. It ignores zero
// bytes, so that it finds tokens in UTF-16, which some shells write. The error is r's.
func Stream(r io.Reader, report func(line int, t keys.Token)) error {
	var (
		text = make([]byte, 0, window)
		line = 1 // at the start of text
		told = 0 // tokens before this index were reported
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
		// A token may begin in this window and end in the next one.
		cut := max(0, len(text)-MaxFound+1)
		line += bytes.Count(text[:cut], newline)
		told = max(0, told-cut)
		text = text[:copy(text, text[cut:])]
	}
}

var newline = []byte{'\n'}

// Masked replaces the tokens in a path, or in a sentence with a path, by their ids. It replaces
// a run of characters that may be a secret without its id, or most of one, by its length. It
// keeps names made of words, such as those of classes, and UUIDs and digests in hex.
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

// jumbled reports whether the kind of characters (digits, small letters, capitals) changes as
// often as in a random text: there it changes at six places in ten, in names made of words at
// one or two. One secret in a thousand is below the limit of three and a half.
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

// withoutZeros removes the zeros from text, in place.
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
