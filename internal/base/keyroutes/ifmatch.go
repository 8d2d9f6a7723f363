package keyroutes

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// IfMatch is the header by which a change of a key is made only at the version that the
// caller has seen.
type IfMatch struct {
	Match string `header:"If-Match" doc:"The ETag that the key was read with, or several of which one must fit; left out, or *, any version will do" example:"\"3\""`

	headers []string // every one there was
}

// Resolve implements [huma.Resolver]: of several headers huma shows the first only.
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

// versionsOf reads a list of ETags. A weak one, as a proxy makes it that compresses
// answers, says of no version that it is the one that was read (RFC 9110, section 13.1.1).
// An ETag that this API never made names no version either.
func versionsOf(list string) (versions []int64, err error) {
	for _, tag := range strings.Split(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "" {
			continue // an empty element is no element
		}
		text, quoted := strings.CutPrefix(tag, `"`)
		text, closed := strings.CutSuffix(text, `"`)
		switch n, err := strconv.ParseInt(text, 10, 64); {
		case strings.HasPrefix(tag, "W/"):
			return nil, &keys.InvalidError{Field: "If-Match", Reason: `holds a weak ETag, which names no version: send it without W/, such as "3"`}
		case !quoted || !closed || tag == `"`:
			return nil, &keys.InvalidError{Field: "If-Match", Reason: `must be ETags as this API answers them, with their quotes, such as "3"; or *`}
		case err == nil && n > 0 && etag(n) == tag:
			versions = append(versions, n)
		}
	}
	return versions, nil
}
