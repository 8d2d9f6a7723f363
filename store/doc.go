// Package store is the contract between mcpkeys and what keeps its keys: [Reader] for what
// guards and screens need, [Store] for what changes keys. store/sqlite implements it, and
// store/storetest is the suite that every implementation passes.
//
// A change is written together with its audit row or not at all. Errors say how far a change
// came: a [*RefusedError] wrote nothing, a [*WrittenError] wrote all of it, and after a
// [*MayBeLostError] that must be looked up.
//
// The contract refuses to report a key whose import is unfinished, and to lose a change that
// was acknowledged.
package store
