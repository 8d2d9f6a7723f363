// Package store is the interface between mcpkeys and a key store: [Reader] for programs that
// read keys, [Store] for programs that change them. store/sqlite implements it; start with
// its Open or OpenVerifier. Every implementation must pass the tests of store/storetest.
//
// A change is written together with its audit row or not at all. Errors say what was written:
// nothing after a [*RefusedError], all after a [*WrittenError]; after a [*MayBeLostError] the
// caller must check.
//
// A store never returns a key of an unfinished import, and never loses an acknowledged change.
package store
