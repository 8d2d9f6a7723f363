package mcpauth

import "github.com/mcpkeys/mcpkeys/keys"

// held is the hold of a request, from when its head was admitted until the request was answered and
// the messages that it brought are done. One hold watches all that the request and its only message
// need. Of several messages, each has its own hold: one of them may lose its scope while the others
// continue. The gate's mu guards it.
type held struct {
	users   int      // the request, and its messages
	last    *running // a message that the hold watches too; running.before has the others
	release func()
}

// hold begins the hold of the request. It ends with letGo.
func (c *caller) hold() {
	c.out.held.users = 1
	c.out.held.release = c.by.guard.Watch(c.admitted, c)
}

// holdFor holds a message until letGoOf. It fails if the request has ended already.
func (c *caller) holdFor(call *running) error {
	g := &c.out
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.alone || g.held.users == 0: // a notification may begin after its request was answered
		call.release = c.by.guard.Watch(c.admitted, call)
	case g.ended != nil:
		return g.ended
	default:
		g.held.users++
		call.before, g.held.last = g.held.last, call
	}
	return nil
}

func (c *caller) letGoOf(call *running) {
	if call.release != nil {
		call.release()
		return
	}
	c.letGo()
}

func (c *caller) letGo() {
	h := &c.out.held
	c.out.mu.Lock()
	h.users--
	last := h.users == 0
	if last {
		h.last = nil // a session keeps its last request, and need not keep its answers
	}
	c.out.mu.Unlock()
	if last {
		h.release()
	}
}

// watched are the messages that the request's hold watches, from the last one on.
func (c *caller) watched() *running {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.held.last
}

// Enough implements [middleware.Held]. A message that is not done is not removed: its answer may
// not have been sent.
func (c *caller) Enough(before, now *keys.Identity) bool {
	for call := c.watched(); call != nil; call = call.before {
		if !call.Enough(before, now) {
			return false
		}
	}
	return true
}

// End implements [middleware.Held].
func (c *caller) End(err error) {
	c.out.end(err)
	for call := c.watched(); call != nil; call = call.before {
		call.End(err)
	}
}
