// Package sqlite keeps keys in one SQLite file on a local disk: the store of a
// single machine, shared by as many processes on it as needed.
//
// [Create] makes a database and its pepper, once. A program that administers keys
// then calls [Open]; a program that only checks them calls [OpenVerifier], which
// cannot write. Both return an implementation of the interfaces in package store,
// proved by the suite in store/storetest.
//
// # What is promised
//
// What a method acknowledged survives a crash and a power cut: the log is
// written ahead and flushed at every commit (WAL, synchronous=FULL; the driver's
// own default is weaker). A change and its audit row are one transaction, which
// callers who come at once may share, each succeeding or failing for itself. Every
// commit is seen at once by every process on the machine. Changes made by a
// database shell are seen too, because triggers note them, and are refused,
// because the row's seal no longer fits ([keys.ErrTampered]).
//
// # What it refuses
//
// Network file systems, where SQLite's locks do not hold; a database of another
// program or of a newer mcpkeys; a pepper that is not the database's, or that
// others may read; a database with a second name, or mounted as a single file. Each
// refusal says what to do, and changes nothing.
//
// While it is open: when the database, its -wal or its -shm is not the file any more that
// was opened, or when the epoch file is missing, is another database's, or knows changes
// that the database lacks, [Reader.Changes] and every change fail with
// [keys.ErrUnavailable]. See docs/adr/0011 and [Mend].
//
// # Beside the database
//
// keys.db-wal and keys.db-shm belong to it; keys.db.ballast keeps room on the disk for
// revocations; keys.db-epoch is how its
// processes tell each other of changes and of how far the database has come, and only
// [Mend] makes it again when it is missing; keys.db.pepper is its pepper and
// keys.db.usage a database of its own in which use is counted, unless [Options] name
// other places. All are 0600, and the directory must be writable, also for a program
// that only reads. Do not open a database with any other means than SQLite while it is
// in use, not even to copy it: closing a file drops the locks that SQLite holds on it in
// that process.
//
// [Reader.Backup] copies a key store while it is in use, and [PrepareRestore] puts such
// a copy in its place. Copies that were made before a restore or a migration lie beside
// the database, as keys.db.before-restore-… and keys.db.schema1, until somebody removes
// them.
//
// The driver needs cgo, so gcc, to be built.
package sqlite
