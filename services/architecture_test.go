// Package services_test holds the house to its plan: which part may import which.
package services_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "orderflow"
	amqp   = "github.com/rabbitmq/amqp091-go"
)

// rules are the files with the rules of the services, and all that they may import beside the standard library.
var (
	rules     = []string{"services/order/order.go", "services/payment/payment.go", "services/inventory/reservation.go", "services/shipping/shipment.go"}
	rulesNeed = []string{"github.com/google/uuid", module + "/pkg/event"}
	outside   = []string{"context", "database/sql", "math/rand", "math/rand/v2", "net/http", "os"} // of the standard library
)

// layers lists what each package of pkg may import of the others; the house is built from below.
var layers = map[string][]string{
	"event": {}, "telemetry": {}, "postgres": {}, "broker": {}, "devstack": {}, "client": {},
	"flow":    {"event", "broker", "postgres", "telemetry"},
	"httpapi": {"event", "broker", "postgres", "telemetry"},
	"access":  {"httpapi"},
	"dlq":     {"broker", "event", "flow", "telemetry"},
	"schema":  {}, "document": {}, "conformance": {},
	"contract": {"event", "schema", "document"},
	"openapi":  {"document", "httpapi", "schema"},
}

// services that know each other by events only; the binary, the proof of their promises and the test of all their rules know all.
var services = []string{"order", "payment", "inventory", "shipping"}

// proof is the one file of services/verify that knows databases; the others are rules on what it has read.
const proof = "services/verify/verify.go"

// stuckRules are the files of services/stuck that only decide; the others ask databases and the broker.
var stuckRules = []string{"services/stuck/record.go", "services/stuck/judge.go"}

func TestImports(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != ".." {
			return fs.SkipDir // a module of its own, whose packages nobody here can import
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file := strings.TrimPrefix(filepath.ToSlash(name), "../")
		for _, i := range parsed.Imports {
			if why := forbidden(file, strings.Trim(i.Path.Value, `"`)); why != "" {
				t.Errorf("%s imports %s: %s", file, i.Path.Value, why)
			}
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files looked at, %v", files, err)
	}
}

// forbidden tells why a file may not import a package, or "".
func forbidden(file, imported string) string {
	test := strings.HasSuffix(file, "_test.go")
	part := func(prefix, of string) string { // the folder below prefix
		rest, found := strings.CutPrefix(of, prefix)
		if !found {
			return ""
		}
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	from, to := part("pkg/", file), part(module+"/pkg/", imported)
	service, other := part("services/", file), part(module+"/services/", imported)
	first, _, _ := strings.Cut(imported, "/")
	isOurs, isStandard := first == module, !strings.Contains(first, ".")
	switch {
	case imported == amqp && from != "broker":
		return "only pkg/broker speaks AMQP"
	case from != "" && other != "":
		return "pkg knows nothing of the services"
	case from == "client" && !test && !isStandard && imported != "github.com/google/uuid" && to != "client":
		return "who takes the client takes nothing else along"
	case slices.Contains(services, service) && other != "" && other != service:
		return "services know each other by events only"
	case slices.Contains(rules, file) && !slices.Contains(rulesNeed, imported) && (isOurs || !isStandard):
		return "rules need only the standard library, uuid and pkg/event"
	case slices.Contains(rules, file) && slices.Contains(outside, imported):
		return "rules know nothing of the world outside"
	case service == "verify" && file != proof && !test && (to != "" && to != "event" || strings.HasPrefix(imported, "github.com/jackc/")):
		return "what is a broken promise is decided without a database"
	case service == "doctor" && other != "" && other != "doctor":
		return "the doctor is told what the services are"
	case service == "doctor" && strings.HasPrefix(path.Base(file), "judge_") && (strings.HasPrefix(imported, "github.com/jackc/") || imported == "net/http"):
		return "what is wrong is decided without a server"
	case service == "stuck" && slices.Contains(stuckRules, file) && (to != "" && to != "event" && to != "broker" && to != "dlq" || strings.HasPrefix(imported, "github.com/jackc/")):
		return "what an order waits for, and where that is, is decided without asking anybody"
	case service == "chaos" && (other != "" && other != "chaos" || to != "" && to != "broker" && to != "devstack"):
		return "the chaos suite knows the program from outside"
	case service == "bench" && (other != "" && other != "bench" || to != "" && to != "broker" && to != "event" && to != "client" && !test):
		return "what is measured is measured from outside"
	case service == "documents" && other != "" && other != "documents":
		return "the contracts are served by any process, whatever services it runs"
	case service == "fuzz" && (other != "" && other != "fuzz" || to != "" && to != "conformance"):
		return "the fuzzer knows the program by its document"
	case from != "" && to != "" && from != to && !test && !slices.Contains(layers[from], to):
		return "imports run downward only"
	}
	return ""
}

// TestForbidden shows that the test above can fail.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		fine           bool
	}{
		{"pkg/broker/broker.go", amqp, true},
		{"pkg/flow/flow.go", amqp, false},
		{"services/orderflow/x_test.go", amqp, false},
		{"pkg/flow/flow_test.go", "orderflow/services/order", false},
		{"services/order/api.go", "orderflow/services/order/inner", true},
		{"services/order/api.go", "orderflow/services/payment", false},
		{"services/order/order_test.go", "orderflow/services/payment", false},
		{"services/orderflow/serve.go", "orderflow/services/payment", true},
		{"services/payment/api.go", "orderflow/services/verify", false},
		{"services/verify/rules.go", "orderflow/services/payment", true},
		{"services/verify/rules.go", "orderflow/pkg/event", true},
		{"services/verify/rules.go", "orderflow/pkg/postgres", false},
		{"services/verify/merge.go", "github.com/jackc/pgx/v5", false},
		{"services/verify/verify.go", "orderflow/pkg/postgres", true},
		{"services/doctor/plan.go", "orderflow/services/order", false},
		{"services/doctor/plan.go", "orderflow/pkg/flow", true},
		{"services/doctor/postgres.go", "github.com/jackc/pgx/v5", true},
		{"services/doctor/judge_database.go", "github.com/jackc/pgx/v5", false},
		{"services/doctor/judge_broker.go", "net/http", false},
		{"services/doctor/judge_broker.go", "orderflow/pkg/broker/management", true},
		{"services/stuck/record.go", "orderflow/services/payment", true},
		{"services/stuck/judge.go", "orderflow/pkg/postgres", false},
		{"services/stuck/read.go", "orderflow/pkg/postgres", true},
		{"services/payment/payment.go", "orderflow/services/stuck", false},
		{"services/chaos/judge.go", "orderflow/services/verify", false},
		{"services/chaos/tap.go", "orderflow/pkg/event", false},
		{"services/chaos/tap.go", "orderflow/pkg/broker", true},
		{"services/bench/bench.go", "orderflow/services/order", false},
		{"services/bench/bench.go", "orderflow/pkg/flow", false},
		{"services/bench/bench.go", "orderflow/pkg/broker", true},
		{"services/bench/bench.go", "orderflow/pkg/client", true},
		{"pkg/client/orders.go", "github.com/google/uuid", true},
		{"pkg/client/orders.go", "github.com/go-json-experiment/json", false},
		{"pkg/client/orders.go", "orderflow/pkg/event", false},
		{"pkg/client/example/main.go", "orderflow/pkg/client", true},
		{"services/documents/documents.go", "orderflow/services/order", false},
		{"services/documents/documents.go", "orderflow/pkg/httpapi", true},
		{"services/fuzz/fuzz.go", "orderflow/pkg/event", false},
		{"services/fuzz/fuzz.go", "orderflow/pkg/conformance", true},
		{"pkg/openapi/openapi.go", "orderflow/pkg/event", false},
		{"services/payment/payment.go", "github.com/google/uuid", true},
		{"services/payment/payment.go", "github.com/jackc/pgx/v5", false},
		{"services/payment/payment.go", "orderflow/pkg/postgres", false},
		{"services/payment/payment.go", "strings", true},
		{"services/payment/payment.go", "context", false},
		{"services/payment/store.go", "context", true},
		{"pkg/event/event.go", "orderflow/pkg/flow", false},
		{"pkg/flow/flow.go", "orderflow/pkg/event", true},
		{"pkg/event/schemas.go", "orderflow/pkg/contract", false},
		{"pkg/contract/schema.go", "orderflow/pkg/event", true},
		{"pkg/broker/main_test.go", "orderflow/pkg/devstack/devtest", true},
		{"pkg/broker/broker.go", "orderflow/pkg/devstack/devtest", false},
	} {
		if why := forbidden(c.file, c.imported); (why == "") != c.fine {
			t.Errorf("%s imports %s: %q", c.file, c.imported, why)
		}
	}
}

// TestRulesReadNoClock also finds out whether the files are there.
func TestRulesReadNoClock(t *testing.T) {
	for _, file := range rules {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Error(err)
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until", "event.NewID", "uuid.New"} {
			if strings.Contains(string(text), clock) {
				t.Errorf("%s uses %s: what it is now, and ids, come in", file, clock)
			}
		}
	}
}
