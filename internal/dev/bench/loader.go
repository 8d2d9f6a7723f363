package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Load is what a client saw.
type Load struct {
	Requests int
	Took     time.Duration
	P50, P99 time.Duration
}

// PerSecond is the throughput.
func (l Load) PerSecond() float64 { return float64(l.Requests) / l.Took.Seconds() }

// Loader sends one request repeatedly, on connections that stay open, and reads answers only to
// find their end.
type Loader struct {
	Addr    string
	Request []byte // headers and body
	Conns   int
	For     time.Duration
}

// Run loads the server. An answer other than 200 ends it with an error.
func (l Loader) Run(ctx context.Context) (Load, error) {
	took := make([][]time.Duration, l.Conns)
	errs := make([]error, l.Conns)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range l.Conns {
		all.Go(func() { took[i], errs[i] = l.converse(ctx, begin.Add(l.For)) })
	}
	all.Wait()
	sum := Load{Took: time.Since(begin)}
	for _, err := range errs {
		if err != nil {
			return sum, err
		}
	}
	times := slices.Concat(took...)
	slices.Sort(times)
	if sum.Requests = len(times); sum.Requests > 0 {
		sum.P50, sum.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return sum, nil
}

func (l Loader) converse(ctx context.Context, until time.Time) (took []time.Duration, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for now := time.Now(); now.Before(until) && ctx.Err() == nil; {
		if _, err := conn.Write(l.Request); err != nil {
			return nil, err
		}
		if err := readAnswer(in); err != nil {
			return nil, err
		}
		then := now
		now = time.Now()
		took = append(took, now.Sub(then))
	}
	return took, ctx.Err()
}

// readAnswer reads the lines of one answer, to its empty line, and its body.
func readAnswer(in *bufio.Reader) error {
	first, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(first, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%w: %s", errWrong, bytes.TrimSpace(first))
	}
	length := -1
	for {
		one, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(one) == len("\r\n") {
			break
		}
		if digits, ok := bytes.CutPrefix(one, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(digits))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("%w: an answer without a length", errWrong)
	}
	_, err = in.Discard(length)
	return err
}
