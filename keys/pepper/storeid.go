package pepper

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// StoreID identifies a key store. It is drawn when the store is made, and backups, restores
// and copies keep it. The pepper file contains it and seals cover it, so a row copied from
// another store is refused, even if both stores share a pepper. It is not secret. The zero
// value means that there is none.
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
		return StoreID{}, errors.New("must be the id of a key store: 32 hex digits, not all zero")
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
