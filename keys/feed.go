package keys

// Position is how far a reader has followed a [Feed].
type Position struct {
	Generation string // differs between a store and what was restored over it
	Seq        int64
}

// Changes is one answer of a [Feed].
type Changes struct {
	IDs  []string
	Next Position
	Lost bool

	// Imported is true while there is a secret with a lookup. As long as there is none,
	// a token of another shape than ours is nobody's.
	Imported bool
}
