package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Config says where RabbitMQ is.
type Config struct {
	URLs []string // amqp:// or amqps://, one for each node of a cluster
	Name string   // what the connections are called in the management UI
	Log  *slog.Logger
	// Patience is how long Open waits for a broker that does not answer yet; 0 means one try.
	Patience time.Duration
}

const (
	heartbeat   = 10 * time.Second
	dialTimeout = 10 * time.Second
	firstPause  = 100 * time.Millisecond // between two attempts to connect
	longestWait = 5 * time.Second
)

// Broker is a client of RabbitMQ that mends its own connections. Close it at the end.
type Broker struct {
	cfg      Config
	uris     []amqp.URI
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	owned    sync.WaitGroup // the goroutines that Close waits for
	shared   link           // for consuming and declaring
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
	if len(cfg.URLs) == 0 {
		return nil, &setupError{errors.New("no address of RabbitMQ"), "set AMQP_URL"}
	}
	for i, u := range cfg.URLs {
		uri, err := amqp.ParseURI(u)
		if err != nil {
			// The parser's error quotes the password.
			return nil, &setupError{fmt.Errorf("AMQP_URL: address %d of %d cannot be parsed", i+1, len(cfg.URLs)),
				"it looks like amqp://user:password@host:5672/vhost, with special characters percent-encoded"}
		}
		b.uris = append(b.uris, uri)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.shared = link{broker: b, purpose: "consume", turn: make(chan struct{}, 1)}
	patient, stop := context.WithTimeout(ctx, max(cfg.Patience, dialTimeout))
	defer stop()
	conn, err := b.dial(patient, "consume", cfg.Patience > 0)
	if err != nil {
		b.cancel()
		return nil, err
	}
	b.shared.conn = conn
	return b, nil
}

// Close closes the connections and waits for the goroutines of the Broker. Consumers must have been stopped before, by their
// contexts.
func (b *Broker) Close() error {
	b.cancel()
	b.owned.Wait()
	return b.shared.close()
}

// Connected tells whether the consuming connection stands.
func (b *Broker) Connected() bool { return b.shared.alive() }

// dial connects to any of the addresses. With patience it tries until ctx ends, except where the setup is at fault.
func (b *Broker) dial(ctx context.Context, purpose string, patience bool) (*connection, error) {
	pause := firstPause
	for {
		conn, err := b.dialAny(ctx, purpose)
		if err == nil || !patience || IsSetup(err) {
			return conn, err
		}
		b.cfg.Log.Warn("RabbitMQ does not answer, trying again", "error", err, "connection", purpose)
		if !wait(ctx, jitter(pause)) {
			return nil, err
		}
		pause = min(2*pause, longestWait)
	}
}

func (b *Broker) dialAny(ctx context.Context, purpose string) (*connection, error) {
	var errs []error
	for _, i := range rand.Perm(len(b.uris)) {
		conn, err := b.dialOne(ctx, i, purpose)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, explainDial(b.uris[i], err))
	}
	return nil, errors.Join(errs...)
}

func (b *Broker) dialOne(ctx context.Context, i int, purpose string) (*connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(fmt.Sprintf("%s (%s)", b.cfg.Name, purpose))
	conn, err := dial(ctx, b.cfg.URLs[i], properties)
	if !errors.Is(err, amqp.ErrCredentials) {
		return conn, err
	}
	// That is the library's guess where the connection ends after the password. A broker that is going down ends it there too,
	// but not twice.
	if conn, err = dial(ctx, b.cfg.URLs[i], properties); errors.Is(err, amqp.ErrCredentials) {
		err = errHungUp
	}
	return conn, err
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
