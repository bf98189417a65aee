package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Class says whose fault a failure is, and so what is done about it.
type Class int

const (
	// World is a failure of what is around: it is waited out, and costs the message nothing.
	World Class = iota
	// Message is a failure of this message: it is tried again later, some times, and then dead-lettered.
	Message
	// Permanent is a failure that trying again cannot mend: the message is dead-lettered at once.
	Permanent
)

// The reasons that a dead letter carries.
const (
	ReasonInvalid     = "invalid_message"
	ReasonUnsupported = "unsupported_version"
	ReasonRejected    = "rejected"
	ReasonExhausted   = "retries_exhausted"
)

var (
	errUnavailable = errors.New("unavailable")
	errRejected    = errors.New("rejected")
)

// Unavailable marks err as the world's failure: a dependency that everybody needs does not answer.
func Unavailable(err error) error { return fmt.Errorf("%w: %w", errUnavailable, err) }

// Reject is the error of a reaction that will never handle this event.
func Reject(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errRejected, fmt.Errorf(format, args...))
}

// Classify is the table of failures.
func Classify(err error) Class {
	switch {
	case errors.Is(err, event.ErrInvalid), errors.Is(err, event.ErrUnsupportedVersion), errors.Is(err, errRejected):
		return Permanent
	case errors.Is(err, errUnavailable), worldly(err), postgres.Away(err):
		return World
	}
	return Message
}

// worldly tells whether err comes from the network, the broker or the end of somebody's patience.
func worldly(err error) bool {
	var network net.Error
	for _, target := range []error{
		context.DeadlineExceeded, context.Canceled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		broker.ErrNotConnected, broker.ErrNacked, broker.ErrUnroutable, broker.ErrClosed,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return errors.As(err, &network)
}

// reason names a failure for those who read dead letters.
func reason(err error) string {
	switch {
	case errors.Is(err, event.ErrUnsupportedVersion):
		return ReasonUnsupported
	case errors.Is(err, event.ErrInvalid):
		return ReasonInvalid
	case errors.Is(err, errRejected):
		return ReasonRejected
	}
	return ReasonExhausted
}
