package verifyroutes

import (
	"cmp"
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
// guard reads. The guard refuses a request with two keys.
func (s *service) credentials(w http.ResponseWriter, r *http.Request) bool {
	h := r.Header
	if sent := h["Authorization"]; len(sent) == 1 {
		if password, basic := passwordOf(sent[0]); basic {
			h["Authorization"] = []string{"Bearer " + password}
		}
	}
	if !isForm(h["Content-Type"]) {
		return true // refused after the guard
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, restapi.MaxBody))
	if err != nil {
		s.api.RefuseBody(w, r, err)
		return false
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return true // refused after the guard
	}
	if secret := form["client_secret"]; len(secret) > 0 {
		for _, one := range secret {
			h["Authorization"] = append(h["Authorization"], "Bearer "+one)
		}
	}
	return true
}

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
	out, err := s.introspection(r)
	if err != nil {
		s.api.Fail(w, r, err)
		return
	}
	s.api.Answer(w, out)
}

func (s *service) introspection(r *http.Request) (*api.Introspection, error) {
	in, err := parametersOf(r)
	if err != nil {
		return nil, err
	}
	call, err := callFor(r.Context(), in.audience, in.ip)
	if err != nil {
		return nil, err
	}
	d, until, kept := s.decide(r.Context(), in.token, call, nil)
	switch {
	case d.Code == keys.CodeUnavailable:
		return nil, cmp.Or(d.Cause, keys.ErrUnavailable)
	case d.Code == keys.CodeRateLimited && d.Limit.IsZero():
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: tooManyUnknown}
	case d.Code == keys.CodeRateLimited:
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: "Too many calls with the key that token is a secret of."}
	case !d.Valid():
		return &api.Introspection{}, nil
	}
	if !kept { // clients need an exp that is not over yet
		until = keys.Earliest(s.now().Add(time.Second), d.Ends)
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

// parametersOf reads the form, and the query, which the route has checked. A parameter that
// would count must not be given twice; unknown ones in the form are ignored, as RFC 6749 wants.
func parametersOf(r *http.Request) (in parameters, err error) {
	body, err := io.ReadAll(r.Body) // credentials has read it before
	if err != nil {
		return in, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return in, keys.Invalid("body", "must be a form; encode each name and value")
	}
	if len(form["token"]) != 1 {
		return in, keys.Invalid("token", "must be given once, in the form")
	}
	in.token = form.Get("token")
	query := r.URL.Query()
	one := func(name string) string {
		given := append(form[name], query[name]...)
		if len(given) > 1 {
			err = cmp.Or(err, keys.Invalid(name, "must not be given twice"))
		}
		return strings.Join(given, " ")
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
