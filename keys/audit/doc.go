// Package audit is the log of changes to keys: its rows, the hash chain that links them, and
// checks that find changed rows.
//
// [NewChange] makes the row of a change to a key, [NewEvent] the row of another change to a
// store. A store calls [Event.Link] in the transaction that writes the row. [VerifyChain]
// finds rows that were changed, removed or inserted; [Verify] also compares the keys with the
// log; a [Checkpoint] kept elsewhere shows whether the end of the log was cut off.
//
// The package refuses a row without an actor. Rows contain no secrets and no digests.
package audit
