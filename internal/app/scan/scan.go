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
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Finding is one place that holds a token.
type Finding struct {
	File   string // empty for a pipe; a token in the name itself is masked
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

// masked leaves of the tokens in a name their ids only.
func masked(name string) string {
	var b strings.Builder
	end := 0
	for _, f := range FindTokens([]byte(name)) {
		if f.At >= end {
			b.WriteString(name[end:f.At] + "[key " + f.Token.ID() + "]")
			end = f.At + f.Len
		}
	}
	return b.String() + name[end:]
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
