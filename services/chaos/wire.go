package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"orderflow/pkg/devstack/port"
)

// link is all connections between one process and one server, by way of a proxy.
type link struct {
	name  string // "payment-1 to RabbitMQ"
	wires wires

	mu    sync.Mutex // held by whoever does something to it
	proxy *toxiproxy.Proxy
}

const linkTo = " to "

// wires makes links.
type wires struct{ server *toxiproxy.ApiServer }

func newWires() wires {
	return wires{toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// lay makes a link from a process to the server at the address, a URL, and returns the URL that leads through it.
func (w wires) lay(process, server, address string) (*link, string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	free, err := port.Free(1)
	if err != nil {
		return nil, "", err
	}
	l := &link{name: process + linkTo + server, wires: w}
	l.proxy = toxiproxy.NewProxy(w.server, l.name, port.Address(free[0]), u.Host)
	if err := l.proxy.Start(); err != nil {
		return nil, "", fmt.Errorf("proxy for %s: %w", l.name, err)
	}
	u.Host = l.proxy.Listen
	return l, u.String(), nil
}

func (l *link) remove() { l.proxy.Stop() }

// cut ends every connection. A new one can be made at once.
func (l *link) cut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
	return l.proxy.Start()
}

// refuse ends every connection, and lets nobody connect for a while.
func (l *link) refuse(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
	sleep(ctx, d)
	return l.proxy.Start()
}

// The directions of what a link carries.
const (
	upstream   = "upstream" // from the process to the server
	downstream = "downstream"
)

// spoil puts toxics on the link, in one direction or in both, while something goes on.
func (l *link) spoil(meanwhile func(), kind, attributes string, directions ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, direction := range directions {
		toxic := fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": {%s}}`, kind, direction, attributes)
		toxics := l.proxy.Toxics
		err := inTime(func() error {
			_, err := toxics.AddToxicJson(strings.NewReader(toxic))
			return err
		})
		if errors.Is(err, errHangs) {
			return l.replace()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s on %s: %w", kind, l.name, err), l.cure())
		}
	}
	meanwhile()
	return l.cure()
}

// forTime is to spoil a link for a while.
func forTime(ctx context.Context, d time.Duration) func() { return func() { sleep(ctx, d) } }

// cure takes all toxics off.
func (l *link) cure() error {
	toxics := l.proxy.Toxics
	err := inTime(func() error {
		toxics.ResetToxics(context.Background())
		return nil
	})
	if errors.Is(err, errHangs) {
		return l.replace()
	}
	return err
}

// libraryLimit is how long the library may take to change its toxics. Where a connection dies meanwhile, it may wait for it for ever (its
// issue 558), with a lock in hand that everything else needs.
const libraryLimit = 5 * time.Second

var errHangs = errors.New("the proxy hangs")

// inTime calls f, and leaves it to itself when it takes too long.
func inTime(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(libraryLimit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errHangs
	}
}

// replace leaves a proxy that hangs to itself, with the connections that it still has, and puts a new one in its place.
func (l *link) replace() error {
	go l.proxy.Stop() // closes its listener at once, and may never return
	l.proxy = toxiproxy.NewProxy(l.wires.server, l.name, l.proxy.Listen, l.proxy.Upstream)
	ctx, stop := context.WithTimeout(context.Background(), libraryLimit)
	defer stop()
	return until(ctx, l.proxy.Start)
}

// truncate lets so many bytes pass on each connection, and then ends it.
func (l *link) truncate(ctx context.Context, d time.Duration, bytes int, direction string) error {
	return l.spoil(forTime(ctx, d), "limit_data", fmt.Sprintf(`"bytes": %d`, bytes), direction)
}

// stall holds back what is sent, and delivers it late.
func (l *link) stall(ctx context.Context, d time.Duration) error {
	return l.spoil(forTime(ctx, d), "latency", fmt.Sprintf(`"latency": %d`, d.Milliseconds()), upstream, downstream)
}

// swallow loses what is sent, without a word, and ends the connections afterwards.
func (l *link) swallow(ctx context.Context, d time.Duration) error {
	return l.spoil(forTime(ctx, d), "timeout", `"timeout": 0`, upstream, downstream)
}

// slow makes every answer late while something goes on.
func (l *link) slow(meanwhile func(), latency time.Duration) error {
	attributes := fmt.Sprintf(`"latency": %d, "jitter": %d`, latency.Milliseconds(), latency.Milliseconds()/2)
	return l.spoil(meanwhile, "latency", attributes, upstream, downstream)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
