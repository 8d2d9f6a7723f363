package tui

import (
	"maps"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	refreshEvery = 2 * time.Second  // from the end of one read to the next
	retryAtMost  = 30 * time.Second // between tries, however often they fail
	share        = 10               // after a slow read, the pause is this many times as long as the read
	maxLoaded    = 10_000           // newest keys; `keyctl list` shows all
)

// load is the reading of the list: whether one runs, how the last one ended, and when the next
// one is due.
type load struct {
	reading bool
	round   int // counts readings; a page of an older one is dropped
	pages   []*keys.Key
	broken  map[string]bool         // ids of rows that were changed outside mcpkeys
	used    map[string]keys.LastUse // of the pages; nil if it is unknown for one of them
	began   time.Time

	done     time.Time // when the list on the screen was complete; zero before the first
	next     time.Time
	err      error // of the last reading; nil if it worked
	failures int   // in a row
	paused   bool
	cut      bool // there are more keys than were loaded
}

// due reports whether it is time to read again.
func (l *load) due(now time.Time) bool {
	return !l.reading && !l.paused && !now.Before(l.next)
}

// reload starts a reading. The result of one that is running is dropped: it may be older than
// what the user just did.
func (m *Model) reload() tea.Cmd {
	l := &m.load
	l.round++
	l.reading, l.pages, l.began = true, nil, m.now
	l.broken = map[string]bool{}
	return readPage(m.manager, l.round, "")
}

// onPage adds one page and asks for the next. The first reading shows each page at once; later
// ones replace the list when they are complete.
func (m *Model) onPage(msg pageMsg) tea.Cmd {
	l := &m.load
	if !l.reading || msg.round != l.round {
		return nil
	}
	if msg.err != nil {
		l.fail(m.now, msg.err)
		return nil
	}
	l.take(msg.page)
	cut := msg.page.Next != "" && len(l.pages) >= maxLoaded
	if msg.page.Next != "" && !cut {
		if l.done.IsZero() {
			m.list.used, m.list.tampered = l.used, l.broken
			m.list.set(l.pages, m.filter.tests, m.now)
		}
		return tea.Batch(readPage(m.manager, l.round, msg.page.Next), m.readDetail())
	}
	m.list.used, m.list.tampered = l.used, l.broken
	m.list.set(l.pages, m.filter.tests, m.now)
	m.refreshDialog()
	l.finish(m.now, cut)
	m.detail.stale = true
	return m.readDetail()
}

// take adds a page to the ones before.
func (l *load) take(page keys.Page) {
	switch {
	case len(l.pages) == 0:
		l.used = maps.Clone(page.LastUsed)
	case page.LastUsed == nil:
		l.used = nil
	case l.used != nil:
		maps.Copy(l.used, page.LastUsed)
	}
	l.pages = append(l.pages, page.Keys...)
	for _, id := range page.Tampered {
		l.broken[id] = true
	}
}

func (l *load) finish(now time.Time, cut bool) {
	took := now.Sub(l.began)
	l.reading, l.pages, l.cut = false, nil, cut
	l.done, l.next = now, now.Add(max(refreshEvery, share*took))
	l.err, l.failures = nil, 0
}

// fail doubles the time to the next try with each failure.
func (l *load) fail(now time.Time, err error) {
	l.reading, l.pages, l.err = false, nil, err
	wait := retryAtMost
	if l.failures < 4 {
		wait = refreshEvery << l.failures
	}
	l.failures++
	l.next = now.Add(wait)
}
