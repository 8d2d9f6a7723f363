// Package pepper is the only code that touches a pepper: the secret outside the database
// without which nothing in the database can be verified or made.
//
// A [Set] holds the peppers of one key store; [Generate] makes one and [Parse] reads it. It
// makes digests of tokens ([Set.Digest], [Set.Verify]), seals of rows ([Set.Seal],
// [Set.CheckSeal]), and the secrets of imported keys ([Set.ImportedSecret]). Package
// pepper/pepperfile keeps it in a file.
//
// Anyone with the pepper and the database can make keys that verify: protect the pepper file
// as well as you would protect all keys. The pepper alone is useless.
//
// The package prints nothing of a pepper, compares in constant time, and refuses hashes that
// would cost a server too much to check.
package pepper
