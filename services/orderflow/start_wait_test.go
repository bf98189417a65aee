package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// waiting is a program that waits for a server at its start.
type waiting struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *journal
	out   bytes.Buffer
	ended chan struct{}
}

func wait(t *testing.T, settings []string, args ...string) *waiting {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	w := &waiting{t: t, cmd: invoke(ctx, settings, args...), log: newJournal(), ended: make(chan struct{})}
	w.cmd.Stdout, w.cmd.Stderr = &w.out, w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		w.cmd.Wait()
		close(w.ended)
	}()
	t.Cleanup(func() {
		stop()
		<-w.ended
	})
	return w
}

// says waits until the log has something n times.
func (w *waiting) says(what string, n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("it says %q %d times", what, n), func() error {
		if log := w.log.String(); strings.Count(log, what) < n {
			return fmt.Errorf("it says\n%s", log)
		}
		return nil
	})
}

func (w *waiting) interrupt() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
}

func (w *waiting) endsWith(code int) {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(limit):
		w.t.Fatalf("it does not end\n%s", w.log)
	}
	if got := w.cmd.ProcessState.ExitCode(); got != code {
		w.t.Errorf("exit code %d, want %d\n%s%s", got, code, w.out.String(), w.log)
	}
}

// TestStartGoesOn starts the program where a server is not there yet, or has no room: when that is over, it goes on.
func TestStartGoesOn(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ui := newManagement(t, env)
	full := *devtest.New(t)
	role, crowded := databaseRole(t, full, "crowded")
	execute(t, full, fmt.Sprintf(`GRANT CREATE ON DATABASE %q TO %q; ALTER ROLE %[2]q CONNECTION LIMIT 0`, databaseOf(t, full), role))
	limits := "/vhost-limits/" + ui.vhost + "/max-connections"
	manage(t, ui, http.MethodPut, limits, map[string]int{"value": 0})

	type absence struct {
		setting func(address string) string
		target  string
		fault   func(net.Conn) (net.Conn, error)
		command string
		says    string
		mend    func()
	}
	sideBySide(t, map[string]absence{
		"Postgres is away": {func(a string) string { return "DATABASE_URL=" + changed(t, env.DatabaseURL, on(a)) }, env.DatabaseURL, curt,
			"migrate", "Postgres does not answer", nil},
		"Postgres is starting up": {func(a string) string { return "DATABASE_URL=" + changed(t, env.DatabaseURL, on(a)) }, env.DatabaseURL, startingUp,
			"migrate", "57P03", nil},
		"Postgres is full": {func(string) string { return "DATABASE_URL=" + crowded }, env.DatabaseURL, nil,
			"migrate", "53300", func() { execute(t, full, fmt.Sprintf(`ALTER ROLE %q CONNECTION LIMIT -1`, role)) }},
		"RabbitMQ is full": {func(string) string { return "" }, env.AMQPURL, nil,
			"topology", "limit", func() { manage(t, ui, http.MethodDelete, limits, nil) }},
	}, func(t *testing.T, c absence) {
		var mended atomic.Bool
		f := front(t, hostOf(t, c.target), func(conn net.Conn) (net.Conn, error) {
			if mended.Load() || c.fault == nil {
				return conn, nil
			}
			return c.fault(conn)
		})
		w := wait(t, settings(env, "START_TIMEOUT=2m", c.setting(f.address)), c.command)
		w.says(c.says, 2)
		if mended.Store(true); c.mend != nil {
			c.mend()
		}
		w.endsWith(0)
	})
}

// TestServersThatComeLater starts a service before its servers listen.
func TestServersThatComeLater(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	var there atomic.Bool
	absent := func(c net.Conn) (net.Conn, error) {
		if !there.Load() {
			return nil, io.EOF
		}
		return c, nil
	}
	w := wait(t, settings(env, "START_TIMEOUT=2m",
		"DATABASE_URL="+changed(t, env.DatabaseURL, on(front(t, hostOf(t, env.DatabaseURL), absent).address)),
		"AMQP_URL="+changed(t, env.AMQPURL, on(front(t, hostOf(t, env.AMQPURL), absent).address))), "serve")
	w.says("Postgres does not answer", 1)
	w.says("RabbitMQ does not answer", 1)
	there.Store(true)
	select {
	case <-w.log.ready:
	case <-time.After(limit):
		t.Fatalf("it is not ready\n%s", w.log)
	}
	w.interrupt()
	w.endsWith(0)
}

// TestWaitingIsIdle looks at a program that waits for both servers: it hardly works, says little, and ends when it is told to.
func TestWaitingIsIdle(t *testing.T) {
	t.Parallel()
	nowhere := devtest.Env{AMQPURL: "amqp://u:secret@127.0.0.1:1/", DatabaseURL: "postgres://u:secret@127.0.0.1:1/x"}
	silence := devtest.Env{
		AMQPURL:     changed(t, nowhere.AMQPURL, on(front(t, "", silent).address)),
		DatabaseURL: changed(t, nowhere.DatabaseURL, on(front(t, "", silent).address)),
	}
	short := wait(t, settings(nowhere, "START_TIMEOUT=1ms"), "serve")
	short.endsWith(1)
	start := cpu(short) // what a start costs by itself

	type idling struct {
		env      devtest.Env
		patience string
		pass     func(*waiting) // returns when it has waited for a while
		code     int
		says     string
	}
	sideBySide(t, map[string]idling{
		"nobody listens": {nowhere, "2m", func(w *waiting) {
			w.says("Postgres does not answer", 4*3) // four services say so every second
			w.interrupt()
		}, 0, "stopped while waiting: "},
		"they say nothing":                {silence, "3s", func(*waiting) {}, 1, "gave up after START_TIMEOUT, 3s"},
		"they say nothing and it is told": {silence, "2m", func(w *waiting) { w.says(`"starting"`, 1); w.interrupt() }, 0, "stopped while waiting: "},
	}, func(t *testing.T, c idling) {
		began := time.Now()
		w := wait(t, settings(c.env, "START_TIMEOUT="+c.patience), "serve")
		c.pass(w)
		told := time.Now()
		w.endsWith(c.code)
		if took := time.Since(told); took > 8*time.Second {
			t.Errorf("it took %s to end", took)
		}
		if log := w.log.String(); !strings.Contains(log, c.says) {
			t.Errorf("it does not say %q:\n%s", c.says, log)
		}
		if used := cpu(w) - start; used > time.Second/2 {
			t.Errorf("it used %s of CPU time in %s", used, time.Since(began))
		}
		// Each of four services waits for two servers.
		for service, lines := range servicesIn(w.log.String()) {
			if most := 2 * int(time.Since(began)/time.Second+2); lines > most {
				t.Errorf("service %s has %d lines in the log, want at most %d:\n%s", service, lines, most, w.log)
			}
		}
	})
}

func cpu(w *waiting) time.Duration {
	return w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
}

// servicesIn counts the lines of a log by the service that they are about.
func servicesIn(log string) map[string]int {
	lines := map[string]int{}
	for line := range strings.Lines(log) {
		if _, after, found := strings.Cut(line, `"service":"`); found {
			service, _, _ := strings.Cut(after, `"`)
			lines[service]++
		}
	}
	return lines
}
