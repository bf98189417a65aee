package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// judge looks for whatever is not as it was promised, after everything has come to rest.
type judge struct {
	*world
	shop   *shop
	binary string
	env    []string // addresses of the servers, not of proxies
}

// order is an order as the API tells it.
type order struct {
	ID           string `json:"order_id"`
	Status       string `json:"status"`
	CancelReason string `json:"cancel_reason"`
	Total        string `json:"total_amount"`
	Currency     string `json:"currency"`
	Items        []item `json:"items"`
}

func (o order) end() string {
	if o.CancelReason != "" {
		return o.CancelReason
	}
	return o.Status
}

// orders reads all orders that there are. A process that has much to catch up with is asked again.
func (j *judge) orders(ctx context.Context) (map[string]order, error) {
	all := map[string]order{}
	for cursor := ""; ; {
		var page struct {
			Orders []order
			Next   string `json:"next_cursor"`
		}
		limited, stop := context.WithTimeout(ctx, time.Minute)
		err := until(limited, func() error {
			return j.fleet.get(limited, j.fleet.of("order")[0], "/v1/orders?limit=100&cursor="+cursor, &page)
		})
		stop()
		if err != nil {
			return nil, err
		}
		for _, o := range page.Orders {
			all[o.ID] = o
		}
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// compare holds what became of the orders against what the shop was promised, and against the bank's books.
func (j *judge) compare(orders map[string]order) (found []string) {
	j.bank.mu.Lock()
	defer j.bank.mu.Unlock()
	known := map[string]bool{}
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range j.shop.promises {
		o, exists := orders[p.id]
		switch {
		case p.id == "":
			complain("order %s (%s) was never answered", p.key, p.name)
			continue
		case !exists:
			complain("order %s (%s) was accepted as %s, and is not there", p.key, p.name, p.id)
			continue
		}
		known[p.id] = true
		if o.Total != p.total || contents(o.Items) != p.items {
			complain("order %s (%s) is of %s %s, but was placed for %s %s", p.id, p.name, o.Total, contents(o.Items), p.total, p.items)
		}
		if !slices.Contains(p.ends, o.end()) {
			complain("order %s (%s) ended as %s, want %s", p.id, p.name, o.end(), strings.Join(p.ends, " or "))
		}
		// The first of two requests may have been heard, and its answer lost.
		if o.end() == calledOff && p.cancelled != http.StatusAccepted && !p.unsure {
			complain("order %s (%s) is cancelled by its customer, who was answered %d", p.id, p.name, p.cancelled)
		}
		if p.cancel && p.cancelled != http.StatusAccepted && p.cancelled != http.StatusConflict {
			complain("the cancellation of order %s (%s) was answered %d", p.id, p.name, p.cancelled)
		}
		found = append(found, j.bank.audit(o)...)
	}
	for id := range orders {
		if !known[id] {
			complain("order %s is there, and nobody knows of it", id)
		}
	}
	for id := range j.bank.ledger {
		if _, exists := orders[id]; !exists {
			complain("the bank has done something for order %s, which is not there", id)
		}
	}
	return append(found, j.bank.strange...)
}

// audit compares an order with what the outside world has done for it. It is called with the lock held.
func (b *bank) audit(o order) []string {
	a, money := b.ledger[o.ID], o.Total+" "+o.Currency
	kept, parcel := a.charged != "" && a.refunded == "", a.parcel
	should := o.end() == shipped
	if kept == should && parcel == should && (!kept || a.charged == money) && (!parcel || a.items == contents(o.Items)) {
		return nil
	}
	return []string{fmt.Sprintf("order %s of %s ended as %s, but the bank's books say %+v", o.ID, money, o.end(), a)}
}

// verdict is what `orderflow verify` says.
type verdict struct {
	OK      bool           `json:"ok"`
	Seconds float64        `json:"seconds"`
	Orders  map[string]int `json:"orders"`
	Broken  []struct {
		Line   string `json:"line"`
		ID     string `json:"id"`
		Reason string `json:"reason"`
	} `json:"broken"`
}

// verify asks the program itself, as a user would.
func (j *judge) verify(ctx context.Context, patience time.Duration) (v verdict, found []string, err error) {
	out, errs, err := j.program(ctx, "verify", "--json", "--wait", patience.String())
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == exitFound) {
		return v, nil, fmt.Errorf("verify: %w: %s", err, errs)
	}
	if wrong := json.Unmarshal(out, &v); wrong != nil || v.OK != (err == nil) {
		return v, nil, fmt.Errorf("verify: %w, %v: %s", wrong, err, out)
	}
	for _, b := range v.Broken {
		found = append(found, fmt.Sprintf("verify: %s: %s %s", b.Line, b.ID, b.Reason))
	}
	return v, found, nil
}

func (j *judge) program(ctx context.Context, args ...string) (stdout, stderr []byte, err error) {
	cmd := exec.CommandContext(ctx, j.binary, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), j.env...), &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}

// deadLetters lists what is in the dead-letter queues. Nothing that is done here explains a dead letter: each is a finding.
func (j *judge) deadLetters(ctx context.Context, queues []string) (found []string, err error) {
	for _, q := range queues {
		depth, err := j.tap.broker.Depth(ctx, q+".dlq")
		if err != nil {
			return nil, err
		}
		if depth > 0 {
			out, _, err := j.program(ctx, "dlq", "show", q, "--limit", "3")
			found = append(found, fmt.Sprintf("%d dead letters of %s: %s %v", depth, q, out, err))
		}
	}
	return found, nil
}

// goroutines asks each process how many it has.
func (f *fleet) goroutines(ctx context.Context) (map[string]int, error) {
	counts := map[string]int{}
	for _, p := range f.processes {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", nil)
		if err != nil {
			return nil, err
		}
		response, err := f.http.Do(request)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if n, is := strings.CutPrefix(lines.Text(), "go_goroutines "); is {
				counts[p.name], _ = strconv.Atoi(n)
			}
		}
		response.Body.Close()
		if counts[p.name] == 0 {
			return nil, fmt.Errorf("%s does not tell how many goroutines it has", p.name)
		}
	}
	return counts, nil
}

// slack is by how many goroutines a process may differ from its first quiet moment: connections of pools and of HTTP clients that are
// kept for a while.
const slack = 10

// leftovers waits until every process has as few goroutines as before the load, and as many connections as it needs.
func (j *judge) leftovers(ctx context.Context, before map[string]int) (found []string) {
	j.fleet.http.CloseIdleConnections()
	for _, look := range []func(context.Context) error{
		func(ctx context.Context) error { return j.goroutines(ctx, before) },
		func(ctx context.Context) error { return j.connections(ctx, 2) }, // one to consume, one to publish
		func(ctx context.Context) error { return j.sessions(ctx, poolSize) },
	} {
		limited, stop := context.WithTimeout(ctx, time.Minute)
		if err := until(limited, func() error { return look(limited) }); err != nil {
			found = append(found, err.Error())
		}
		stop()
	}
	return found
}

// nothing waits until the servers know of no connection, after every process has ended.
func (j *judge) nothing(ctx context.Context) (found []string) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := until(ctx, func() error { return errors.Join(j.connections(ctx, 0), j.sessions(ctx, 0)) }); err != nil {
		found = append(found, err.Error())
	}
	return found
}

func (j *judge) goroutines(ctx context.Context, before map[string]int) error {
	now, err := j.fleet.goroutines(ctx)
	for name, n := range now {
		if n > before[name]+slack {
			err = errors.Join(err, fmt.Errorf("%s has %d goroutines; it had %d before the load", name, n, before[name]))
		}
	}
	return err
}

// connections counts those on RabbitMQ: each process has to have so many.
func (j *judge) connections(ctx context.Context, each int) error {
	out, err := j.servers.Control(ctx, "-q", "list_connections", "client_properties")
	for _, service := range services {
		n, want := bytes.Count(out, fmt.Appendf(nil, `"orderflow %s (`, service)), each*len(j.fleet.of(service))
		if err == nil && n != want {
			err = fmt.Errorf("%s has %d connections to RabbitMQ, want %d", service, n, want)
		}
	}
	return err
}

// sessions counts those on Postgres: each process has at most so many.
func (j *judge) sessions(ctx context.Context, each int) error {
	db, err := pgx.Connect(ctx, j.servers.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	for _, service := range services {
		var n int
		err := db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", "orderflow "+service).Scan(&n)
		if most := each * len(j.fleet.of(service)); err == nil && n > most {
			err = fmt.Errorf("%s has %d sessions on Postgres, more than %d", service, n, most)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// quiet waits until no queue but those for dead letters has a message, waiting or in hand.
func (j *judge) quiet(ctx context.Context, patience time.Duration) (found []string) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	err := until(ctx, func() (err error) {
		out, err := j.servers.Control(ctx, "-q", "list_queues", "-p", "orderflow", "--no-table-headers", "name", "messages")
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 2 && !strings.HasSuffix(f[0], ".dlq") && f[1] != "0" {
				err = errors.Join(err, fmt.Errorf("queue %s has %s messages, and everything should be over", f[0], f[1]))
			}
		}
		return err
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}
