package bench

import (
	"context"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	perPage   = 50
	deepPage  = 5000
	floorList = "ListPage1"
)

// pages has the first page of the many keys, and page 5,000, or the one in the middle if there
// are fewer. All of these keys were made at one instant, as an import makes them.
func (s *Stage) pages(ctx context.Context) ([]Case, error) {
	before := min(deepPage-1, len(s.manyTokens)/2/perPage) * perPage
	deep, err := s.after(ctx, before)
	if err != nil {
		return nil, err
	}
	return []Case{
		{Name: "ListPage5000", Floor: floorList, Promise: 2, Slack: 3, Run: s.list(ctx, deep)},
		{Name: floorList, Run: s.list(ctx, "")},
	}, nil
}

// after walks to the cursor after the first n of the many keys.
func (s *Stage) after(ctx context.Context, n int) (cursor string, err error) {
	for n > 0 {
		page, err := s.many.List(ctx, keys.Query{Limit: min(n, keys.MaxLimit), Cursor: cursor})
		if err != nil {
			return "", err
		}
		n, cursor = n-len(page.Keys), page.Next
	}
	return cursor, nil
}

func (s *Stage) list(ctx context.Context, cursor string) func(int) error {
	return func(n int) error {
		for range n {
			page, err := s.many.List(ctx, keys.Query{Limit: perPage, Cursor: cursor})
			if err != nil {
				return err
			}
			if len(page.Keys) != perPage || page.Next == "" {
				return fmt.Errorf("%w: a page of %d keys, next %q", errWrong, len(page.Keys), page.Next)
			}
		}
		return nil
	}
}
