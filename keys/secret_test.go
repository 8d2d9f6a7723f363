package keys_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// holder keeps its secrets where fmt does not call their methods.
type holder struct {
	Public  keys.Secret
	private keys.Secret
	token   keys.Token
	list    []keys.Secret
	byName  map[string]keys.Secret
}

// TestSecretIsUnprintable, A23, tries every way in which a value gets into a log by
// accident: the secret itself, a struct that contains it, and peppers.
func TestSecretIsUnprintable(t *testing.T) {
	token := keys.NewToken(keys.KindKey)
	secret := token.Secret()
	text := secret.Reveal()
	peppers := vectorPepper(t)
	digest, _ := peppers.Digest(secret)
	h := holder{secret, secret, token, []keys.Secret{secret}, map[string]keys.Secret{"a": secret}}
	root := "000102030405060708090a0b0c0d0e0f"

	leaks := func(how, printed string) {
		t.Helper()
		for _, part := range []string{text, text[18:48], fmt.Sprintf("%x", text[18:30]), root, fmt.Sprintf("%x", digest[:8])} {
			if strings.Contains(strings.ToLower(printed), strings.ToLower(part)) {
				t.Errorf("%s shows the secret", how)
			}
		}
	}
	values := map[string]any{
		"secret": secret, "*secret": &secret, "token": token, "*token": &token, "holder": h, "*holder": &h,
		"slice": []any{secret, token}, "map": map[string]any{"k": h}, "peppers": peppers, "peppers value": *peppers,
		"digest": digest, "issued": admin.Issued{Token: secret}, "error": fmt.Errorf("x: %v", h),
	}
	for name, v := range values {
		for _, verb := range "vsqdxXbcoOeEfFgGtUpTw" {
			for _, flag := range []string{"", "+", "#", " ", "-", "0"} {
				leaks(name+" %"+flag+string(verb), fmt.Sprintf("%"+flag+string(verb), v))
			}
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "v", v, slog.Any("g", []any{v}))
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "v", v, slog.Any("g", []any{v}))
		leaks(name+" in slog", logged.String())
		asJSON, _ := json.Marshal(v)
		leaks(name+" in JSON", string(asJSON))
		asXML, _ := xml.Marshal(v)
		leaks(name+" in XML", string(asXML))
		var asGob bytes.Buffer
		_ = gob.NewEncoder(&asGob).Encode(v)
		leaks(name+" in gob", asGob.String())
		leaks(name+" in a panic", recovered(v))
		leaks(name+" by reflection", reflectPrint(reflect.ValueOf(v), 0))
		leaks(name+" in cmp.Diff", cmp.Diff(v, nil, cmp.Exporter(func(reflect.Type) bool { return true })))
	}
}

func recovered(v any) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	panic(v)
}

// reflectPrint prints as the pretty printers do that follow pointers and read
// unexported fields.
func reflectPrint(v reflect.Value, depth int) string {
	if depth > 8 || !v.IsValid() {
		return ""
	}
	var b strings.Builder
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		b.WriteString(reflectPrint(v.Elem(), depth+1))
	case reflect.Struct:
		for i := range v.NumField() {
			b.WriteString(v.Type().Field(i).Name + ":" + reflectPrint(v.Field(i), depth+1) + " ")
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return "" // a digest in bytes, which is not secret
		}
		for i := range v.Len() {
			b.WriteString(reflectPrint(v.Index(i), depth+1) + " ")
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			b.WriteString(reflectPrint(v.MapIndex(key), depth+1) + " ")
		}
	case reflect.String:
		b.WriteString(v.String())
	default:
		b.WriteString(v.Kind().String())
	}
	return b.String()
}

func TestZeroSecretIsEmpty(t *testing.T) {
	var s keys.Secret
	if s.Reveal() != "" || !s.IsZero() || keys.NewSecret("x").IsZero() {
		t.Error("the zero Secret is not the empty one")
	}
}
