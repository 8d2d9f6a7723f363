package keys

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Use is what one process counted of one key since it last wrote counts down. Counts
// are statistics: they decide nothing, and a crash may lose those of some seconds.
type Use struct {
	KeyID  string
	Last   []LastUse  // one a secret that was accepted meanwhile
	Counts []UseCount // none is zero
}

// LastUse tells when one of a key's secrets was last accepted, and from where.
type LastUse struct {
	Secret   int64      // its number
	At       time.Time  // UTC, microseconds
	ClientIP netip.Addr // zero when unknown
	Agent    string     // the first word of the client's User-Agent; empty when unknown
}

// UseCount is how often a key was presented in one hour with one outcome.
//
// With an empty Scope it counts requests: each is counted once, under the outcome of
// its authentication. A call of a request that carries many, as of MCP, is counted too
// when it is over the key's rate limit, under [CodeRateLimited]. With a Scope it counts what was asked beyond that, under
// [CodeValid] or [CodeInsufficientScope]; one request may ask for several scopes.
type UseCount struct {
	Hour  time.Time // its beginning, UTC
	Code  Code
	Scope string // a required scope, [OtherScopes], or empty
	Calls int64
}

// Usage is what is known of the use of one key.
type Usage struct {
	Since  time.Time  // when counting began; what was used before is not known, which is not the same as unused
	Last   []LastUse  // newest first; a secret that was never accepted is not in it
	Counts []UseCount // oldest hour first
}

// LastUsed is the newest use of any secret; the zero LastUse if there was none.
func (u Usage) LastUsed() LastUse {
	if len(u.Last) == 0 {
		return LastUse{}
	}
	return slices.MaxFunc(u.Last, func(a, b LastUse) int { return a.At.Compare(b.At) })
}

// How much is kept of what decides nothing: use, refusals, and secrets that ended.
const (
	// UsageKept is how long counts are kept. Last uses are kept for ever.
	UsageKept = 90 * 24 * time.Hour
	// UsageSince is how far back one looks who does not say: the default of [ParseSince].
	UsageSince = 24 * time.Hour
	// DenialsKept is how many rows are kept of denials with a proved key, and how many of all
	// others; the oldest go. So nobody without a key can wash away what those with one did.
	DenialsKept = 2500
	// SupersededKept is how long a secret that a rotation ended is recognised, and
	// MaxSuperseded how many of one key are. Imported ones are kept for as long as their
	// pepper is: an import must find that their tokens have ended.
	SupersededKept = 30 * 24 * time.Hour
	MaxSuperseded  = 8
	// OtherScopes stands for those required scopes of a key and an hour that were too
	// many to be counted each on its own, that are too long, or that look like a secret. No
	// required scope can be this.
	OtherScopes = "*"
)

// maxAgent is the length of [LastUse.Agent], in bytes.
const maxAgent = 64

// AgentOf returns what is noted of a User-Agent: its first word, if that can be shown
// anywhere. People paste keys into anything, so what looks like one is left out.
func AgentOf(userAgent string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(userAgent), " ")
	if LooksLikeToken(word) {
		return "" // before it is cut, or a piece would be left that looks like nothing
	}
	if len(word) > maxAgent {
		word = word[:maxAgent]
	}
	for i := range len(word) {
		if word[i] <= ' ' || word[i] > '~' {
			return ""
		}
	}
	return strings.Clone(word)
}
