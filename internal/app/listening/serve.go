package listening

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// endTime is how long running requests may take after the last connection was accepted.
const endTime = 10 * time.Second

// silentTime is how long, after that, a client may take to send the first byte on a new connection.
const silentTime = 500 * time.Millisecond

// Server is a server from its first connection to its last. Set the exported fields, then call
// [Server.Serve] once.
type Server struct {
	*Options
	Listeners   []net.Listener
	Certificate *Certificate // nil: plain HTTP
	Handler     http.Handler

	// Streams leaves out the limits on how long a request and its answer may take, for a handler
	// that sets its own: answers may be streams that stay open.
	Streams bool

	ConnContext func(ctx context.Context, conn net.Conn) context.Context // nil: the one it gets
	Reloaded    func(ctx context.Context)                                // what else is read again; nil: nothing
	Leaving     func()                                                   // called once the server is stopping; nil: nothing

	leaving atomic.Bool
	http    *http.Server
	ended   chan error // the error of Serve, once for each listener

	mu   sync.Mutex
	busy map[net.Conn]bool // connections with a running request, or without a first one
}

// Serve returns some time after ctx ends.
func (r *Server) Serve(ctx context.Context) error {
	r.http = &http.Server{
		Handler:           r.closing(r.Handler),
		TLSConfig:         r.Certificate.config(),
		ReadHeaderTimeout: 5 * time.Second,
		// Or "OPTIONS *" would be answered before any guard, whatever the Host.
		DisableGeneralOptionsHandler: true,
		IdleTimeout:                  60 * time.Second,
		MaxHeaderBytes:               16 << 10,
		ConnState:                    r.note,
		ConnContext:                  r.ConnContext,
		ErrorLog:                     newErrorLog(r.Logger),
	}
	if !r.Streams {
		r.http.ReadTimeout, r.http.WriteTimeout = 15*time.Second, 30*time.Second
	}
	r.ended, r.busy = make(chan error, len(r.Listeners)), map[net.Conn]bool{}
	for _, l := range r.Listeners {
		go func() {
			if r.Certificate != nil {
				r.ended <- r.http.ServeTLS(watchedListener{l}, "", "")
				return
			}
			r.ended <- r.http.Serve(watchedListener{l})
		}()
	}
	for {
		select {
		case err := <-r.ended:
			return err
		case <-r.Reload:
			if r.Reloaded != nil {
				r.Reloaded(ctx)
			}
			r.reload(ctx)
		case <-ctx.Done():
			return r.leave(context.WithoutCancel(ctx))
		}
	}
}

// closing makes each answer close its connection once the server is stopping: the client then
// sends its next request on a new connection, and no request is cut off when the server ends.
func (r *Server) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.leaving.Load() {
			w.Header().Set("Connection", "close") // has the same effect on HTTP/2
		}
		next.ServeHTTP(w, req)
	})
}

// reload uses a renewed certificate. Open connections keep the old one.
func (r *Server) reload(ctx context.Context) {
	if r.Certificate == nil && r.Reloaded != nil {
		return
	}
	if r.Certificate == nil {
		r.Logger.InfoContext(ctx, "no certificate to reload: this server runs without TLS")
		return
	}
	if err := r.Certificate.load(); err != nil {
		r.Logger.ErrorContext(ctx, "the new certificate cannot be used; the old one stays in use", "error", err)
		return
	}
	r.Logger.InfoContext(ctx, "certificate reloaded for new connections")
}

// leave lets clients and proxies notice that the server is stopping, then closes the listener,
// then waits for running requests.
func (r *Server) leave(ctx context.Context) error {
	r.leaving.Store(true)
	Notify(ctx, "STOPPING=1")
	if r.Leaving != nil {
		r.Leaving()
	}
	r.Logger.InfoContext(ctx, "stopping: no longer ready, and each answer closes its connection", "drain", r.Drain)
	drained := time.NewTimer(r.Drain)
	defer drained.Stop()
	select {
	case err := <-r.ended:
		return err
	case <-r.Abort:
		return r.http.Close()
	case <-drained.C:
	}
	var err error
	for _, l := range r.Listeners {
		settle(l)
		err = errors.Join(err, l.Close())
		<-r.ended //nolint:errcheck // a listener is closed; after the last one the server knows every accepted connection
	}
	return errors.Join(err, r.finish(ctx))
}

// finish waits until no connection has a running request or is still to send its first. It does
// not wait for connections that clients keep ready and send nothing on. Shutdown comes after
// that, because it drops requests that are half read.
func (r *Server) finish(ctx context.Context) error {
	end := time.NewTimer(endTime)
	defer end.Stop()
	silent := time.NewTimer(silentTime)
	defer silent.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for r.anyBusy() {
		select {
		case <-look.C:
		case <-silent.C:
			r.closeSilent()
		case <-r.Abort:
			return r.http.Close()
		case <-end.C:
			r.Logger.WarnContext(ctx, "requests that are still running are cut off")
			return r.http.Close()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r.http.Shutdown(ctx) != nil {
		return r.http.Close()
	}
	return nil
}

// note counts busy connections.
func (r *Server) note(conn net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		r.busy[conn] = true
		return
	}
	delete(r.busy, conn)
}

// closeSilent closes the connections on which the client has sent nothing.
func (r *Server) closeSilent() {
	r.mu.Lock()
	var silent []net.Conn
	for conn := range r.busy {
		if w := accepted(conn); w != nil && !w.heard.Load() {
			silent = append(silent, w)
		}
	}
	r.mu.Unlock()
	for _, conn := range silent {
		_ = conn.Close() // its goroutine ends, and notes that it is closed
	}
}

func (r *Server) anyBusy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.busy) > 0
}
