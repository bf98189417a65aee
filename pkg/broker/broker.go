package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Config says where RabbitMQ is.
type Config struct {
	URLs []string // amqp:// or amqps://, one for each node of a cluster
	Name string   // what the connections are called in the management UI
	// Version is that of the program, which the management UI shows with its connections. It may be empty.
	Version string
	Log     *slog.Logger
	// Patience is how long Open waits for a broker that does not answer yet, START_TIMEOUT; 0 means one try.
	Patience time.Duration
}

const (
	heartbeat   = 10 * time.Second
	dialTimeout = 10 * time.Second
	firstPause  = 100 * time.Millisecond // between two attempts to connect
	longestWait = 5 * time.Second
	tellEvery   = time.Second // at most, that a broker does not answer
)

// Broker is a client of RabbitMQ that mends its own connections. Close it at the end.
type Broker struct {
	cfg      Config
	uris     []amqp.URI
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	owned    sync.WaitGroup // the goroutines that Close waits for
	shared   link           // for consuming and declaring
	release  string         // see Release
	lost     atomic.Int32   // consumers that have lost their queue, or never got it
	mu       sync.Mutex
	declared []Topology // asserted again when a queue has vanished
}

// Open connects once, to report what is wrong with the configuration while somebody is looking. A fault of configuration is
// told by IsSetup; a broker that does not answer within cfg.Patience is an error too.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	b := &Broker{cfg: cfg}
	if b.cfg.Log == nil {
		b.cfg.Log = slog.Default()
	}
	uris, err := parse(cfg.URLs)
	if err != nil {
		return nil, err
	}
	b.uris = uris
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.shared = link{broker: b, purpose: "consume", turn: make(chan struct{}, 1)}
	patient, stop := context.WithTimeout(ctx, cmp.Or(cfg.Patience, dialTimeout))
	defer stop()
	conn, err := b.dial(patient, "consume", cfg.Patience > 0)
	if err != nil {
		b.cancel()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("stopped while waiting: %w", err)
		case cfg.Patience > 0 && !IsSetup(err):
			return nil, fmt.Errorf("%w; gave up after START_TIMEOUT, %s", err, cfg.Patience)
		}
		return nil, err
	}
	b.shared.conn = conn
	b.release, _ = conn.Properties["version"].(string)
	return b, nil
}

// Close closes the connections and waits for the goroutines of the Broker. Consumers must have been stopped before, by their
// contexts.
func (b *Broker) Close() error {
	b.cancel()
	b.owned.Wait()
	return b.shared.close()
}

// Release is the broker's version, as it said when it was found: "3.10.8". It is empty where it did not say.
func (b *Broker) Release() string { return b.release }

// Version is the first number of the broker's version: 3, 4. It is 0 where it did not say.
func (b *Broker) Version() int {
	major, _, _ := strings.Cut(b.release, ".")
	n, _ := strconv.Atoi(major)
	return n
}

// Connected tells whether the consuming connection stands.
func (b *Broker) Connected() bool { return b.shared.alive() }

// Consuming tells whether no consumer has lost its queue, or the right to read it, and not got it back yet.
func (b *Broker) Consuming() bool { return b.lost.Load() == 0 }

// dial connects to any of the addresses. With patience it tries until ctx ends, except where the setup is at fault.
func (b *Broker) dial(ctx context.Context, purpose string, patience bool) (*connection, error) {
	var (
		pause = firstPause
		told  time.Time
		last  error // of the attempt before
	)
	for {
		conn, err := b.dialAny(ctx, purpose)
		switch {
		case err == nil || !patience || IsSetup(err):
			return conn, err
		case over(ctx):
			return nil, cmp.Or(last, err) // this attempt was cut off, so the one before knows more
		}
		if last = err; time.Since(told) > tellEvery {
			b.cfg.Log.Warn("RabbitMQ does not answer, trying again", "error", err, "connection", purpose)
			told = time.Now()
		}
		if !wait(ctx, jitter(pause)) {
			return nil, err
		}
		pause = min(2*pause, longestWait)
	}
}

func (b *Broker) dialAny(ctx context.Context, purpose string) (*connection, error) {
	var errs []error
	for _, i := range rand.Perm(len(b.uris)) {
		conn, err := dial(ctx, b.cfg.URLs[i], b.uris[i], fmt.Sprintf("%s (%s)", b.cfg.Name, purpose), b.cfg.Version)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, explainDial(b.uris[i], err))
	}
	return nil, errors.Join(errs...)
}

// over tells whether ctx has ended, or is at its deadline: what it cuts off may return a moment before its Err tells so.
func over(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}

// wait sleeps for d and returns true, or false at once when ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads d over ±50 %, so that many clients do not come back in step.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}

// VirtualHost is the one that the broker's addresses lead to.
func (b *Broker) VirtualHost() string { return b.uris[0].Vhost }
