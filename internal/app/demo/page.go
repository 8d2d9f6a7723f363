package demo

import (
	"fmt"
	"io"
	"time"
)

// page prints the steps, at most 80 columns wide. It keeps the first write error, and writes
// nothing after it.
type page struct {
	out io.Writer
	err error
}

func (p *page) line(text string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, text+"\n", args...)
	}
}

func (p *page) title(lines ...string) {
	for _, l := range lines {
		p.line("%s", l)
	}
}

func (p *page) step(n int, title, types string) {
	p.line("\n%d. %s", n, title)
	if types != "" {
		p.line("   > %s", types)
	}
}

func (p *page) held(what string) { p.line("   ✓ %s", what) }
func (p *page) broken(err error) { p.line("   ✗ %v", err) }

func (p *page) end(steps int, took time.Duration) {
	p.line("\nAll %d steps worked, in %d ms.", steps, took.Milliseconds())
}
