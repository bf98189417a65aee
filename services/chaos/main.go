package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// The exit codes, as the program's own.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options of a run.
type options struct {
	seed     uint64
	duration time.Duration
	rate     float64
	bug      string
	race     bool
	logs     string
	patience time.Duration
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "decides what goes wrong, and when")
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "how long orders are placed, and things go wrong")
	flags.Float64Var(&o.rate, "rate", 20, "orders a second")
	flags.StringVar(&o.bug, "bug", "", "build the program with this mistake in it")
	flags.BoolVar(&o.race, "race", false, "build the program with the race detector")
	flags.StringVar(&o.logs, "logs", "", "keep the processes' logs in this directory; if empty they are kept where something is found")
	flags.DurationVar(&o.patience, "patience", 4*time.Minute, "how long to wait for the last order to end when nothing is wrong any more")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitDone
	} else if err != nil {
		return exitUsage
	}
	b, err := findBug(o.bug)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.duration < 10*time.Second || o.duration > 24*time.Hour:
		err = fmt.Errorf("-duration %s is not between 10s and 24h", o.duration)
	case o.rate <= 0 || o.rate > 1000:
		err = fmt.Errorf("-rate %v is not between 0 and 1000", o.rate)
	}
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return exitUsage
	}
	began := time.Now()
	say := func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }
	r, err := o.run(ctx, b, say)
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return exitFailed
	}
	r.Took = time.Since(began).Round(time.Second).String()
	for _, f := range r.Found {
		say("FOUND  %s", f)
	}
	line, err := json.Marshal(r)
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return exitFailed
	}
	say("%s", line)
	if !r.OK {
		return exitFound
	}
	return exitDone
}

// report is what a run did and found.
type report struct {
	Seed      uint64   `json:"seed"`
	Duration  string   `json:"duration"`
	Took      string   `json:"took"`
	Bug       string   `json:"bug,omitempty"`
	OK        bool     `json:"ok"`
	Processes []string `json:"processes"`
	Orders    orders   `json:"orders"`
	Faults    int      `json:"faults"`
	Injected  injected `json:"injected"`
	Copies    int      `json:"events_doubled"`
	Lost      int      `json:"answers_lost"` // of gateway and carrier, on purpose
	Ended     string   `json:"ended_after"`  // how long after the last fault the last order had ended
	Found     []string `json:"found"`
	Verify    verdict  `json:"verify"`
}

type orders struct {
	Accepted int            `json:"accepted"`
	Again    int            `json:"requests_sent_again"`
	Ends     map[string]int `json:"ends"`
}

const (
	startPatience = 4 * time.Minute // longer than START_TIMEOUT, so that a process has said why it cannot
	healPatience  = 2 * time.Minute // until every process is ready after the last fault
	askPatience   = time.Minute     // until every customer has an answer after that
)

// run is one run, from the build to the report. An error says that it did not come to a trial.
func (o options) run(ctx context.Context, b *bug, say func(string, ...any)) (r *report, err error) {
	dir, err := o.directory()
	if err != nil {
		return nil, err
	}
	defer func() {
		if o.logs == "" && err == nil && r.OK {
			os.RemoveAll(dir)
		} else {
			say("logs and binary are in %s", dir)
		}
	}()
	say("chaos with seed %d for %s at %v orders/s", o.seed, o.duration, o.rate)
	binary, err := build(ctx, dir, o.race, b)
	if err != nil {
		return nil, err
	}
	servers, err := devtest.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer servers.Stop()
	say("RabbitMQ and Postgres are %s", servers.Source)
	bank, err := openBank(o.seed)
	if err != nil {
		return nil, err
	}
	defer bank.close()
	chance, number := rand.New(rand.NewPCG(o.seed, 0)), map[string]int{}
	for _, service := range services {
		number[service] = 1 + chance.IntN(2)
	}
	fleet, err := newFleet(dir, binary, number, servers.AMQPURL, servers.DatabaseURL, "GATEWAY_URL="+bank.url+"/gateway", "CARRIER_URL="+bank.url+"/carrier")
	if err != nil {
		return nil, err
	}
	defer fleet.stop()
	if err := fleet.start(); err != nil {
		return nil, err
	}
	starting, done := context.WithTimeout(ctx, startPatience)
	defer done()
	if err := fleet.ready(starting); err != nil {
		return nil, err
	}
	tap, err := openTap(starting, o.seed, servers.AMQPURL)
	if err != nil {
		return nil, err
	}
	defer tap.close()
	listening, deafen := context.WithCancel(ctx)
	defer deafen()
	tap.run(listening)

	j := &judge{
		world: &world{servers: servers, fleet: fleet, bank: bank, tap: tap, say: say}, shop: newShop(fleet, tap, o.seed, o.rate), binary: binary,
		env: []string{"AMQP_URL=" + servers.AMQPURL, "DATABASE_URL=" + servers.DatabaseURL},
	}
	if err := j.shop.open(starting, int(o.rate*o.duration.Seconds())); err != nil {
		return nil, err
	}
	stage := fleet.stage(chance.Int(), workQueues)
	r = &report{Seed: o.seed, Duration: o.duration.String(), Bug: o.bug, Processes: stage.processes, Found: []string{}}
	o.trial(ctx, j, stage, r)
	r.OK = len(r.Found) == 0
	return r, nil
}

// directory is where binary and logs go.
func (o options) directory() (string, error) {
	if o.logs == "" {
		return os.MkdirTemp("", "orderflow-chaos-*")
	}
	dir, err := filepath.Abs(o.logs)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	return dir, err
}

// trial places orders while things go wrong, waits until everything has come to rest, and notes what is not as it was promised. What
// keeps it from looking is a finding, too: everything had worked before.
func (o options) trial(ctx context.Context, j *judge, stage stage, r *report) {
	find := func(found ...string) { r.Found = append(r.Found, found...) }
	check := func(err error) {
		if err != nil {
			find(err.Error())
		}
	}
	before, err := j.fleet.goroutines(ctx)
	check(err)

	j.say("%s run; the load begins", strings.Join(stage.processes, ", "))
	began := time.Now()
	tell := func(what string) { j.say("%6.1fs  %s", time.Since(began).Seconds(), what) }
	asking, hangUp := context.WithCancel(ctx)
	defer hangUp()
	selling, stopSelling := context.WithTimeout(asking, o.duration)
	defer stopSelling()
	j.shop.group.Go(func() { j.shop.trade(asking, selling) })
	r.Injected, err = j.play(ctx, newSchedule(o.seed, o.duration, stage))
	check(err)
	for _, n := range r.Injected {
		r.Faults += n
	}
	<-selling.Done()
	healed := time.Now()
	tell("nothing is wrong any more; everything has to come right by itself")

	healing, done := context.WithTimeout(ctx, healPatience)
	defer done()
	check(j.fleet.revive())
	check(j.fleet.ready(healing))
	last := time.AfterFunc(askPatience, hangUp)
	defer last.Stop()
	j.shop.group.Wait()
	verdict, found, err := j.verify(ctx, o.patience)
	check(err)
	find(found...)
	r.Ended = time.Since(healed).Round(time.Second).String()
	tell("every order has ended, or is given up")
	j.tap.late.Wait()
	find(j.quiet(ctx, o.patience)...)
	tell("every queue is empty, or is given up")

	// Once more, after the last copies have come.
	if verdict.OK {
		verdict, found, err = j.verify(ctx, 0)
		check(err)
		find(found...)
	}
	r.Verify = verdict
	all, err := j.orders(ctx)
	check(err)
	r.Orders = orders{Accepted: len(all), Again: j.shop.again, Ends: map[string]int{}}
	for _, o := range all {
		r.Orders.Ends[o.end()]++
	}
	find(j.compare(all)...)
	find(j.tap.repeated()...)
	letters, err := j.deadLetters(ctx, stage.queues)
	check(err)
	find(letters...)
	find(j.leftovers(ctx, before)...)
	tell("every process is to stop")
	j.fleet.stop()
	find(j.fleet.fell()...)
	find(j.nothing(ctx)...)
	find(j.fleet.complaints()...)
	r.Copies, r.Lost = j.tap.count(), j.bank.lostAnswers()
}
