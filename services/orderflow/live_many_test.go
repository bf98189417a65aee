package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/devtest"
)

// idle opens a stream by hand and keeps it open: a client would take more memory than the server.
func idle(t testing.TB, address, order string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /v1/orders/%s/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", order)
	status, err := bufio.NewReaderSize(io.LimitReader(conn, 64), 64).ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 200") {
		return fmt.Errorf("%q, %w", status, err)
	}
	return nil
}

// Thousands listen to orders of which nothing happens. They take little memory and next to no CPU time, and when something happens they hear of
// it at once.
func TestManyIdleListeners(t *testing.T) {
	t.Parallel()
	const listeners, orders = 3000, 300
	env := *devtest.New(t)
	p := run(t, settings(env), "serve", "order")
	var ids []string
	for range orders {
		ids = append(ids, place(t, p.client, goodOrder("customer-who-listens")).OrderID)
	}
	metrics := []string{"process_resident_memory_bytes", "go_memstats_stack_inuse_bytes", "go_memstats_heap_inuse_bytes"}
	before := gauges(t, p.client, metrics)
	var group errgroup.Group
	group.SetLimit(32)
	for i := range listeners {
		group.Go(func() error { return idle(t, hostOf(t, p.base), ids[i%orders]) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	watchers(t, p.client, listeners)
	for i, after := range gauges(t, p.client, metrics) {
		each := (after - before[i]) / listeners / 1024
		t.Logf("%s of a listener: %.1f KiB", metrics[i], each)
		if most := 64.0; each > most && i > 0 { // the race detector takes memory of its own
			t.Errorf("that is more than %v", most)
		}
	}
	began, used := time.Now(), cpuSeconds(t, p.client)
	<-time.After(3 * time.Second)
	rest := (cpuSeconds(t, p.client) - used) / time.Since(began).Seconds()
	t.Logf("at rest they take %.1f %% of a CPU", 100*rest)

	l := listen(t, p.client, ids[0], "")
	l.until(t, "OrderPlaced")
	stock := run(t, settings(env), "serve", "inventory")
	putStock(t, stock.client, "book", 1000)
	putStock(t, stock.client, "lamp", 1000)
	run(t, settings(env), "serve", "payment", "shipping") // when the stock is there, else the first order is taken back
	wantWhole(t, append(l.until(t, ""), sent{kind: "OrderPlaced"}))
	if after := gauge(t, p.client, "orderflow_timeline_streams_cut_total"); after != 0 {
		t.Errorf("%v were cut off", after)
	}
	watchers(t, p.client, 0)
}

func gauges(t testing.TB, c *client, names []string) []float64 {
	t.Helper()
	values := make([]float64, len(names))
	for i, name := range names {
		values[i] = gauge(t, c, name)
	}
	return values
}
