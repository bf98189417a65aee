package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

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

// errHungUp says that the broker read a user and a password and hung up, twice. It does so without a word, because the library
// does not tell it that it would listen.
var errHungUp = errors.New("the user or the password is not accepted")

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

// explainDial adds to a failed dial what to do about it.
func explainDial(uri amqp.URI, err error) error {
	where := fmt.Sprintf("connect to RabbitMQ at %s:%d", uri.Host, uri.Port)
	var (
		unknownCA x509.UnknownAuthorityError
		wrongHost x509.HostnameError
		badCert   x509.CertificateInvalidError
		said      *amqp.Error
	)
	refused := errors.As(err, &said) && said.Server
	switch {
	case refused && said.Code == amqp.AccessRefused, errors.Is(err, errHungUp), errors.Is(err, amqp.ErrSASL):
		return &setupError{fmt.Errorf("%s: %w", where, err),
			fmt.Sprintf("check the user %q and its password in AMQP_URL (the user guest may log in from the broker's own machine only)", uri.Username)}
	case refused && said.Code == amqp.NotAllowed && !strings.Contains(said.Reason, "limit"):
		return &setupError{fmt.Errorf("%s: %w", where, err),
			fmt.Sprintf("check that the virtual host %q exists and that user %q has permissions in it (rabbitmqctl list_permissions -p %s)",
				uri.Vhost, uri.Username, uri.Vhost)}
	case errors.Is(err, amqp.ErrCredentials), errors.Is(err, amqp.ErrVhost):
		// The library's guess where the broker said nothing.
		return fmt.Errorf("%s: the connection was lost during the handshake", where)
	case errors.As(err, &unknownCA), errors.As(err, &wrongHost), errors.As(err, &badCert):
		return &setupError{fmt.Errorf("%s: %w", where, err),
			"the broker's certificate is not trusted: name its CA by the cacertfile parameter of AMQP_URL, and the host as the certificate does"}
	}
	return fmt.Errorf("%s (by AMQP_URL): %w", where, err)
}

// explainDeclare adds to a refused declaration what to do about it.
func explainDeclare(what, name string, err error) error {
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
		return &setupError{wrapped, fmt.Sprintf(
			"it exists with other arguments, which cannot be changed: drain it, delete it (rabbitmqctl delete_%s %s), and start again", what, name)}
	case amqp.AccessRefused:
		return &setupError{wrapped, fmt.Sprintf(
			"run `orderflow topology` once with a user who may configure %q, or give this user that permission", name)}
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
