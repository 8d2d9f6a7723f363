package leases

// Times, in ticks. A verifier relies on a lease for a while less than others count it
// (L and L + 5 %): its clock may be slow by that much.
const (
	lease   = 2
	longest = 3
)

const (
	none      = -1
	unknown   = -1 // the leases of a server that started are not known yet
	unlimited = 9  // the floor of a server without leases
)

const maxChecks = 3

// scenario is where an exploration starts and what may happen in it.
type scenario struct {
	name     string
	checks   int  // at most maxChecks
	servers  int  // 1 or 2
	renewals int8 // how many renewals the verifier sends
	ticks    int8

	drift   bool // the verifier's clocks lose one tick
	sleep   bool // its computer sleeps: the monotonic clock stops
	evict   bool // the verifier forgets the key once
	stream  bool // the change may be told by the stream
	gap     bool // another key changes later, and the stream may tell of that change only
	twin    bool // another process with the same verify key renews its own lease
	kill    bool // the first server is killed, and starts again
	unlock  bool // the first server loses the lock of its slot and does not notice
	crash   bool // the committer is killed after its commit, and another revokes again
	lagging bool // the server may answer from an earlier look; the verifier keeps its lease
	started world
}

// world is everything there is. It is comparable and holds numbers only.
type world struct {
	now       int8
	revoked   bool // the store's position is 1 or 2, and 0 without it
	announced bool // servers know that the store has changed
	later     bool // a later change of another key, at position 2, is announced as well
	returned  bool

	v        verifier
	renewal  renewal
	checks   [maxChecks]check
	servers  [2]server
	slots    [2]slot
	at       [2]int8 // the slot that a server writes to
	revoker  committer
	sent     int8 // renewals
	happened accidents
}

type accidents struct {
	drift, evict, kill, restart, unlock, crash bool
}

// verifier is what a verifier's process knows.
type verifier struct {
	lostMono, lostWall int8 // ticks that its clocks lost
	leased             bool
	mono, wall         int8 // when the lease began
	heard              int8 // what is behind this is not used; it moves with the drop
	applied            int8 // what a renewal says; it moves after the drop
	hearing            int8 // the position of the event of which the first step was taken; zero for none
	remembers          bool // that the key is good
	flying             int8 // the check whose question others may wait for
}

func (w *world) position() int8 {
	switch {
	case w.later:
		return 2
	case w.revoked:
		return 1
	}
	return 0
}

// seen is the position that a server knows: it reads the store when a change is announced.
func (w *world) seen() int8 {
	switch {
	case w.later:
		return 2
	case w.announced:
		return 1
	}
	return 0
}

// hot is a verifier that holds a lease of the first server and remembers the key.
var hot = func() world {
	w := world{v: verifier{leased: true, remembers: true, flying: none}}
	w.servers[0] = server{up: true, nonce: 1, started: -longest}
	w.servers[0].leases[0] = noted{until: longest}
	w.slots[0] = slot{nonce: 1, by: 1, locked: true}
	w.at = [2]int8{0, 1}
	return w
}()

// away is a verifier whose lease ran out long ago, with a server that has no lease noted.
var away = func() world {
	w := hot
	w.v = verifier{remembers: true, flying: none}
	w.servers[0].leases[0] = noted{}
	w.slots[0].floor = unlimited
	return w
}()

// pair is two servers, of which the second grants the verifier's lease.
var pair = func() world {
	w := hot
	w.servers[1], w.slots[1] = w.servers[0], w.slots[0]
	w.servers[0].leases[0] = noted{}
	w.slots[0].floor = unlimited
	return w
}()

// taken is a server that lost its slot and does not know it. The second one has the slot, and
// grants the verifier's lease.
var taken = func() world {
	w := hot
	w.servers[1] = w.servers[0]
	w.servers[1].nonce = 2
	w.servers[0].leases[0] = noted{}
	w.slots[0] = slot{nonce: 2, by: 2, locked: true}
	w.at[1] = 0
	return w
}()

var scenarios = []scenario{
	{name: "verifier that was away", checks: 1, servers: 1, renewals: 2, ticks: 3, started: away},
	{name: "two checks", checks: 2, servers: 1, renewals: 1, ticks: 3, evict: true, started: hot},
	{name: "stream", checks: 2, servers: 1, renewals: 1, ticks: 3, stream: true, started: hot},
	{name: "stream with a gap", checks: 1, servers: 1, renewals: 1, ticks: 3, stream: true, gap: true, started: hot},
	{name: "slow clock", checks: 1, servers: 1, renewals: 1, ticks: 5, drift: true, started: hot},
	{name: "sleep", checks: 1, servers: 1, renewals: 1, ticks: 4, sleep: true, started: hot},
	{name: "two processes with one key", checks: 1, servers: 1, renewals: 1, ticks: 2, twin: true, started: hot},
	{name: "server is killed", checks: 1, servers: 1, renewals: 2, ticks: 4, kill: true, started: hot},
	{name: "server loses its lock", checks: 1, servers: 1, renewals: 1, ticks: 5, unlock: true, started: hot},
	{name: "two servers", checks: 1, servers: 2, renewals: 1, ticks: 3, started: pair},
	{name: "slot was taken over", checks: 1, servers: 2, renewals: 1, ticks: 2, twin: true, started: taken},
	{name: "committer is killed", checks: 1, servers: 1, renewals: 1, ticks: 4, crash: true, started: hot},
	{name: "server that answers from before", checks: 3, servers: 1, renewals: 2, evict: true, lagging: true, started: hot},
}
