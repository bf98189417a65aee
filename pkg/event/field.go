package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// FieldError says which field is wrong, and how.
type FieldError struct {
	Pointer string // JSON pointer (RFC 6901) to the field
	Detail  string // what is wrong with it, for people
}

func (e *FieldError) Error() string { return e.Pointer + " " + e.Detail }

func fieldErrorf(pointer, format string, args ...any) error {
	return &FieldError{Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

// below puts parent before the pointer of a FieldError.
func below(parent string, err error) error {
	var f *FieldError
	if errors.As(err, &f) {
		return &FieldError{Pointer: parent + f.Pointer, Detail: f.Detail}
	}
	return err
}

// text checks a string that people or other systems made: not empty if required, not too long, and storable in Postgres.
func text(pointer, s string, required bool, maxRunes int) error {
	switch {
	case required && strings.TrimSpace(s) == "":
		return fieldErrorf(pointer, "is missing or empty")
	case utf8.RuneCountInString(s) > maxRunes:
		return fieldErrorf(pointer, "is longer than %d characters", maxRunes)
	case strings.ContainsRune(s, 0):
		return fieldErrorf(pointer, "contains the character U+0000")
	}
	return nil
}
