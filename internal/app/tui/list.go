package tui

import (
	"slices"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/keys"
)

// list is the keys as they were last read, which of them the filter shows, and which
// one is selected. The selection is a key and not a row: it stays with its key when
// others come and go, and returns to it when a filter that hid it is cleared.
type list struct {
	all      []*keys.Key // newest first
	shown    []*keys.Key
	used     map[string]keys.LastUse // by id; nil when it is not known
	tampered map[string]bool         // ids of rows that are not to be believed

	id     string // of the key that the user chose, shown or not
	cursor        // on that key, or where it was

	nameWidth, ownerWidth int // what the shown keys need
}

// set takes in what was read.
func (l *list) set(all []*keys.Key, tests []test, now time.Time) {
	l.all = all
	l.sift(tests, now)
}

// sift shows what fits the filter.
func (l *list) sift(tests []test, now time.Time) {
	l.shown, l.nameWidth, l.ownerWidth = nil, len("NAME"), len("OWNER")
	for _, k := range l.all {
		if fitsAll(tests, k, now) {
			l.shown = append(l.shown, k)
			l.nameWidth = max(l.nameWidth, ansi.StringWidth(nameText(k)))
			l.ownerWidth = max(l.ownerWidth, ansi.StringWidth(k.Owner))
		}
	}
	l.choose(l.id)
	if l.id == "" {
		l.move(l.at)
	}
}

// move selects a row, or the nearest there is.
func (l *list) move(at int) {
	l.at = at
	l.settle(len(l.shown))
	if len(l.shown) > 0 {
		l.id = l.shown[l.at].ID
	}
}

// choose selects a key by its id, also one that is not there yet.
func (l *list) choose(id string) {
	l.id = id
	if at := slices.IndexFunc(l.shown, func(k *keys.Key) bool { return k.ID == id }); at >= 0 {
		l.at = at
	}
	l.settle(len(l.shown))
}

// replace puts in a key as it now stands, until the next reading.
func (l *list) replace(k *keys.Key, tests []test, now time.Time) {
	delete(l.tampered, k.ID) // it was sealed anew
	all := slices.Clone(l.all)
	for i := range all {
		if all[i].ID == k.ID {
			all[i] = k
		}
	}
	l.set(all, tests, now)
}

// selected is the key the user means, nil when there is none.
func (l *list) selected() *keys.Key {
	if l.at < len(l.shown) {
		return l.shown[l.at]
	}
	return nil
}

// show makes room for a number of rows.
func (l *list) show(rows int) {
	l.rows = max(1, rows)
	l.settle(len(l.shown))
}
