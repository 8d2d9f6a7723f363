package admin_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

func rate(t *testing.T, text string) keys.RateLimit {
	t.Helper()
	if text == "" {
		return keys.RateLimit{}
	}
	l, err := keys.ParseRateLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRateLimitWithin(t *testing.T) {
	for _, tc := range []struct {
		own, limit string
		want       bool
	}{
		{"60/m", "", true},
		{"", "", true},
		{"", "60/m", false},
		{"60/m", "60/m", true},
		{"1/s", "60/m", true},
		{"61/m", "60/m", false},
		{"2/s", "60/m", false},
		{"60/h", "60/m", true},
		{"60/m:10", "60/m:20", true},
		{"60/m:30", "60/m:20", false},
		{"1000/d", "60/m", false},
		{"100000000/d", "100000000/s", true},
		{"100000000/s", "100000000/d", false},
	} {
		if got := rate(t, tc.own).Within(rate(t, tc.limit)); got != tc.want {
			t.Errorf("%q within %q: got %v, want %v", tc.own, tc.limit, got, tc.want)
		}
	}
}

// The attack: an admin key that may call 60 times a minute removes its own limit, or that of
// another admin key, or makes or rotates itself an admin key without one.
func TestNoAdminKeyLiftsItsOwnLimits(t *testing.T) {
	m, _ := newManager(t)
	own := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "own", RateLimit: rate(t, "60/m:20")}).Key
	free := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "free"}).Key
	ordinary := mustIssue(t, m, admin.IssueRequest{Name: "ordinary"}).Key
	identity, err := keys.NewIdentity(own)
	if err != nil {
		t.Fatal(err)
	}
	d := admin.Restrict(m, identity, &admin.Options{Now: func() time.Time { return noon }})
	for _, wider := range []string{"", "61/m:20", "60/m:21", "2/s:1", "1000/h:50"} {
		limit := rate(t, wider)
		_, err := d.Edit(t.Context(), own.ID, admin.EditRequest{RateLimit: &limit})
		wantDenied(t, "Edit of itself to "+wider, err)
		_, err = d.Edit(t.Context(), free.ID, admin.EditRequest{RateLimit: &limit})
		wantDenied(t, "Edit of another admin key to "+wider, err)
		if wider == "" {
			continue // it is inherited
		}
		_, err = d.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "new", RateLimit: limit})
		wantDenied(t, "Issue of an admin key with "+wider, err)
	}
	_, err = d.Rotate(t.Context(), free.ID, admin.RotateRequest{})
	wantDenied(t, "Rotate of an admin key without a limit", err)

	_, err = d.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "heir", Expires: keys.NeverExpires()})
	wantDenied(t, "Issue of an admin key that outlives it", err)
	if issued, err := d.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "heir"}); err != nil || issued.Key.RateLimit != own.RateLimit {
		t.Errorf("Issue of an admin key: got %+v, %v, want the limit inherited", issued.Key, err)
	}
	narrower := rate(t, "10/m")
	if _, err := d.Edit(t.Context(), own.ID, admin.EditRequest{RateLimit: &narrower}); err != nil {
		t.Errorf("Edit of itself to less: %v", err)
	}
	if _, err := d.Edit(t.Context(), ordinary.ID, admin.EditRequest{Owner: new("ops")}); err != nil {
		t.Errorf("Edit of an ordinary key, which has limits of its own: %v", err)
	}
}
