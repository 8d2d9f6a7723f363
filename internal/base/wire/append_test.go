package wire_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
)

// AppendVerification writes what encoding/json writes: members in the same order, the same ones
// left out. The values are made by reflection, so that a member that is added later is compared
// too.
func TestAppendVerification(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var v api.Verification
		fill(random, reflect.ValueOf(&v).Elem())
		got := wire.AppendVerification([]byte("before "), &v)[len("before "):]
		want, err := json.Marshal(&v)
		if err != nil {
			t.Fatal(err)
		}
		if string(plain(t, got)) != string(plain(t, want)) {
			t.Fatalf("AppendVerification: got\n%s\nwant\n%s", got, want)
		}
	}
}

// plain removes what escapes may differ in, and keeps the order.
func plain(t *testing.T, text []byte) []byte {
	t.Helper()
	var out []byte
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return out
		}
		piece, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, piece...), ' ')
	}
}

var texts = []string{"", "a", "alice@example.com", `"\`, "\n\x00\x1f\x7f", "ä€😀", "\u2028<&>", "bad \xff bytes", "tools:get_*"}

// fill gives v a value: often the zero one.
func fill(random *rand.Rand, v reflect.Value) {
	if v.Kind() == reflect.Slice { // the API writes no null for a list
		v.Set(reflect.MakeSlice(v.Type(), random.IntN(4), 4))
	}
	if v.Kind() != reflect.Struct && random.IntN(3) == 0 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.UnixMicro(random.Int64N(4e15)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[random.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(random.Int64N(1e6) - 10)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(random, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(random, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range random.IntN(4) {
			v.SetMapIndex(reflect.ValueOf(texts[random.IntN(5)]), reflect.ValueOf(texts[random.IntN(len(texts))]))
		}
	default:
		panic("a member of a kind that AppendVerification cannot write: " + v.Type().String())
	}
}
