package telemetry

import (
	"strings"
)

// Private is err, whose text may hold what is nobody's business but theirs who may see the order: what another system has answered. It stays in the
// error, and so with the message that failed; logs and spans have public in its place, see [Redact].
func Private(err error, public string) error { return &private{err, public} }

type private struct {
	error
	public string
}

func (p *private) Unwrap() error { return p.error }

// Redact is the text of err with that in place of what is private in it which may be told.
func Redact(err error) string {
	text := err.Error()
	for _, p := range privates(err, nil) {
		if !strings.Contains(text, p.Error()) { // who wrapped it has cut it, or written it otherwise
			return p.public
		}
		text = strings.ReplaceAll(text, p.Error(), p.public)
	}
	return text
}

// privates adds to found what is private in err; what is below that is within it.
func privates(err error, found []*private) []*private {
	switch e := err.(type) {
	case *private:
		return append(found, e)
	case interface{ Unwrap() error }:
		return privates(e.Unwrap(), found)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = privates(one, found)
		}
	}
	return found
}
