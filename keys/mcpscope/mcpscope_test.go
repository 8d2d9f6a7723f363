package mcpscope_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

func TestScopesOfNames(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{mcpscope.Tool("get_forecast"), "tools:get_forecast"},
		{mcpscope.Tool("a:b"), "tools:a%3Ab"},
		{mcpscope.Tool("a b"), "tools:a%20b"},
		{mcpscope.Tool("*"), "tools:%2A"},
		{mcpscope.Tool("%2A"), "tools:%252A"},
		{mcpscope.Tool("ä\x00"), "tools:%C3%A4%00"},
		{mcpscope.Tool(""), "tools:"},
		{mcpscope.Prompt("daily/brief"), "prompts:daily%2Fbrief"},
		{mcpscope.Resource("file:///x/a.txt"), "resources:file%3A%2F%2F%2Fx%2Fa.txt"},
		{mcpscope.ToolPattern("get_*"), "tools:get_*"},
		{mcpscope.PromptPattern("*"), "prompts:*"},
		{mcpscope.ResourcePattern("file:///x/*"), "resources:file%3A%2F%2F%2Fx%2F*"},
	} {
		if row.got != row.want {
			t.Errorf("got %q, want %q", row.got, row.want)
		}
	}
}
