package main_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/devstack/port"
)

// TestStartFaults calls the program wrongly, or where something is wrong that has nothing to do with the servers.
func TestStartFaults(t *testing.T) {
	env := *devtest.New(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	expectFaults(t, env, map[string]startFault{
		"service":               {"", "serve order paymint", 2, `there is no service "paymint"; the services are order, payment, inventory and shipping`, false},
		"flag":                  {"", "serve --quickly", 2, `unknown flag: --quickly, see orderflow serve --help`, false},
		"command":               {"", "begin", 2, `unknown command "begin"`, false},
		"address that is taken": {"HTTP_ADDR=" + taken.Addr().String(), "serve", 1, `another program listens on 127.0.0.1:\d+; choose another address by HTTP_ADDR`, false},
		"address for profiles":  {"DEBUG_ADDR=" + taken.Addr().String(), "serve", 1, `another program listens on 127.0.0.1:\d+; choose another address by DEBUG_ADDR`, false},
		"edge for everybody":    {"HTTP_ADDR=0.0.0.0:0", "edge", 2, `configuration: HTTP_ADDR: other machines reach 0.0.0.0:0, and edge checks nothing itself: .* OPEN_TO_ANYBODY=true`, false},
		"edge with keys":        {"ACCESS_KEYS_FILE=keys.yaml", "edge", 2, `configuration: ACCESS_KEYS_FILE, OIDC_ISSUER: edge passes Authorization on`, false},
		"edge by loopback":      {"HTTP_ADDR=" + taken.Addr().String(), "edge", 1, `another program listens on`, false},
		"up for everybody":      {"HTTP_ADDR=0.0.0.0:0", "up", 2, `configuration: HTTP_ADDR: other machines reach 0.0.0.0:0`, false},
		"keys and anybody":      {"ACCESS_KEYS_FILE=none.yaml\nOPEN_TO_ANYBODY=true", "serve", 2, `OPEN_TO_ANYBODY: contradicts ACCESS_KEYS_FILE and OIDC_ISSUER: .*\n.*ACCESS_KEYS_FILE: open none.yaml`, false},
		"issuer alone":          {"OIDC_ISSUER=http://issuer.example", "serve", 2, `OIDC_AUDIENCE: is missing: .*\n.*OIDC_ISSUER: has to be https`, false},
		"address of others":     {"OPEN_TO_ANYBODY=true\nHTTP_ADDR=192.0.2.1:80", "serve", 1, `HTTP_ADDR: listen tcp 192.0.2.1:80: .*; choose another address`, false},
	})
}

// TestWrongSettings sets each variable wrongly, where no server could be reached: nothing is dialled.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	nowhere := devtest.Env{AMQPURL: "amqp://u:secret@127.0.0.1:1/", DatabaseURL: "postgres://u:secret@127.0.0.1:1/x", ManagementURL: "http://127.0.0.1:1"}
	faults := map[string]startFault{}
	for setting, want := range map[string]string{
		"AMQP_URL=http://user:secret@127.0.0.1/":                                            `AMQP_URL: address 1 of 1 cannot be parsed: it looks like amqp://`,
		"AMQP_URL=amqp://user:secret@a,amqp://user:sec ret@b":                               `AMQP_URL: address 2 of 2 cannot be parsed`,
		"AMQP_URL=amqps://user:secret@host?cacertfile=/none.pem":                            `AMQP_URL: address 1 of 1: cacertfile: open /none.pem: no such file`,
		"DATABASE_URL=postgres://user:secret@host:port/x":                                   `DATABASE_URL: cannot be parsed; it looks like postgres://`,
		"DATABASE_URL=postgres://user:secret@h/x?sslmode=always":                            `DATABASE_URL: sslmode is invalid`,
		"DATABASE_URL=postgres://user:secret@h/x?sslmode=verify-full&sslrootcert=/none.pem": `DATABASE_URL: open /none.pem: no such file`,
		"RABBITMQ_MANAGEMENT_URL=localhost:15672":                                           `RABBITMQ_MANAGEMENT_URL: not a URL such as`,
		"HTTP_ADDR=8080":                             `HTTP_ADDR: .*it looks like 127.0.0.1:8080`,
		"HTTP_ADDR=127.0.0.1:99999":                  `HTTP_ADDR: .*invalid port; it looks like 127.0.0.1:8080`,
		"HTTP_ADDR=127.0.0.1:nonsense":               `HTTP_ADDR: .*unknown port; it looks like 127.0.0.1:8080`,
		"DEBUG_ADDR=8081":                            `DEBUG_ADDR: .*it looks like 127.0.0.1:8080`,
		"RETRY_DELAYS=1s,soon":                       `RETRY_DELAYS: .*soon`,
		"RETRY_DELAYS=1s,48h":                        `RETRY_DELAYS: 48h0m0s is not between 1ms and 24h`,
		"RETRY_DELAYS=0s":                            `RETRY_DELAYS: 0s is not between 1ms and 24h`,
		"RETRY_DELAYS=":                              `RETRY_DELAYS: is empty; say "none" if a message that failed is to be dead-lettered at once`,
		"INBOX_RETENTION=14":                         `INBOX_RETENTION: .*missing unit`,
		"INBOX_RETENTION=1h":                         `INBOX_RETENTION: 1h0m0s is not between 24h0m0s and 8784h0m0s`,
		"INBOX_RETENTION=100000h":                    `INBOX_RETENTION: 100000h0m0s is not between`,
		"GATEWAY_URL=gateway":                        `GATEWAY_URL: not a URL such as`,
		"CARRIER_URL=ftp://carrier":                  `CARRIER_URL: not a URL such as`,
		"GATEWAY_TIMEOUT=-1s":                        `GATEWAY_TIMEOUT: must be more than 0, is -1s`,
		"CARRIER_TIMEOUT=never":                      `CARRIER_TIMEOUT: .*never`,
		"START_TIMEOUT=-1s":                          `START_TIMEOUT: must be more than 0`,
		"STOP_TIMEOUT=0s":                            `STOP_TIMEOUT: must be more than 0`,
		"DB_MAX_CONNS=many":                          `DB_MAX_CONNS: .*many`,
		"MAX_OPEN_ORDERS=-1":                         `MAX_OPEN_ORDERS: must not be negative, is -1`,
		"GATEWAY_CALLS=0":                            `GATEWAY_CALLS: must be at least 1, is 0`,
		"CARRIER_CALLS=few":                          `CARRIER_CALLS: .*few`,
		"DB_MAX_CONNS=0":                             `DB_MAX_CONNS: must be at least 1`,
		"MAX_REQUESTS=-1":                            `MAX_REQUESTS: must not be negative, is -1`,
		"MAX_WAITING=-1":                             `MAX_WAITING: must not be negative, is -1`,
		"OPEN_TO_ANYBODY=perhaps":                    `OPEN_TO_ANYBODY: .*perhaps`,
		"RATE_LIMIT=5":                               `RATE_LIMIT: is for each caller: it needs ACCESS_KEYS_FILE or OIDC_ISSUER`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318": `OTEL_EXPORTER_OTLP_ENDPOINT: not a URL such as`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/v1/traces":                         `OTEL_EXPORTER_OTLP_ENDPOINT: is the receiver's address without /v1/traces`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318\nOTEL_TRACES_SAMPLER=often":        `OTEL_TRACES_SAMPLER: "often" is none of parentbased_always_on`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318\nOTEL_TRACES_SAMPLER_ARG=1.5":      `OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, is 1.5`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318\nOTEL_TRACES_SAMPLER_ARG=few":      `OTEL_TRACES_SAMPLER_ARG: .*few`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc": `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported, only http/protobuf`,
		"RATE_LIMIT=-5":               `RATE_LIMIT: must be from 0`,
		"RATE_BURST=5":                `RATE_BURST: is of no use without RATE_LIMIT`,
		"OIDC_AUDIENCE=orderflow":     `OIDC_AUDIENCE: is of no use without OIDC_ISSUER`,
		"ACCESS_KEYS_FILE=/none.yaml": `ACCESS_KEYS_FILE: open /none.yaml: no such file`,
		"HTTP_ADDR=0.0.0.0:0":         `HTTP_ADDR: other machines reach 0.0.0.0:0, and callers are not told apart: .*OPEN_TO_ANYBODY=true`,
		"HTTP_ADDR=:0":                `HTTP_ADDR: other machines reach :0`,
		"HTTP_ADDR=[::]:0":            `HTTP_ADDR: other machines reach \[::\]:0`,
		"DEBUG_ADDR=0.0.0.0:0":        `DEBUG_ADDR: other machines reach 0.0.0.0:0, and profiles are for whoever asks`,
		"LOG_LEVEL=loud":              `LOG_LEVEL: .*loud`,
		"LOG_FORMAT=xml":              `LOG_FORMAT: "xml" is neither text nor json`,
	} {
		faults[setting] = startFault{setting, "serve", 2, `^configuration: ` + want + `[^\n]*\n$`, false}
	}
	expectFaults(t, nowhere, faults)

	_, said, code := call(t, settings(nowhere, "RETRY_DELAYS=24h,24h", "INBOX_RETENTION=48h", "HTTP_ADDR=8080", "DB_MAX_CONNS=many", "LOG_FORMAT=xml"), "migrate")
	for _, want := range []string{
		"INBOX_RETENTION: 48h0m0s is not longer than RETRY_DELAYS together, 48h0m0s\n", "HTTP_ADDR: ", "DB_MAX_CONNS: ", "LOG_FORMAT: ",
	} {
		if code != 2 || strings.Count(said, want) != 1 {
			t.Errorf("exit code %d; several mistakes are not told together, %q is missing or told twice:\n%s", code, want, said)
		}
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
		if putStock(t, edge.client, product, int64(i)); get[stock](t, edge.client, "/v1/stock/"+url.PathEscape(product)).ProductID != product {
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

// TestNoRetriesAndAShortMemory sets what is rarely set: a message that fails is dead at once, and the inbox remembers two days.
func TestNoRetriesAndAShortMemory(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env, "RETRY_DELAYS=none", "INBOX_RETENTION=48h")
	place(t, p.client, with(goodOrder("customer"), "/payment_method", "pm_flaky"))
	operator := operator{t, settings(env)}
	operator.awaitDepths(map[string]int{downQueue: 1})
	if letters := operator.dlqJSON("show", downQueue).Messages; len(letters) != 1 || letters[0].Reason != "retries_exhausted" || letters[0].Attempts != 1 {
		t.Errorf("the dead letters are %+v", letters)
	}
	days, err := queryOne[int](t.Context(), env, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'payment.inbox'::regclass`)
	if err != nil || days != 2+3 {
		t.Errorf("the inbox has partitions for %d days, want 2 that are over and 3 that are not: %v", days, err)
	}
}

// Profiles have an address of their own, and are nowhere else.
func TestProfiles(t *testing.T) {
	t.Parallel()
	ports, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	address := port.Address(ports[0])
	p := serve(t, *devtest.New(t), "DEBUG_ADDR="+address)
	const goroutines = "/debug/pprof/goroutine?debug=1"
	if a := newClient(t, "http://"+address).call(t, http.MethodGet, goroutines, nil); a.status != http.StatusOK || !bytes.Contains(a.body, []byte("goroutine profile: total")) {
		t.Errorf("%s answers %s", address, a)
	}
	if a := p.call(t, http.MethodGet, goroutines, nil); a.status != http.StatusNotFound {
		t.Errorf("the address for everybody answers %s", a)
	}
}
