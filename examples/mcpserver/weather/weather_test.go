package weather_test

import (
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
)

func connect(t *testing.T) *mcp.ClientSession {
	t.Helper()
	there, here := mcp.NewInMemoryTransports()
	if _, err := weather.New().Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func TestTools(t *testing.T) {
	session := connect(t)
	for _, step := range []struct {
		tool string
		args map[string]any
		want string
		fail bool
	}{
		{"get_stations", nil, `{"stations":[]}`, false},
		{"get_forecast", map[string]any{"station": "berlin"}, "no reading of that station yet", true},
		{"set_reading", map[string]any{"station": "Berlin!", "celsius": 1}, "a station's name is", true},
		{"set_reading", map[string]any{"station": "berlin", "celsius": 999}, "between -100 and 70", true},
		{"set_reading", map[string]any{"station": "berlin", "celsius": 4}, `"celsius":4`, false},
		{"set_reading", map[string]any{"station": "berlin", "celsius": 5}, `"readings":[4,5]`, false},
		{"get_forecast", map[string]any{"station": "berlin"}, "needs 3 readings", true},
		{"set_reading", map[string]any{"station": "berlin", "celsius": 6}, `"readings":[4,5,6]`, false},
		{"get_forecast", map[string]any{"station": "berlin"}, `"change_per_reading":1,"next_celsius":7,"readings_used":3`, false},
		{"get_feels_like", map[string]any{"celsius": -10, "wind_kmh": 30}, `{"feels_like_celsius":-19.5,"wind_chill":true}`, false},
		{"get_feels_like", map[string]any{"celsius": 20, "wind_kmh": 30}, `{"feels_like_celsius":20,"wind_chill":false}`, false},
		{"get_feels_like", map[string]any{"celsius": 20, "wind_kmh": -1}, "between 0 and 500", true},
		{"whoami", nil, "not guarded", true},
	} {
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: step.tool, Arguments: step.args})
		if err != nil {
			t.Fatalf("%s(%v): %v", step.tool, step.args, err)
		}
		if text := res.Content[0].(*mcp.TextContent).Text; res.IsError != step.fail || !strings.Contains(text, step.want) {
			t.Errorf("%s(%v): got %s, error %v, want %s", step.tool, step.args, text, res.IsError, step.want)
		}
	}
}

func TestPromptAndResources(t *testing.T) {
	session := connect(t)
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "set_reading", Arguments: map[string]any{"station": "oslo", "celsius": -3}}); err != nil {
		t.Fatal(err)
	}
	prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "briefing", Arguments: map[string]string{"station": "oslo"}})
	if err != nil || !strings.Contains(prompt.Messages[0].Content.(*mcp.TextContent).Text, "oslo") {
		t.Errorf("briefing: got %v, %v, want one of oslo", prompt, err)
	}
	for uri, want := range map[string]string{
		weather.StationsURI:           `{"stations":[{"name":"oslo","celsius":-3,"readings":[-3]}]}`,
		weather.StationsURI + "/oslo": `{"name":"oslo","celsius":-3,"readings":[-3]}`,
	} {
		res, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
		if err != nil || res.Contents[0].Text != want {
			t.Errorf("ReadResource(%s): got %v, %v, want %s", uri, res, err, want)
		}
	}
	if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: weather.StationsURI + "/rome"}); err == nil {
		t.Error("ReadResource of an unknown station: got no error, want one")
	}
}
