package main_test

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// TestStartFaults starts the program where something is wrong: it says what, and ends.
func TestStartFaults(t *testing.T) {
	env := *devtest.New(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	wrong := func(address, part string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		switch part {
		case "password":
			u.User = url.UserPassword(u.User.Username(), "secret")
		case "port":
			u.Host = "127.0.0.1:1"
		default:
			u.Path = "/none"
		}
		return u.String()
	}
	for _, c := range []struct {
		name    string
		setting string
		args    string
		code    int
		want    string // what it says at last, as a regular expression
	}{
		{"password of Postgres", "DATABASE_URL=" + wrong(env.DatabaseURL, "password"), "serve", 1, `connect to Postgres at 127.0.0.1:\d+.*check the user and the password in DATABASE_URL`},
		{"database", "DATABASE_URL=" + wrong(env.DatabaseURL, "path"), "serve", 1, `database "none".*create the database, or name another in DATABASE_URL`},
		{"no Postgres", "DATABASE_URL=" + wrong(env.DatabaseURL, "port"), "serve", 1, `connect to Postgres at 127.0.0.1:1,.*connection refused`},
		{"no URL of Postgres", "DATABASE_URL=postgres://user:secret@host:port/x", "serve", 1, `DATABASE_URL: cannot be parsed; it looks like`},
		{"password of RabbitMQ", "AMQP_URL=" + wrong(env.AMQPURL, "password"), "serve", 1, `connect to RabbitMQ at 127.0.0.1:\d+.*check the user "\w+" and its password in AMQP_URL`},
		{"vhost", "AMQP_URL=" + wrong(env.AMQPURL, "path"), "serve", 1, `check that the virtual host "none" exists`},
		{"no RabbitMQ", "AMQP_URL=" + wrong(env.AMQPURL, "port"), "serve", 1, `connect to RabbitMQ at 127.0.0.1:1 \(by AMQP_URL\): .*connection refused`},
		{"no URL of RabbitMQ", "AMQP_URL=http://user:secret@127.0.0.1/", "serve", 1, `AMQP_URL: address 1 of 1 cannot be parsed`},
		{"address that is taken", "HTTP_ADDR=" + taken.Addr().String(), "serve", 1, `another program listens on 127.0.0.1:\d+; choose another address by HTTP_ADDR`},
		{"address that is none", "HTTP_ADDR=8080", "serve", 2, `configuration: HTTP_ADDR: .*it looks like 127.0.0.1:8080`},
		{"delay that is none", "RETRY_DELAYS=1s,soon", "serve", 2, `configuration: RETRY_DELAYS: .*soon`},
		{"delay that is too long", "RETRY_DELAYS=1s,48h", "serve", 2, `configuration: RETRY_DELAYS: 48h0m0s is not between 1ms and 24h`},
		{"delay that is nothing", "RETRY_DELAYS=0s", "serve", 2, `configuration: RETRY_DELAYS: 0s is not between 1ms and 24h`},
		{"log level", "LOG_LEVEL=loud", "serve", 2, `configuration: LOG_LEVEL: .*loud`},
		{"log format", "LOG_FORMAT=xml", "serve", 2, `configuration: LOG_FORMAT: "xml" is neither text nor json`},
		{"timeout", "GATEWAY_TIMEOUT=-1s", "serve", 2, `configuration: GATEWAY_TIMEOUT: must be more than 0, is -1s`},
		{"gateway", "GATEWAY_URL=gateway", "serve", 2, `configuration: GATEWAY_URL: not a URL such as`},
		{"connections", "DB_MAX_CONNS=many", "serve", 2, `configuration: DB_MAX_CONNS: .*many`},
		{"no connections", "DB_MAX_CONNS=0", "serve", 2, `configuration: DB_MAX_CONNS: must be`},
		{"start timeout", "START_TIMEOUT=-1s", "serve", 2, `configuration: START_TIMEOUT: must`},
		{"service", "", "serve order paymint", 2, `there is no service "paymint"; the services are order, payment, inventory and shipping`},
		{"flag", "", "serve --quickly", 2, `unknown flag: --quickly, see orderflow serve --help`},
		{"command", "", "begin", 2, `unknown command "begin"`},
		{"migrate without Postgres", "DATABASE_URL=" + wrong(env.DatabaseURL, "port"), "migrate", 1, `connect to Postgres at 127.0.0.1:1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			stdout, said, code := call(t, settings(env, "START_TIMEOUT=500ms", c.setting), strings.Fields(c.args)...)
			_, last, _ := strings.Cut(said, "orderflow: ")
			if code != c.code || stdout != "" || !regexp.MustCompile(c.want).MatchString(last) {
				t.Errorf("exit code %d, want %d; it says %q, want %q\n%s%s", code, c.code, last, c.want, stdout, said)
			}
			if strings.Contains(said, "secret") || strings.Contains(said, "panic") {
				t.Errorf("it should not say this:\n%s", said)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestServicesApart runs each service as a process of its own, and all of them under one address.
func TestServicesApart(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	args := []string{"edge"}
	var orders *program
	for _, name := range []string{"order", "payment", "inventory", "shipping"} {
		p := run(t, settings(env), "serve", name)
		args = append(args, "--"+name, p.base)
		if name == "order" {
			orders = p
		}
	}
	edge := run(t, settings(env), args...)
	if a := edge.call(t, "GET", "/readyz", nil); a.status != 200 {
		t.Errorf("readyz: %s", a)
	}
	// Each serves its own routes only.
	expectProblem(t, orders.call(t, "GET", "/v1/stock", nil), 404, "")
	m := newCampaign(t, edge.client, 60)
	m.place()
	m.check()
	nothingLeft(t, env)
	for i, product := range []string{"a/b", "%25", "é €"} {
		if putStock(t, edge.client, url.PathEscape(product), int64(i)); get[stock](t, edge.client, "/v1/stock/"+url.PathEscape(product)).ProductID != product {
			t.Errorf("product %q by way of the edge", product)
		}
	}
	orders.stop()
	if a := edge.call(t, "GET", "/readyz", nil); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("readyz without a service: %s", a)
	}
	a := edge.call(t, "GET", "/v1/orders", nil)
	if expectProblem(t, a, 503, ""); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestServicesThatRunLater starts the services one after the other, with an order under way: an event that goes to several queues is
// not lost to the one whose service has never run before.
func TestServicesThatRunLater(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	orders := run(t, settings(env), "serve", "order")
	run(t, settings(env), "serve", "payment")
	id := place(t, orders.client, with(goodOrder("customer"), "/items/0/product_id", "later")).OrderID
	eventually(t, "the order is paid", func() error {
		if o := get[order](t, orders.client, "/v1/orders/"+id); o.Status != "paid" {
			return fmt.Errorf("it is %s", o.Status)
		}
		return nil
	})
	run(t, settings(env), "serve", "inventory")
	if o := follow(t, orders.client, id); o.CancelReason != "unknown_product" {
		t.Errorf("it ended as %s %s", o.Status, o.CancelReason)
	}
}
