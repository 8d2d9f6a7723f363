package stdio

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// A child is a process with its three streams. Its lines go to a session.
type child struct {
	*process
	o   Options
	log *slog.Logger

	input  *queue
	ending chan struct{} // closed by end
	ended  chan struct{} // closed when the session knows that the child has ended

	mu     sync.Mutex
	reason string // why we end it; empty if it ends by itself

	errors  meter // of lines on its standard error
	strange meter // of lines and ids that fit nothing
}

var errGone = errors.New("the MCP server has ended")

func newChild(o Options, log *slog.Logger, p *process) *child {
	return &child{
		process: p, o: o, log: log.With(slog.Int("pid", p.pid)),
		input: newQueue(inputQueue), ending: make(chan struct{}), ended: make(chan struct{}),
	}
}

// run hands each line of the child to line until it has ended; then gone is called.
func (c *child) run(line func([]byte), gone func(why string)) {
	c.log.Info("MCP server started")
	go c.write()
	go c.readErrors()
	go func() {
		c.read(line)
		c.endUnlessExited("The MCP server closed its output, so it was ended.")
		<-c.exited
		_ = c.out.Close()
		why := c.why()
		c.log.Info("MCP server ended", slog.String("status", c.status), slog.String("reason", why))
		gone(why)
		c.end(why)
		close(c.ended)
	}()
}

// why says in a sentence why the child ended.
func (c *child) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != "" {
		return c.reason
	}
	return "The MCP server ended (" + c.status + ")."
}

// byItself reports whether the child ended without being told to.
func (c *child) byItself() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason == ""
}

// end ends the child, and says why. Only the first reason counts.
func (c *child) end(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ending:
		return
	default:
	}
	select {
	case <-c.exited:
	default:
		c.reason = why
		go c.stop(c.o.StopGrace, c.input.close)
	}
	close(c.ending)
}

const deaf = "The MCP server does not read its input, so it was ended."

// endUnlessExited ends a child that closed one of its streams, which is also how it exits.
func (c *child) endUnlessExited(why string) {
	if !c.exitsWithin(time.Second) {
		c.end(why)
	}
}

// send queues a message, and waits for room if the child is slow to read.
func (c *child) send(ctx context.Context, text []byte) error {
	stuck := time.NewTimer(c.o.Stuck)
	defer stuck.Stop()
	for {
		ok, again := c.input.put(item{text: text})
		if ok {
			return nil
		}
		select {
		case <-c.ending:
			return errGone
		case <-c.exited:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		case <-stuck.C:
			c.end(deaf)
			return errGone
		case <-again:
		}
	}
}

// tell queues a message of our own, if there is room.
func (c *child) tell(text []byte) {
	if ok, _ := c.input.put(item{text: text}); !ok {
		c.odd("message not sent: the MCP server does not read its input", text)
	}
}

// write sends the queue to the child.
func (c *child) write() {
	defer func() { _ = c.in.Close() }()
	for {
		i, ok, ended, again := c.input.take()
		if ended {
			return
		}
		if !ok {
			select {
			case <-again:
				continue
			case <-c.exited:
				c.input.close()
				return
			}
		}
		_ = c.in.SetWriteDeadline(clock().Add(c.o.Stuck))
		_, err := c.in.Write(i.text)
		if err == nil {
			_, err = c.in.Write([]byte{'\n'})
		}
		if err != nil {
			c.endUnlessExited(deaf)
			c.input.close()
			return
		}
	}
}

// read hands on each line that the child writes.
func (c *child) read(line func([]byte)) {
	in := bufio.NewReaderSize(c.out, 64<<10)
	for {
		text, err := readLine(in, c.o.MaxLine)
		if errors.Is(err, errLong) {
			c.end("The MCP server wrote a line longer than " + strconv.Itoa(c.o.MaxLine) + " bytes, so it was ended.")
			c.kill()
			_, _ = io.Copy(io.Discard, in)
			return
		}
		if err != nil {
			if len(text) > 0 {
				c.odd("half a line at the end, skipped", text)
			}
			return
		}
		line(text)
	}
}

var errLong = errors.New("the line is too long")

// readLine returns a line without its end; if it has none, also the error.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var out []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(out)+len(part) > limit+1 {
			return nil, errLong
		}
		out = append(out, part...)
		if err == nil {
			return bytes.TrimSuffix(out, []byte("\n")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return out, err
		}
	}
}

// loggedLine is the most of a line that is logged.
const loggedLine = 2000

// readErrors logs what the child writes to its standard error, and reads on when it logs nothing.
func (c *child) readErrors() {
	defer func() { _ = c.errout.Close() }()
	in := bufio.NewReaderSize(c.errout, 4096)
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return
		}
		text := bytes.Clone(part)
		for more && err == nil {
			part, more, err = in.ReadLine()
			if len(text) <= loggedLine {
				text = append(text, part...)
			}
		}
		c.logLine(&c.errors, c.log.Info, "MCP server says", text)
	}
}

// odd logs a line of the child that fits nothing.
func (c *child) odd(what string, text []byte) {
	c.logLine(&c.strange, c.log.Warn, "MCP server: unusable output", text, slog.String("problem", what))
}

func (c *child) logLine(m *meter, log func(string, ...any), message string, text []byte, more ...any) {
	ok, lost := m.lets()
	if !ok {
		return
	}
	more = append(more, slog.String("line", printable(text, loggedLine)))
	if lost > 0 {
		more = append(more, slog.Int("not_logged", lost))
	}
	log(message, more...)
}
