package guardproxy_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// withSecret sends a secret with each request.
type withSecret string

func (s withSecret) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(s))
	return http.DefaultTransport.RoundTrip(r)
}

// A program asks its client something before it answers a list. The client has no stream but those
// of its requests.
func TestProgramAsksBeforeItAnswersAList(t *testing.T) {
	s := command("asking")
	r := newRig(t, &s)
	client := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil)
	client.AddRoots(&mcp.Root{URI: "file:///srv"}) //nolint:staticcheck // clients still have roots
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: r.url + "/mcp", MaxRetries: -1, DisableStandaloneSSE: true, HTTPClient: &http.Client{Transport: withSecret(r.Granted("tools:pid"))},
	}, &mcp.ClientSessionOptions{ProtocolVersion: legacy})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within/3)
	defer cancel()
	list, err := session.ListTools(ctx, nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "pid" {
		t.Errorf("got %v, %v\n%s", list, err, r.log.String())
	}
}
