package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/postgres"
	"orderflow/services/bench"
	"orderflow/services/order"
	"orderflow/services/preload"
	"orderflow/services/verify"
)

// benched is what bench prints as JSON.
type benched struct {
	OK bool `json:"ok"`
	*bench.Report
	Preload *preload.Report `json:"preload,omitempty"`
	Verify  *verified       `json:"verify,omitempty"` // none where orders have not ended
}

// The clients of the two loops, if nothing is said.
const (
	closedClients = 32
	openClients   = 256
)

// proofPatience is how long verify may wait for what is left to do when the last order has ended, such as the outbox.
const proofPatience = 10 * time.Second

// mostOrders of an open loop, and most clients, that are taken for no mistake.
const (
	mostOrders  = 100_000_000
	mostClients = 10_000
)

type benchFlags struct {
	load     bench.Load
	mix      string
	preload  int
	warmup   int
	patience time.Duration
}

func newBench() *cobra.Command {
	var flags benchFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running orderflow: orders/s, latency, CPU time, memory",
		Long: `Place orders over HTTP, hear of their ends from their events as any other service would, and tell how fast that went; at the end prove
by verify that every promise holds. Where one does not, or an order does not end, there are no figures.

By --orders, clients place one order after the other (a closed loop); one that is told by 503 and Retry-After to come back later does.
By --rate and --duration, orders are placed at that rate whatever becomes of them (an open loop), and latency counts from the moment at
which the request was to be sent. --clients bounds the requests at a time in both; what could not be sent for want of a client until the
end is counted as not sent.

The API is found by ORDERFLOW_URL (http://127.0.0.1:8080); where it asks for a key, ORDERFLOW_KEY has one with orders:read, orders:write
and stock:write. RabbitMQ and Postgres are found by AMQP_URL and DATABASE_URL; orderflow up -- orderflow bench sets them all. CPU time and memory are told of processes on this machine that the user may look at: servers are found by the ports
on which they listen, services by their connections to RabbitMQ. The products bench-1 … bench-1000 are put into stock where they are missing.

By --preload the database gets a past first: copies of orders that have gone through, at times before, in the tables of all services. They
stay there.

JSON is one object:
  ok                  whether all orders have ended as they were meant to, and every promise holds
  mode                closed or open; clients, rate, warmup, mix as they were asked for
  orders              how many were accepted; kinds, what they were meant to come to; ends, what became of them
  seconds             from the first request to the last end
  refused             answers to placing other than 201, by status; cancels, answers to cancelling; errors, requests without an answer;
                      first_error, the first answer that was neither right nor 503; not_sent
  accepted_per_s, ended_per_s
  latency_ms          of orders that were to ship, from placing to OrderShipped: p50, p90, p95, p99, p99_9, max; http_ms, of the 201;
                      refused_ms, of the 503
  cpu_us_per_order    CPU time of broker, postgres, orderflow, bench
  written_bytes_per_order   to disks, of the same, where the system tells it; of processes that live to the end
  memory_peak_mib     the most resident memory that was seen, looking once a second; what processes share counts once
  not_measured        why there are no such figures of a server
  preload             orders that were made before, the seconds that took, bytes_per_order on disk
  found               what is wrong, instead of the figures
  verify              what verify prints

Exit code: 3 where a promise is broken, or an order has not ended as it was meant to.`,
		Example: `  orderflow bench
  orderflow bench --orders 100000 --mix declined=5,out_of_stock=2,cancelled=3
  orderflow bench --rate 50 --duration 30s --json
  orderflow bench --preload 3000000`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			result, err := runBench(cmd, flags)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), result)
			} else {
				printBenched(cmd.OutOrStdout(), result)
			}
			if err == nil && !result.OK {
				return &exitError{code: exitFound}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.load.Orders, "orders", 10_000, "how many orders to place in a closed loop")
	f.IntVar(&flags.load.Clients, "clients", closedClients, fmt.Sprintf("how many requests at a time; %d in an open loop", openClients))
	f.Float64Var(&flags.load.Rate, "rate", 0, "orders a second in an open loop")
	f.DurationVar(&flags.load.Duration, "duration", 0, "how long to place orders in an open loop")
	f.IntVar(&flags.warmup, "warmup", 500, "how many orders to place before, which are not counted")
	f.IntVar(&flags.preload, "preload", 0, "how many ended orders to make before, as copies in the database")
	f.StringVar(&flags.mix, "mix", "", "percent of the orders that are declined, out_of_stock, cancelled; the others are to ship")
	f.DurationVar(&flags.patience, "patience", time.Minute, "how long to wait, after the last order was placed, for the next one to end")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// check finds what is wrong with the flags, before anything is dialled.
func (b *benchFlags) check(cmd *cobra.Command) (err error) {
	given := cmd.Flags().Changed
	if given("rate") && !given("clients") {
		b.load.Clients = openClients
	}
	switch l := b.load; {
	case given("rate") && !(l.Rate > 0 && l.Rate < mostOrders):
		return usagef("--rate %v is not more than 0, or too large", l.Rate)
	case given("rate") && l.Duration <= 0:
		return usagef("--rate needs a --duration of more than 0, such as 30s")
	case given("duration") && !given("rate"):
		return usagef("--duration needs --rate; without them --orders says how many orders to place")
	case given("rate") && given("orders"):
		return usagef("--orders is for a closed loop, --rate and --duration are for an open one: give one or the other")
	case l.Rate*l.Duration.Seconds() > mostOrders:
		return usagef("--rate %v for %s are more than %d orders", l.Rate, l.Duration, mostOrders)
	case l.Total() < 1 && l.Open():
		return usagef("--rate %v for %s is not even one order", l.Rate, l.Duration)
	case l.Total() < 1 || l.Total() > mostOrders:
		return usagef("--orders %d is not from 1 to %d", l.Orders, mostOrders)
	case l.Clients < 1 || l.Clients > mostClients:
		return usagef("--clients %d is not from 1 to %d", l.Clients, mostClients)
	case b.warmup < 0 || b.warmup > mostOrders:
		return usagef("--warmup %d is not from 0 to %d", b.warmup, mostOrders)
	case b.preload < 0 || b.preload > mostOrders:
		return usagef("--preload %d is not from 0 to %d", b.preload, mostOrders)
	case b.patience <= 0:
		return usagef("--patience %s is not more than 0", b.patience)
	}
	if b.load.Mix, err = bench.ParseMix(b.mix); err != nil {
		return usagef("--mix: %w", err)
	}
	return nil
}

func runBench(cmd *cobra.Command, flags benchFlags) (result benched, err error) {
	cfg, err := loadConfig()
	if err != nil {
		return result, err
	}
	api := strings.TrimSuffix(cmp.Or(os.Getenv("ORDERFLOW_URL"), "http://127.0.0.1:8080"), "/")
	if u, err := url.Parse(api); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return result, usagef("configuration: ORDERFLOW_URL: not a URL such as http://127.0.0.1:8080")
	}
	if err := reachable(cmd.Context(), cfg); err != nil {
		return result, err
	}
	progress := newProgress(cmd.ErrOrStderr())
	measure := bench.Config{
		URL: api, Key: os.Getenv("ORDERFLOW_KEY"), AMQPURLs: cfg.AMQPURLs, DatabaseURL: cfg.DatabaseURL,
		Log:  slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Load: flags.load, Warmup: flags.warmup, Patience: flags.patience, Progress: progress.tell,
	}
	if flags.preload > 0 {
		result.Preload, err = runPreload(cmd, measure, flags.preload)
		progress.end()
		if err != nil {
			return result, fmt.Errorf("preload: %w", err)
		}
	}
	result.Report, err = bench.Run(cmd.Context(), measure)
	progress.end()
	if errors.Is(err, context.Canceled) {
		return result, stopped(result.Report)
	}
	if err != nil || len(result.Found) > 0 {
		return result, err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "verify")
	proof, err := runVerify(cmd, verify.Config{Wait: min(flags.patience, proofPatience), Deadline: flags.patience, Limit: 20}, false)
	if err != nil {
		return result, fmt.Errorf("verify: %w", err)
	}
	if proof.DeadLettersError != "" {
		return result, fmt.Errorf("verify: dead letters were not counted: %s", proof.DeadLettersError)
	}
	result.Verify, result.OK = &proof, proof.OK
	if !proof.OK {
		result.Found, result.Figures = append(result.Found, "promises are broken, see verify"), nil
	}
	return result, nil
}

// runPreload places the orders that are copied then, and makes the copies.
func runPreload(cmd *cobra.Command, measure bench.Config, orders int) (*preload.Report, error) {
	load := bench.Load{Orders: min(preload.Originals, orders), Clients: measure.Load.Clients, Mix: measure.Load.Mix}
	originals := measure
	originals.Load, originals.Warmup = load, 0
	placed, err := bench.Run(cmd.Context(), originals)
	if err != nil {
		return nil, err
	}
	if len(placed.Found) > 0 {
		return nil, errors.New(placed.Found[0])
	}
	// Until verify finds nothing left to do, the services have not written everything down of orders whose end was heard.
	proof, err := runVerify(cmd, verify.Config{Wait: measure.Patience, Deadline: measure.Patience, Limit: 1}, false)
	if err != nil {
		return nil, err
	}
	if !proof.OK {
		return nil, errors.New("a promise is broken before it begins, see orderflow verify")
	}
	return preload.Run(cmd.Context(), preload.Config{
		DatabaseURL: measure.DatabaseURL, Orders: orders,
		Progress: func(made int) { measure.Progress(bench.Progress{Phase: "preload", Ended: made, Of: orders}) },
	})
}

// reachable tells before a run whether verify will find the database after it.
func reachable(ctx context.Context, cfg config) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: order.Schema, Name: "orderflow bench"})
	if err == nil {
		db.Close()
	}
	return err
}

// stopped says what a run had that was stopped.
func stopped(r *bench.Report) error {
	if r == nil {
		return errors.New("stopped before the first order")
	}
	ended := 0
	for _, n := range r.Ends {
		ended += n
	}
	return fmt.Errorf("stopped: %d orders were accepted, of which %d have ended", r.Orders, ended)
}

func printBenched(w io.Writer, b benched) {
	if b.Figures == nil {
		for _, what := range b.Found {
			fmt.Fprintln(w, what)
		}
		if b.FirstFail != "" {
			fmt.Fprintln(w, "the first answer that was not right:", b.FirstFail)
		}
		if b.Verify != nil {
			printVerified(w, *b.Verify)
		} else {
			fmt.Fprintln(w, "there are no figures; orderflow verify and orderflow dlq list may tell more")
		}
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	load := fmt.Sprintf("%d orders by %d clients", b.Orders, b.Clients)
	if b.Mode == "open" {
		load = fmt.Sprintf("%d orders, %v a second", b.Orders, b.Rate)
	}
	fmt.Fprintf(table, "load\t%s; %s\n", load, sorted(b.Kinds))
	fmt.Fprintf(table, "ends\t%s, after %.2f s\n", sorted(b.Ends), b.Seconds)
	fmt.Fprintf(table, "accepted\t%.0f/s\n", b.AcceptedPerS)
	fmt.Fprintf(table, "ended\t%.0f/s\n", b.EndedPerS)
	if b.NotSent > 0 {
		fmt.Fprintf(table, "not sent\t%d orders: no client was free until the end\n", b.NotSent)
	}
	for _, status := range slices.Sorted(maps.Keys(b.Refused)) {
		fmt.Fprintf(table, "refused\t%d with %d\n", b.Refused[status], status)
	}
	if b.Errors > 0 {
		fmt.Fprintf(table, "errors\t%d requests without an answer\n", b.Errors)
	}
	if b.FirstFail != "" {
		fmt.Fprintf(table, "first error\t%s\n", plain(b.FirstFail))
	}
	table.Flush()
	fmt.Fprintln(w)

	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "ms\tp50\tp90\tp95\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		*bench.Percentiles
	}{{"placed → shipped", b.Latency}, {"HTTP", b.HTTP}} {
		if p := row.Percentiles; p != nil {
			fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", row.name, p.P50, p.P90, p.P95, p.P99, p.P999, p.Max)
		}
	}
	table.Flush()
	fmt.Fprintln(w)

	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tCPU µs/order\tmemory peak MiB\t")
	for _, name := range slices.Sorted(maps.Keys(b.CPU)) {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t\n", name, b.CPU[name], b.MemoryPeak[name])
	}
	table.Flush()
	for _, name := range slices.Sorted(maps.Keys(b.NotMeasurable)) {
		fmt.Fprintf(w, "%s is not measured: %s\n", name, b.NotMeasurable[name])
	}
	if b.Preload != nil {
		fmt.Fprintf(w, "preloaded %d orders in %.0f s, %.0f bytes each on disk\n", b.Preload.Orders, b.Preload.Seconds, b.Preload.BytesPerOrder)
	}
	fmt.Fprintln(w)
	printTotals(w, *b.Verify)
	fmt.Fprintln(w, "every promise holds")
}

// sorted is "95 shipped, 5 declined", without what there is none of.
func sorted(counts map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			all = append(all, fmt.Sprintf("%d %s", counts[name], name))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}
