package pepper

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// StoreID tells one key store from another. It is drawn when the store is made and kept
// for life: by backups, restores and copies. The pepper file carries it too, and seals
// cover it, so a row that was copied from another store is refused, also where both
// stores share a pepper. It is no secret. The zero value means that there is none.
type StoreID [storeIDLen]byte

const storeIDLen = 16

// NewStoreID draws one.
func NewStoreID() StoreID {
	var id StoreID
	_, _ = rand.Read(id[:]) // documented to never fail
	return id
}

// ParseStoreID reads what [StoreID.String] writes.
func ParseStoreID(text string) (StoreID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != storeIDLen || StoreID(raw).IsZero() {
		return StoreID{}, errors.New("want the id of a key store: 32 hex digits, not all zero")
	}
	return StoreID(raw), nil
}

// IsZero reports whether there is none.
func (id StoreID) IsZero() bool { return id == StoreID{} }

// String is 32 hex digits, or empty for the zero value.
func (id StoreID) String() string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:])
}
