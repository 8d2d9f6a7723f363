package keys

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Use is what one process counted of one key since it last wrote counts. Counts are
// statistics: they decide nothing, and a crash may lose some seconds of them.
type Use struct {
	KeyID  string
	Last   []LastUse  // one for each secret that was accepted
	Counts []UseCount // without zero counts
}

// LastUse is when and from where one of a key's secrets was last accepted.
type LastUse struct {
	Secret   int64      // its number
	At       time.Time  // UTC, microseconds
	ClientIP netip.Addr // zero when unknown
	Agent    string     // the first word of the client's User-Agent; empty when unknown
}

// UseCount is how often a key was used in one hour with one outcome.
//
// With an empty Scope it counts requests, each once, under the outcome of its
// authentication. An MCP call that exceeds the key's rate limit is also counted, under
// [CodeRateLimited]. With a Scope it counts checks of that scope, under [CodeValid] or
// [CodeInsufficientScope]; one request may require several scopes.
type UseCount struct {
	Hour  time.Time // its start, UTC
	Code  Code
	Scope string // a required scope, [OtherScopes], or empty
	Calls int64
}

// Usage is what is known of the use of one key.
type Usage struct {
	Since  time.Time  // when counting began; earlier use is unknown, which is not the same as unused
	Last   []LastUse  // newest first; without secrets that were never accepted
	Counts []UseCount // oldest hour first
}

// LastUsed is the newest use of any secret; the zero LastUse if there was none.
func (u Usage) LastUsed() LastUse {
	if len(u.Last) == 0 {
		return LastUse{}
	}
	return slices.MaxFunc(u.Last, func(a, b LastUse) int { return a.At.Compare(b.At) })
}

// How long statistics are kept: use, refusals, and secrets that ended.
const (
	// UsageKept is how long counts are kept. Last uses are kept permanently.
	UsageKept = 90 * 24 * time.Hour
	// UsageSince is the default of [ParseSince].
	UsageSince = 24 * time.Hour
	// DenialsKept is how many rows are kept of denials with a proved key, and how many
	// without; the oldest are deleted first. So callers without a key cannot push out the
	// denials of callers with one.
	DenialsKept = 2500
	// SupersededKept is how long a secret that a rotation ended is recognised, and
	// MaxSuperseded how many of one key are. Imported ones are kept as long as their pepper,
	// because an import must find that their tokens have ended.
	SupersededKept = 30 * 24 * time.Hour
	MaxSuperseded  = 8
	// OtherScopes counts all required scopes of a key and an hour that are too many to
	// count separately, too long, or look like a secret. It cannot be a required scope.
	OtherScopes = "*"
)

// maxAgent is the length of [LastUse.Agent], in bytes.
const maxAgent = 64

// AgentOf returns what is kept of a User-Agent: its first word, if it is safe to show. A
// word that looks like a key is left out.
func AgentOf(userAgent string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(userAgent), " ")
	if LooksLikeToken(word) {
		return "" // before the cut, which could leave a piece of a key that is not recognised
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
