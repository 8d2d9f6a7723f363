package verifyroutes

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

const (
	// Of one key in one message; a verifier counts less.
	maxCountsEach = 256
	maxLastEach   = 16
	maxScopesEach = 100 // that are counted separately

	maxLate = usage.MessagesKept // of uses; a verifier that was cut off may be days late

	maxCalls     = 1 << 40 // of one row
	maxScopeText = 128     // of a scope that is counted on its own
	maxOffered   = 1024
)

// counts adds the uses and denials of a verifier to those of the key store, each message once.
func (l *lessor) counts(ctx context.Context, by *asking, m *protocol.Counts) (struct{}, error) {
	if err := checkCounts(m); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, l.apply(ctx, &by.asker, m)
}

func checkCounts(m *protocol.Counts) error {
	switch {
	case m.N < 1:
		return &keys.InvalidError{Field: "n", Reason: "must be at least 1"}
	case len(m.Uses) > protocol.MaxUses:
		return keys.Invalid("uses", "must be at most %d", protocol.MaxUses)
	case len(m.Denials) > protocol.MaxDenials:
		return keys.Invalid("denials", "must be at most %d", protocol.MaxDenials)
	}
	seen := make(map[string]struct{}, len(m.Uses))
	for i := range m.Uses {
		seen[m.Uses[i].KeyID] = struct{}{}
	}
	if len(seen) < len(m.Uses) { // what is allowed for a key is allowed once
		return &keys.InvalidError{Field: "uses", Reason: "must have each key once"}
	}
	return nil
}

// apply counts m, unless it was counted.
func (l *lessor) apply(ctx context.Context, by *asker, m *protocol.Counts) error {
	now := l.now().UTC()
	return l.source.AddMessage(ctx, &usage.Message{
		Caller: by.caller, Sender: by.sender(), N: m.N, Uses: l.uses(by, m.Uses, now),
		Denials: l.shares.cut(strings.Clone(by.caller), l.denials(by, m.Denials, now), now),
	})
}

// sender names the asker's process. The instance itself is not stored: with it, a reader of the
// store could tell which keys the process is told of.
func (by *asker) sender() (out [16]byte) {
	sum := sha256.Sum256(by.instance[:])
	copy(out[:], sum[:])
	return out
}

// uses leaves out keys and secrets without a valid pass, and rows that a verifier would not send.
func (l *lessor) uses(by *asker, given []protocol.Use, now time.Time) []usage.Use {
	var out []usage.Use
	for i := range given {
		g := &given[i]
		if !l.isPass(by, g.KeyID, g.Secret, g.Pass) {
			continue
		}
		use := usage.Use{KeyID: g.KeyID, Counts: countsOf(g.Counts, now)}
		for _, last := range g.Last[:min(len(g.Last), maxLastEach)] {
			if l.isPass(by, g.KeyID, last.Secret, last.Pass) {
				use.Last = append(use.Last, keys.LastUse{
					Secret: last.Secret, At: earlier(last.At, now).Truncate(time.Microsecond),
					ClientIP: addressOf(last.ClientIP), Agent: usage.AgentOf(last.Agent),
				})
			}
		}
		if len(use.Counts)+len(use.Last) > 0 {
			out = append(out, use)
		}
	}
	return out
}

// countsOf leaves out counts that a verifier would not send.
func countsOf(given []protocol.Count, now time.Time) (out []usage.Count) {
	scopes := map[string]struct{}{}
	for _, c := range given[:min(len(given), maxCountsEach)] {
		if code, ok := codeOf(c.Code); ok && c.Calls > 0 {
			out = append(out, usage.Count{Hour: hourOf(c.Hour, now), Code: code, Scope: separate(scopes, c.Scope), Calls: min(c.Calls, maxCalls)})
		}
	}
	return out
}

// hourOf is the hour under which a count is stored. A count that is older than [maxLate] is moved
// to the oldest hour allowed, so that the sum of the calls stays right.
func hourOf(hour, now time.Time) time.Time {
	hour = earlier(hour, now).Truncate(time.Hour)
	if oldest := now.Add(-maxLate).Truncate(time.Hour); hour.Before(oldest) {
		return oldest
	}
	return hour
}

// separate is what is stored of one scope of a key: [usage.OtherScopes] if the key has
// [maxScopesEach] others. It adds the scope to those of the key.
func separate(scopes map[string]struct{}, scope string) string {
	scope = scopeOf(scope)
	if scope == "" || scope == usage.OtherScopes {
		return scope
	}
	if _, ok := scopes[scope]; !ok && len(scopes) >= maxScopesEach {
		return usage.OtherScopes
	}
	scopes[scope] = struct{}{}
	return scope
}

// denials are for the caller's audience, and proved only with a valid pass.
func (l *lessor) denials(by *asker, given []protocol.Denial, now time.Time) []usage.Denial {
	var out []usage.Denial
	for i := range given {
		g := &given[i]
		code, ok := codeOf(g.Code)
		if !ok || code == keys.CodeValid || g.Calls < 1 || g.KeyID != "" && !keys.ValidID(g.KeyID) {
			continue
		}
		d := usage.Denial{
			Minute: earlier(g.Minute, now).Truncate(time.Minute), Code: code, KeyID: g.KeyID, Audience: by.audience,
			Source: sourceOf(g.Source), Agent: usage.AgentOf(g.Agent), Calls: min(g.Calls, maxCalls),
		}
		d.Proved = g.Pass != nil && l.isPass(by, g.KeyID, g.Secret, *g.Pass)
		if code == keys.CodeInsufficientScope {
			d.Scope = scopesOf(g.Scope)
		}
		if code == keys.CodeWrongAudience && d.Proved {
			d.Offered = offeredOf(g.Offered)
		}
		out = append(out, d)
	}
	return out
}

func codeOf(text string) (keys.Code, bool) {
	if text == string(keys.CodeValid) {
		return keys.CodeValid, true
	}
	code, err := usage.ParseCode(text)
	return code, err == nil
}

func earlier(a, now time.Time) time.Time {
	if a.After(now) {
		return now
	}
	return a.UTC()
}

// scopeOf is what is stored of one scope.
func scopeOf(scope string) string {
	if scope == "" || len(scope) <= maxScopeText && keys.ValidateRequired(scope) == nil && !keys.LooksLikeToken(scope) {
		return scope
	}
	return usage.OtherScopes
}

// scopesOf is what is stored of several scopes, joined by spaces.
func scopesOf(text string) string {
	if len(text) > maxScopeText {
		return usage.OtherScopes
	}
	for scope := range strings.FieldsSeq(text) {
		if scopeOf(scope) != scope {
			return usage.OtherScopes
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

// offeredOf is what is stored of the servers that a key is for; empty if one is not a name.
func offeredOf(text string) string {
	if len(text) > maxOffered {
		return ""
	}
	for name := range strings.FieldsSeq(text) {
		if keys.ValidateAudience(name) != nil {
			return ""
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

func addressOf(text string) netip.Addr {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

func sourceOf(text string) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}
	}
	return usage.SourceOf(p.Addr())
}
