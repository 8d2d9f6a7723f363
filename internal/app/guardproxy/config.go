package guardproxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Server is one MCP server behind the guard. It has either an Upstream or a Command.
type Server struct {
	Name     string            `json:"-"`        // its path is /NAME/mcp; empty means /mcp, for a guard with one server
	Audience string            `json:"audience"` // keys must be for it
	KeyFile  string            `json:"key_file,omitempty"`
	Methods  map[string]string `json:"methods,omitempty"` // methods of its own, with their scopes

	Upstream   string `json:"upstream,omitempty"` // URL, or unix: and the path of a socket
	HeaderFile string `json:"upstream_header_file,omitempty"`

	Command  []string `json:"command,omitempty"`
	Dir      string   `json:"dir,omitempty"`
	Env      []string `json:"env,omitempty"` // names of variables that the program gets, or NAME=VALUE
	User     string   `json:"user,omitempty"`
	SameUser bool     `json:"same_user,omitempty"`
}

// The fields as errors name them.
const (
	fieldConfig     = "config"
	fieldAudience   = "audience"
	fieldUpstream   = "upstream"
	fieldHeaderFile = "upstream_header_file"
	fieldKeyFile    = "key_file"
	fieldUser       = "user"
	fieldMethods    = "method"
)

// maxConfig is the size of the file, in bytes.
const maxConfig = 1 << 20

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ReadConfig reads the servers of a file, such as
//
//	{"servers": {"weather": {"audience": "weather", "upstream": "http://127.0.0.1:9001/mcp"}}}
//
// ordered by name. Members that it does not know, and members that are given twice, are refused.
func ReadConfig(path string) ([]Server, error) {
	f, err := infile.Regular(path)
	if err != nil {
		return nil, &keys.InvalidError{Field: fieldConfig, Reason: "must name a file that this user may read"}
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, &keys.InvalidError{Field: fieldConfig, Reason: "must name a file that this user may read"}
	}
	if len(text) > maxConfig {
		return nil, &keys.InvalidError{Field: fieldConfig, Reason: "must name a file of 1 MiB at most"}
	}
	var file struct {
		Servers map[string]Server `json:"servers"`
	}
	if err := json.Unmarshal(text, &file, json.RejectUnknownMembers(true)); err != nil {
		return nil, &keys.InvalidError{Field: fieldConfig, Reason: whereWrong(err)}
	}
	if len(file.Servers) == 0 {
		return nil, &keys.InvalidError{Field: fieldConfig, Reason: `must name at least one server: {"servers": {"NAME": {"audience": "…", "upstream": "…"}}}`}
	}
	var out []Server
	for _, name := range slices.Sorted(maps.Keys(file.Servers)) {
		if !namePattern.MatchString(name) {
			return nil, &keys.InvalidError{Field: fieldConfig, Reason: "has a server whose name cannot be a path: use up to 63 small letters, digits, dots, hyphens and underscores"}
		}
		s := file.Servers[name]
		s.Name = name
		if err := s.check(); err != nil {
			return nil, named(s, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// whereWrong does not repeat the library's text, which quotes the file.
func whereWrong(err error) string {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return fmt.Sprintf("has a member that keyctl guard does not know: %s", semantic.JSONPointer)
	case errors.As(err, &semantic) && semantic.JSONPointer != "":
		return fmt.Sprintf("has a value of the wrong type: %s", semantic.JSONPointer)
	case errors.As(err, &syntactic) && errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Sprintf("has a member twice: %s", syntactic.JSONPointer)
	}
	return "must be one JSON object, see docs/guard.md"
}

// check refuses what cannot be guarded.
func (s *Server) check() error {
	if s.Audience != "" {
		if err := keys.ValidateAudience(s.Audience); err != nil {
			return err
		}
	} else if s.Name != "" {
		return &keys.InvalidError{Field: fieldAudience, Reason: "is missing; each server of a file needs one, so that a key for one server is not valid for another"}
	}
	for method, scope := range s.Methods {
		if err := keys.ValidateRequired(scope); err != nil {
			return &keys.InvalidError{Field: fieldMethods, Reason: fmt.Sprintf("%s needs a scope without wildcards", method)}
		}
	}
	switch {
	case s.Upstream == "" && len(s.Command) == 0:
		return &keys.InvalidError{Field: fieldUpstream, Reason: "is missing; name the URL of the MCP server, or its command after --"}
	case s.Upstream != "" && len(s.Command) > 0:
		return &keys.InvalidError{Field: fieldUpstream, Reason: "cannot be combined with a command; use one of the two"}
	case s.Upstream == "" && s.HeaderFile != "":
		return &keys.InvalidError{Field: fieldHeaderFile, Reason: "is for --upstream; a command gets secrets through --env"}
	case s.Upstream == "":
		return nil // package stdio checks the rest
	case s.User != "" || s.SameUser || s.Dir != "" || len(s.Env) > 0:
		return &keys.InvalidError{Field: fieldUpstream, Reason: "cannot be combined with --user, --same-user, --dir or --env, which are for a command"}
	}
	_, _, err := parseUpstream(s.Upstream, s.HeaderFile != "")
	return err
}

// inFile turns the names of flags into those of members.
var inFile = strings.NewReplacer(
	"--upstream-header-file", "upstream_header_file", "--upstream", "upstream", "--same-user", "same_user", "--user", "user",
	"--dir", "dir", "--env", "env", "its command after --", "its command",
)

// named says which server of a file err is about, with the names of its members.
func named(s Server, err error) error {
	if s.Name == "" {
		return err
	}
	if one, ok := err.(*keys.InvalidError); ok { //nolint:errorlint // made by check and open themselves
		err = &keys.InvalidError{Field: one.Field, Reason: inFile.Replace(one.Reason)}
	}
	return fmt.Errorf("server %s: %w", s.Name, err)
}
