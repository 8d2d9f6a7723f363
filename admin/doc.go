// Package admin administers keys: issue, edit, rotate, disable and revoke them, find the key
// that a user typed, read the audit log, and replace peppers.
//
// [NewLocal] returns the [Manager] beside a store. [Restrict] limits any Manager to what an
// admin key was granted. admin/client is the Manager of a remote server, admin/server is the
// HTTP API that it uses, and admin/importing imports keys of other systems.
//
// Each change is written in one transaction with its audit row, and only to a key whose seal is
// intact. A revocation is final; revoking twice succeeds.
//
// The package refuses to change anything without an actor, to let an admin key exceed or lift
// its own limits, and to end a secret that the caller did not name.
package admin
