package sqlite

import (
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// cacheMiB is SQLite's page cache per connection. Random ids touch pages all over the file.
const cacheMiB = 64

// cachePages is that cache as PRAGMA cache_size reads it.
const cachePages = "-65536"

func cacheSize(mib int) string { return strconv.Itoa(-mib << 10) }

// withCache is a DSN of a reader with another page cache.
func withCache(dsn string, mib int) string {
	return strings.Replace(dsn, "_cache_size="+cachePages, "_cache_size="+cacheSize(mib), 1)
}

// busyTimeout is how long SQLite waits for a writer that takes no turns: see fairLock.
const busyTimeout = 5 * time.Second

var busyMillis = strconv.FormatInt(busyTimeout.Milliseconds(), 10)

// readerConns is how many reads run at once.
func readerConns() int { return max(2, runtime.GOMAXPROCS(0)) }

// cachedStatements is how many compiled statements the writer keeps: all that it
// executes, which are few. To compile an INSERT together with its triggers takes
// longer than to execute it.
const cachedStatements = "32"

// writerDSN opens for reading and writing and never makes a file: a mistyped path
// must not become a database. Transactions take the write lock when they begin;
// one that reads first and locks later fails at once if there was another write in
// between, whatever the timeout.
func writerDSN(path string) string {
	return dsn(path, url.Values{
		"mode":             {"rw"},
		"_journal_mode":    {"WAL"},
		"_synchronous":     {"FULL"},
		"_busy_timeout":    {busyMillis},
		"_foreign_keys":    {"1"},
		"_txlock":          {"immediate"},
		"_cache_size":      {cachePages},
		"_stmt_cache_size": {cachedStatements},
	})
}

// readerDSN opens for queries only, twice over: the file is opened read-only, and
// the connection refuses statements that write.
func readerDSN(path string) string {
	return dsn(path, url.Values{
		"mode":          {"ro"},
		"_query_only":   {"1"},
		"_synchronous":  {"FULL"},
		"_busy_timeout": {busyMillis},
		"_foreign_keys": {"1"},
		"_cache_size":   {cachePages},
	})
}

// raisingDSN is readerDSN for a file that may be in a lower layer of an overlay file
// system: it is opened for writing, and still refuses statements that write.
func raisingDSN(path string) string {
	return strings.Replace(readerDSN(path), "mode=ro", "mode=rw", 1)
}

// copyDSN opens a new file that no other process knows, to be filled with a copy. It needs
// no journal, because a failed copy is deleted, and the whole file is flushed to the disk
// before it gets its name.
func copyDSN(path string) string {
	return dsn(path, url.Values{
		"mode":          {"rw"},
		"_journal_mode": {"OFF"},
		"_synchronous":  {"OFF"},
		"_busy_timeout": {busyMillis},
	})
}

// dsn writes path as a file URI, in which %, ? and # must be escaped: SQLite would
// otherwise cut the name off and open another file.
func dsn(path string, params url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return u.String()
}
