package listening

import (
	"crypto/tls"
	"net"
	"sync/atomic"
)

// watchedListener notes for each connection whether the client has sent anything.
type watchedListener struct{ net.Listener }

type watchedConn struct {
	net.Conn
	heard atomic.Bool
}

// Accept implements [net.Listener].
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

// Read implements [net.Conn].
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// Accepted is the connection that the listener returned, without TLS and what this package adds.
func Accepted(conn net.Conn) net.Conn {
	if watched := accepted(conn); watched != nil {
		return watched.Conn
	}
	return conn
}

// accepted is the connection that a watchedListener returned, without TLS.
func accepted(conn net.Conn) *watchedConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	watched, _ := conn.(*watchedConn)
	return watched
}
