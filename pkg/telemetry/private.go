package telemetry

import (
	"errors"
	"strings"
)

// Private is err, of whose text one part may hold what is nobody's business but theirs who may see the order: what another system has answered. The
// part stays in the error, and so with the message that failed; logs and spans go without it, see [Redact].
func Private(err error, part string) error {
	if part == "" {
		return err
	}
	return &private{err, part}
}

type private struct {
	error
	part string
}

func (p *private) Unwrap() error { return p.error }

// PrivatePart is the part of err that is private; "" where none is.
func PrivatePart(err error) string {
	if p, is := errors.AsType[*private](err); is {
		return p.part
	}
	return ""
}

// Redact is the text of err without its private part.
func Redact(err error) string {
	part := PrivatePart(err)
	if part == "" {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), part, "(not shown)")
}
