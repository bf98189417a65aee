package postgres

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// escape begins a text that a column has in hexadecimal.
const escape = `\x`

// Escape makes any string one that a text column can hold, and Unescape makes the same string of it again. Nearly all stay as they
// are; what Postgres refuses, U+0000 and what is not UTF-8, is written in hexadecimal, and so is what would look like that.
func Escape(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + hex.EncodeToString([]byte(s))
}

// Unescape returns what Escape was given.
func Unescape(s string) string {
	digits, escaped := strings.CutPrefix(s, escape)
	if raw, err := hex.DecodeString(digits); escaped && err == nil {
		return string(raw)
	}
	return s
}

// OrNull is a value for a column that is NULL where the value is the zero value.
func OrNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// Set makes a set of a column's values.
func Set[T comparable](values []T) map[T]bool {
	set := make(map[T]bool, len(values))
	for _, v := range values {
		set[v] = true
	}
	return set
}
