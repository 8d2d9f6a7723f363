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

// Read yields the rows of a file. An error is about reading r or about the CSV header; an
// error of a row is in its Flaw. Empty lines are skipped.
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

// maxSkipped is how many bytes of a line that is too long are skipped to find the next one.
const maxSkipped = 16 << 20

var errEndless = errors.New("is longer than any row; this is not a file of keys")

// readLine returns the next line, which is valid until the next call. It skips a line that is
// too long and reports it.
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
		return importing.Row{Line: line, Flaw: flaw("line", "must be one JSON object and nothing else")}
	}
	return row.request(line)
}

// jsonFlaw turns an error of the decoder into one that repeats no values.
func jsonFlaw(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && slices.Contains(columns, wrongType.Field):
		return flaw(wrongType.Field, "must be %s", kindOf(wrongType.Field))
	case errors.As(err, &wrongType):
		return flaw("line", "must be a JSON object")
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return flaw("line", "has an unknown field; use only %s", known())
	}
	return flaw("line", "must be one JSON object; this one is cut off or malformed")
}

func kindOf(field string) string {
	switch field {
	case "scopes", "audience", "allowed_ips":
		return "a list of strings"
	case "metadata":
		return "an object of strings"
	}
	return "a string"
}

// meter limits how much is read for one row, so that a quote that is never closed does not
// fill the memory.
type meter struct {
	io.Reader
	n int
}

var errLong = errors.New("a row is too long; is a quote not closed?")

func (m *meter) Read(p []byte) (int, error) {
	const ahead = 4096 // encoding/csv may have read so much of the next rows
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

// endCSV reports an error after which the start of the next row is not known.
func endCSV(yield func(importing.Row, error) bool, err error) {
	var broken *csv.ParseError
	switch {
	case errors.As(err, &broken):
		yield(importing.Row{Line: broken.StartLine, Flaw: flaw("line", "has a misplaced quote, so the rows from here on cannot be read; write a cell as \"…\", and a quote in it as \"\"")}, nil)
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
			return nil, flaw("line 1", "names an unknown column; use only %s", known())
		}
		if slices.Contains(names[:i], name) {
			return nil, flaw("line 1", "names the column %s twice", name)
		}
		names[i] = name
	}
	if !slices.Contains(names, "name") || !slices.Contains(names, "key") && !slices.Contains(names, "hash") {
		return nil, flaw("line 1", "must name the columns, at least name, and key or hash; the columns are %s", known())
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
				return importing.Row{Line: line, Flaw: flaw("metadata", `must be a JSON object of strings, such as {"env":"prod"}`)}
			}
		}
	}
	return row.request(line)
}
