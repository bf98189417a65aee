package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
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
	case errors.Is(err, errUnavailable), worldly(err), databaseAway(err):
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

// databaseAway tells whether err is Postgres's way to say: not now, not here, or not like this until somebody mends the
// installation. The codes are those of the manual's appendix A.
func databaseAway(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
	}
	for _, class := range []string{
		"08",                         // connection exception
		"25006",                      // read only: a standby, after a failover
		"28",                         // authorization
		"3D", "3F", "42501", "42P01", // no database, schema, permission, table: the installation
		"40",    // serialization failure, deadlock
		"53",    // out of disk, memory, connections
		"55P03", // lock not available
		"57",    // cancelled, shutting down, starting up
		"58",    // I/O error
		"XX",    // internal error
	} {
		if strings.HasPrefix(pg.Code, class) {
			return true
		}
	}
	return false
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
