package keyroutes

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// IfMatch is the header that allows a change of a key only at a version that the caller has
// seen.
type IfMatch struct {
	Match string `header:"If-Match" doc:"The ETag that the key was read with, or several, one of which must match; without it, or with *, any version matches" example:"\"3\""`

	headers []string // all of them
}

// Resolve implements [huma.Resolver]: huma reads only the first of several headers.
func (m *IfMatch) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, value string) {
		if strings.EqualFold(name, "If-Match") {
			m.headers = append(m.headers, value)
		}
	})
	return nil
}

// only returns ctx for a change at one of the versions that the header names.
func (m *IfMatch) only(ctx context.Context) (context.Context, error) {
	text := strings.TrimSpace(strings.Join(m.headers, ","))
	if len(m.headers) == 0 || text == "*" {
		return ctx, nil
	}
	versions, err := versionsOf(text)
	if err != nil {
		return nil, err
	}
	return admin.OnlyAt(ctx, versions...), nil
}

// versionsOf parses a list of ETags. A weak ETag, as a compressing proxy makes it, does not say
// that a version is the one that was read (RFC 9110, section 13.1.1), and neither does an ETag
// that this API never made.
func versionsOf(list string) (versions []int64, err error) {
	for _, tag := range strings.Split(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "" {
			continue // empty elements do not count
		}
		text, quoted := strings.CutPrefix(tag, `"`)
		text, closed := strings.CutSuffix(text, `"`)
		switch n, err := strconv.ParseInt(text, 10, 64); {
		case strings.HasPrefix(tag, "W/"):
			return nil, &keys.InvalidError{Field: "If-Match", Reason: `must not hold a weak ETag; send it without W/, such as "3"`}
		case !quoted || !closed || tag == `"`:
			return nil, &keys.InvalidError{Field: "If-Match", Reason: `must be ETags of this API with their quotes, such as "3", or *`}
		case err == nil && n > 0 && etag(n) == tag:
			versions = append(versions, n)
		}
	}
	return versions, nil
}
