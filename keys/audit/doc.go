// Package audit is the log of what was done to keys: its rows, the hash chain that links
// them, and how to find out that somebody changed them.
//
// [NewChange] makes the row of a change of a key, [NewEvent] that of something else that was
// done to a store. A store calls [Event.Link] in the transaction that writes the row.
// [VerifyChain] finds rows that were changed, removed or put in between; [Verify] also holds
// the keys against the log; a [Checkpoint] that is kept elsewhere shows that a tail was cut.
//
// The package refuses a row without an actor, and holds no secret and no digest.
package audit
