package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

func listOf(n int, scope string) string {
	text, _ := json.Marshal(slices.Repeat([]string{scope}, n))
	return string(text)
}

// ask sorts scopes into granted and missing, and does not decide whether the key is valid.
func TestVerifyAsk(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Scopes: []string{"tools:get_*"}, Audience: []string{"weather"}, RateLimit: keys.RateLimit{Count: 10, Window: 24 * time.Hour, Burst: 10}})
	var v api.Verification
	f.Send("POST", "/v1/verify", caller, `{"key":"`+token+`","ask":["tools:get_forecast","tools:set_alarm","tools:get_stations"]}`).Read(t, &v)
	if !v.Valid || !slices.Equal(v.Allowed, []string{"tools:get_forecast", "tools:get_stations"}) ||
		!slices.Equal(v.Missing, []string{"tools:set_alarm"}) || v.RateLimit == nil || v.RateLimit.Remaining != 9 {
		t.Errorf("got %+v with %+v, want two allowed, one missing, counted once", v, v.RateLimit)
	}
	var all api.Verification
	f.Send("POST", "/v1/verify", caller, `{"key":"`+token+`","ask":`+listOf(500, "tools:get_forecast")+`}`).Read(t, &all)
	if !all.Valid || len(all.Allowed) != 500 || all.RateLimit.Remaining != 8 {
		t.Errorf("500 scopes: got %v with %d allowed, want all, counted once", all.Code, len(all.Allowed))
	}
	var none api.Verification
	f.Send("POST", "/v1/verify", caller, `{"key":"`+token+`","scopes":["tools:set_alarm"],"ask":["tools:get_forecast"]}`).Read(t, &none)
	if none.Valid || none.Code != "insufficient_scope" || none.Allowed != nil || !slices.Equal(none.Missing, []string{"tools:set_alarm"}) {
		t.Errorf("without a required scope: got %+v, want insufficient_scope and nothing of ask", none)
	}
}

// A check that cannot be asked is refused with the member that is wrong, and nothing is counted:
// neither it, nor the other checks of its batch.
func TestVerifyRefusesBadChecks(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather", "billing"}, RateLimit: keys.RateLimit{Count: 1000, Window: 24 * time.Hour, Burst: 1000}})
	good := `{"key":"` + token + `"}`
	for _, tc := range []struct {
		name, members, field string
		status               int
		code                 string
	}{
		{"pattern in ask", `"ask":["tools:` + spoilt + `*"]`, "ask", 422, "invalid_argument"},
		{"pattern in scopes", `"scopes":["*"]`, "scopes", 422, "invalid_argument"},
		{"empty scope in ask", `"ask":["tools:a",""]`, "ask", 422, "invalid_argument"},
		{"scope in ask with a space", `"ask":["` + spoilt + ` a"]`, "ask", 422, "invalid_argument"},
		{"501 in ask", `"ask":` + listOf(501, "tools:a"), "ask", 422, "invalid_argument"},
		{"501 in scopes", `"scopes":` + listOf(501, "tools:a"), "scopes", 422, "invalid_argument"},
		{"number in ask", `"ask":[1]`, "", 422, "invalid_argument"},
		{"null in ask", `"ask":[null]`, "", 422, "invalid_argument"},
		{"negative cost", `"cost":-1`, "cost", 422, "invalid_argument"},
		{"cost above the limit", `"cost":1000001`, "cost", 422, "invalid_argument"},
		{"huge cost", `"cost":99999999999999999999`, "", 422, "invalid_argument"},
		{"half a cost", `"cost":1.5`, "", 422, "invalid_argument"},
		{"audience that is not the caller's", `"audience":"billing"`, "", 403, "forbidden"},
		{"audience with a space", `"audience":"a ` + spoilt + `"`, "audience", 422, "invalid_argument"},
		{"client_ip", `"client_ip":"` + spoilt + `"`, "client_ip", 422, "invalid_argument"},
		{"NUL", `"agent":"` + spoilt + `\u0000"`, "", 422, "invalid_argument"},
		{"half a surrogate pair", `"agent":"` + spoilt + `\udc00"`, "", 422, "invalid_argument"},
		{"unknown member", `"` + spoilt + `":1`, "", 422, "invalid_argument"},
		{"duplicate ask", `"ask":[],"ask":[]`, "", 422, "invalid_argument"},
	} {
		t.Run(strings.ReplaceAll(tc.name, " ", "_"), func(t *testing.T) {
			bad := `{"key":"` + token + `",` + tc.members + `}`
			for path, body := range map[string]string{"/v1/verify": bad, "/v1/verify/batch": `{"checks":[` + good + `,` + bad + `]}`} {
				r := f.Request("POST", path, caller, body)
				refusedOrNot(t, f, r, tc.status, tc.code)
				if p := f.Send("POST", path, caller, body).Problem(t); tc.field != "" && !strings.Contains(fmt.Sprint(p.Errors), tc.field) {
					t.Errorf("%s: got %v, want the member %s named", path, p.Errors, tc.field)
				}
			}
		})
	}
	for _, body := range []string{`{"checks":[]}`, `{}`, `{"checks":null}`, `{"checks":[` + strings.TrimSuffix(strings.Repeat(good+",", 101), ",") + `]}`, `[` + good + `]`} {
		refusedOrNot(t, f, f.Request("POST", "/v1/verify/batch", caller, body), 422, "invalid_argument")
	}
	var v api.Verification
	f.Send("POST", "/v1/verify", caller, good).Read(t, &v)
	if !v.Valid || v.RateLimit.Remaining != 999 {
		t.Errorf("after refused checks: got %+v, want this call alone counted", v.RateLimit)
	}
	var many api.Verifications
	f.Send("POST", "/v1/verify/batch", caller, `{"checks":[`+strings.TrimSuffix(strings.Repeat(good+",", 100), ",")+`]}`).Read(t, &many)
	if len(many.Data) != 100 || many.Data[99].RateLimit.Remaining != 899 {
		t.Errorf("100 checks: got %d answers, want 100, each counted", len(many.Data))
	}
	if strings.Contains(f.Log(), spoilt) || strings.Contains(f.Log(), secretOf(token)) {
		t.Error("the log holds a part of a request")
	}
}

// A fault of a batch names the check by its number. A check without a key is refused, as at
// /v1/verify, and makes none of the others. An empty key is one that a client did not send.
func TestVerifyBatchNamesTheCheck(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, RateLimit: keys.RateLimit{Count: 1000, Window: 24 * time.Hour, Burst: 1000}})
	good := `{"key":"` + token + `"}`
	for last, want := range map[string]string{
		`{}`: "checks[3].key", `{"audience":"weather","ask":["tools:a"]}`: "checks[3].key", `{"key":"x","ask":["tools:*"]}`: "checks[3].ask",
		`{"key":"x","client_ip":"here"}`: "checks[3].client_ip", `{"key":"x","cost":-1}`: "checks[3].cost", `{"key":"x","audience":"a b"}`: "checks[3].audience",
	} {
		a := f.Send("POST", "/v1/verify/batch", caller, `{"checks":[`+strings.Repeat(good+",", 3)+last+`]}`)
		if p := a.Problem(t); a.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != want {
			t.Errorf("%s: got %d %+v, want 422 and %s", last, a.Status, p.Errors, want)
		}
	}
	var v api.Verifications
	f.Send("POST", "/v1/verify/batch", caller, `{"checks":[{"key":""},`+good+`,{"\u006bey" : ""}]}`).Read(t, &v)
	if len(v.Data) != 3 || v.Data[0].Code != "no_credential" || v.Data[2].Code != "no_credential" || v.Data[1].RateLimit.Remaining != 999 {
		t.Errorf("an empty key: got %+v, want no_credential, and one call counted", v.Data)
	}
}

// A batch answers each key by itself, in its order.
func TestVerifyBatchMixes(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	good, id := f.Issue(admin.IssueRequest{})
	revoked, revokedID := f.Issue(admin.IssueRequest{})
	f.Revoke(revokedID)
	elsewhere, _ := f.Issue(admin.IssueRequest{Audience: []string{"billing"}})
	limited, _ := f.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 1, Window: 24 * time.Hour, Burst: 1}})
	var checks, got []string
	for _, token := range []string{good, revoked, elsewhere, f.Admin(), "", "nonsense", limited, limited} {
		checks = append(checks, fmt.Sprintf(`{"key":%q}`, token))
	}
	var v api.Verifications
	f.Send("POST", "/v1/verify/batch", caller, `{"checks":[`+strings.Join(checks, ",")+`]}`).Read(t, &v)
	for _, one := range v.Data {
		got = append(got, one.Code)
	}
	want := []string{"valid", "revoked", "wrong_audience", "wrong_kind", "no_credential", "malformed", "valid", "rate_limited"}
	if !slices.Equal(got, want) || v.Data[0].Key.ID != id || v.Data[7].RetryAfter == 0 {
		t.Errorf("got %v, want %v", got, want)
	}
}
