package event

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// FieldError says which field is wrong, and how.
type FieldError struct {
	Pointer string // JSON pointer (RFC 6901) to the field
	Detail  string // what is wrong with it, for people
}

func (e *FieldError) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + " " + e.Detail
}

// FieldErrors is several fields that are wrong, and at least one. It says what the first of them says.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string { return e[0].Error() }

// Unwrap returns them one by one.
func (e FieldErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, f := range e {
		errs[i] = f
	}
	return errs
}

// The longest pointer, in bytes, and the longest detail, in characters: whoever sends nonsense does not decide how much is logged.
const (
	maxPointer = 200
	maxDetail  = 300
)

func fieldErrorf(pointer, format string, args ...any) error {
	return newFieldError(pointer, fmt.Sprintf(format, args...))
}

// newFieldError points at the nearest field around the one meant whose pointer is not too long.
func newFieldError(pointer, detail string) *FieldError {
	if len(pointer) > maxPointer {
		pointer = pointer[:strings.LastIndexByte(pointer[:maxPointer+1], '/')]
	}
	if runes := []rune(detail); len(runes) > maxDetail {
		detail = string(runes[:maxDetail-1]) + "…"
	}
	return &FieldError{Pointer: pointer, Detail: detail}
}

// below puts parent before the pointer of a FieldError.
func below(parent string, err error) error {
	var f *FieldError
	if errors.As(err, &f) {
		return &FieldError{Pointer: parent + f.Pointer, Detail: f.Detail}
	}
	return err
}

// text checks a string that people or other systems made: not empty if required, not too long, and without control characters.
// Postgres cannot store U+0000, and JSON takes six bytes for each of the others, by which an event could outgrow MaxSize.
func text(pointer, s string, required bool, maxRunes int) error {
	switch {
	case required && strings.TrimSpace(s) == "":
		return fieldErrorf(pointer, "is missing or empty")
	case utf8.RuneCountInString(s) > maxRunes:
		return fieldErrorf(pointer, "is longer than %d characters", maxRunes)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fieldErrorf(pointer, "contains a control character")
	}
	return nil
}

// Clip makes a text that another system sent fit into a field of an event. Of a text that is blank, and of no other, it leaves
// nothing; so it cuts what is around the text before it cuts what is too long.
func Clip(s string) string {
	runes := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))))
	return string(runes[:min(len(runes), MaxText)])
}

// JSONError turns the decoder's error into a *FieldError: which field it is, below parent, and what is wrong with it.
func JSONError(parent string, err error) error {
	var meaning *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &meaning):
		return newFieldError(parent+string(meaning.JSONPointer), misfit(meaning))
	case errors.As(err, &syntax):
		return newFieldError(parent+string(syntax.JSONPointer), fmt.Sprintf("is not well-formed JSON at byte %d: %v", syntax.ByteOffset, syntax.Err))
	}
	return newFieldError(parent, "is not well-formed JSON: "+err.Error())
}

func misfit(e *json.SemanticError) string {
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not a field that is known here"
	case e.Err != nil && e.JSONKind == '0' && len(e.JSONValue) > 0:
		return fmt.Sprintf("is %s: %v", e.JSONValue, e.Err)
	case e.Err != nil:
		return e.Err.Error()
	case e.GoType != nil:
		return fmt.Sprintf("is a JSON %s where %s belongs", jsonName(e.JSONKind), goName(e.GoType.Kind()))
	}
	return fmt.Sprintf("is a JSON %s, which does not fit", jsonName(e.JSONKind))
}

func jsonName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	}
	return k.String()
}

func goName(k reflect.Kind) string {
	switch k {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	}
	return "a whole number"
}
