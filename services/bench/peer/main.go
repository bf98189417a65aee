package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// The exit codes, as orderflow's own.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // verify found something, so there are no figures
)

// tuning is what Watermill leaves to its user.
type tuning struct {
	handlers    int           // subscriptions per queue
	prefetch    int           // messages that a subscription is sent ahead
	forwarders  int           // outbox topics per service
	batch       int           // rows that a forwarder reads at once
	poll        time.Duration // how long a forwarder waits after it has found nothing
	connections int           // to Postgres, at most
}

// MarshalJSON says the settings in the words of the flags.
func (t tuning) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"handlers": t.handlers, "prefetch": t.prefetch, "forwarders": t.forwarders, "batch": t.batch, "poll": t.poll.String(), "connections": t.connections,
	})
}

// options of a run.
type options struct {
	amqpURL, databaseURL string
	orders, placers      int
	warmup               int
	rate                 float64
	duration             time.Duration
	http                 bool
	limit                time.Duration
	tuning               tuning
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, "peer:", err)
		return exitUsage
	}
	r, err := o.run(ctx)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(r)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "peer:", err)
		return exitFailed
	case !r.Verify.OK:
		fmt.Fprintln(stderr, "peer: what it promised does not hold, so there are no figures")
		return exitFound
	}
	return exitDone
}

// parse reads the flags and the environment, and says what is wrong with them.
func parse(args []string, getenv func(string) string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("peer", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.orders, "orders", 10_000, "orders of the burst; 0: no burst")
	f.IntVar(&o.placers, "placers", 32, "who place them, at the same time")
	f.IntVar(&o.warmup, "warmup", 500, "orders before it, that do not count")
	f.Float64Var(&o.rate, "rate", 50, "orders a second after the burst, to measure latency; 0: none")
	f.DurationVar(&o.duration, "duration", 20*time.Second, "how long orders are placed at the rate")
	f.BoolVar(&o.http, "http", false, "place orders by HTTP")
	f.DurationVar(&o.limit, "limit", 5*time.Minute, "how long all of it may take")
	f.IntVar(&o.tuning.handlers, "handlers", 2, "subscriptions per queue")
	f.IntVar(&o.tuning.prefetch, "prefetch", 100, "messages that a subscription is sent ahead")
	f.IntVar(&o.tuning.forwarders, "forwarders", 6, "outbox topics per service, with a forwarder each")
	f.IntVar(&o.tuning.batch, "batch", 100, "rows that a forwarder reads at once")
	f.DurationVar(&o.tuning.poll, "poll", 10*time.Millisecond, "how long a forwarder waits after it has found nothing")
	f.IntVar(&o.tuning.connections, "connections", 100, "to Postgres, at most")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.amqpURL, o.databaseURL = getenv("AMQP_URL"), getenv("DATABASE_URL")
	return o, o.check()
}

func (o options) check() error {
	var wrong []error
	for _, number := range []struct {
		name               string
		value, least, most float64
	}{
		{"orders", float64(o.orders), 0, 10_000_000}, {"placers", float64(o.placers), 1, 1000}, {"warmup", float64(o.warmup), 0, 1_000_000},
		{"rate", o.rate, 0, 100_000}, {"handlers", float64(o.tuning.handlers), 1, 100}, {"prefetch", float64(o.tuning.prefetch), 1, 65535},
		{"forwarders", float64(o.tuning.forwarders), 1, 50}, {"batch", float64(o.tuning.batch), 1, 10_000},
		{"connections", float64(o.tuning.connections), 1, 1000},
	} {
		if !(number.value >= number.least && number.value <= number.most) {
			wrong = append(wrong, fmt.Errorf("-%s must be from %v to %v, is %v", number.name, number.least, number.most, number.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"duration", o.duration}, {"limit", o.limit}, {"poll", o.tuning.poll}} {
		if d.value <= 0 {
			wrong = append(wrong, fmt.Errorf("-%s must be more than 0, is %s", d.name, d.value))
		}
	}
	if o.rate > 0 && o.rate*o.duration.Seconds() < 1 {
		wrong = append(wrong, fmt.Errorf("-rate %v for -duration %s is not one order", o.rate, o.duration))
	}
	if o.orders == 0 && o.rate == 0 {
		wrong = append(wrong, errors.New("-orders 0 and -rate 0 leave nothing to do"))
	}
	if o.amqpURL == "" || o.databaseURL == "" {
		wrong = append(wrong, errors.New("AMQP_URL and DATABASE_URL must be set"))
	}
	return errors.Join(wrong...)
}

// run makes the tables and queues, measures, and removes them.
func (o options) run(ctx context.Context) (r result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %s", o.limit))
	defer cancel()
	meter, err := newMeter(o)
	if err != nil {
		return r, err
	}
	db, err := openDatabase(ctx, o.databaseURL, o.tuning.connections)
	if err != nil {
		return r, err
	}
	defer db.Close()
	if err := createTables(ctx, db, productIDs()); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, dropTables(context.WithoutCancel(ctx), db)) }()

	var l load
	flow := &workflow{
		db: db, shipped: l.shipped,
		outbox: newOutbox(o.tuning),
	}
	l.place = flow.place
	if o.http {
		e := &edge{place: flow.place}
		address, err := e.serve()
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, e.stop()) }()
		l.place = newClient(address, max(o.placers, int(o.rate))).place
	}
	b, err := newBus(o.amqpURL, o.tuning, flow)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.stop(), deleteQueues(o.amqpURL, flow.subscriptions())) }()
	if ctx, err = b.start(ctx); err != nil {
		return r, err
	}
	r = result{
		Program: "peer", HTTP: o.http, Go: runtime.Version(), Settings: o.tuning, Orders: o.orders, Placers: o.placers, Rate: o.rate, Duration: o.duration.String(),
	}
	placed, err := o.measure(ctx, &l, flow, meter, &r)
	if err != nil {
		return r, err
	}
	r.Verify, err = verify(ctx, db, placed)
	return r, err
}

// measure is the warm-up, the burst and the rate, one after the other. It returns how many orders it has placed.
func (o options) measure(ctx context.Context, l *load, w *workflow, m meter, r *result) (placed int, err error) {
	if o.warmup > 0 {
		if _, _, err := l.burst(ctx, o.warmup, o.placers); err != nil {
			return 0, err
		}
		placed += o.warmup
		if err := handled(ctx, w.db, placed); err != nil {
			return placed, err
		}
	}
	if o.orders > 0 {
		before, err := m.read()
		if err != nil {
			return placed, err
		}
		accepted, ended, err := l.burst(ctx, o.orders, o.placers)
		if err != nil {
			return placed, err
		}
		after, err := m.read()
		if err != nil {
			return placed, err
		}
		placed += o.orders
		r.AcceptedPerS, r.EndedPerS, r.CPUUsPerOrder = perSecond(o.orders, accepted), perSecond(o.orders, ended), spent(before, after, o.orders)
		if err := handled(ctx, w.db, placed); err != nil {
			return placed, err
		}
	}
	if o.rate > 0 {
		took, err := l.steady(ctx, o.rate, o.duration)
		if err != nil {
			return placed, err
		}
		placed += int(o.rate * o.duration.Seconds())
		r.LatencyMs = &took
		if err := handled(ctx, w.db, placed); err != nil {
			return placed, err
		}
	}
	return placed, nil
}
