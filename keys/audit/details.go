package audit

// Details of audit rows that are not about one key's state. Of peppers they have the ids, never
// the peppers.

// PepperDetail is the detail of [ActionPepperAdd] and [ActionPepperRetire].
type PepperDetail struct {
	Pepper string `json:"pepper"`
}

// Resealed is the detail of [ActionPepperReseal]: how many keys, in the order of their
// ids, were sealed again. Nothing else in them changed.
type Resealed struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Keys  int    `json:"keys"`
	First string `json:"first"` // the first and the last key's id
	Last  string `json:"last"`
}

// BatchDetail is the detail of [ActionImportDone] and [ActionImportUndo]: how many keys of
// a batch became valid, or were removed because it never did.
type BatchDetail struct {
	Batch string `json:"batch"` // in hex
	Keys  int    `json:"keys"`
}

// Effective is the detail of [ActionEffective], whose row follows the row of a change that
// waited for guards on other hosts. A change that waited for no server has no such row.
type Effective struct {
	Row      int64  `json:"row"`             // of the change
	Key      string `json:"key,omitempty"`   // the id of its key
	Position uint64 `json:"position,string"` // see [feed.Position].Word
	WaitedMS int64  `json:"waited_ms"`
	Servers  int    `json:"servers"` // slots that were in use
	Unheard  int    `json:"unheard"` // servers that did not report in time: the leases of their guards have ended

	// The names of guards that confirmed the change, and of those whose leases ended before they
	// did, as far as that is known.
	Confirmed []string `json:"confirmed,omitempty"`
	Late      []string `json:"late,omitempty"`
	More      int      `json:"more,omitempty"` // guards that are left out
}
