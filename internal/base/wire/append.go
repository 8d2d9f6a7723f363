package wire

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

// AppendVerification appends the JSON of v to dst. A guarded server asks for it with each of its
// requests: this costs a quarter of what the encoders of the libraries do, which find the members
// by reflection. A test compares it with encoding/json.
func AppendVerification(dst []byte, v *api.Verification) []byte {
	o := object{append(dst, '{')}
	o.boolean("valid", v.Valid)
	o.text("code", v.Code)
	o.optional("key_id", v.KeyID)
	o.list("allowed", v.Allowed)
	o.list("missing", v.Missing)
	o.list("offered", v.Offered)
	if v.Key != nil {
		o.name("key")
		o.to = appendVerifiedKey(o.to, v.Key)
	}
	if v.Secret != nil {
		o.name("secret")
		o.to = appendSecretUsed(o.to, v.Secret)
	}
	o.moment("lease_expires_at", v.Lease)
	if v.RateLimit != nil {
		o.name("rate_limit")
		o.to = appendRateState(o.to, v.RateLimit)
	}
	if v.RetryAfter != 0 {
		o.number("retry_after", int64(v.RetryAfter))
	}
	if v.Tampered {
		o.boolean("tampered", true)
	}
	return append(o.to, '}')
}

// AppendVerifications appends the answers to a batch.
func AppendVerifications(dst []byte, all *api.Verifications) []byte {
	dst = append(dst, `{"data":[`...)
	for i := range all.Data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendVerification(dst, &all.Data[i])
	}
	return append(dst, "]}"...)
}

func appendVerifiedKey(dst []byte, k *api.VerifiedKey) []byte {
	o := object{append(dst, '{')}
	o.text("id", k.ID)
	o.text("name", k.Name)
	o.optional("owner", k.Owner)
	o.name("scopes")
	o.to = appendTexts(o.to, k.Scopes)
	o.moment("expires_at", k.ExpiresAt)
	if len(k.Metadata) > 0 {
		o.name("metadata")
		o.to = appendPairs(o.to, k.Metadata)
	}
	return append(o.to, '}')
}

func appendSecretUsed(dst []byte, s *api.SecretUsed) []byte {
	o := object{append(dst, '{')}
	o.number("number", s.Number)
	if s.EndsAt == nil {
		o.name("ends_at")
		o.to = append(o.to, "null"...)
	}
	o.moment("ends_at", s.EndsAt)
	o.boolean("superseded", s.Superseded)
	return append(o.to, '}')
}

func appendRateState(dst []byte, r *api.RateState) []byte {
	o := object{append(dst, '{')}
	o.number("limit", int64(r.Limit))
	o.number("window", int64(r.Window))
	o.number("remaining", int64(r.Remaining))
	o.number("reset", int64(r.Reset))
	return append(o.to, '}')
}

// object is an unfinished JSON object. Names of members need no escapes.
type object struct{ to []byte }

func (o *object) name(name string) {
	if o.to[len(o.to)-1] != '{' {
		o.to = append(o.to, ',')
	}
	o.to = append(o.to, '"')
	o.to = append(o.to, name...)
	o.to = append(o.to, '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.to = appendText(o.to, value)
}

func (o *object) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) boolean(name string, value bool) {
	o.name(name)
	o.to = strconv.AppendBool(o.to, value)
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.to = strconv.AppendInt(o.to, value, 10)
}

func (o *object) moment(name string, at *time.Time) {
	if at == nil {
		return
	}
	o.name(name)
	o.to = append(o.to, '"')
	o.to = at.AppendFormat(o.to, time.RFC3339Nano)
	o.to = append(o.to, '"')
}

func (o *object) list(name string, texts []string) {
	if len(texts) > 0 {
		o.name(name)
		o.to = appendTexts(o.to, texts)
	}
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}

func appendPairs(dst []byte, pairs map[string]string) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(pairs)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, name), ':')
		dst = appendText(dst, pairs[name])
	}
	return append(dst, '}')
}

// appendText writes U+FFFD for bytes that are not UTF-8, as encoding/json does.
func appendText(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // the error says that bytes were replaced
	return dst
}
