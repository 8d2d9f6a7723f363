package verifier

import (
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// backlog is the counts that could not be written, each under its own hour. Its size depends
// on the counts, not on how often writing failed.
type backlog struct {
	counts map[backlogCount]int64
	last   map[backlogSecret]keys.LastUse
}

type backlogCount struct {
	keyID, scope string
	code         keys.Code
	hour         time.Time
}

type backlogSecret struct {
	keyID  string
	secret int64
}

// newBacklog sums up list. It keeps as many counts, and as many last uses, as most says; the
// rest is lost.
func newBacklog(list []usage.Use, most int) backlog {
	b := backlog{map[backlogCount]int64{}, map[backlogSecret]keys.LastUse{}}
	for _, use := range list {
		for _, c := range use.Counts {
			at := backlogCount{use.KeyID, c.Scope, c.Code, c.Hour}
			if _, ok := b.counts[at]; ok || len(b.counts) < most {
				b.counts[at] += c.Calls
			}
		}
		for _, l := range use.Last {
			at := backlogSecret{use.KeyID, l.Secret}
			if was, ok := b.last[at]; ok && was.At.After(l.At) || !ok && len(b.last) >= most {
				continue
			}
			b.last[at] = l
		}
	}
	return b
}

func (b *backlog) uses() []usage.Use {
	list := make([]usage.Use, 0, len(b.counts)+len(b.last))
	for at, n := range b.counts {
		list = append(list, usage.Use{KeyID: at.keyID, Counts: []usage.Count{{Hour: at.hour, Code: at.code, Scope: at.scope, Calls: n}}})
	}
	for at, l := range b.last {
		list = append(list, usage.Use{KeyID: at.keyID, Last: []keys.LastUse{l}})
	}
	return list
}
