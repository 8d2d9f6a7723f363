// Package archtest holds the architecture of mcpkeys as tests, so that a wrong
// arrow fails a build and not a review.
//
// There is nothing to call here. The rules are data, and a package that is added
// tomorrow falls under them by its path:
//
//   - rules_test.go: who may import whom. Arrows point one way:
//     cmd, then stores and APIs, then middleware, then verifier, then keys.
//   - packages_test.go: every package opens with one comment that teaches, and has
//     a name that says something.
//   - tree_test.go: no path of one person's machine in any file, no test that can
//     be skipped, licences that go together with ours.
//   - attacks_test.go: every abuse case on the list has a test that names it.
//   - commands_test.go: what make says on a machine without a C compiler, and that
//     a skipped test fails the strict run.
//
// When a rule is in your way, either the import is wrong or the design has
// changed. In the second case change the rule, ARCHITECTURE.md and the reason in
// docs/adr together.
package archtest
