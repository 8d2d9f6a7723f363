package main

import (
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// auditPrinter takes rows one by one and prints them in the format that was asked for:
// tables and json when all are there, the others at once, because a log may be longer
// than memory. In a table that follows the log, widths are settled before.
type auditPrinter struct {
	*app
	follow bool
	rows   int
	table  [][auditColumns]string
	list   []eventJSON
	widths *[auditColumns]int
}

func newAuditPrinter(a *app, follow bool) *auditPrinter {
	return &auditPrinter{app: a, follow: follow, list: []eventJSON{}}
}

func (p *auditPrinter) add(e keys.Event) error {
	p.rows++
	switch p.output {
	case formatJSON:
		p.list = append(p.list, newEventJSON(&e))
	case formatJSONL:
		return p.printJSON(newEventJSON(&e))
	case formatCSV:
		return p.print(eventCSV(&e, p.rows == 1))
	default:
		p.table = append(p.table, auditRow(&e, p.width(p.stdout)))
	}
	return nil
}

// flush prints the rows of a table that follows the log.
func (p *auditPrinter) flush() error {
	if p.output != formatTable {
		return nil
	}
	heading := p.widths == nil
	if heading {
		settled := auditWidths(append([][auditColumns]string{followed}, p.table...), p.width(p.stdout))
		p.widths = &settled
	}
	text := auditTable(p.table, *p.widths, p.width(p.stdout), heading)
	p.table = nil
	return p.print(text)
}

func (p *auditPrinter) end() error {
	switch {
	case p.output == formatJSON:
		return p.printJSON(p.list)
	case p.output == formatCSV && p.rows == 0:
		return p.print(csvLine(auditHeader))
	case p.output == formatTable && p.rows > 0:
		screen := p.width(p.stdout)
		return p.print(auditTable(p.table, auditWidths(p.table, screen), screen, true))
	}
	return nil
}

// The columns of the table.
const (
	auditTime = iota
	auditAction
	auditKey
	auditID
	auditActor
	auditWhat
	auditColumns
)

var auditHeadings = [auditColumns]string{"TIME", "ACTION", "KEY", "ID", "ACTOR", "WHAT CHANGED"}

// followed is as wide as rows to come may be: they must fit columns that were settled
// without them.
var followed = [auditColumns]string{
	auditTime: "2006-01-02 15:04", auditAction: "disable", auditKey: strings.Repeat("x", 16), auditActor: strings.Repeat("x", 20), auditWhat: strings.Repeat("x", 200),
}

func auditRow(e *keys.Event, width int) [auditColumns]string {
	id := e.KeyID
	if width < 110 { // where there is no room, the name will do, and -o json has both
		id = ""
	}
	row := [auditColumns]string{
		wording.Date(e.At, time.Local), wording.Action(e.Action), wording.KeyOf(e), id, e.Actor, wording.Change(e),
	}
	for i := range row {
		row[i] = wording.Clean(row[i])
	}
	return row
}

// auditWidths gives what changed as much as it needs, and a third of the screen at
// least: the actor and the key's name give way, as far as they can be told still.
func auditWidths(rows [][auditColumns]string, screen int) [auditColumns]int {
	var widths [auditColumns]int
	for _, r := range rows {
		for col, text := range r {
			widths[col] = max(widths[col], cells(text))
		}
	}
	for col, text := range auditHeadings {
		if widths[col] > 0 {
			widths[col] = max(widths[col], cells(text))
		}
	}
	left := func() int {
		n := screen
		for col, w := range widths {
			if w > 0 && col != auditWhat {
				n -= w + gap
			}
		}
		return n
	}
	if screen < unlimited {
		widths[auditAction] = min(widths[auditAction], 16)
	}
	share := min(widths[auditWhat], screen/3)
	shrink(&widths[auditActor], 12, share-left())
	shrink(&widths[auditKey], 10, share-left())
	if screen < 80 { // of local:alice(1000) that leaves no name, so only where there is no other way
		shrink(&widths[auditActor], 6, share-left())
	}
	widths[auditWhat] = max(min(widths[auditWhat], left()), 8)
	return widths
}

// auditTable cuts what is wider than its column, unless lines may be as long as they like.
func auditTable(rows [][auditColumns]string, widths [auditColumns]int, screen int, heading bool) string {
	lay := fit
	if screen == unlimited {
		lay = pad
	}
	if heading {
		rows = append([][auditColumns]string{auditHeadings}, rows...)
	}
	var b strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for col, text := range r {
			if widths[col] > 0 {
				line.WriteString(lay(text, widths[col]) + strings.Repeat(" ", gap))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// eventJSON is an audit row as scripts read it, and as the API shows it.
type eventJSON struct {
	Seq       int64           `json:"seq"`
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"`
	Action    keys.Action     `json:"action"`
	KeyID     string          `json:"key_id"`
	RequestID string          `json:"request_id"`
	Detail    json.RawMessage `json:"detail"` // null where somebody damaged it
	Prev      string          `json:"prev"`
	Hash      string          `json:"hash"`
}

func newEventJSON(e *keys.Event) eventJSON {
	out := eventJSON{
		Seq: e.Seq, ID: e.ID.String(), At: e.At, Actor: e.Actor, Action: e.Action, KeyID: e.KeyID, RequestID: e.RequestID,
		Detail: json.RawMessage("null"), Prev: hex.EncodeToString(e.Prev), Hash: hex.EncodeToString(e.Hash),
	}
	if json.Valid([]byte(e.Detail)) {
		out.Detail = json.RawMessage(e.Detail)
	}
	return out
}

var auditHeader = []string{"seq", "at", "action", "key_id", "key", "actor", "change", "request_id", "hash"}

// eventCSV is a row, under the header if it is the first.
func eventCSV(e *keys.Event, first bool) string {
	line := csvLine([]string{
		strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339Nano), csvCell(string(e.Action)), csvCell(e.KeyID),
		csvCell(wording.KeyOf(e)), csvCell(e.Actor), csvCell(wording.Change(e)),
		csvCell(e.RequestID), hex.EncodeToString(e.Hash),
	})
	if first {
		return csvLine(auditHeader) + line
	}
	return line
}

func csvLine(cells []string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(cells) // into memory: cannot fail
	w.Flush()
	return b.String()
}
