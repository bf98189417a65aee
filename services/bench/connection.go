package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// answerLimit is how long an answer may take, and a connection to be made.
	answerLimit = 30 * time.Second
	// idleLimit is how long a connection may be unused; one that the server has closed meanwhile would look like an answer that is lost.
	idleLimit = 10 * time.Second
)

// connections are those to one server. They send requests whose bytes are ready, one at a time, in the goroutine that asks. http.Client
// would wake two others for each request; placing an order took 73 µs of CPU time with it, and takes 28. BenchmarkPlace tells what it would be
// with pkg/client.
type connections struct {
	base    string // of URLs
	key     string // for the server, or ""
	address string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	idle []*connection // the last one used is the first one to be used again
}

// connection is one of them, in the hands of one goroutine.
type connection struct {
	net.Conn
	reader *bufio.Reader
	used   time.Time
}

func newConnections(server *url.URL, key string) *connections {
	plain := &net.Dialer{Timeout: answerLimit}
	c := &connections{base: server.String(), key: key, address: addressOf(server, httpPorts), dial: plain.DialContext}
	if server.Scheme == "https" {
		c.dial = (&tls.Dialer{NetDialer: plain}).DialContext
	}
	return c
}

// encode makes the bytes of a request for JSON.
func (c *connections) encode(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	var encoded bytes.Buffer
	err = request.Write(&encoded)
	return encoded.Bytes(), err
}

// exchange sends a request and reads its answer to the end. The body of an answer 201 is not kept.
func (c *connections) exchange(ctx context.Context, request []byte) (*http.Response, []byte, error) {
	conn, err := c.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	cut := context.AfterFunc(ctx, func() { conn.Close() })
	response, answer, err := conn.exchange(request)
	if !cut() {
		return nil, nil, ctx.Err()
	}
	if err != nil || response.Close {
		conn.Close()
		return response, answer, err
	}
	c.giveBack(conn)
	return response, answer, nil
}

func (c *connection) exchange(request []byte) (response *http.Response, answer []byte, err error) {
	c.SetDeadline(time.Now().Add(answerLimit))
	if _, err = c.Write(request); err != nil {
		return nil, nil, err
	}
	if response, err = http.ReadResponse(c.reader, nil); err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusCreated {
		_, err = io.Copy(io.Discard, response.Body)
		return response, nil, err
	}
	answer, err = io.ReadAll(response.Body)
	return response, answer, err
}

// take returns the connection that was used last, or a new one.
func (c *connections) take(ctx context.Context) (*connection, error) {
	if conn := c.last(); conn != nil {
		return conn, nil
	}
	conn, err := c.dial(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}, nil
}

func (c *connections) last() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 || time.Since(c.idle[n-1].used) > idleLimit {
		c.closeIdle() // the others are unused for even longer
		return nil
	}
	conn := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return conn
}

func (c *connections) giveBack(conn *connection) {
	conn.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, conn)
}

// close closes the connections that nobody uses.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeIdle()
}

// closeIdle is called with the lock held.
func (c *connections) closeIdle() {
	for _, conn := range c.idle {
		conn.Close()
	}
	c.idle = nil
}
