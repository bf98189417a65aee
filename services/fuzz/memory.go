package main

import (
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"orderflow/pkg/conformance"
)

// maxKnown is how many values of a name are remembered; later ones take the place of earlier ones.
const maxKnown = 50

// memory has what answers told that later requests can be made of: ids, cursors, tags.
type memory struct {
	mu     sync.Mutex
	values map[string][]string
	next   map[string]int
}

func newMemory() *memory { return &memory{values: map[string][]string{}, next: map[string]int{}} }

// some returns one of the values that a name has had, or "".
func (m *memory) some(d dice, name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values[name]) == 0 {
		return ""
	}
	return pick(d, m.values[name])
}

// learn remembers what an answer told.
func (m *memory) learn(e conformance.Exchange) {
	m.keep("If-None-Match", e.Header.Get("ETag"))
	if e.Status >= 300 {
		return
	}
	for line := range strings.Lines(string(e.Body)) {
		if id, found := strings.CutPrefix(line, "id: "); found {
			m.keep("Last-Event-ID", strings.TrimSpace(id))
		}
	}
	var v any
	if json.Unmarshal(e.Body, &v) == nil {
		m.walk(v)
	}
}

// told are the fields whose values are of use, and what they are called in requests.
var told = map[string]string{"order_id": "order_id", "product_id": "product_id", "customer_id": "customer_id", "next_cursor": "cursor"}

func (m *memory) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			m.walk(item)
		}
	case map[string]any:
		for name, field := range v {
			if s, text := field.(string); text && told[name] != "" {
				m.keep(told[name], s)
			}
			m.walk(field)
		}
	}
}

func (m *memory) keep(name, value string) {
	if value == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values[name]) < maxKnown {
		m.values[name] = append(m.values[name], value)
		return
	}
	m.values[name][m.next[name]%maxKnown] = value
	m.next[name]++
}
