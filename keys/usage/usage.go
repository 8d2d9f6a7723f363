// Package usage has the counts of requests. A verifier counts the uses of a key ([Use]) and the
// refusals ([Denial]) and gives them to a store, which keeps them for some time; [Usage] is what
// a reader gets back of one key. All of it is statistics: it decides nothing, and a crash may
// lose some seconds of it.
package usage

import (
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Use is what one process counted of one key since it last wrote counts.
type Use struct {
	KeyID  string
	Last   []keys.LastUse // one for each secret that was accepted
	Counts []Count        // without zero counts
}

// Message is what a guard on another host counted since its last message. The guard repeats a
// message with the same number if it heard no answer, so a store adds each number once.
type Message struct {
	Caller  string   // the id of the verify key
	Sender  [16]byte // names the guard's process
	N       int64    // 1 for the first message of a sender, one more with each
	Uses    []Use
	Denials []Denial
}

// Count is how often a key was used in one hour with one outcome, or in one day whose hours
// were summed up.
//
// With an empty Scope it counts requests, each once, under the outcome of its
// authentication. An MCP call that exceeds the key's rate limit is also counted, under
// [keys.CodeRateLimited]. With a Scope it counts checks of that scope, under [keys.CodeValid] or
// [keys.CodeInsufficientScope]; one request may require several scopes.
type Count struct {
	Hour  time.Time // its start, UTC
	Day   bool      // it is of the whole day that starts then, in UTC
	Code  keys.Code
	Scope string // a required scope, [OtherScopes], or empty
	Calls int64
}

// Usage is what is known of the use of one key.
type Usage struct {
	Since  time.Time      // when counting began; earlier use is unknown, which is not the same as unused
	Last   []keys.LastUse // newest first; without secrets that were never accepted
	Counts []Count        // oldest hour first
}

// LastUsed is the newest use of any secret; the zero [keys.LastUse] if there was none.
func (u Usage) LastUsed() keys.LastUse {
	if len(u.Last) == 0 {
		return keys.LastUse{}
	}
	return slices.MaxFunc(u.Last, func(a, b keys.LastUse) int { return a.At.Compare(b.At) })
}

// What is kept, and how long.
const (
	// Kept is how long counts are kept by the hour. After that a day has one count of each
	// outcome and scope. Last uses are kept permanently.
	Kept = 90 * 24 * time.Hour
	// DaysKept is how long these counts of days are kept.
	DaysKept = 2 * 365 * 24 * time.Hour
	// DefaultSince is the default of [ParseSince].
	DefaultSince = 24 * time.Hour
	// DenialsKept is how many rows are kept of denials with a proved key, and how many
	// without. If there are more, the audience with the most rows loses its oldest ones. So
	// callers without a key cannot push out the denials of callers with one, and those of one
	// audience cannot push out the share of another.
	DenialsKept = 2500
	// MessagesKept is how long the number of the last [Message] of a sender is kept, and
	// SendersKept for how many senders of a verify key. Of more, the longest unused are deleted.
	MessagesKept = 7 * 24 * time.Hour
	SendersKept  = 2000
	// OtherScopes counts all required scopes of a key and an hour that are too many to
	// count separately, too long, or look like a secret. It cannot be a required scope.
	OtherScopes = "*"
)

// maxAgent is the length of [keys.LastUse.Agent], in bytes.
const maxAgent = 64

// AgentOf returns what is kept of a User-Agent: its first word, if it is safe to show. A
// word that looks like a key is left out.
func AgentOf(userAgent string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(userAgent), " ")
	if keys.LooksLikeToken(word) {
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
