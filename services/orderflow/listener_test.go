package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
)

// npmLimit is how long npm may take to install three small packages.
const npmLimit = 5 * time.Minute

// nodeListener is services/listener, a program in Node.js, as a process.
type nodeListener struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string // of stdout; closed at its end
	ready  chan string // of stderr, those that say that it listens
	stderr []string    // complete when it has ended
	ended  chan struct{}
}

// startListener installs what the listener needs, as its lock file has it, in a folder of the test's own, and starts it.
func startListener(t *testing.T, env devtest.Env, orders int) *nodeListener {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "listener.mjs"} {
		text, err := os.ReadFile(filepath.Join("../listener", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), npmLimit)
	defer stop()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v (the test of the contract needs Node.js 20 or later)\n%s", err, out)
	}
	schemas, err := filepath.Abs("../../pkg/event/schemas")
	if err != nil {
		t.Fatal(err)
	}
	l := &nodeListener{
		t: t, lines: make(chan string, 10*orders), ready: make(chan string, 100), ended: make(chan struct{}),
	}
	l.cmd = exec.Command("node", "listener.mjs", fmt.Sprint(orders))
	l.cmd.Dir = folder
	l.cmd.Env = append(os.Environ(), "AMQP_URL="+env.AMQPURL, "SCHEMAS="+schemas+"/")
	l.run()
	return l
}

func (l *nodeListener) run() {
	l.t.Helper()
	stdout, err := l.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	stderr, err := l.cmd.StderrPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		each(stderr, func(line string) {
			l.stderr = append(l.stderr, line)
			if strings.HasPrefix(line, "listening") {
				l.ready <- line
			}
		})
	}()
	go func() {
		defer close(l.ended)
		each(stdout, func(line string) { l.lines <- line })
		<-said
		l.cmd.Wait()
		close(l.lines)
	}()
	l.t.Cleanup(func() {
		l.cmd.Process.Kill()
		<-l.ended
	})
	devtest.Receive(l.t, limit, "the listener listens", l.ready)
}

// each calls f with the lines of a stream.
func each(stream io.Reader, f func(string)) {
	for scanner := bufio.NewScanner(stream); scanner.Scan(); {
		f(scanner.Text())
	}
}

// cut closes the listener's connection, as a broker that restarts does, and waits until it listens again.
func (l *nodeListener) cut(ui *management) {
	l.t.Helper()
	eventually(l.t, "the listener's connection", func() error {
		for _, c := range get[[]struct {
			Name       string
			Properties struct {
				Name string `json:"connection_name"`
			} `json:"client_properties"`
		}](l.t, ui.client, "/api/vhosts/"+ui.vhost+"/connections") {
			if c.Properties.Name == "listener.orders" {
				manage(l.t, ui, http.MethodDelete, "/connections/"+url.PathEscape(c.Name), nil)
				return nil
			}
		}
		return fmt.Errorf("is not there")
	})
	devtest.Receive(l.t, limit, "the listener listens again", l.ready)
}

// TestListener has a service in another language, which knows nothing of this program but the contract, hear of 100 orders. It loses its
// connection, some events come twice, and what is no event, or one of a version that it has no schema of, is set aside.
func TestListener(t *testing.T) {
	const orders = 100
	env := *devtest.New(t)
	p := serve(t, env)
	l := startListener(t, env, orders)
	bodies := shippedFrom(t, env, orders)
	putStock(t, p.client, "book", 1000)

	want := map[string]string{} // by order
	buy := func(n int) {
		for i := range n {
			o := goodOrder("customer")
			o.Items, o.PaymentMethod = []item{{"book", 1, "19.99"}}, "pm_ok"
			end := "shipped 19.99 EUR"
			if i%10 == 9 {
				o.PaymentMethod, end = "pm_declined", "cancelled (payment_failed) 19.99 EUR"
			}
			want[place(t, p.client, o).OrderID] = end
		}
	}
	var got []string
	hear := func(n int) {
		for range n {
			got = append(got, devtest.Receive(t, limit, fmt.Sprintf("line %d of the listener", len(got)+1), l.lines))
		}
	}
	buy(orders / 2)
	hear(orders / 2)
	l.cut(newManagement(t, env))
	unreadable := disturb(t, env, devtest.Receive(t, limit, "OrderShipped", bodies))
	buy(orders - orders/2)
	hear(orders - orders/2)

	if line, more := <-l.lines; more {
		t.Errorf("one line too many: %q", line)
	}
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the listener ended with %v", l.cmd.ProcessState)
	}
	for _, line := range got {
		id, end, _ := strings.Cut(line, " ")
		if want[id] != end {
			t.Errorf("%q, want %s %s", line, id, want[id])
		}
		delete(want, id)
	}
	b := openBroker(t, env)
	eventually(t, "what is set aside", func() error {
		if n, err := b.Depth(t.Context(), broker.DeadLetterQueue("listener.orders")); err != nil || n != unreadable {
			return fmt.Errorf("%d messages, %v, want %d", n, err, unreadable)
		}
		return nil
	})
	if t.Failed() {
		t.Logf("the listener said\n%s", strings.Join(l.stderr[max(0, len(l.stderr)-20):], "\n"))
	}
}

// shippedFrom gives the bodies of the next n OrderShipped.
func shippedFrom(t *testing.T, env devtest.Env, n int) <-chan string {
	t.Helper()
	tap, err := openBroker(t, env).Tap(t.Context(), event.Orders.Exchange, event.Orders.Kind(event.TypeOrderShipped).RoutingKey)
	if err != nil {
		t.Fatal(err)
	}
	bodies, ended := make(chan string, n), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		ended <- tap.Hear(ctx, func(m *broker.Message) {
			select {
			case bodies <- string(m.Body):
			default:
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return bodies
}

// disturb publishes an event twice more, and some messages that a listener cannot read. It tells how many those are.
func disturb(t *testing.T, env devtest.Env, body string) (unreadable int) {
	t.Helper()
	publisher := openBroker(t, env).NewPublisher()
	if err := publisher.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong := []string{"no event", `{"dataschema": "urn:orderflow:event:OrderShipped:2"}`, "null", strings.Replace(body, `"EUR"`, `"eur"`, 1)}
	var messages []broker.Message
	for _, text := range append([]string{body, body}, wrong...) {
		messages = append(messages, broker.Message{Exchange: event.Orders.Exchange, RoutingKey: "listener.test", Mandatory: true, Body: []byte(text)})
	}
	for _, err := range publisher.PublishAll(t.Context(), messages) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return len(wrong)
}
