package stdio

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// printable returns at most limit bytes of text, with everything escaped that is not printable.
func printable(text []byte, limit int) string {
	cut := len(text) > limit
	if cut {
		text = text[:limit]
	}
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(string(text), "\ufffd") {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	if cut {
		out.WriteString("…")
	}
	return out.String()
}

// A meter lets through a burst of lines, then some in each second, and counts the others.
type meter struct {
	mu   sync.Mutex
	left float64
	last time.Time
	lost int
}

const (
	meterBurst = 100
	meterRate  = 10 // a second
)

// lets reports whether a line may be logged, and how many were not since the last one.
func (m *meter) lets() (ok bool, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := clock()
	if m.last.IsZero() {
		m.left = meterBurst
	} else {
		m.left = min(meterBurst, m.left+now.Sub(m.last).Seconds()*meterRate)
	}
	m.last = now
	if m.left < 1 {
		m.lost++
		return false, 0
	}
	m.left--
	lost, m.lost = m.lost, 0
	return true, lost
}

func clock() time.Time { return time.Now() } //nolint:forbidigo // only its monotonic reading is used
