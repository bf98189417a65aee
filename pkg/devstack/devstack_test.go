package devstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("ORDERFLOW_DEVSTACK_CHILD"); role != "" {
		child(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// openDir returns a directory for a stack that servers running as another user can reach, unlike t.TempDir's.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func startStack(t *testing.T, opt Options) *Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	opt.Log = t.Output()
	s, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error("Stop:", err)
		}
	})
	return s
}

// count adds a row to a table that it creates at first, and returns how many there are now.
func count(t *testing.T, s *Stack) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO visits DEFAULT VALUES`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM visits`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// await polls for what happens in other processes, where no signal tells of it.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	const limit = 30 * time.Second
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}

func checkGone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

// declareVhost leaves a mark in the broker's data.
func declareVhost(t *testing.T, s *Stack, name string) {
	t.Helper()
	if code := manage(t, http.MethodPut, s.ManagementURL()+"/api/vhosts/"+name); code/100 != 2 {
		t.Fatalf("create vhost: status %d", code)
	}
}

func hasVhost(t *testing.T, s *Stack, name string) bool {
	t.Helper()
	return manage(t, http.MethodGet, s.ManagementURL()+"/api/vhosts/"+name) == http.StatusOK
}

func manage(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestStackKeepsItsDataAndAddresses(t *testing.T) {
	dir := filepath.Join(openDir(t), "a project of mine")
	s := startStack(t, Options{Dir: dir})
	urls := [3]string{s.AMQPURL(), s.ManagementURL(), s.DatabaseURL()}
	declareVhost(t, s, "mark")
	if n := count(t, s); n != 1 {
		t.Errorf("a new database has %d rows", n-1)
	}

	t.Run("a second start is refused", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
			t.Errorf("error is %v", err)
		}
	})

	t.Run("files with secrets are private", func(t *testing.T) {
		for _, file := range []string{"stack.json", "data/rabbitmq/rabbitmq.conf", "data/rabbitmq/home/.erlang.cookie"} {
			info, err := os.Stat(filepath.Join(dir, file))
			if err != nil {
				t.Error(err)
			} else if info.Mode()&0o077 != 0 {
				t.Errorf("%s has mode %v", file, info.Mode())
			}
		}
	})

	t.Run("only loopback", func(t *testing.T) {
		for _, p := range []int{s.home.Ports.AMQP, s.home.Ports.Management, s.home.Ports.Postgres, s.home.Ports.Distribution, s.home.Ports.Metrics} {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(outerAddress(t), strconv.Itoa(p)), time.Second)
			if err == nil {
				conn.Close()
				t.Errorf("port %d is open on %v", p, conn.RemoteAddr())
			}
		}
	})

	t.Run("each server is killed and started again", func(t *testing.T) {
		for _, server := range []*Server{s.Postgres(), s.RabbitMQ()} {
			before := server.Pid()
			other := s.Postgres()
			if server == other {
				other = s.RabbitMQ()
			}
			pid := other.Pid()
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if server.Pid() != 0 || other.Pid() != pid {
				t.Errorf("after the kill of %s its pid is %d; the other's pid was %d and is %d", server.name, server.Pid(), pid, other.Pid())
			}
			if err := server.Kill(); err != nil {
				t.Errorf("kill a killed server: %v", err)
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if server.Pid() == before {
				t.Errorf("%s was not started anew", server.name)
			}
		}
		if n := count(t, s); n != 2 {
			t.Errorf("the database has %d rows after a crash, want 1", n-1)
		}
		if !hasVhost(t, s, "mark") {
			t.Error("the broker lost a vhost in a crash")
		}
	})

	pids, err := family(s)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal("Stop:", err)
		}
	}
	checkGone(t, pids...)

	t.Run("started again", func(t *testing.T) {
		stale := filepath.Join(dir, "data/postgres/cluster/postmaster.pid")
		writeStalePostmaster(t, stale)
		s := startStack(t, Options{Dir: dir})
		if now := [3]string{s.AMQPURL(), s.ManagementURL(), s.DatabaseURL()}; now != urls {
			t.Errorf("addresses were %v and are %v", urls, now)
		}
		if n := count(t, s); n != 3 {
			t.Errorf("the database has %d rows after a restart, want 2", n-1)
		}
		if !hasVhost(t, s, "mark") {
			t.Error("the broker lost a vhost in a restart")
		}
	})
}

// outerAddress is an address of this machine that is not loopback.
func outerAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.2" // loopback as well, but not the address that they listen on
}

// writeStalePostmaster names a process that lives but is no postmaster, as after a reboot.
func writeStalePostmaster(t *testing.T, path string) {
	t.Helper()
	owner, err := serverAccount(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	content := fmt.Sprintf("%d\n%s\n1\n1\n\n127.0.0.1\n", os.Getpid(), filepath.Dir(path))
	if err := writePrivate(path, content, 0o600, owner); err != nil {
		t.Fatal(err)
	}
}

// TestParentKilled starts two stacks at once in another process and kills that.
func TestParentKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	dir := openDir(t)
	c := startChild(t, "stacks", dir)
	var report childReport
	if err := json.NewDecoder(c.out).Decode(&report); err != nil {
		t.Fatal(err)
	}
	for _, pid := range slices.Concat(report.Pids[:2], report.ScratchPids[:2]) {
		if !alive(pid) {
			t.Errorf("process %d does not run", pid)
		}
	}
	c.kill(t, syscall.SIGKILL)
	// The next start waits for the watcher of the killed process.
	s := startStack(t, Options{Dir: dir})
	checkGone(t, report.Pids...)
	if n := count(t, s); n != 2 {
		t.Errorf("the database has %d rows, want 1", n-1)
	}
	await(t, "the scratch stack's directory is removed", func() bool {
		_, err := os.Stat(report.Scratch)
		return errors.Is(err, fs.ErrNotExist)
	})
	await(t, "the scratch stack's servers are gone", func() bool { return !slices.ContainsFunc(report.ScratchPids, alive) })
}

// TestWatcherKilledToo leaves servers of a run whose watcher could not end them.
func TestWatcherKilledToo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	dir := openDir(t)
	c := startChild(t, "stack", dir)
	var report childReport
	if err := json.NewDecoder(c.out).Decode(&report); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(report.Watcher, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.kill(t, syscall.SIGKILL)
	if !alive(report.Pids[0]) {
		t.Fatalf("process %d ended without a watcher: this test shows nothing", report.Pids[0])
	}
	s := startStack(t, Options{Dir: dir})
	checkGone(t, report.Pids[:2]...)
	if n := count(t, s); n != 2 {
		t.Errorf("the database has %d rows, want 1", n-1)
	}
}

func TestServerThatFailsShowsItsLog(t *testing.T) {
	s := startStack(t, Options{Scratch: true})
	if err := s.Postgres().Kill(); err != nil {
		t.Fatal(err)
	}
	s.postgres.program.args = append(s.postgres.program.args, "-c", "no_such_setting=1")
	err := s.Postgres().Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") || !strings.Contains(err.Error(), s.postgres.program.log) {
		t.Errorf("error does not show the log: %v", err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{Dir: openDir(t)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
