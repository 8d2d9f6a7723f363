package main

import (
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// cardTop introduces a new key, on standard error.
func (a *app) cardTop(k *keys.Key) {
	what := "key"
	if k.Kind == keys.KindAdmin {
		what = "admin key"
	}
	a.say("issued %s %s\n", what, a.bold(a.stderr, wording.Clean(k.Label())))
	rows := []row{
		{"id", k.ID},
		{"scopes", words(k.Scopes, "none")},
		{"audience", words(k.Audience, everyServer(k))},
		{"expires", a.deadline(k.ExpiresAt)},
	}
	if len(k.AllowedIPs) > 0 {
		rows = append(rows, row{"from", words(prefixes(k.AllowedIPs), "")})
	}
	if !k.RateLimit.IsZero() {
		rows = append(rows, row{"rate", k.RateLimit.String()})
	}
	a.say("%s", strings.TrimRight(aligned(rows, a.width(a.stderr)), "\n"))
	a.say("")
}

// cardBottom says what is allowed and seldom meant, and what to type next.
func (a *app) cardBottom(k *keys.Key) {
	a.warnings(k)
	a.say("\nnext: %s", a.about("show", k))
	a.say("to end it: %s", a.about("revoke", k))
}

// warnings tells what is allowed and seldom meant, on standard error.
func (a *app) warnings(k *keys.Key) {
	warnings := k.Warnings(a.now())
	if len(warnings) > 0 {
		a.say("")
	}
	for _, w := range warnings {
		a.say("%s %s", a.yellow(a.stderr, "warning:"), w)
	}
}

func everyServer(k *keys.Key) string {
	if k.Kind == keys.KindAdmin {
		return "every audience"
	}
	return "every server of this deployment"
}
