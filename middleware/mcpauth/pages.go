package mcpauth

import (
	"cmp"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// page is one page of any of the four lists.
type page[T any] struct {
	entries []T
	next    string // the SDK's cursor, or one of this package
}

// visible returns the page, at a cursor of this package, of what may be used. It collects the
// server's pages, drops the rest and cuts at the server's page size: a page with gaps would
// show how much is hidden, and clients that do not page would see too little.
func visible[T any](cursor string, fetch func(cursor string) (page[T], error), name func(T) string, may func(name string) bool) (page[T], error) {
	after, err := readCursor(cursor, may)
	if err != nil {
		return page[T]{}, err
	}
	entries, size, err := gather(fetch)
	if err != nil {
		return page[T]{}, err
	}
	shown := page[T]{entries: []T{}} // never null in JSON
	for _, e := range entries {
		if n := name(e); may(n) && (cursor == "" || n > after) {
			shown.entries = append(shown.entries, e)
		}
	}
	slices.SortStableFunc(shown.entries, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	if size > 0 && len(shown.entries) > size {
		shown.entries = shown.entries[:size]
		shown.next = makeCursor(name(shown.entries[size-1]))
	}
	return shown, nil
}

// gather reads all pages. size is how many entries fit on one, or zero if all fit.
func gather[T any](fetch func(string) (page[T], error)) (entries []T, size int, err error) {
	cursor := ""
	for {
		p, err := fetch(cursor)
		if err != nil {
			return nil, 0, err
		}
		entries = append(entries, p.entries...)
		if p.next == "" {
			return entries, size, nil
		}
		if p.next == cursor {
			return nil, 0, errors.New("mcpauth: the server's list does not end")
		}
		if cursor == "" {
			size = len(p.entries)
		}
		cursor = p.next
	}
}

// A cursor of this package names the last entry that was shown. The SDK's own would name the
// last one of its page, which may be hidden.
const cursorMark = "mcpkeys:"

func makeCursor(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorMark + last))
}

// readCursor refuses, as the SDK does, a cursor that makeCursor did not make: one that names an
// entry which its caller may not see is forged, or older than the key's scopes.
func readCursor(cursor string, may func(name string) bool) (last string, err error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	last, ours := strings.CutPrefix(string(text), cursorMark)
	if err != nil || !ours || !may(last) {
		return "", rpc(mcppolicy.InvalidParams("invalid params"))
	}
	return last, nil
}
