// Package sqlite keeps keys in one SQLite file on a local disk, for any number of processes
// on one machine.
//
// Call [Create] once to make a database and its pepper. A program that administers keys
// then calls [Open]; a program that only checks them calls [OpenVerifier], which
// cannot write. Both return an implementation of the interfaces in package store,
// tested with store/storetest.
//
// # What is promised
//
// An acknowledged change survives a crash and a power cut: the log is flushed at every
// commit (WAL, synchronous=FULL; the driver's default is weaker). A change and its audit
// row are one transaction. Writers take turns, and each change succeeds or fails separately.
// Every process on the machine sees a commit at once. Changes made in a database shell are
// noticed too, because triggers record them, and are refused, because the row's seal no
// longer matches ([keys.ErrTampered]).
//
// # What it refuses
//
// Network file systems, where SQLite's locks do not work; a database of another
// program or of a newer mcpkeys; a pepper of another database, or one that other users
// may read; a database with a second name, or mounted as a single file. Each
// refusal says what to do, and changes nothing.
//
// While the store is open, [Reader.Changes] and every change fail with
// [keys.ErrUnavailable] if the database, its -wal or its -shm was replaced or removed, or
// if the epoch file is missing, belongs to another database, or knows changes that the
// database lacks. See docs/adr/0011 and [Mend].
//
// # Beside the database
//
// keys.db-wal and keys.db-shm belong to SQLite; keys.db.ballast reserves disk space for
// revocations; keys.db-epoch announces changes to other processes and records the
// position of the database (if it is missing, only [Mend] makes it again);
// keys.db.pepper is the pepper and keys.db.usage a separate database with usage counts,
// unless [Options] name other places. All are 0600, and the directory must be writable,
// even for a program that only reads. While a database is in use, open it only with
// SQLite, and do not copy it in another way: closing a file drops the locks that SQLite
// holds on it in that process.
//
// [Reader.Backup] copies a key store while it is in use, and [PrepareRestore] replaces a
// key store with such a copy. A restore and a migration first copy the old key store to
// keys.db.before-restore-… or keys.db.schema1; remove these files yourself.
//
// The driver needs cgo, so gcc, to be built.
package sqlite
