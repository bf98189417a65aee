package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// Config says what to measure, and with what.
type Config struct {
	URL         string   // of the REST API
	Key         string   // for it; "" where callers are not told apart
	AMQPURLs    []string // of RabbitMQ
	DatabaseURL string   // to find Postgres's processes; nobody connects to it
	Log         *slog.Logger

	Load     Load
	Warmup   int           // orders that are placed before, and not counted
	Patience time.Duration // how long to wait for the next end of an order after all were placed

	// Progress is told a few times a second how it goes.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Phase                    string // "stock", "warm-up" or "orders"
	Started, Accepted, Ended int
	Of                       int // how many orders there are to be
}

const progressEvery = 200 * time.Millisecond

var errNoAnswer = errors.New("no order was accepted")

// run is the state of a run.
type run struct {
	Config
	buyer  *buyer
	ledger atomic.Pointer[ledger] // of what is going on
}

// Run places orders, waits for their ends and reports. The report of a run that was cut short, with ctx's error, has what was done until then.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	c, err := newBuyer(cfg.URL, cfg.Key)
	if err != nil {
		return nil, err
	}
	defer c.close()
	r := &run{Config: cfg, buyer: c}
	b, err := broker.Open(ctx, broker.Config{URLs: cfg.AMQPURLs, Name: "orderflow bench", Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r.ledger.Store(newLedger())
	tap, err := b.Tap(ctx, event.Orders.Exchange, routingKey(event.TypeOrderShipped), routingKey(event.TypeOrderCancelled))
	if err != nil {
		return nil, err
	}
	listening, lost := context.WithCancelCause(ctx)
	var listener sync.WaitGroup
	listener.Go(func() {
		if err := tap.Hear(listening, r.hear); err != nil {
			lost(err)
		}
	})
	defer listener.Wait()
	defer lost(nil)
	report, err := r.measure(listening)
	if cause := context.Cause(listening); cause != nil {
		err = cause
	}
	return report, err
}

func routingKey(t event.Type) string { return event.Orders.Kind(t).RoutingKey }

var shippedKey = routingKey(event.TypeOrderShipped)

// hear notes the end of an order. Events of an order are correlated by its id.
func (r *run) hear(m *broker.Message) {
	now := time.Now()
	if id, err := uuid.Parse(m.CorrelationID); err == nil {
		r.ledger.Load().end(id, end{now, m.RoutingKey == shippedKey})
	}
}

// measure does everything in its order.
func (r *run) measure(ctx context.Context) (*Report, error) {
	r.Progress(Progress{Phase: "stock"})
	if err := r.buyer.putStock(ctx); err != nil {
		return nil, err
	}
	if r.Warmup > 0 {
		if err := r.warmUp(ctx); err != nil {
			return nil, err
		}
	}
	requests, err := r.buyer.encodeOrders(newOrders(r.Load.Total(), r.Load.Mix))
	if err != nil {
		return nil, err
	}
	runtime.GC() // what the preparations have left is not to be cleared away meanwhile
	m, err := newMeter(ctx, r.Config)
	if err != nil {
		return nil, err
	}
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { m.run(sampling) })
	began := time.Now()
	l := r.work(ctx, "orders", r.Load, requests)
	stop()
	sampler.Wait()
	m.stop(ctx)
	report := r.report(l, m, began)
	if ctx.Err() == nil && report.Orders == 0 {
		return report, fmt.Errorf("%w: %s", errNoAnswer, l.first)
	}
	return report, ctx.Err()
}

// mostWarming clients warm up. An open loop has many, so that none is missing when something stalls.
const mostWarming = 32

// warmUp places orders that are not counted. One that is not accepted ends the run, since all others would not be either.
func (r *run) warmUp(ctx context.Context) error {
	load := Load{Orders: r.Warmup, Clients: min(r.Load.Clients, mostWarming), Mix: r.Load.Mix}
	requests, err := r.buyer.encodeOrders(newOrders(r.Warmup, r.Load.Mix))
	if err != nil {
		return err
	}
	l := r.work(ctx, "warm-up", load, requests)
	if l.first != "" && ctx.Err() == nil {
		return fmt.Errorf("warm-up: %s", l.first)
	}
	if _, left := l.underWay(0); left > 0 && ctx.Err() == nil {
		return fmt.Errorf("warm-up: %d of %d orders have not ended within %s", left, r.Warmup, r.Patience)
	}
	return ctx.Err()
}

// work places the orders of a load and waits until they have ended, or nothing ends any more.
func (r *run) work(ctx context.Context, phase string, load Load, requests []request) *ledger {
	l := newLedger()
	r.ledger.Store(l)
	var placing sync.WaitGroup
	placing.Go(func() { load.run(ctx, r.buyer, requests, l) })
	defer placing.Wait()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.calm:
			r.tell(phase, load, l)
			return l
		case <-ctx.Done():
			return l
		case <-ticker.C:
			if r.tell(phase, load, l); l.stalled(r.Patience) {
				return l
			}
		}
	}
}

func (r *run) tell(phase string, load Load, l *ledger) {
	p := Progress{Phase: phase, Of: load.Total()}
	p.Started, p.Accepted, p.Ended = l.progress()
	r.Progress(p)
}
