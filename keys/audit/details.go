package audit

// Details of audit rows about peppers: their ids and numbers of keys, never the peppers.

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
