package keys

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// RateLimit allows Count calls per Window, at most Burst at once. The zero value
// means no limit. Each verifier, so each process, counts for itself: n servers allow n
// times the rate.
//
// In MCP a call is one tools/call, prompts/get or resources/read message, granted or not.
// In net/http, gin and the verification API one request is one call.
type RateLimit struct {
	Count  int
	Window time.Duration
	Burst  int
}

// Limits of a rate limit. The longest window avoids overflow.
const (
	maxRateCount  = 100_000_000
	maxRateWindow = 24 * time.Hour
)

// IsZero reports whether there is no limit.
func (l RateLimit) IsZero() bool { return l == RateLimit{} }

// leastRequests is enough for the handshakes of several clients that start at once.
var leastRequests = RateLimit{Count: 60, Window: time.Minute, Burst: 60}

// Requests is the second limit of a key with the limit l: it counts requests, while l counts
// the calls in them. Clients also send requests without calls, to open a session, to list or
// to listen, so it is ten times l, and at least 60 a minute, with a burst of 60. It is zero
// if l is.
func (l RateLimit) Requests() RateLimit {
	if l.IsZero() {
		return l
	}
	l.Count, l.Burst = l.Count*10, max(l.Burst*10, leastRequests.Burst)
	if l.slower(leastRequests) {
		return leastRequests
	}
	if more := (l.Burst + l.Count - 1) / l.Count; more > 1 { // the same rate, over a window that the burst fits into
		l.Count, l.Window = l.Count*more, l.Window*time.Duration(more)
	}
	return l
}

// ParseRateLimit reads COUNT/WINDOW, with an optional burst after a colon: 60/m,
// 100/10s, 1000/h:50. The window is s, m, h or d, with or without a number.
// Without a burst the whole count may come at once.
func ParseRateLimit(text string) (RateLimit, error) {
	bad := Invalid("rate_limit", "must be a count per time, such as 60/m, 100/10s or 1000/h:50")
	rate, burst, hasBurst := strings.Cut(text, ":")
	count, window, ok := strings.Cut(rate, "/")
	if !ok {
		return RateLimit{}, bad
	}
	var l RateLimit
	var err error
	if l.Count, err = strconv.Atoi(count); err != nil {
		return RateLimit{}, bad
	}
	if window != "" && (window[0] < '0' || window[0] > '9') {
		window = "1" + window
	}
	if l.Window, err = ParseDuration(window); err != nil {
		return RateLimit{}, bad
	}
	l.Burst = l.Count
	if hasBurst {
		if l.Burst, err = strconv.Atoi(burst); err != nil {
			return RateLimit{}, bad
		}
	}
	return l, l.Validate()
}

// Validate reports a limit that cannot be counted as an [*InvalidError]. The zero
// RateLimit is fine.
func (l RateLimit) Validate() error {
	if l.IsZero() {
		return nil
	}
	if l.Count < 1 || l.Count > maxRateCount || l.Burst < 1 || l.Burst > l.Count {
		return Invalid("rate_limit", "must allow 1 to %d calls, with a burst of 1 to that count", maxRateCount)
	}
	if l.Window < time.Second || l.Window > maxRateWindow {
		return Invalid("rate_limit", "must have a window of one second to one day")
	}
	return nil
}

// Within reports whether l stays within limit, in the long run and at once. It is true if
// limit is zero.
func (l RateLimit) Within(limit RateLimit) bool {
	if limit.IsZero() || l.IsZero() {
		return limit.IsZero()
	}
	return l.Burst <= limit.Burst && !limit.slower(l)
}

// slower reports whether l allows less than other in the long run. It compares
// Count/Window of both, multiplied out to 128 bits.
func (l RateLimit) slower(other RateLimit) bool {
	ownHigh, own := bits.Mul64(uint64(l.Count), uint64(other.Window))       //nolint:gosec // valid limits are positive
	othersHigh, others := bits.Mul64(uint64(other.Count), uint64(l.Window)) //nolint:gosec // so are these
	return ownHigh < othersHigh || ownHigh == othersHigh && own < others
}

// String renders what [ParseRateLimit] reads; empty for no limit.
func (l RateLimit) String() string {
	if l.IsZero() {
		return ""
	}
	window := FormatDuration(l.Window)
	if strings.HasPrefix(window, "1") && len(window) == 2 {
		window = window[1:]
	}
	text := strconv.Itoa(l.Count) + "/" + window
	if l.Burst != l.Count {
		text += ":" + strconv.Itoa(l.Burst)
	}
	return text
}
