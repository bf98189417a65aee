package broker

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link is one connection that its users share and that is dialled again by the first of them who finds it gone.
type link struct {
	broker  *Broker
	purpose string
	turn    chan struct{} // holds one token while somebody looks at conn: a mutex whose Lock heeds a context
	conn    *connection
}

// get returns a living connection, dialling until ctx ends if need be.
func (l *link) get(ctx context.Context) (*connection, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, nil
	}
	conn, err := l.broker.dial(ctx, l.purpose, true)
	if err != nil {
		return nil, err
	}
	if err := l.broker.redeclare(conn.Channel); err != nil {
		l.broker.cfg.Log.Error("cannot declare everything again", "error", err)
	}
	l.conn = conn
	return conn, nil
}

// channel opens a channel on a living connection.
func (l *link) channel(ctx context.Context) (*amqp.Channel, error) {
	conn, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("%w: open a channel: %w", ErrNotConnected, err)
	}
	return ch, nil
}

func (l *link) alive() bool {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
		return l.conn != nil && !l.conn.IsClosed()
	default: // somebody is dialling, so it is not
		return false
	}
}

func (l *link) close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	return l.conn.close()
}
