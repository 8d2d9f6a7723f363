module github.com/mcpkeys/mcpkeys

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/mattn/go-sqlite3 v1.14.53
	pgregory.net/rapid v1.3.0
)

require github.com/google/go-cmp v0.7.0
