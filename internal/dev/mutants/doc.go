// Package mutants shows that the tests notice broken security rules.
//
// mutants.txt lists breaks of one line each: a file, the line as it is, the line as a
// mistake would leave it, and the packages whose tests must fail. [Run] applies each
// break in a copy of the tree and runs those tests. A break that no test notices is a
// survivor, and survivors fail the run.
//
// Run it with make: make mutants runs all, make mutants-sample five of them, other ones with
// each commit. This package's test checks the list itself, so that a change of a listed line is
// noticed at once.
package mutants
