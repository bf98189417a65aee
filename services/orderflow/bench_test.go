package main_test

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/devtest"
)

// measured is what bench prints as JSON.
type measured struct {
	OK       bool
	Mode     string
	Orders   int
	Warmup   int
	Mix      map[string]float64
	Kinds    map[string]int
	Ends     map[string]int
	Seconds  float64
	NotSent  int `json:"not_sent"`
	Refused  map[string]int
	Cancels  map[string]int
	Errors   int
	Found    []string
	Accepted *float64           `json:"accepted_per_s"`
	Ended    *float64           `json:"ended_per_s"`
	Latency  map[string]float64 `json:"latency_ms"`
	HTTP     map[string]float64 `json:"http_ms"`
	CPU      map[string]float64 `json:"cpu_us_per_order"`
	Memory   map[string]float64 `json:"memory_peak_mib"`
	Unknown  map[string]string  `json:"not_measured"`
	Preload  *struct {
		Orders        int
		BytesPerOrder float64 `json:"bytes_per_order"`
	}
	Verify    *verdict
	FirstFail string `json:"first_error"`
}

// bench runs a bench against a program, and reads its JSON.
func bench(t *testing.T, p *program, code int, args ...string) measured {
	t.Helper()
	stdout, stderr, got := call(t, benchSettings(p), append([]string{"bench", "--json"}, args...)...)
	if got != code {
		t.Fatalf("bench %v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return unmarshal[measured](t, []byte(stdout))
}

func benchSettings(p *program) []string {
	return append(slices.Clone(p.settings), "ORDERFLOW_URL="+p.base)
}

// checkPercentiles checks that all are there, and in their order.
func checkPercentiles(t *testing.T, what string, p map[string]float64) {
	t.Helper()
	last := 0.0
	for _, name := range []string{"p50", "p90", "p95", "p99", "p99_9", "max"} {
		if p[name] <= 0 || p[name] < last {
			t.Errorf("%s: %s is %v, after %v", what, name, p[name], last)
		}
		last = p[name]
	}
}

// TestBench measures a program with orders of all kinds, at full speed and at a rate, and again when a promise is broken.
func TestBench(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)

	m := bench(t, p, 0, "--orders", "300", "--clients", "8", "--warmup", "20", "--mix", "declined=10,out_of_stock=6,cancelled=4")
	if want := map[string]int{"shipped": 240, "declined": 30, "out_of_stock": 18, "cancelled": 12}; !maps.Equal(m.Kinds, want) {
		t.Errorf("kinds %v, want %v", m.Kinds, want)
	}
	// What is called off right after it was placed may ship before shipping hears of it.
	if n := m.Ends["shipped"]; n+m.Ends["cancelled"] != 300 || n < 240 || n > 252 {
		t.Errorf("ends %v", m.Ends)
	}
	if m.Cancels["202"]+m.Cancels["409"] != 12 {
		t.Errorf("answers to cancelling: %v", m.Cancels)
	}
	if !m.OK || m.Mode != "closed" || m.Orders != 300 || m.Warmup != 20 || m.Seconds <= 0 || m.Errors+m.NotSent+len(m.Refused)+len(m.Found) > 0 {
		t.Errorf("%+v", m)
	}
	if m.Accepted == nil || m.Ended == nil || *m.Ended <= 0 || *m.Accepted < *m.Ended {
		t.Errorf("accepted/s %v, ended/s %v", m.Accepted, m.Ended)
	}
	checkPercentiles(t, "placed to shipped", m.Latency)
	checkPercentiles(t, "HTTP", m.HTTP)
	if m.HTTP["p50"] > m.Latency["p50"] {
		t.Errorf("orders have shipped within %v ms, before they were accepted after %v", m.Latency["p50"], m.HTTP["p50"])
	}
	for _, name := range []string{"broker", "postgres", "orderflow", "bench"} {
		// Servers in containers are not on this machine, as far as a process can see.
		if m.Unknown[name] != "" && name != "orderflow" && name != "bench" {
			t.Logf("%s is not measured: %s", name, m.Unknown[name])
		} else if m.CPU[name] <= 0 || m.CPU[name] > 1e6 || m.Memory[name] < 1 {
			t.Errorf("%s: %v µs/order, %v MiB; %v", name, m.CPU[name], m.Memory[name], m.Unknown)
		}
	}
	if m.Verify == nil || !m.Verify.OK || m.Verify.Orders["shipped"]+m.Verify.Orders["cancelled"] != 320 {
		t.Errorf("verify: %+v", m.Verify)
	}
	if s := get[stock](t, p.client, "/v1/stock/bench-1000"); s.OnHand+s.Shipped != 100_000_000 {
		t.Errorf("stock of the last product: %+v", s)
	}

	m = bench(t, p, 0, "--rate", "50", "--duration", "2s", "--warmup", "0")
	if m.Mode != "open" || m.Orders != 100 || m.Kinds["shipped"] != 100 || m.Ends["shipped"] != 100 || m.NotSent != 0 {
		t.Errorf("%+v", m)
	}
	checkPercentiles(t, "placed to shipped", m.Latency)

	stdout, _, code := call(t, benchSettings(p), "bench", "--orders", "20", "--warmup", "0")
	for _, want := range []string{"20 orders by 32 clients; 20 shipped\n", "placed → shipped", "CPU µs/order", "every promise holds"} {
		if !strings.Contains(stdout, want) || code != 0 {
			t.Errorf("exit code %d, and %q is not in\n%s", code, want, stdout)
		}
	}

	takeAway(t, env, "DELETE FROM payment.payments WHERE order_id = (SELECT min(order_id::text)::uuid FROM payment.payments)")
	m = bench(t, p, 3, "--orders", "20", "--warmup", "0", "--patience", "5s")
	if m.OK || m.Accepted != nil || m.Ended != nil || m.Latency != nil || m.HTTP != nil || m.CPU != nil || m.Memory != nil || len(m.Found) == 0 {
		t.Errorf("figures of a run with a broken promise: %+v", m)
	}
	if m.Verify == nil || m.Verify.OK || len(m.Verify.Broken) == 0 {
		t.Errorf("it is not told what is broken: %+v", m.Verify)
	}
	stdout, _, code = call(t, benchSettings(p), "bench", "--orders", "20", "--warmup", "0", "--patience", "5s")
	if code != 3 || strings.Contains(stdout, "µs") || !strings.Contains(stdout, "broken: ") {
		t.Errorf("exit code %d, and\n%s", code, stdout)
	}
}

// TestBenchPreload has orders of all kinds copied. The copies are orders like any other: they keep all promises, can be read, and what their
// events have done is not done again.
func TestBenchPreload(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	m := bench(t, p, 0, "--preload", "1000", "--orders", "20", "--warmup", "0", "--mix", "declined=10,out_of_stock=10,cancelled=10")
	if m.Preload == nil || m.Preload.Orders != 1000 || m.Preload.BytesPerOrder < 100 {
		t.Errorf("%+v", m.Preload)
	}
	if m.Verify == nil || !m.Verify.OK || m.Verify.Orders["shipped"]+m.Verify.Orders["cancelled"] != 1220 {
		t.Errorf("verify: %+v", m.Verify)
	}
	db, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for _, service := range []string{"orders", "payment", "inventory", "shipping"} {
		var old, original int // events that were handled, by when they were made
		err := db.QueryRow(t.Context(), fmt.Sprintf(`
			SELECT count(*) FILTER (WHERE handled_at < now() - interval '1 hour'), count(*) FILTER (WHERE handled_at >= now() - interval '1 hour')
			FROM %s.inbox`, service)).Scan(&old, &original)
		if err != nil || original < 100 || old < 4*original {
			t.Errorf("the inbox of %s has %d events of copies and %d others, %v", service, old, original, err)
		}
	}
	var oldest string
	if err := db.QueryRow(t.Context(), "SELECT min(order_id::text) FROM orders.orders").Scan(&oldest); err != nil {
		t.Fatal(err)
	}
	if o := get[map[string]any](t, p.client, "/v1/orders/"+oldest); o["status"] != "shipped" && o["status"] != "cancelled" {
		t.Errorf("the oldest order: %v", o)
	}
}

// takeAway spoils the tables.
func takeAway(t *testing.T, env devtest.Env, sql string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if tag, err := db.Exec(t.Context(), sql); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%s: %v, %v", sql, tag, err)
	}
}

// TestBenchUnended has an order that cannot end, since nobody charges.
func TestBenchUnended(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	run(t, settings(env), "serve", "payment").stop() // its queue is there
	p := run(t, settings(env), "serve", "order", "inventory", "shipping")
	m := bench(t, p, 3, "--orders", "3", "--warmup", "0", "--patience", "1s")
	if m.OK || m.Accepted != nil || m.Verify != nil || m.Orders != 3 || len(m.Found) != 1 || !strings.Contains(m.Found[0], "3 of 3 orders have not ended") {
		t.Errorf("%+v", m)
	}
}

// TestBenchStopped is stopped by Ctrl-C in the middle.
func TestBenchStopped(t *testing.T) {
	t.Parallel()
	p := serve(t, *devtest.New(t))
	cmd := invoke(t.Context(), benchSettings(p), "bench", "--rate", "50", "--duration", "1h", "--warmup", "0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	started(t, cmd)
	var text strings.Builder
	buffer := make([]byte, 1000)
	for !strings.Contains(text.String(), "accepted") {
		n, err := log.Read(buffer)
		if text.Write(buffer[:n]); err != nil {
			t.Fatalf("%v: %s", err, &text)
		}
	}
	cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(log)
	if code := exitCode(cmd.Wait()); code != 1 || !strings.Contains(string(rest), "orderflow: stopped: ") || strings.Contains(string(rest), "stopped: 0 orders") {
		t.Errorf("exit code %d, want 1: %s%s", code, &text, rest)
	}
}

func TestBenchWrongUse(t *testing.T) {
	nowhere := []string{"AMQP_URL=amqp://127.0.0.1:1", "DATABASE_URL=postgres://127.0.0.1:1/none", "ORDERFLOW_URL=http://127.0.0.1:1"}
	for _, c := range []struct {
		args string
		want string
	}{
		{"extra", "unknown command"},
		{"--orders 0", "--orders 0 is not from 1"},
		{"--orders -5", "--orders -5 is not from 1"},
		{"--clients 0", "--clients 0 is not from 1"},
		{"--warmup -1", "--warmup -1 is not from 0"},
		{"--preload -1", "--preload -1 is not from 0"},
		{"--patience 0s", "--patience 0s is not more than 0"},
		{"--rate 50", "--rate needs a --duration"},
		{"--rate 50 --duration -1s", "--rate needs a --duration"},
		{"--rate -1 --duration 1s", "--rate -1 is not more than 0"},
		{"--rate 0 --duration 1s", "--rate 0 is not more than 0"},
		{"--rate NaN --duration 1s", "--rate NaN is not more than 0"},
		{"--rate 0.1 --duration 1s", "is not even one order"},
		{"--rate 99999999 --duration 1h", "are more than"},
		{"--duration 10s", "--duration needs --rate"},
		{"--rate 50 --duration 1s --orders 5", "give one or the other"},
		{"--mix lost=5", `--mix: there is no kind "lost"`},
		{"--mix declined=60,cancelled=50", "--mix: the shares are 110 % together"},
		{"--mix declined=-1", "is not a number of percent"},
		{"--rate x", "invalid argument"},
	} {
		stdout, stderr, code := call(t, nowhere, append([]string{"bench"}, strings.Fields(c.args)...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, want 2 and %q: %s%s", c.args, code, c.want, stdout, stderr)
		}
	}
	for _, wrong := range []string{"ORDERFLOW_URL=nonsense", "ORDERFLOW_URL=ftp://host", "AMQP_URL=nonsense"} {
		if _, stderr, code := call(t, append(slices.Clone(nowhere), wrong), "bench"); code != 2 || !strings.Contains(stderr, strings.SplitN(wrong, "=", 2)[0]) {
			t.Errorf("%s: exit code %d, want 2: %s", wrong, code, stderr)
		}
	}
	if _, stderr, code := call(t, nowhere, "bench"); code != 1 || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("nobody there: exit code %d, want 1: %s", code, stderr)
	}
}
