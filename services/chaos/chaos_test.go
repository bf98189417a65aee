package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain does not count the goroutines of a proxy that was given up; see replace. Which of them are left over depends on where each of them
// stood when the library hung, so all that it starts are named.
func TestMain(m *testing.M) {
	const library = "github.com/Shopify/toxiproxy/v2"
	var givenUp []goleak.Option
	for _, function := range []string{
		".(*Proxy).Stop", ".(*Proxy).server", ".(*Proxy).freeBlocker",
		".(*ToxicCollection).ResetToxics",
		".(*ToxicLink).AddToxic", ".(*ToxicLink).RemoveToxic", ".(*ToxicLink).RemoveToxic.func1", ".(*ToxicLink).read", ".(*ToxicLink).write",
		"/toxics.(*ToxicStub).Run",
	} {
		givenUp = append(givenUp, goleak.IgnoreAnyFunction(library+function))
	}
	goleak.VerifyTestMain(m, givenUp...)
}

var everybody = stage{
	processes: []string{"order-1", "order-2", "payment-1"},
	mortals:   []string{"order-1", "payment-1"},
	links:     []string{"order-1 to RabbitMQ", "order-1 to Postgres"},
	queues:    workQueues,
}

func TestTheSeedDecidesTheSchedule(t *testing.T) {
	one, same, other := newSchedule(7, 5*time.Minute, everybody), newSchedule(7, 5*time.Minute, everybody), newSchedule(8, 5*time.Minute, everybody)
	if !slices.Equal(one, same) {
		t.Error("the same seed gave two schedules")
	}
	if slices.Equal(one, other) {
		t.Error("two seeds gave the same schedule")
	}
	if len(one) < faultsInARun*3/4 || len(one) > faultsInARun*5/4 {
		t.Errorf("%d faults in five minutes", len(one))
	}
	for _, c := range deck {
		if !slices.ContainsFunc(one, func(f fault) bool { return f.Kind == c.kind }) {
			t.Errorf("five minutes without: %s", c.kind)
		}
	}
	for _, f := range one {
		if targets := append(slices.Concat(everybody.processes, everybody.links, everybody.queues), rabbitmq, postgres, ""); !slices.Contains(targets, f.Target) {
			t.Errorf("%v has a target that does not exist", f)
		}
	}
	for _, f := range newSchedule(7, 20*time.Second, everybody) {
		if f.Lasts > 5*time.Second || f.At > 20*time.Second {
			t.Errorf("%v is too long for a run of 20 seconds", f)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"-bug", "none-such"}, {"-duration", "1s"}, {"-rate", "0"}, {"-nonsense"}, {"now"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, errs.String())
		}
	}
}

// Every bug still finds the place that it spoils.
func TestBugsFitTheSource(t *testing.T) {
	for _, b := range bugs {
		overlay, err := b.overlay(t.TempDir())
		if err != nil {
			t.Error(err)
			continue
		}
		var replaced struct{ Replace map[string]string }
		if text, err := os.ReadFile(overlay); err != nil || json.Unmarshal(text, &replaced) != nil || len(replaced.Replace) == 0 {
			t.Errorf("%s: overlay %s, %v", b.name, text, err)
		}
		for original, changed := range replaced.Replace {
			before, _ := os.ReadFile(original)
			after, _ := os.ReadFile(changed)
			if len(after) == 0 || bytes.Equal(before, after) {
				t.Errorf("%s does not change %s", b.name, filepath.Base(original))
			}
		}
	}
}

// What the judge compares: an order of each sort as it should be, and then each way in which it should not.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	items := []item{{"book", 1, "5.00"}}
	good := func() (*judge, map[string]order) {
		b := &bank{ledger: map[string]account{
			"1": {charged: "5.00 EUR", parcel: true, items: contents(items)}, "2": {declined: true}, "3": {charged: "5.00 EUR", refunded: "5.00 EUR"},
		}}
		j := &judge{world: &world{bank: b}, shop: &shop{promises: []*promise{
			{article: &article{name: "plain", ends: []string{shipped}}, id: "1", total: "5.00", items: contents(items)},
			{article: &article{name: "declined", ends: []string{paymentFailed}}, id: "2", total: "5.00", items: contents(items)},
			{article: &article{name: "called off", cancel: true, ends: []string{shipped, calledOff}}, id: "3", total: "5.00", items: contents(items), cancelled: 202},
		}}}
		return j, map[string]order{
			"1": {ID: "1", Status: shipped, Total: "5.00", Currency: "EUR", Items: items},
			"2": {ID: "2", Status: "cancelled", CancelReason: paymentFailed, Total: "5.00", Currency: "EUR", Items: items},
			"3": {ID: "3", Status: "cancelled", CancelReason: calledOff, Total: "5.00", Currency: "EUR", Items: items},
		}
	}
	if j, orders := good(); len(j.compare(orders)) > 0 {
		j, orders = good()
		t.Fatalf("nothing is wrong, but %q", j.compare(orders))
	}
	for _, c := range []struct {
		want  string
		spoil func(*judge, map[string]order)
	}{
		{"was accepted as 1, and is not there", func(_ *judge, o map[string]order) { delete(o, "1") }},
		{"never answered", func(j *judge, o map[string]order) { j.shop.promises[1].id = ""; delete(o, "2") }},
		{"nobody knows of it", func(_ *judge, o map[string]order) { o["4"] = order{ID: "4"} }},
		{"ended as placed", func(_ *judge, o map[string]order) {
			o["1"] = order{ID: "1", Status: "placed", Total: "5.00", Currency: "EUR", Items: items}
		}},
		{"who was answered 409", func(j *judge, _ map[string]order) { j.shop.promises[2].cancelled = 409 }},
		{"is of 7.00", func(_ *judge, o map[string]order) {
			o["1"] = order{ID: "1", Status: shipped, Total: "7.00", Currency: "EUR", Items: items}
		}},
		{"but was placed for", func(_ *judge, o map[string]order) {
			o["1"] = order{ID: "1", Status: shipped, Total: "5.00", Currency: "EUR"}
		}},
		{"which is not there", func(j *judge, _ map[string]order) { j.bank.ledger["9"] = account{charged: "5.00 EUR"} }},
		{"the bank's books say", func(j *judge, _ map[string]order) { j.bank.ledger["1"] = account{charged: "5.00 EUR", parcel: true} }},
		{"cancellation of order 3", func(j *judge, _ map[string]order) { j.shop.promises[2].cancelled = 404 }},
		{"the bank's books say", func(j *judge, _ map[string]order) { j.bank.ledger["1"] = account{parcel: true} }},
		{"the bank's books say", func(j *judge, _ map[string]order) {
			j.bank.ledger["1"] = account{charged: "9.00 EUR", parcel: true, items: contents(items)}
		}},
		{"the bank's books say", func(j *judge, _ map[string]order) { j.bank.ledger["3"] = account{charged: "5.00 EUR"} }},
		{"the bank's books say", func(j *judge, _ map[string]order) {
			j.bank.ledger["3"] = account{charged: "5.00 EUR", refunded: "5.00 EUR", parcel: true}
		}},
		{"under its key", func(j *judge, _ map[string]order) { j.bank.strange = []string{"a parcel under its key"} }},
	} {
		j, orders := good()
		c.spoil(j, orders)
		if found := j.compare(orders); len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("found %q, want %q", found, c.want)
		}
	}
}

func TestTheBankSeesWhatIsWrong(t *testing.T) {
	ask := func(amount, reference, order, postal string) (r request) {
		r.Amount, r.Currency, r.PaymentMethod, r.Reference, r.OrderID = amount, "EUR", "pm_card", reference, order
		r.ShippingAddress.PostalCode = postal
		return r
	}
	for _, c := range []struct {
		want string
		do   func(*bank)
	}{
		{"", func(b *bank) {
			b.charge("1", ask("5.00", "", "", ""))
			b.charge("1", ask("5.00", "", "", ""))
			b.book("1", ask("", "", "1", undeliverable))
			b.refund("1", ask("5.00", "ch-1", "", ""))
		}},
		{"now 6.00 EUR", func(b *bank) { b.charge("1", ask("5.00", "", "", "")); b.charge("1", ask("6.00", "", "", "")) }},
		{"charged was", func(b *bank) { b.refund("1", ask("5.00", "ch-1", "", "")) }},
		{"on its way", func(b *bank) {
			b.charge("1", ask("5.00", "", "", ""))
			b.book("1", ask("", "", "1", ""))
			b.refund("1", ask("5.00", "ch-1", "", ""))
		}},
		{"a parcel, though", func(b *bank) { b.book("1", ask("", "", "1", "")) }},
		{"for order 2", func(b *bank) { b.charge("1", ask("5.00", "", "", "")); b.book("1", ask("", "", "2", "")) }},
	} {
		b := &bank{ledger: map[string]account{}}
		c.do(b)
		if strange := strings.Join(b.strange, "\n"); !strings.Contains(strange, c.want) || (c.want == "") != (strange == "") {
			t.Errorf("the bank says %q, want %q", strange, c.want)
		}
	}
}

// A proxy that cannot be cured is replaced, at the same address.
func TestProxiesThatHangAreReplaced(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	l, address, err := newWires().lay("payment-1", postgres, "tcp://"+echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.remove()
	hangs := l.proxy.Toxics
	defer hangs.Unlock() // at the end, so that nothing is left over
	if err := l.slow(hangs.Lock, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(address, "tcp://"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if text, err := io.ReadAll(conn); err != nil || string(text) != "hello" {
		t.Errorf("through the new proxy: %q %v", text, err)
	}
}

// What a process does that nobody had asked for is noted; the script stands in for the program.
func TestProcessesAreWatched(t *testing.T) {
	start := func(script string) *process {
		dir := t.TempDir()
		p := &process{name: "payment-1", service: "payment", binary: filepath.Join(dir, "program"), log: filepath.Join(dir, "log")}
		if err := os.WriteFile(p.binary, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	started := func(p *process) {
		if err := until(t.Context(), func() error {
			if text, err := os.ReadFile(p.log); err != nil || !bytes.Contains(text, []byte("started")) {
				return fmt.Errorf("log: %s %v", text, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		script, want string
		do           func(*process)
	}{
		{"exit 3", "ended by itself: exit status 3", func(p *process) { <-p.life.ended }},
		{"echo started; while :; do sleep 0.01; done", "on SIGTERM payment-1 ended with signal: terminated", func(p *process) { started(p); p.stop() }},
		{"trap 'exit 0' TERM; echo started; while :; do sleep 0.01; done", "", func(p *process) { started(p); p.stop() }},
		{"trap 'exit 1' TERM; echo started; while :; do sleep 0.01; done", "ended with exit status 1", func(p *process) { started(p); p.stop() }},
		{"while :; do sleep 0.01; done", "", func(p *process) { p.stop() }}, // too early to know better
	} {
		p := start(c.script)
		c.do(p)
		<-p.life.ended
		if fell := strings.Join((&fleet{processes: []*process{p}}).fell(), "\n"); !strings.Contains(fell, c.want) || (c.want == "") != (fell == "") {
			t.Errorf("%q: %q is noted, want %q", c.script, fell, c.want)
		}
	}
}

// chaos runs the whole program and returns its report.
func chaos(t *testing.T, want int, args ...string) (r report, err error) {
	var out, errs bytes.Buffer
	code := run(t.Context(), append(args, "-logs", t.TempDir()), &out, &errs)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); code != want || err != nil {
		return r, fmt.Errorf("chaos %v: exit code %d, want %d (%v)\n%s%s", args, code, want, err, errs.String(), out.String())
	}
	t.Logf("%s", lines[len(lines)-1])
	return r, nil
}

// The short form of a run.
func TestChaos(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r, err := chaos(t, exitDone, "-duration", "45s", "-race", "-rate", "12")
	if err != nil {
		t.Fatal(err)
	}
	if r.Faults < 20 || len(r.Injected) < 12 || r.Copies == 0 || r.Lost == 0 || r.Orders.Accepted < 200 || len(r.Orders.Ends) != 6 {
		t.Errorf("that was no chaos: %+v", r)
	}
}

// Each of the well-known mistakes is found within one run, which is long enough for faults to hit what it harms. The runs mostly wait, so
// they go side by side, whatever -parallel says.
func TestPlantedBugsAreFound(t *testing.T) {
	skipShort(t)
	t.Parallel()
	var group sync.WaitGroup
	wrong := make([]error, len(bugs))
	for i, b := range bugs {
		group.Go(func() {
			r, err := chaos(t, exitFound, "-bug", b.name, "-duration", "150s", "-rate", "12", "-patience", "15s")
			if found := strings.Join(r.Found, "\n"); err == nil && !strings.Contains(found, b.betrays) {
				err = fmt.Errorf("found by\n%.4000s\nwant %q", found, b.betrays)
			}
			if err != nil {
				wrong[i] = fmt.Errorf("%s: %w", b.name, err)
			}
		})
	}
	group.Wait()
	if err := errors.Join(wrong...); err != nil { // at the end, where the long reports of the others do not bury it
		t.Error(err)
	}
}

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs RabbitMQ and Postgres")
	}
}
