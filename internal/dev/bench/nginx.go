package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// nginxConfig has two servers in front of the same program: one passes each request on, the
// other one asks keyctl serve first.
const nginxConfig = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log crit;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream keyctl { server %[2]s; keepalive 32; }
	upstream plain { server %[3]s; keepalive 32; }
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	keepalive_requests 1000000000;
	server {
		listen %[4]s;
		location / { proxy_pass http://plain; }
	}
	server {
		listen %[5]s;
		location / { auth_request /keyctl; proxy_pass http://plain; }
		location = /keyctl {
			internal;
			proxy_pass http://keyctl/v1/forward-auth?audience=weather&deny=403;
			proxy_pass_request_body off;
			proxy_set_header Connection "";
			proxy_set_header Content-Length "";
		}
	}
}
`

// Nginx loads nginx in front of the plain handler, with auth_request and without, in turn.
func (s *Stage) Nginx(ctx context.Context, load Client, runs int) (pairs []Pair, err error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errors.New("nginx is not installed; on Debian: apt install nginx")
	}
	dir, err := os.MkdirTemp("", "mcpkeys-nginx-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	keys, stopKeys, err := s.serveAPI(ctx)
	if err != nil {
		return nil, err
	}
	defer stopKeys()
	behind, stop, err := listen(ctx, plain)
	if err != nil {
		return nil, err
	}
	defer stop()
	bare, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	guarded, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, keys, behind, bare, guarded), 0o600); err != nil {
		return nil, err
	}
	proxy := exec.CommandContext(ctx, program, "-c", config, "-p", dir)
	proxy.Stderr = os.Stderr
	if err := proxy.Start(); err != nil {
		return nil, err
	}
	defer func() { _, _ = proxy.Process.Signal(os.Interrupt), proxy.Wait() }()
	for _, addr := range []string{bare, guarded} {
		if err := answering(ctx, addr); err != nil {
			return nil, err
		}
	}
	return inTurn(bare, guarded, []byte(get("/", s.tokens[0])), load, runs)
}

// freeAddr is an address at which no program listens.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answering waits until a program answers.
func answering(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
		if err != nil {
			return err
		}
		a, err := http.DefaultClient.Do(r)
		if err == nil {
			return a.Body.Close()
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// PrintNginx writes the medians. Three processes share the processors, so there is no figure by
// processor time.
func PrintNginx(w io.Writer, pairs []Pair) {
	fmt.Fprintf(w, "%-22s%12s%10s%10s\n", "nginx", "requests/s", "p50", "p99")
	row := func(name string, of func(Pair) Run) {
		median := func(what func(Run) time.Duration) time.Duration {
			return time.Duration(medianOf(pairs, func(p Pair) float64 { return float64(what(of(p))) })).Round(time.Microsecond)
		}
		fmt.Fprintf(w, "%-22s%12.0f%10v%10v\n", name, medianOf(pairs, func(p Pair) float64 { return of(p).PerSecond() }),
			median(func(r Run) time.Duration { return r.P50 }), median(func(r Run) time.Duration { return r.P99 }))
	}
	row("without auth_request", func(p Pair) Run { return p.Plain })
	row("with auth_request", func(p Pair) Run { return p.Guarded })
	fmt.Fprintf(w, "with by without, median of %d alternating runs: %.0f %% of the requests/s\n", len(pairs), 100*medianOf(pairs, Pair.Ratio))
}
