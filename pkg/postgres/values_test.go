package postgres

import (
	"strings"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// What is escaped comes back from a text column as it was, and is readable there unless Postgres refuses it.
func TestEscapedTextComesBack(t *testing.T) {
	p := pool(t, devtest.New(t))
	for text, column := range map[string]string{
		"":                       "",
		"ch_1\n":                 "ch_1\n",
		"é �":                    "é �",
		`a\x00`:                  `a\x00`,
		"ch\x00_1":               `\x6368005f31`,
		"\xff":                   `\xff`,
		`\xff`:                   `\x5c786666`,
		`\x`:                     `\x5c78`,
		strings.Repeat("x", 1e5): strings.Repeat("x", 1e5),
	} {
		var got string
		if err := p.QueryRow(t.Context(), "SELECT $1::text", Escape(text)).Scan(&got); err != nil {
			t.Errorf("%.50q: %v", text, err)
		}
		if got != column || Unescape(got) != text {
			t.Errorf("%.50q is %.50q in the table, want %.50q, and comes back as %.50q", text, got, column, Unescape(got))
		}
	}
	for _, old := range []string{`\xyz`, `\x123`} { // in a table from the time when nothing was escaped
		if got := Unescape(old); got != old {
			t.Errorf("%q comes back as %q", old, got)
		}
	}
}
