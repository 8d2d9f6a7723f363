// Package readmetest keeps README.md and docs/ true: what they show is run.
//
// The rules for somebody who writes there:
//
//   - A ```go block stands, word for word, inside an Example function of some
//     *_test.go file, or in a program under examples/. Spacing may differ.
//   - A ```console block is what a reader would see: lines that begin with "$ ",
//     each followed by exactly what it prints, words on stderr too. A command that
//     prints and shows nothing is a fault. A line may end in \ and go on below.
//   - A ```sh block is commands alone, one a line, whatever they print.
//   - Other blocks (```text, ```json) are for show and are not run.
//
// All commands of a page run from top to bottom in one bash, in a copy of the
// repository, with keyctl on the PATH and none of the KEYCTL_ variables set. Every
// command must succeed, unless the next one is "echo $?". What differs from run to
// run is compared as [Normalise] describes; "…" stands for any text, and on a line
// of its own for any lines.
//
// Some commands do not run here: to clone and to enter the clone is how the copy
// came to be, and a make target is run by .ci/run, which must name it. Only make
// demo may show its output, and is run here for that.
//
// Begin with [Blocks], then [Block.Commands], [Run] and [Check].
package readmetest
