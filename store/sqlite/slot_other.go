//go:build !linux

package sqlite

import "errors"

// canHold: no server can hold a slot, so none grants leases.
const canHold = false

func (*lockFile) tryByte(int) (bool, error) { return false, errors.ErrUnsupported }
func (*lockFile) freeByte(int)              {}
func (*lockFile) heldByte(int) bool         { return false }

func readSlots(string) (*lockFile, error)     { return nil, errors.ErrUnsupported }
func (*lockFile) writeAt([]byte, int64) error { return errors.ErrUnsupported }
func (*lockFile) readAt([]byte, int64) int    { return 0 }
