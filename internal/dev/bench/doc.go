// Package bench measures the speed that mcpkeys promises, on the machine it runs on. `make
// bench` prints the table, `make bench-http` loads a guarded server over loopback, `make
// bench-peers` compares with another library, and `make bench-check` fails if a promise is
// broken.
//
// A time in nanoseconds says little about another machine, or about a busy one. So each subject
// has a floor: the least work for the same purpose, such as one SHA-256 and one lookup in a
// map. The two run in turn, in many short slices, and the result is the median of the ratios
// ([Case], [Measure]). Promises and checks are about ratios; nanoseconds are only printed. Memory
// and wake-ups have no floor ([Figure]).
//
// The store is SQLite in a file, written as durably as in production. A case that did not do
// what it measures, such as a "miss" that was answered from memory or junk that reached the
// store, is an error.
//
// Begin with [Open], which prepares the stage, and [Stage.Cases].
package bench
