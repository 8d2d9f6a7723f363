package tui

import "time"

// toast is a line that goes away by itself.
type toast struct {
	text  string
	until time.Time
}

const toastTime = 4 * time.Second

func (t *toast) show(now time.Time, text string) { *t = toast{text: text, until: now.Add(toastTime)} }

func (t *toast) expire(now time.Time) {
	if !now.Before(t.until) {
		*t = toast{}
	}
}
