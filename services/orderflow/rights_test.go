package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// outage watches a program that has lost something: it lives, says so, and does not run hot.
type outage struct {
	p     *program
	began time.Time
	used  float64 // seconds of CPU time when it began
	lines int     // in the log, when it began
}

func beginOutage(t *testing.T, p *program) *outage {
	t.Helper()
	return &outage{p, time.Now(), cpuSeconds(t, p.client), strings.Count(p.log.String(), "\n")}
}

// says waits until the program is not ready and has said why, in the log, so often that a while has passed.
func (o *outage) says(t *testing.T, what string, times int) {
	t.Helper()
	eventually(t, "it is not ready", func() error { return notReady(t, o.p.client) })
	eventually(t, "it says why", func() error {
		if n := strings.Count(o.p.log.String(), what); n < times {
			return fmt.Errorf("%q is there %d times, want %d, in\n%s", what, n, times, o.p.log.worst())
		}
		return nil
	})
}

// end waits until the program is ready again, and looks at what it did meanwhile.
func (o *outage) end(t *testing.T) {
	t.Helper()
	used, lines, took := cpuSeconds(t, o.p.client)-o.used, strings.Count(o.p.log.String(), "\n")-o.lines, time.Since(o.began)
	t.Logf("in %s it used %.2f s of CPU time and wrote %d lines", took, used, lines)
	if used > took.Seconds()/2+1 {
		t.Errorf("it used %.1f s of CPU time in %s", used, took)
	}
	if most := 60 + 30*int(took.Seconds()); lines > most {
		t.Errorf("it wrote %d lines in %s, want at most %d:\n%s", lines, took, most, o.p.log.worst())
	}
	eventually(t, "it is ready again", func() error {
		if a := o.p.call(t, http.MethodGet, "/readyz", nil); a.status != http.StatusOK {
			return fmt.Errorf("readyz: %s", a)
		}
		return nil
	})
}

// cpuSeconds asks a program for the CPU time that it has used.
func cpuSeconds(t *testing.T, c *client) float64 {
	t.Helper()
	for line := range strings.Lines(string(c.call(t, http.MethodGet, "/metrics", nil).body)) {
		if text, found := strings.CutPrefix(line, "process_cpu_seconds_total "); found {
			seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return seconds
		}
	}
	t.Fatal("there is no process_cpu_seconds_total")
	return 0
}

// ships places an order and follows it to its end.
func ships(t *testing.T, c *client) {
	t.Helper()
	if o := follow(t, c, place(t, c, goodOrder("customer")).OrderID); o.Status != "shipped" {
		t.Errorf("the order is %s", o.Status)
	}
}

// TestBrokerRightsLost takes the rights of the services' user away while they run, and then the whole vhost.
func TestBrokerRightsLost(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ui := newManagement(t, env)
	address := brokerUser(t, env, ui, "services")
	user := "/permissions/" + ui.vhost + "/services-" + ui.vhost
	grant := func(rights string) {
		t.Helper()
		manage(t, ui, http.MethodPut, user, map[string]string{"configure": rights, "write": rights, "read": rights})
	}
	grant(".*")
	broker := front(t, hostOf(t, env.AMQPURL), through)
	p := serve(t, env, "AMQP_URL="+changed(t, address, on(broker.address)))
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	ships(t, p.client)

	t.Run("rights", func(t *testing.T) {
		o := beginOutage(t, p)
		grant("^$")
		broker.cut() // a channel may remember for a minute what it was allowed
		o.says(t, "the user needs to read the queue: Exception (403)", 3*len(queues))
		id := place(t, p.client, goodOrder("patient")).OrderID
		o.says(t, "the user needs to write the exchange: Exception (403)", 1)
		grant(".*")
		o.end(t)
		if o := follow(t, p.client, id); o.Status != "shipped" {
			t.Errorf("the order that was placed meanwhile is %s", o.Status)
		}
	})
	t.Run("vhost", func(t *testing.T) {
		o := beginOutage(t, p)
		manage(t, ui, http.MethodDelete, "/vhosts/"+ui.vhost, nil)
		o.says(t, fmt.Sprintf(`check that the virtual host \"%s\" exists`, ui.vhost), 3*len(queues))
		manage(t, ui, http.MethodPut, "/vhosts/"+ui.vhost, map[string]string{})
		grant(".*")
		o.end(t)
		ships(t, p.client)
	})
}

// TestDatabaseRightsLost takes the rights of the services' role away while they run, and then its login.
func TestDatabaseRightsLost(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	role, address := databaseRole(t, env, "services")
	execute(t, env, fmt.Sprintf(`GRANT CREATE ON DATABASE %q TO %q`, databaseOf(t, env), role))
	p := serve(t, env, "DATABASE_URL="+address)
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	ships(t, p.client)

	t.Run("rights", func(t *testing.T) {
		o := beginOutage(t, p)
		execute(t, env, fmt.Sprintf(`REVOKE USAGE ON SCHEMA orders, payment, inventory, shipping FROM %q`, role))
		o.says(t, "SQLSTATE 42", 4*3) // four services say so every second
		expectProblem(t, p.call(t, http.MethodPost, "/v1/orders", goodOrder("patient")), http.StatusServiceUnavailable, "")
		execute(t, env, fmt.Sprintf(`GRANT USAGE ON SCHEMA orders, payment, inventory, shipping TO %q`, role))
		o.end(t)
		ships(t, p.client)
	})
	t.Run("login", func(t *testing.T) {
		o := beginOutage(t, p)
		execute(t, env, fmt.Sprintf(`ALTER ROLE %q NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%[1]s'`, role))
		o.says(t, "SQLSTATE 28000", 4*3)
		expectProblem(t, p.call(t, http.MethodPost, "/v1/orders", goodOrder("patient")), http.StatusServiceUnavailable, "")
		execute(t, env, fmt.Sprintf(`ALTER ROLE %q LOGIN`, role))
		o.end(t)
		ships(t, p.client)
	})
}
