package main

import "io"

// Colour says nothing that the words beside it do not say too.

func (e *env) bold(stream io.Writer, text string) string   { return e.paint(stream, "1", text) }
func (e *env) yellow(stream io.Writer, text string) string { return e.paint(stream, "33", text) }

func (e *env) paint(stream io.Writer, code, text string) string {
	if !e.colourful(stream) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
