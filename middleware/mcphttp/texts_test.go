package mcphttp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func readAll(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// answersTo is what a server says that answers each call of a body with its name.
func answersTo(body string) string {
	type message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	answer := func(m message) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s %s"}]}}`, m.ID, m.Method, m.Params.Name)
	}
	var one message
	if json.Unmarshal([]byte(body), &one) == nil {
		return answer(one)
	}
	var batch []message
	_ = json.Unmarshal([]byte(body), &batch)
	var all []string
	for _, m := range batch {
		all = append(all, answer(m))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// idsIn returns the messages of an answer by id: of one text, a batch, or events.
func idsIn(t testing.TB, body string) map[string]string {
	t.Helper()
	found := map[string]string{}
	read := func(text string) {
		var batch []json.RawMessage
		if json.Unmarshal([]byte(text), &batch) != nil {
			batch = []json.RawMessage{json.RawMessage(strings.TrimSpace(text))}
		}
		for _, raw := range batch {
			var m struct {
				ID     json.RawMessage `json:"id"`
				Method string          `json:"method"`
			}
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Errorf("answer: got %q: %v", text, err)
				continue
			}
			if m.Method != "" {
				continue
			}
			if found[string(m.ID)] != "" {
				t.Errorf("id %s is answered twice in %s", m.ID, body)
			}
			found[string(m.ID)] = string(raw)
		}
	}
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		read(body)
		return found
	}
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, "data:"); ok && strings.TrimSpace(text) != "" {
			read(text)
		}
	}
	return found
}
