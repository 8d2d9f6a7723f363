package audit

// What audit rows tell of peppers: their ids and how many keys, never anything of the
// peppers themselves.

// PepperDetail is the detail of [ActionPepperAdd] and [ActionPepperRetire].
type PepperDetail struct {
	Pepper string `json:"pepper"`
}

// Resealed is the detail of [ActionPepperReseal]: so many keys, in the order of their
// ids, got another seal. Nothing else of them changed.
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
