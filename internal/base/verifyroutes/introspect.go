package verifyroutes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

// introspectionQuery are the parameters that may be in the query as well as in the form:
// resource servers are often configured with nothing but a URL.
type introspectionQuery struct {
	Audience string `query:"audience" doc:"The server that was called; without it, the audience of the caller's key"`
	Scope    string `query:"scope" doc:"The scopes that the server knows, separated by spaces, without wildcards, at most 500: the answer's scope names those of them that the key grants"`
	ClientIP string `query:"client_ip" doc:"The client's address; required for keys that are limited to addresses"`
}

// introspectionForm describes the body in the document.
func introspectionForm() *huma.RequestBody {
	text := func(what string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: what} }
	return &huma.RequestBody{
		Required: true,
		Content: map[string]*huma.MediaType{formType: {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"token"},
			Properties: map[string]*huma.Schema{
				"token":           text("The secret as it was presented"),
				"token_type_hint": text("Has no effect"),
				"audience":        text("As in the query; in one of the two"),
				"scope":           text("As in the query; in one of the two"),
				"client_ip":       text("As in the query; in one of the two"),
				"client_id":       text("Any text, with client_secret"),
				"client_secret":   text("The caller's admin key, if it is in no header"),
			},
		}}},
	}
}

func (s *service) mountIntrospection() {
	op := operation("introspect", pathIntrospect, "Introspect a key (RFC 7662)",
		"For the token verifiers of MCP SDKs. The caller's admin key is the Bearer token, or the password of Basic with any user name, as it is or form-encoded, "+
			"or client_secret in the form: one of them. A key that is not valid for the audience is inactive. "+
			"429 is about the key's rate limit, or about the caller, as for /v1/verify.")
	op.RequestBody = introspectionForm()
	restapi.RegisterPlain[introspectionQuery, restapi.Body[api.Introspection]](s.api, op, restapi.Plain{Before: s.credentials, Serve: s.introspect})
}

const formType = "application/x-www-form-urlencoded"

// credentials moves the caller's key from where OAuth clients send it to the header that the
// guard reads. The guard refuses a request with two keys. The form of a caller without such a
// header is read before the guard knows the caller, so it must arrive soon.
func (s *service) credentials(w http.ResponseWriter, r *http.Request) bool {
	h := r.Header
	if sent := h["Authorization"]; len(sent) == 1 {
		if password, basic := passwordOf(sent[0]); basic {
			h["Authorization"] = []string{"Bearer " + password}
		}
	}
	if len(h["Authorization"]) > 0 || len(h["X-Api-Key"]) > 0 || !isForm(h["Content-Type"]) {
		return true
	}
	body, ok := s.api.ReadSoon(w, r, restapi.MaxBody)
	if !ok {
		return false
	}
	form, err := url.ParseQuery(string(body))
	if err == nil {
		for _, secret := range form[formSecret] {
			h["Authorization"] = append(h["Authorization"], "Bearer "+secret)
		}
		form.Del(formSecret)
		body = []byte(form.Encode())
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // a form that cannot be parsed is refused after the guard
	return true
}

const formSecret = "client_secret"

// passwordOf returns the password of Basic credentials. RFC 6749 has both parts form-encoded;
// many clients send them as they are. An admin key has no character that the two write
// differently, so decoding is right for both.
func passwordOf(header string) (password string, basic bool) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	_, password, found := strings.Cut(string(decoded), ":")
	if err != nil || !found {
		return "", true
	}
	if plain, err := url.QueryUnescape(password); err == nil {
		password = plain
	}
	return password, true
}

func isForm(kind []string) bool {
	if len(kind) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(kind[0])
	if err != nil || media != formType {
		return false
	}
	charset, given := params["charset"]
	return len(params) == 0 || given && len(params) == 1 && strings.EqualFold(charset, "utf-8")
}

func (s *service) introspect(w http.ResponseWriter, r *http.Request) {
	if !isForm(r.Header["Content-Type"]) {
		s.api.RefuseType(w, r, formType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, restapi.MaxBody))
	if err != nil {
		s.api.RefuseBody(w, r, err)
		return
	}
	if !s.api.Current(w, r) {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		s.api.Fail(w, r, keys.Invalid("body", "must be a form; encode each name and value"))
		return
	}
	if form.Has(formSecret) {
		s.api.Refuse(w, r, http.StatusBadRequest, string(keys.CodeTwoCredentials), "Send exactly one API key: in one header, or as client_secret in the form.") //nolint:contextcheck // the request has it
		return
	}
	out, err := s.introspection(r.Context(), form, r.URL.Query())
	if err != nil {
		s.api.Fail(w, r, err)
		return
	}
	s.api.Answer(w, out)
}

func (s *service) introspection(ctx context.Context, form, query url.Values) (*api.Introspection, error) {
	in, err := parametersOf(form, query)
	if err != nil {
		return nil, err
	}
	call, err := callFor(ctx, in.audience, in.ip)
	if err != nil {
		return nil, err
	}
	d, until, kept := s.decide(ctx, in.token, call, nil)
	switch {
	case d.Code == keys.CodeUnavailable:
		return nil, cmp.Or(d.Cause, keys.ErrUnavailable)
	case d.Code == keys.CodeRateLimited && d.Limit.IsZero():
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: tooManyUnknown}
	case d.Code == keys.CodeRateLimited:
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: "Too many calls with the introspected key."}
	case !d.Valid():
		return &api.Introspection{}, nil
	}
	now := s.now()
	if !kept { // clients need an exp that is not over yet
		until = keys.Earliest(now.Add(time.Second), d.Ends)
	}
	if until.Unix() <= now.Unix() { // exp has no fractions: the key ends within this second
		return &api.Introspection{}, nil
	}
	return active(d.Identity, &in, call.Audience, until), nil
}

// active is the answer for a valid key.
func active(i *keys.Identity, in *parameters, audience string, until time.Time) *api.Introspection {
	out := &api.Introspection{
		Active: true, ClientID: i.KeyID(), Subject: i.KeyID(), Username: i.Name(), Audience: audience,
		TokenType: "Bearer", ExpiresAt: until.Unix(),
	}
	if i.Owner() != "" {
		out.Username = i.Owner() + "/" + i.Name()
	}
	granted := i.Scopes()
	if len(in.scopes) > 0 {
		granted = nil
		for _, scope := range in.scopes {
			if i.Allows(scope) {
				granted = append(granted, scope)
			}
		}
	}
	out.Scope = strings.Join(granted, " ")
	return out
}

// parameters are what an introspection asks.
type parameters struct {
	token, audience, ip string
	scopes              []string // the catalogue; nil if none was given
}

// parametersOf reads the form, and the query, whose names the route has checked. A parameter that
// counts must not be given twice, and must not be empty; unknown ones in the form are ignored, as
// RFC 6749 wants.
func parametersOf(form, query url.Values) (in parameters, err error) {
	if len(form["token"]) != 1 {
		return in, keys.Invalid("token", "must be given once, in the form")
	}
	in.token = form.Get("token")
	one := func(name string) string {
		given := append(form[name], query[name]...)
		switch text := strings.TrimSpace(strings.Join(given, " ")); {
		case len(given) > 1:
			err = cmp.Or(err, keys.Invalid(name, "must not be given twice"))
		case len(given) == 1 && text == "":
			err = cmp.Or(err, keys.Invalid(name, "must not be empty; leave it out"))
		default:
			return text
		}
		return ""
	}
	in.audience, in.ip = one("audience"), one("client_ip")
	scope := one("scope")
	if err != nil {
		return in, err
	}
	in.scopes = strings.Fields(scope)
	if len(in.scopes) > maxAsk {
		return in, keys.Invalid("scope", "must be at most %d scopes", maxAsk)
	}
	for _, scope := range in.scopes {
		if keys.ValidateRequired(scope) != nil {
			return in, keys.Invalid("scope", "must be scopes without wildcards, separated by spaces")
		}
	}
	return in, nil
}
