package keyfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin/importing"
)

// Read yields the rows of a file. An error is one of reading r, or of a CSV header; what
// is wrong with a row is in its Flaw. Empty lines are passed over.
func Read(r io.Reader, format Format) iter.Seq2[importing.Row, error] {
	if format == CSV {
		return readCSV(r)
	}
	return readLines(r)
}

func readLines(r io.Reader) iter.Seq2[importing.Row, error] {
	return func(yield func(importing.Row, error) bool) {
		in := bufio.NewReaderSize(r, maxLine)
		for line := 1; ; line++ {
			text, long, err := readLine(in)
			if errors.Is(err, errEndless) {
				yield(importing.Row{}, flaw(fmt.Sprint("line ", line), "%v", errEndless))
				return
			}
			if line == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			more := true
			switch {
			case long:
				more = yield(importing.Row{Line: line, Flaw: flaw("line", "must be at most %d bytes long", maxLine)}, nil)
			case len(bytes.TrimSpace(text)) > 0:
				more = yield(jsonRow(line, text), nil)
			}
			switch {
			case !more || errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(importing.Row{}, fmt.Errorf("read line %d: %w", line, err))
				return
			}
		}
	}
}

// maxSkipped is how much of a line that is too long is passed over, in bytes, to find the
// next one.
const maxSkipped = 16 << 20

var errEndless = errors.New("is longer than any row; this is no file of keys")

// readLine returns the next line, which is valid until the next call. Of one that is too
// long it returns nothing, and goes to its end.
func readLine(in *bufio.Reader) (text []byte, long bool, err error) {
	text, err = in.ReadSlice('\n')
	for skipped := len(text); errors.Is(err, bufio.ErrBufferFull); skipped += maxLine {
		if skipped > maxSkipped {
			return nil, true, errEndless
		}
		long = true
		_, err = in.ReadSlice('\n')
	}
	return text, long, err
}

func jsonRow(line int, text []byte) importing.Row {
	var row Row
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&row); err != nil {
		return importing.Row{Line: line, Flaw: jsonFlaw(err)}
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return importing.Row{Line: line, Flaw: flaw("line", "must hold one JSON object and nothing behind it")}
	}
	return row.request(line)
}

// jsonFlaw says what the decoder found without the values that it would repeat.
func jsonFlaw(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && slices.Contains(columns, wrongType.Field):
		return flaw(wrongType.Field, "must be %s", kindOf(wrongType.Field))
	case errors.As(err, &wrongType):
		return flaw("line", "must be a JSON object")
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return flaw("line", "has a member that is not read; known are %s", known())
	}
	return flaw("line", "is no whole JSON object: it was cut off, or miswritten")
}

func kindOf(field string) string {
	switch field {
	case "scopes", "audience", "allowed_ips":
		return "a list of texts"
	case "metadata":
		return "an object of texts"
	}
	return "a text"
}

// meter counts what is read since it was reset, so that a quote that is never closed
// does not fill the memory.
type meter struct {
	io.Reader
	n int
}

var errLong = errors.New("a row is too long; is a quote not closed?")

func (m *meter) Read(p []byte) (int, error) {
	const ahead = 4096 // what encoding/csv may have read of the rows to come
	if m.n > maxLine+ahead {
		return 0, errLong
	}
	n, err := m.Reader.Read(p)
	m.n += n
	return n, err
}

func readCSV(r io.Reader) iter.Seq2[importing.Row, error] {
	return func(yield func(importing.Row, error) bool) {
		m := &meter{Reader: r}
		in := csv.NewReader(m)
		in.FieldsPerRecord = -1
		head, err := header(in)
		if err != nil {
			yield(importing.Row{}, err)
			return
		}
		for {
			m.n = 0
			cells, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				endCSV(yield, err)
				return
			}
			line, _ := in.FieldPos(0)
			if !yield(csvRow(line, head, cells), nil) {
				return
			}
		}
	}
}

// endCSV tells of what no reader of CSV finds its way back from: nobody knows where the
// next row begins.
func endCSV(yield func(importing.Row, error) bool, err error) {
	var broken *csv.ParseError
	switch {
	case errors.As(err, &broken):
		yield(importing.Row{Line: broken.StartLine, Flaw: flaw("line", "has a quote out of place, so nothing from here on can be read; quote a cell as \"…\", and a quote in it as \"\"")}, nil)
	default:
		yield(importing.Row{}, fmt.Errorf("read CSV: %w", err))
	}
}

// header reads the names of the columns, in any order.
func header(in *csv.Reader) ([]string, error) {
	names, err := in.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, flaw("line 1", "must name the columns: %s", known())
	}
	for i, name := range names {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if !slices.Contains(columns, name) {
			return nil, flaw("line 1", "names a column that is not read; known are %s", known())
		}
		if slices.Contains(names[:i], name) {
			return nil, flaw("line 1", "names the column %s twice", name)
		}
		names[i] = name
	}
	if !slices.Contains(names, "name") || !slices.Contains(names, "key") && !slices.Contains(names, "hash") {
		return nil, flaw("line 1", "must name the columns, of which name and one of key and hash cannot be missing: %s", known())
	}
	return names, nil
}

func csvRow(line int, head, cells []string) importing.Row {
	if len(cells) != len(head) {
		return importing.Row{Line: line, Flaw: flaw("line", "must have %d cells, as many as line 1", len(head))}
	}
	var row Row
	texts := map[string]*string{
		"id": &row.ID, "name": &row.Name, "owner": &row.Owner, "rate_limit": &row.RateLimit, "expires_at": &row.ExpiresAt,
		"key": &row.Key, "hash": &row.Hash, "kind": &row.Kind, "status": &row.Status, "key_id": &row.KeyID, "created_at": &row.CreatedAt,
	}
	lists := map[string]*[]string{"scopes": &row.Scopes, "audience": &row.Audience, "allowed_ips": &row.AllowedIPs}
	for i, cell := range cells {
		cell = unguarded(cell)
		switch name := head[i]; {
		case texts[name] != nil:
			*texts[name] = cell
		case lists[name] != nil:
			*lists[name] = strings.Fields(cell)
		case cell != "":
			if json.Unmarshal([]byte(cell), &row.Metadata) != nil {
				return importing.Row{Line: line, Flaw: flaw("metadata", `must be a JSON object of texts, such as {"env":"prod"}`)}
			}
		}
	}
	return row.request(line)
}
