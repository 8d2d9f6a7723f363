package restapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// transform handles every error answer on its way out. huma's errors hold the invalid value, or
// the whole body, and names that the client chose; none of these reach the answer.
func (a *API) transform(ctx huma.Context, _ string, v any) (any, error) {
	id := requestid.From(ctx.Context())
	switch t := v.(type) {
	case *failure:
		out := t.problem.body(id)
		out.Rotation = t.rotation
		return out, nil
	case *huma.ErrorModel:
		if t.Status != http.StatusUnprocessableEntity {
			p := problemInternal
			p.Status = t.Status
			return p.body(id), nil
		}
		return a.invalidFields(t.Errors, ctx.Operation()).body(id), nil
	}
	return v, nil
}

// invalidFields translates huma's errors into our texts, one for each field.
func (a *API) invalidFields(found []*huma.ErrorDetail, op *huma.Operation) problem {
	p := *invalid(fieldBody, errWrongType.Error())
	seen := map[string]bool{}
	var fields []middleware.FieldError
	for _, d := range found {
		field, message := a.fieldOf(d, op), messageOf(d.Message)
		if !seen[field] {
			seen[field] = true
			fields = append(fields, middleware.FieldError{Field: field, Message: message})
		}
	}
	if len(fields) > 0 {
		p.Errors = fields
	}
	return p
}

// fieldOf returns the field's name if op has it. Any other name is the client's, so the place
// is named instead: body, query, path or header.
func (a *API) fieldOf(d *huma.ErrorDetail, op *huma.Operation) string {
	if name, ok := missing(d.Message); ok && a.isField(name, op) {
		return name
	}
	place, name, _ := strings.Cut(d.Location, ".")
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name = name[:i]
	}
	if d.Message == validation.MsgUnexpectedProperty || !a.isField(name, op) {
		return place
	}
	return name
}

// isField reports whether op has a parameter, or its body a member, of that name.
func (a *API) isField(name string, op *huma.Operation) bool {
	if slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == name }) {
		return true
	}
	if op.RequestBody == nil {
		return false
	}
	ref := op.RequestBody.Content["application/json"].Schema.Ref
	_, ok := a.huma.OpenAPI().Components.Schemas.SchemaFromRef(ref).Properties[name]
	return ok
}

// missing finds the name in the message that a required member is missing.
func missing(message string) (string, bool) {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	name, begins := strings.CutPrefix(message, before)
	name, ends := strings.CutSuffix(name, after)
	return name, begins && ends
}

// messages is the closed list of messages about types. huma's own texts are keys only.
var messages = map[string]string{
	errNotJSON.Error():               errNotJSON.Error(),
	errTwice.Error():                 errTwice.Error(),
	errText.Error():                  errText.Error(),
	errUnknown.Error():               errUnknown.Error(),
	errNull.Error():                  errNull.Error(),
	errWrongType.Error():             errWrongType.Error(),
	validation.MsgUnexpectedProperty: errUnknown.Error(),
	validation.MsgExpectedString:     "must be a string",
	validation.MsgExpectedArray:      "must be an array",
	validation.MsgExpectedObject:     "must be an object",
	validation.MsgExpectedInteger:    "must be a whole number",
	validation.MsgExpectedNumber:     "must be a number",
	validation.MsgExpectedBoolean:    "must be true or false",
	"invalid integer":                "must be a whole number",
	"invalid boolean":                "must be true or false",
}

// bounds are messages that end with a value of the OpenAPI document, never of the request.
var bounds = map[string]string{
	validation.MsgExpectedMinimumNumber: "must be at least ",
	validation.MsgExpectedMaximumNumber: "must be at most ",
	validation.MsgExpectedOneOf:         "must be one of ",
}

func messageOf(found string) string {
	if ours, ok := messages[found]; ok {
		return ours
	}
	if _, ok := missing(found); ok {
		return "is required"
	}
	for theirs, ours := range bounds {
		before, after, _ := strings.Cut(theirs, "%")
		if bound, ok := strings.CutPrefix(found, before); ok {
			return ours + strings.TrimSuffix(bound, after[1:])
		}
	}
	return "must match the OpenAPI document"
}
