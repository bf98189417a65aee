// Package probe asks RabbitMQ and Postgres whether they really serve, as a client would: an open port is not enough,
// because it may belong to a proxy before a server that still starts.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// attemptLimit bounds one attempt, so that a connection that hangs does not use up the caller's whole deadline.
const attemptLimit = 5 * time.Second

// Until calls the attempt until it succeeds. It gives up when the context ends or when dead is closed (nil: never), and
// returns the last attempt's error then.
func Until(ctx context.Context, dead <-chan struct{}, attempt func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := once(ctx, attempt)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-dead:
			return err
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func once(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	return attempt(ctx)
}

// RabbitMQ succeeds when the broker begins an AMQP connection and its management API lets the user of the URL in.
func RabbitMQ(amqpURL, managementURL string) func(context.Context) error {
	return func(ctx context.Context) error {
		return errors.Join(amqp(ctx, amqpURL), management(ctx, managementURL))
	}
}

// amqp sends the protocol header of AMQP 0-9-1 and expects the broker's first method frame (type 1) as the answer.
func amqp(ctx context.Context, amqpURL string) error {
	u, err := url.Parse(amqpURL)
	if err != nil {
		return fmt.Errorf("AMQP address: %w", err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return fmt.Errorf("AMQP handshake with %s: %w", u.Host, err)
	}
	var frame [1]byte
	if _, err := io.ReadFull(conn, frame[:]); err != nil {
		return fmt.Errorf("AMQP handshake with %s: %w", u.Host, err)
	}
	if frame[0] != 1 {
		return fmt.Errorf("AMQP handshake with %s: the broker answered with frame type %d", u.Host, frame[0])
	}
	return nil
}

func management(ctx context.Context, managementURL string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, managementURL+"/api/whoami", nil)
	if err != nil {
		return fmt.Errorf("management address: %w", err)
	}
	req.Close = true // leaves no idle connection and its goroutines behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("management API at %s answered %s", req.URL.Host, resp.Status)
	}
	return nil
}

// Postgres succeeds when the database of the URL can be connected to.
func Postgres(databaseURL string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, databaseURL)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
}
