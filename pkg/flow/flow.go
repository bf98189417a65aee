package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// statementTimeout bounds one transaction of the runtime, so that nobody waits for ever for a server that has stopped answering.
const statementTimeout = 30 * time.Second

// leastPatience is for the publisher's connection, which is made after Config.Patience may have been spent on others.
const leastPatience = 10 * time.Second

// DefaultRetryDelays is how long a message that failed waits before each further attempt.
var DefaultRetryDelays = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}

// Config is what a service runs on. Fields with a default may be zero.
type Config struct {
	Service string         // its name, the first part of its queues' names
	Catalog *event.Catalog // the events that it takes and sends
	DB      *pgxpool.Pool  // sees the service's schema
	Broker  *broker.Broker
	Metrics *Metrics
	Log     *slog.Logger
	Tracer  trace.Tracer // nil: there are no spans
	// Others are the subscriptions of the workflow's other services. Their queues are declared too: an event that goes to several
	// queues would be lost to a service that has not run yet.
	Others []Subscription

	RetryDelays    []time.Duration // nil: DefaultRetryDelays; empty: none
	Batch          int             // events in one transaction, at most; 200
	Prefetch       int             // messages held by one worker, at most; 2000
	Linger         time.Duration   // how long a batch of a busy queue may wait to grow, if nothing is late; 5 ms
	InboxRetention time.Duration   // how long handled events are remembered; 14 days
	DrainTimeout   time.Duration   // how long Run takes to finish what is in hand when it is stopped; 20 s
	Patience       time.Duration   // how long Run waits, before it has begun, for servers that come and go; 0: one try
}

func (c Config) withDefaults() Config {
	if c.RetryDelays == nil {
		c.RetryDelays = DefaultRetryDelays
	}
	c.Log = cmp.Or(c.Log, slog.Default()).With("service", c.Service)
	if c.Tracer == nil {
		c.Tracer = noop.Tracer{}
	}
	c.Batch = cmp.Or(c.Batch, 200)
	c.Prefetch = cmp.Or(c.Prefetch, 2000)
	c.Linger = cmp.Or(c.Linger, 5*time.Millisecond)
	c.InboxRetention = cmp.Or(c.InboxRetention, 14*24*time.Hour)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 20*time.Second)
	return c
}

// Service runs the subscriptions of one service, and gets its events to the broker.
type Service struct {
	cfg           Config
	publisher     *broker.Publisher
	inbox         inbox
	outbox        *outbox
	subscriptions []*subscription
	groups        []group
	behind        []func(context.Context)
	tables        []postgres.Days
	started       chan struct{}
}

// group is a Group of any kind of request.
type group interface {
	work(soft, hard context.Context)
	close()
}

// New makes a service. It does nothing until Run.
func New(cfg Config) *Service {
	cfg = cfg.withDefaults()
	publisher := cfg.Broker.NewPublisher()
	return &Service{cfg: cfg, publisher: publisher, outbox: newOutbox(cfg, publisher), started: make(chan struct{})}
}

// Topology is what the service needs of the broker: its queues with what hangs on them, and the exchange.
func Topology(catalog *event.Catalog, retryDelays []time.Duration, subscriptions []Subscription) broker.Topology {
	return broker.Topology{Exchange: catalog.Exchange, Delays: retryDelays, Queues: queues(catalog, subscriptions)}
}

func queues(catalog *event.Catalog, subscriptions []Subscription) (queues []broker.Queue) {
	for _, s := range subscriptions {
		q := broker.Queue{Name: s.Queue}
		for _, name := range s.Events {
			q.RoutingKeys = append(q.RoutingKeys, catalog.Kind(name).RoutingKey)
		}
		queues = append(queues, q)
	}
	return queues
}

// Subscribe adds subscriptions, before Run.
func (s *Service) Subscribe(subscriptions ...Subscription) {
	for _, sub := range subscriptions {
		s.subscriptions = append(s.subscriptions, newSubscription(s, sub))
	}
}

// Transact runs f in a transaction of the service's database and commits what it did together with the events that it returns,
// which are then published. It is for events that are born outside of reactions, in an HTTP request.
func (s *Service) Transact(ctx context.Context, f func(*postgres.Tx) ([]*event.Event, error)) error {
	messages, err := s.transact(ctx, f)
	if err == nil {
		s.outbox.offer(messages)
	}
	return err
}

func (s *Service) transact(ctx context.Context, f func(*postgres.Tx) ([]*event.Event, error)) (messages []broker.Message, err error) {
	err = postgres.Transact(ctx, s.cfg.DB, func(tx *postgres.Tx) error {
		events, err := f(tx)
		if err != nil {
			return err
		}
		messages, err = s.outbox.add(tx, events)
		return err
	})
	if err != nil { // what was not committed must not be said
		return nil, err
	}
	return messages, nil
}

// Started is closed when Run has begun to work.
func (s *Service) Started() <-chan struct{} { return s.started }

// Ready reports what keeps the service from working, or nil.
func (s *Service) Ready(ctx context.Context) error {
	select {
	case <-s.started:
	default:
		return fmt.Errorf("service %s is starting", s.cfg.Service)
	}
	var errs []error
	if !s.publisher.Ready() || !s.cfg.Broker.Connected() {
		errs = append(errs, errors.New("no connection to RabbitMQ, or it holds publishers back"))
	} else if s.publisher.Refused() || !s.cfg.Broker.Consuming() {
		errs = append(errs, errors.New("RabbitMQ does not let the service read its queues, or publish"))
	}
	// What is wrong in detail is nothing for everybody's eyes.
	if _, err := s.cfg.DB.Exec(ctx, "SELECT FROM outbox LIMIT 0"); err != nil {
		s.cfg.Log.Debug("Postgres does not answer", "error", err)
		errs = append(errs, errors.New("no connection to Postgres, or no right to use the service's schema"))
	}
	return errors.Join(errs...)
}

// Run declares the queues and works until ctx ends; then it finishes what is in hand, within Config.DrainTimeout. Whatever is
// not finished then comes again. An error says what kept it from starting.
func (s *Service) Run(ctx context.Context) error {
	// hard outlives ctx by what draining may take.
	hard, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		if !sleep(hard, s.cfg.DrainTimeout) {
			return
		}
		giveUp()
	})()
	defer s.runBehind(hard)()
	// Requests need the database alone, so they do not wait for the broker.
	stopGroups := s.runGroups(ctx, hard)
	defer stopGroups()
	if err := s.start(ctx); ctx.Err() != nil {
		return nil // stopped before it began
	} else if err != nil {
		return err
	}
	close(s.started)

	background, stopBackground := context.WithCancel(hard)
	var behind sync.WaitGroup
	behind.Go(func() { s.outbox.run(background) })
	behind.Go(func() { s.keepInbox(background) })
	for _, table := range s.tables {
		behind.Go(func() { s.keepTable(background, table) })
	}
	var working sync.WaitGroup
	for _, sub := range s.subscriptions {
		for range sub.Workers {
			working.Go(func() { sub.work(ctx, hard) })
		}
	}
	working.Wait()
	<-ctx.Done()
	stopGroups()
	s.outbox.drain(hard)
	stopBackground()
	behind.Wait()
	return nil
}

// runGroups starts to commit requests, and returns what ends that and waits until it has ended.
func (s *Service) runGroups(ctx, hard context.Context) (stop func()) {
	soft, end := context.WithCancel(ctx)
	var working sync.WaitGroup
	for _, g := range s.groups {
		for range groupWorkers {
			working.Go(func() { g.work(soft, hard) })
		}
	}
	return sync.OnceFunc(func() {
		end()
		working.Wait()
		for _, g := range s.groups {
			g.close()
		}
	})
}

// start makes everything that Run needs, within Config.Patience.
func (s *Service) start(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, max(s.cfg.Patience, leastPatience))
	defer stop()
	// Processes that start together declare the same queues. While RabbitMQ makes one for the first of them, the others may be told that
	// it is there and, a moment later, that it is not.
	passes := func(err error) bool { return !broker.IsSetup(err) }
	if err := s.insist(ctx, passes, func() error { return s.cfg.Broker.Declare(ctx, s.topology()) }); err != nil {
		return err
	}
	if err := s.insist(ctx, postgres.Lost, func() error { return s.inbox.prepare(ctx, s.cfg) }); err != nil {
		return err
	}
	return s.publisher.Await(ctx)
}

// insist does one step of the start, and does it again while it fails by what passes, such as servers that come and go.
func (s *Service) insist(ctx context.Context, passes func(error) bool, step func() error) error {
	for attempt := 1; ; attempt++ {
		err := step()
		if err == nil || !passes(err) || s.cfg.Patience == 0 {
			return err
		}
		s.cfg.Log.Warn("cannot start yet, trying again", "error", err)
		if !sleep(ctx, backoff(attempt)) {
			return err
		}
	}
}

func (s *Service) topology() broker.Topology {
	subscriptions := make([]Subscription, 0, len(s.subscriptions))
	for _, sub := range s.subscriptions {
		subscriptions = append(subscriptions, sub.Subscription)
	}
	t := Topology(s.cfg.Catalog, s.cfg.RetryDelays, subscriptions)
	t.Others = queues(s.cfg.Catalog, s.cfg.Others)
	return t
}

// sleep waits for d and returns true, or false at once when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is how long to wait before attempt n (from 1) at something that the world has refused.
func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n-1, 6), 5*time.Second)
	return d/2 + rand.N(d/2)
}

// signal puts a token into a channel of capacity 1, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
