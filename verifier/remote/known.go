package remote

import (
	"sync"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// known are the keys of which a secret was proved to this process: a renewal names changed keys
// by tags, and a question about a key needs its pass. Every key that the verifier may remember
// is here. When there are too many, all are forgotten, here and by the verifier.
type known struct {
	instance protocol.Instance
	most     int

	mu     sync.Mutex                // guards what follows
	passes map[string]*protocol.Pass // nil for a key that is withheld
	ids    map[protocol.Tag]string
	full   bool // the next renewal drops everything
}

// add comes before the verifier hears of the key.
func (k *known) add(id string, pass *protocol.Pass) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.passes[id]; !again {
		if len(k.passes) >= k.most {
			k.full = true
			return
		}
		if k.passes == nil {
			k.passes, k.ids = map[string]*protocol.Pass{}, map[protocol.Tag]string{}
		}
		k.ids[k.instance.TagOf(id)] = id
	}
	k.passes[id] = pass
}

func (k *known) pass(id string) (protocol.Pass, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pass := k.passes[id]; pass != nil {
		return *pass, true
	}
	return protocol.Pass{}, false
}

// unknownKey stands for a changed key that this process does not know: no key has this id.
const unknownKey = ""

// changed returns the ids of the changed keys. All is true if everything must be dropped.
func (k *known) changed(tags []protocol.Tag, lost bool) (ids []string, all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.full {
		k.passes, k.ids, k.full = nil, nil, false
		return nil, true
	}
	if lost {
		return nil, true
	}
	for _, tag := range tags {
		id, ok := k.ids[tag]
		if !ok {
			id = unknownKey
		}
		if id != unknownKey || len(ids) == 0 || ids[len(ids)-1] != unknownKey {
			ids = append(ids, id)
		}
	}
	return ids, false
}
