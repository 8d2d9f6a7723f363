package buildinfo_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/buildinfo"
)

func TestLine(t *testing.T) {
	const commit = "abc1234567890abcdef1234567890abcdef12345"
	for _, tc := range []struct {
		name, version, override string
		settings                map[string]string
		more                    []string
		want                    string
	}{
		{name: "go run", version: "(devel)", want: "keyctl devel (go1.26.8)"},
		{name: "no version at all", want: "keyctl devel (go1.26.8)"},
		{name: "go install", version: "v0.1.0", want: "keyctl v0.1.0 (go1.26.8)"},
		{
			name: "go build", version: "v0.1.0", more: []string{"sqlite 3.54.1"},
			settings: map[string]string{"vcs.revision": commit, "vcs.modified": "false"},
			want:     "keyctl v0.1.0 (abc1234, go1.26.8, sqlite 3.54.1)",
		},
		{
			name: "a changed tree", version: "(devel)",
			settings: map[string]string{"vcs.revision": commit, "vcs.modified": "true"},
			want:     "keyctl devel (abc1234 with changes, go1.26.8)",
		},
		{
			name: "a packager's build", version: "(devel)", override: "v1.2.3",
			want: "keyctl v1.2.3 (go1.26.8)",
		},
		{
			name: "a short revision", version: "v0.1.0",
			settings: map[string]string{"vcs.revision": "abc"},
			want:     "keyctl v0.1.0 (abc, go1.26.8)",
		},
	} {
		b := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: tc.version}}
		for key, value := range tc.settings {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: key, Value: value})
		}
		if got := buildinfo.From(b, tc.override).Line("keyctl", tc.more...); got != tc.want {
			t.Errorf("%s: Line: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestZeroInfo(t *testing.T) {
	if got, want := (buildinfo.Info{}).Line("keyctl"), "keyctl devel"; got != want {
		t.Errorf("Line of the zero Info: got %q, want %q", got, want)
	}
}

func TestReadKnowsTheGoVersion(t *testing.T) {
	if got := buildinfo.Read().Line("keyctl"); !strings.Contains(got, runtime.Version()) {
		t.Errorf("Read().Line: got %q, want %s in it", got, runtime.Version())
	}
}
