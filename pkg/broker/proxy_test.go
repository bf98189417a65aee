package broker

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between clients and a broker, to do what networks and brokers in distress do.
type proxy struct {
	listener net.Listener
	target   string
	wait     sync.WaitGroup

	mu    sync.Mutex
	pipes map[*pipe]bool
}

// pipe is one connection through a proxy.
type pipe struct {
	client, server net.Conn
	mu             sync.Mutex
	toServer       *gate // stops what the client sends
	toClient       *gate // stops what the broker sends
}

// gate is open or shut.
type gate struct{ open chan struct{} }

func newGate() *gate { g := &gate{make(chan struct{})}; close(g.open); return g }

// newProxy returns a proxy to the broker at amqpURL, and the URL that leads through it.
func newProxy(t testing.TB, amqpURL string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: u.Host, pipes: map[*pipe]bool{}}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wait.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	defer p.cut()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		c := &pipe{client: client, server: server, toServer: newGate(), toClient: newGate()}
		p.mu.Lock()
		p.pipes[c] = true
		p.mu.Unlock()
		p.wait.Go(c.upstream)
		p.wait.Go(c.downstream)
	}
}

// upstream passes on what the client sends.
func (c *pipe) upstream() {
	defer c.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := c.client.Read(buf)
		c.pass(&c.toServer)
		if err == nil {
			_, err = c.server.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// downstream passes on what the broker sends, frame by frame, so that a frame can be put in between.
func (c *pipe) downstream() {
	defer c.close()
	r := bufio.NewReader(c.server)
	for {
		head, err := r.Peek(7)
		if err != nil {
			return
		}
		frame := make([]byte, 7+binary.BigEndian.Uint32(head[3:7])+1)
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		c.pass(&c.toClient)
		if c.say(frame) != nil {
			return
		}
	}
}

func (c *pipe) say(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.client.Write(frame)
	return err
}

// pass waits at a gate until it is open.
func (c *pipe) pass(g **gate) {
	c.mu.Lock()
	open := (*g).open
	c.mu.Unlock()
	<-open
}

func (c *pipe) shut(g **gate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*g = &gate{make(chan struct{})}
}

func (c *pipe) open(g **gate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-(*g).open:
	default:
		close((*g).open)
	}
}

func (c *pipe) close() {
	c.client.Close()
	c.server.Close()
}

func (p *proxy) each(f func(*pipe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pipes {
		f(c)
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.each(func(c *pipe) {
		c.close()
		c.open(&c.toServer)
		c.open(&c.toClient)
		delete(p.pipes, c)
	})
}

// stall lets nothing more through the connections that there are now, in either direction, and closes nothing.
func (p *proxy) stall() {
	p.each(func(c *pipe) {
		c.shut(&c.toServer)
		c.shut(&c.toClient)
	})
}

// block does what RabbitMQ does to publishers while it has an alarm: it says so, reads nothing more, and goes on sending.
func (p *proxy) block() {
	p.each(func(c *pipe) {
		c.shut(&c.toServer)
		c.say([]byte{1, 0, 0, 0, 0, 0, 8, 0, 10, 0, 60, 3, 'l', 'o', 'w', 0xCE})
	})
}

// unblock ends the alarm.
func (p *proxy) unblock() {
	p.each(func(c *pipe) {
		c.open(&c.toServer)
		c.say([]byte{1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE})
	})
}
