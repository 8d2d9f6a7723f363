package middleware

import (
	"net/http"
	"strconv"
	"time"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/keys"
)

// The canonical names of RateLimit-Policy and RateLimit.
const (
	headerPolicy = "Ratelimit-Policy"
	headerLimit  = "Ratelimit"
)

// The names of the policies: for calls, and for requests that carry calls.
const (
	policyCalls    = `"default"`
	policyRequests = `"requests"`
)

func policyOf(messages bool) string {
	if messages {
		return policyRequests
	}
	return policyCalls
}

// writeLimit writes the policy and what is left of it, in the fields of the IETF draft
// "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10): q calls in w
// seconds; r calls are left for the next t seconds, and then the full burst is available again.
// After a refusal t is Retry-After, because it must not be later.
//
// This runs with every call of a key that has a limit, so the texts and the lists that hold them
// are one piece of memory.
func writeLimit(h http.Header, name string, d *keys.Decision) {
	reset := d.Reset
	if d.Code == keys.CodeRateLimited {
		reset = max(d.RetryAfter, time.Second)
	}
	fields := &limitFields{}
	b := append(append(fields.text[:0], name...), `;q=`...)
	b = strconv.AppendInt(b, int64(d.Limit.Count), 10)
	b = append(b, `;w=`...)
	b = strconv.AppendInt(b, seconds(d.Limit.Window), 10)
	policy := len(b)
	b = append(append(b, name...), `;r=`...)
	b = strconv.AppendInt(b, int64(d.Remaining), 10)
	b = append(b, `;t=`...)
	b = strconv.AppendInt(b, seconds(reset), 10)

	text := unsafe.String(unsafe.SliceData(b), len(b)) // nothing writes to b from here on
	fields.policy[0], fields.limit[0] = text[:policy], text[policy:]
	h[headerPolicy], h[headerLimit] = fields.policy[:], fields.limit[:]
}

// limitFields are the values of the two fields; text has room for the longest.
type limitFields struct {
	policy, limit [1]string
	text          [128]byte
}

// seconds rounds up, so that callers do not come back too early.
func seconds(wait time.Duration) int64 {
	whole := wait / time.Second
	if wait%time.Second > 0 {
		whole++
	}
	return int64(whole)
}

// retryAfter is in whole seconds and never 0.
func retryAfter(wait time.Duration) string {
	return strconv.FormatInt(max(1, seconds(wait)), 10)
}

// TryAgain is Retry-After as a sentence: a model that calls tools sees no headers.
func TryAgain(wait time.Duration) string {
	if s := retryAfter(wait); s != "1" {
		return "Try again in " + s + " seconds."
	}
	return "Try again in 1 second."
}
