package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// limit is how long a test waits for something that is sure to come.
const limit = 90 * time.Second

// eventually asks again and again until ask returns nil, and fails the test with its last word if that takes too long. It is for
// what nobody sends a signal of.
func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	if err := devtest.Until(ctx, ask); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// invoke makes the command that runs the program: the test binary in its role. Of the environment it gets nothing that configures it
// but what is set here. It is killed when ctx ends.
func invoke(ctx context.Context, settings []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains(configuration, name)
	})
	// With the race detector it would sleep for a second before it ends.
	cmd.Env = append(cmd.Env, "ORDERFLOW_TEST_AS_PROGRAM=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, settings...)
	return cmd
}

// call runs a command of the program to its end, and returns what it said and its exit code.
func call(t testing.TB, settings []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	cmd := invoke(ctx, settings, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = exitCode(cmd.Run())
	keepsSilent(t, settings, logged(errs.String()))
	return out.String(), errs.String(), code
}

var configuration = []string{
	"AMQP_URL", "DATABASE_URL", "RABBITMQ_MANAGEMENT_URL", "ORDERFLOW_URL", "ORDERFLOW_KEY", "HTTP_ADDR", "DEBUG_ADDR", "RETRY_DELAYS", "INBOX_RETENTION", "GATEWAY_URL", "GATEWAY_TIMEOUT", "GATEWAY_CALLS",
	"CARRIER_URL", "CARRIER_TIMEOUT", "CARRIER_CALLS", "START_TIMEOUT", "STOP_TIMEOUT", "DB_MAX_CONNS", "MAX_OPEN_ORDERS", "ORDER_DEADLINE", "LOG_LEVEL", "LOG_FORMAT",
	"ACCESS_KEYS_FILE", "OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_JWKS", "OIDC_CUSTOMERS_CLAIM", "OPEN_TO_ANYBODY", "RATE_LIMIT", "RATE_BURST", "MAX_REQUESTS", "MAX_WAITING",
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}

// settings are the program's on servers of a test, with short delays before a failed message is tried again.
func settings(env devtest.Env, more ...string) []string {
	return append([]string{
		"AMQP_URL=" + env.AMQPURL, "DATABASE_URL=" + env.DatabaseURL, "RABBITMQ_MANAGEMENT_URL=" + env.ManagementURL,
		"HTTP_ADDR=127.0.0.1:0", "RETRY_DELAYS=200ms,500ms,1s,2s", "LOG_FORMAT=json",
	}, more...)
}

// program is the program as a process that serves. The test fails if it does not end well, or has a data race.
type program struct {
	*client
	t        testing.TB
	args     []string
	settings []string
	cmd      *exec.Cmd
	log      *journal
	ended    chan struct{} // closed when the process is gone
}

// serve starts the program with all services on servers of a test, and stops it when the test ends.
func serve(t testing.TB, env devtest.Env, more ...string) *program {
	t.Helper()
	return run(t, settings(env, more...), "serve")
}

func run(t testing.TB, settings []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, args: args, settings: settings, client: newJudged(t, "")}
	t.Cleanup(func() {
		if p.running() {
			p.stop()
		}
	})
	p.start()
	return p
}

// start starts the process and returns when it is ready; after the first time on the same address.
func (p *program) start() {
	p.t.Helper()
	cmd, log, ended := invoke(context.Background(), p.settings, p.args...), newJournal(), make(chan struct{})
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.log, p.ended = cmd, log, ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	select {
	case address := <-log.ready:
		if p.base == "" {
			p.base = "http://" + address
			p.settings = append(p.settings, "HTTP_ADDR="+address)
		}
	case <-ended:
		p.t.Fatalf("the program did not start: %v\n%s", cmd.ProcessState, log)
	case <-time.After(limit):
		p.t.Fatalf("the program is not ready\n%s", log)
	}
}

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return p.cmd != nil
	}
}

// stop ends the process by SIGTERM.
func (p *program) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("the program ended with %v\n%s", p.cmd.ProcessState, p.log)
	}
}

// kill ends the process by SIGKILL.
func (p *program) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("the program does not end on %s\n%s", s, p.log)
	}
	keepsSilent(p.t, p.settings, p.log.String())
	if log := p.log.String(); strings.Contains(log, "DATA RACE") {
		p.t.Error(log)
	} else if p.t.Failed() {
		p.t.Logf("what the program had to say:\n%s", p.log.worst())
	}
}

// journal takes what a program logs, as JSON.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	next  int         // where the first line begins that was not looked at
	ready chan string // gets the address when the program is ready
}

func newJournal() *journal { return &journal{ready: make(chan string, 1)} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	for {
		line, _, whole := bytes.Cut(j.text.Bytes()[j.next:], []byte("\n"))
		if !whole {
			return len(p), nil
		}
		j.next += len(line) + 1
		var entry struct{ Msg, Address string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "ready" {
			j.ready <- entry.Address
		}
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// worst is the last lines that are more than information, without those about messages that failed, of which there are many.
func (j *journal) worst() string {
	lines := slices.DeleteFunc(strings.Split(j.String(), "\n"), func(s string) bool {
		return strings.Contains(s, `"level":"INFO"`) || strings.Contains(s, `"attempts":`)
	})
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
