// Package archtest checks the architecture of mcpkeys with tests, so that a wrong import fails
// the build.
//
// There is nothing to call here. The rules are data, and apply to a new package by its path:
//
//   - rules_test.go: which package may import which. Imports point one way:
//     cmd, then stores and APIs, then middleware, then verifier, then keys.
//   - packages_test.go: every package has one comment that explains it, and a
//     name with a meaning.
//   - tree_test.go: no path of one person's machine in any file, no test that can
//     be skipped, only licences that are compatible with the project's.
//   - attacks_test.go: every abuse case on the list has a test that names it.
//   - commands_test.go: what make says on a machine without a C compiler, and that
//     a skipped test fails the strict run.
//
// When a rule is in your way, either the import is wrong or the design has
// changed. In the second case change the rule, ARCHITECTURE.md and the reason in
// docs/adr together.
package archtest
