package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// Checkpoint is the state of the audit log at one moment: the number and the hash of its
// newest row. Keep it where writers of the log cannot change it: later it shows whether
// the log was cut off or computed again, which the chain alone cannot show.
type Checkpoint struct {
	Generation string    // of the store; a restored one has another
	Seq        int64     // of the newest row; 0 for an empty log
	Hash       []byte    // its hash; 32 zero bytes for an empty log
	At         time.Time // when the checkpoint was made; UTC, seconds
}

// NewCheckpoint takes the state of the log of r at now. It does not verify the log:
// [store.VerifyAudit] does.
func NewCheckpoint(ctx context.Context, r Source, now time.Time) (Checkpoint, error) {
	c := Checkpoint{Hash: make([]byte, sha256.Size), At: now.UTC().Truncate(time.Second)}
	changes, err := r.Changes(ctx, feed.Position{})
	if err != nil {
		return c, err
	}
	c.Generation = generationOf(changes.Next)
	page, err := r.Audit(ctx, Query{Limit: 1})
	if err != nil || len(page.Events) == 0 {
		return c, err
	}
	c.Seq, c.Hash = page.Events[0].Seq, page.Events[0].Hash
	return c, nil
}

// generationOf drops the count that a handle may add after a slash.
func generationOf(p feed.Position) string {
	generation, _, _ := strings.Cut(p.Generation, "/")
	return generation
}

const checkpointTitle = "mcpkeys/audit/v1"

// String renders c in five lines, for a signer to sign.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\ngeneration %s\nseq %d\nhash %s\ntime %s\n",
		checkpointTitle, c.Generation, c.Seq, hex.EncodeToString(c.Hash), c.At.UTC().Format(time.RFC3339))
}

// ParseCheckpoint reads exactly what [Checkpoint.String] writes.
func ParseCheckpoint(text string) (Checkpoint, error) {
	bad := keys.Invalid("checkpoint", "is not valid; give it exactly as `keyctl audit checkpoint` printed it")
	lines := strings.Split(text, "\n")
	var c Checkpoint
	if len(lines) != 6 || lines[0] != checkpointTitle {
		return c, bad
	}
	values := make(map[string]string, 4)
	for _, line := range lines[1:5] {
		name, value, _ := strings.Cut(line, " ")
		values[name] = value
	}
	var err1, err2, err3 error
	c.Generation = values["generation"]
	c.Seq, err1 = strconv.ParseInt(values["seq"], 10, 64)
	c.Hash, err2 = hex.DecodeString(values["hash"])
	c.At, err3 = time.Parse(time.RFC3339, values["time"])
	if err1 != nil || err2 != nil || err3 != nil || c.Seq < 0 || len(c.Hash) != sha256.Size || c.String() != text {
		return Checkpoint{}, bad
	}
	return c, nil
}

// against says what is wrong with a log that ends at head, and whose row c.Seq has the
// hash found, nil if there is no such row. Empty means that the log continues from the
// checkpoint.
func (c *Checkpoint) against(head *Event, found []byte) string {
	last := int64(0)
	if head != nil {
		last = head.Seq
	}
	if c.Seq > last {
		rows := fmt.Sprintf("the last %d rows are", c.Seq-last)
		if c.Seq-last == 1 {
			rows = "the last row is"
		}
		return fmt.Sprintf("%s missing: the log ends with row %d, but had %d at the checkpoint of %s", rows, last, c.Seq, c.At.Format(time.RFC3339))
	}
	if c.Seq > 0 && !bytes.Equal(found, c.Hash) {
		return "is not the row of the checkpoint: the log was computed again, from this row or an earlier one"
	}
	return ""
}
