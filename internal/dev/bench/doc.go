// Package bench measures what mcpkeys promises about speed, on the machine it runs
// on. `make bench` prints the table, `make bench-http` loads a guarded server over
// loopback, `make bench-peers` puts another library beside ours, and
// `make bench-check` fails when a promise is broken.
//
// A time in nanoseconds says little on another machine, and not much on this one
// while it does something else. So each subject has a floor: the least that anybody
// could do for the same purpose, such as one SHA-256 and one look into a map. The two
// run in turn, in many short slices, and what counts is the median of the ratios
// ([Case], [Measure]). Ratios are what is promised and checked; nanoseconds are
// printed for the reader.
//
// The package refuses to flatter. The store is SQLite in a file, written as durably
// as in service; a case that did not do what it claims to measure, a "miss" that was
// answered from memory or junk that reached the store, is an error and no figure.
//
// Begin with [Open], which sets the stage, and [Stage.Cases].
package bench
