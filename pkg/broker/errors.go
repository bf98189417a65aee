package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	// ErrNotConnected says that there was no connection, or that it was lost before the message's fate was known.
	ErrNotConnected = errors.New("not connected to RabbitMQ")
	// ErrNacked says that the broker refused the message, mostly because a queue is full.
	ErrNacked = errors.New("RabbitMQ refused the message")
	// ErrUnroutable says that no queue is bound where the message was sent.
	ErrUnroutable = errors.New("no queue takes the message")
	// ErrClosed says that the Broker was closed.
	ErrClosed = errors.New("broker is closed")
	// ErrTooLarge says that a message does not fit into AMQP's frames: its properties, its headers, or its address.
	ErrTooLarge = errors.New("message cannot be encoded")
	// ErrNoQueue says that there is no queue of that name.
	ErrNoQueue = errors.New("no such queue")
)

// setupError is what the one who runs the program has to mend; trying again does not help.
type setupError struct {
	err    error
	advice string
}

func (e *setupError) Error() string { return e.err.Error() + ": " + e.advice }
func (e *setupError) Unwrap() error { return e.err }

// IsSetup tells whether err is a fault of configuration or permission, which trying again does not mend.
func IsSetup(err error) bool {
	var s *setupError
	return errors.As(err, &s)
}

var errHandshake = errors.New("the connection was lost during the handshake")

// cutOff tells of an error that a connection ended which had been made: the other side hung up, and the library may have noticed that and
// closed it while it still wrote.
func cutOff(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explainDial adds to a failed dial what to do about it.
func explainDial(uri amqp.URI, err error) error {
	where := "connect to RabbitMQ at " + net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	var (
		said   *amqp.Error
		noTLS  tls.RecordHeaderError
		badTLS *tls.CertificateVerificationError
	)
	advice := ""
	errors.As(err, &said)
	switch {
	case errors.As(err, &noTLS):
		err, advice = errors.New("what listens there does not speak TLS"),
			"check host and port in AMQP_URL; the port for amqps:// is mostly 5671, that for amqp:// without TLS 5672"
	case errors.As(err, &badTLS):
		advice = "the broker's certificate is not trusted: name its CA by ?cacertfile=/path/to/ca.pem in AMQP_URL, and the host as the certificate does"
	case said == nil && cutOff(err):
		err = errHandshake
	case said == nil:
	case errors.Is(err, amqp.ErrSASL):
		advice = "the broker offers no such way to log in; check auth_mechanism in AMQP_URL"
	case said.Server && said.Code == amqp.AccessRefused:
		advice = fmt.Sprintf("check the user %q and its password in AMQP_URL (the user guest may log in from the broker's own machine only)", uri.Username)
	case said.Server && said.Code == amqp.NotAllowed && !strings.Contains(said.Reason, "limit"):
		advice = fmt.Sprintf("check that the virtual host %q exists and that user %q has permissions in it (rabbitmqctl list_permissions -p %s)",
			uri.Vhost, uri.Username, uri.Vhost)
	case said.Server:
	case said.Reason == amqp.ErrFrame.Error(), said.Reason == amqp.ErrFrameTooLarge.Error():
		err, advice = errors.New("what listens there does not speak AMQP"),
			"check host and port in AMQP_URL; a port for TLS needs amqps:// in place of amqp://"
	case said.Code == amqp.FrameError:
		err = fmt.Errorf("%w (%s): is it RabbitMQ that listens there?", errHandshake, said.Reason)
	default: // what the library tells of it is a guess
		err = errHandshake
	}
	if advice == "" {
		return fmt.Errorf("%s (by AMQP_URL): %w", where, err)
	}
	return &setupError{fmt.Errorf("%s: %w", where, err), advice}
}

// explainDeclare adds to a refused declaration what to do about it.
func explainDeclare(vhost, what, name string, err error) error {
	var said *amqp.Error
	if !errors.As(err, &said) {
		return fmt.Errorf("declare %s %q: %w", what, name, err)
	}
	if !said.Server || said.Code == amqp.ConnectionForced || said.Code == amqp.InternalError {
		return fmt.Errorf("declare %s %q: %w: %w", what, name, ErrNotConnected, err)
	}
	wrapped := fmt.Errorf("declare %s %q: %s", what, name, said.Reason)
	switch said.Code {
	case amqp.PreconditionFailed:
		way := "in the management UI"
		if what == "queue" {
			way = fmt.Sprintf("rabbitmqctl delete_queue -p %s %s", vhost, name)
		}
		return &setupError{wrapped, fmt.Sprintf(
			"it exists with other arguments, which cannot be changed: drain it, delete it (%s), and start again", way)}
	case amqp.AccessRefused:
		return &setupError{wrapped, fmt.Sprintf("the user needs to configure, write and read it (rabbitmqctl set_permissions -p %s), "+
			"or run `orderflow topology` once with a user who may", vhost)}
	case amqp.NotImplemented, amqp.CommandInvalid:
		return &setupError{wrapped, "RabbitMQ 3.10 or newer is needed, with quorum queues"}
	}
	return wrapped
}

// isCode tells whether err is the broker's refusal with that reply code.
func isCode(err error, code int) bool {
	var said *amqp.Error
	return errors.As(err, &said) && said.Code == code
}
