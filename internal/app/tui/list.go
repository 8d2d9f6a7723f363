package tui

import (
	"slices"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/keys"
)

// list is the keys as they were last read: which ones pass the filter, and which one is
// selected. The selection belongs to a key, not to a row: it stays with its key when others are
// added or removed, and returns to it when a filter that hid it is cleared.
type list struct {
	all      []*keys.Key // newest first
	shown    []*keys.Key
	used     map[string]keys.LastUse // by id; nil if it is not known
	tampered map[string]bool         // ids of rows that were changed outside mcpkeys

	id     string // of the chosen key, shown or not
	cursor        // on that key, or where it was before

	nameWidth, ownerWidth int // what the shown keys need
}

// set replaces the keys by the ones just read.
func (l *list) set(all []*keys.Key, tests []test, now time.Time) {
	l.all = all
	l.sift(tests, now)
}

// sift shows the keys that pass the filter.
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

// move selects row at, or the nearest one.
func (l *list) move(at int) {
	l.at = at
	l.settle(len(l.shown))
	if len(l.shown) > 0 {
		l.id = l.shown[l.at].ID
	}
}

// choose selects a key by its id, also if it is not loaded yet.
func (l *list) choose(id string) {
	l.id = id
	if at := slices.IndexFunc(l.shown, func(k *keys.Key) bool { return k.ID == id }); at >= 0 {
		l.at = at
	}
	l.settle(len(l.shown))
}

// replace puts in the changed key k until the list is read again.
func (l *list) replace(k *keys.Key, tests []test, now time.Time) {
	delete(l.tampered, k.ID) // it was sealed again
	all := slices.Clone(l.all)
	for i := range all {
		if all[i].ID == k.ID {
			all[i] = k
		}
	}
	l.set(all, tests, now)
}

// selected is the selected key; nil without one.
func (l *list) selected() *keys.Key {
	if l.at < len(l.shown) {
		return l.shown[l.at]
	}
	return nil
}

// show sets the number of rows that fit.
func (l *list) show(rows int) {
	l.rows = max(1, rows)
	l.settle(len(l.shown))
}
