package broker

import (
	"context"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const closeTimeout = 3 * time.Second

// connection is an AMQP connection that can always be ended. The library waits without limit where the other side has stopped
// reading, as a broker with an alarm does: in a write, and in Close for the answer.
type connection struct {
	*amqp.Connection
	socket *socket
}

// dial connects and shakes hands, for as long as ctx and dialTimeout allow. The connection gets a name for the management UI, and shows the
// version of the program there.
func dial(ctx context.Context, url string, uri amqp.URI, name, version string) (*connection, error) {
	ctx, stop := context.WithTimeout(ctx, dialTimeout)
	defer stop()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	if version != "" {
		properties["program_version"] = version
	}
	c := &connection{}
	watched := func() bool { return true }
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		SASL:       logins(uri, properties),
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c.socket = &socket{Conn: conn}
			watched = context.AfterFunc(ctx, func() { conn.Close() })
			return c.socket, nil
		},
	})
	if !watched() {
		err = fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	if err != nil && c.socket != nil {
		c.socket.Close() // the library leaves it open after some failures
	}
	c.Connection = conn
	return c, err
}

// close ends the connection in good order, or after closeTimeout without.
func (c *connection) close() error {
	cut := time.AfterFunc(closeTimeout, func() { c.socket.Close() })
	defer cut.Stop()
	return c.Connection.Close()
}
