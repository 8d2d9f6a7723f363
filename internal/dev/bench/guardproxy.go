package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
)

// ProxyPromise is the part of a plain reverse proxy's throughput that is promised of `keyctl guard`,
// for tools/call.
const ProxyPromise = 0.85

// GuardProxy loads, in turn, a plain reverse proxy and `keyctl guard` in front of the same MCP server,
// with calls of one tool. Proxy, guard and server are in this process.
func (s *Stage) GuardProxy(ctx context.Context, load Client, runs int) (pairs []Pair, err error) {
	upstream, stopUpstream, err := listen(ctx, http.HandlerFunc(answerCall))
	if err != nil {
		return nil, err
	}
	defer stopUpstream()
	to := &url.URL{Scheme: "http", Host: upstream, Path: "/mcp"}
	bare, stopBare, err := listen(ctx, &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = to, to.Host },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		FlushInterval: -1,
	})
	if err != nil {
		return nil, err
	}
	defer stopBare()
	guard, err := guardproxy.Open(guardproxy.Options{
		Keys:   guardproxy.Keys{DB: s.few, PepperFile: s.few + ".pepper"},
		Server: &guardproxy.Server{Audience: audience, Upstream: to.String()},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = guard.Close(context.WithoutCancel(ctx)) }()
	guarded, stopGuarded, err := listen(ctx, guard)
	if err != nil {
		return nil, err
	}
	defer stopGuarded()
	return inTurn(bare, guarded, []byte(toolCall(s.tokens[0])), load, runs)
}

// callVersion is the first version of the protocol without sessions.
const callVersion = "2026-07-28"

// tool is the tool that is called, forecast what it says.
var (
	tool     = strings.TrimPrefix(needed, "tools:")
	forecast = "Bergen: rain, 7 °C, wind 12 m/s from the west, and rain again on the next two days."
)

// callBody is a call of the tool.
func callBody() string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{"station":"Bergen","days":3},`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, callVersion)
}

// toolCall is the request of a call.
func toolCall(token string) string {
	body := callBody()
	return fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: %s\r\nMcp-Method: tools/call\r\nMcp-Name: %s\r\nContent-Length: %d\r\n\r\n%s",
		token, callVersion, tool, len(body), body)
}

var answered = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":%q}],"isError":false}}`, forecast)

// answerCall answers each call with the same forecast, as a small MCP server does.
func answerCall(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = w.Write(answered)
}

// PrintGuardProxy writes the runs.
func PrintGuardProxy(w io.Writer, pairs []Pair) {
	fmt.Fprintf(w, "%-4s%-10s%12s%10s%10s%16s\n", "run", "proxy", "calls/s", "p50", "p99", "CPU/call")
	for i, p := range pairs {
		p.Plain.print(w, i+1, "plain")
		p.Guarded.print(w, i+1, "guard")
	}
	fmt.Fprintf(w, "keyctl guard by a plain reverse proxy, median of %d: %.1f %% of the calls/s (promised %.0f %%), %.1f %% of the calls per CPU time\n",
		len(pairs), 100*medianOf(pairs, Pair.Ratio), 100*ProxyPromise, 100*medianOf(pairs, Pair.PerWork))
}
