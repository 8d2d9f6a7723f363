package remote

import (
	"slices"
	"sync"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// known are the keys of which a secret was proved to this process: a renewal names changed keys
// by tags, and a question about a key needs its pass. Every key that the verifier may remember
// is here. When there are too many, all are forgotten, here and by the verifier.
type known struct {
	instance protocol.Instance
	most     int

	mu     sync.Mutex          // guards what follows
	passes map[string][]proved // of each key, the newest last; empty for a key that is withheld
	ids    map[protocol.Tag]string
	full   bool // the next renewal drops everything
}

// proved is a secret that was proved to this process, with its pass.
type proved struct {
	secret int64
	pass   protocol.Pass
}

// maxProved is of how many secrets of one key the passes are kept, the newest ones. A key has two
// secrets that are valid.
const maxProved = 8

// add comes before the verifier hears of the key. One is nil for a key that is withheld.
func (k *known) add(id string, one *proved) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list, again := k.passes[id]
	if !again {
		if len(k.passes) >= k.most {
			k.full = true
			return
		}
		if k.passes == nil {
			k.passes, k.ids = map[string][]proved{}, map[protocol.Tag]string{}
		}
		k.ids[k.instance.TagOf(id)] = id
	}
	if one == nil {
		k.passes[id] = nil
		return
	}
	list = slices.DeleteFunc(list, func(p proved) bool { return p.secret == one.secret })
	if len(list) == maxProved {
		list = slices.Delete(list, 0, 1)
	}
	k.passes[id] = append(list, *one)
}

// newest returns the secret of the key that was proved last.
func (k *known) newest(id string) (proved, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if list := k.passes[id]; len(list) > 0 {
		return list[len(list)-1], true
	}
	return proved{}, false
}

// pass returns the pass of one secret.
func (k *known) pass(id string, secret int64) (protocol.Pass, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.passes[id] {
		if p.secret == secret {
			return p.pass, true
		}
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
