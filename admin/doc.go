// Package admin is what one may do with keys as an administrator: issue, edit, rotate,
// disable and revoke them, resolve what a person typed to one key, read who did what, and
// replace peppers.
//
// [NewLocal] is the [Manager] beside a store. [Restrict] puts any Manager into the hands
// of an admin key, which then can do what that key was granted and no more. admin/client is
// the Manager of a server elsewhere, admin/server the HTTP API that it speaks to, and
// admin/importing brings in keys of other systems.
//
// Each change is written together with its audit row, in one transaction, and built upon
// no key whose seal is broken. A revocation is final, and to revoke twice succeeds.
//
// The package refuses to change anything without an actor, to let an admin key exceed or
// lift its own limits, and to end a secret that the caller did not name.
package admin
