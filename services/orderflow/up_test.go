package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// upOn makes the command "orderflow up" with data in dir.
func upOn(t *testing.T, dir string, command ...string) *exec.Cmd {
	args := []string{"up", "--dir", dir}
	if len(command) > 0 {
		args = append(append(args, "--"), command...)
	}
	ctx, stop := context.WithTimeout(context.Background(), limit)
	t.Cleanup(stop)
	return invoke(ctx, []string{"HTTP_ADDR=127.0.0.1:0", "RETRY_DELAYS=200ms,500ms,1s,2s"}, args...)
}

// TestUp starts everything three times on the same data, as a user would.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts RabbitMQ and Postgres")
	}
	t.Parallel()
	dir := openDir(t)

	t.Run("with a command", func(t *testing.T) {
		cmd := upOn(t, dir, "sh", "-c", `echo $AMQP_URL $DATABASE_URL $RABBITMQ_MANAGEMENT_URL $ORDERFLOW_URL
			"$@" -test.run '^TestScenarios$' -test.v || exit 6
			cat
			exit 7`, "sh", os.Args[0])
		cmd.Stdin = strings.NewReader("what is on standard input")
		out, err := cmd.Output()
		if code := exitCode(err); code != 7 || !bytes.Contains(out, []byte("--- PASS: TestScenarios")) {
			log, _ := os.ReadFile(filepath.Join(dir, "log", "orderflow.log"))
			t.Fatalf("exit code %d, want 7: %v\n%s\n%s", code, err, out, lastLines(log))
		}
		t.Logf("%s", out)
		if !bytes.HasSuffix(out, []byte("what is on standard input")) {
			t.Error("the command did not get standard input")
		}
		where, _, _ := strings.Cut(string(out), "\n")
		addresses := strings.Fields(where)
		if len(addresses) != 4 {
			t.Errorf("four addresses are expected: %s", where)
		}
		for _, address := range addresses {
			isDown(t, address)
		}
		nobodyRuns(t, dir)
	})

	t.Run("without a command", func(t *testing.T) {
		cmd := upOn(t, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cmd.Stderr = &log
		started(t, cmd)
		lines := bufio.NewReader(out)
		api, welcome := "", ""
		for api == "" {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("no welcome: %v\n%s", err, lastLines(log.Bytes()))
			}
			if words := strings.Fields(line); len(words) == 3 && words[0] == "REST" {
				api = words[2]
			}
			welcome += line
		}
		c := newJudged(t, api)
		if got, want := get[stock](t, c, "/v1/stock/demo-20"), (stock{"demo-20", 1_000_000, 0, 0, 1_000_000}); got != want {
			t.Errorf("demo stock %+v, want %+v", got, want)
		}
		if orders := get[struct{ Orders []order }](t, c, "/v1/orders").Orders; len(orders) == 0 {
			t.Error("the orders of the first run are gone")
		}
		cmd.Process.Signal(os.Interrupt)
		rest, _ := io.ReadAll(lines)
		welcome += string(rest)
		if err := cmd.Wait(); err != nil {
			t.Errorf("Ctrl-C: %v\n%s", err, lastLines(log.Bytes()))
		}
		for _, want := range []string{"RabbitMQ management  http://127.0.0.1:", "Postgres             postgres://", "curl -s " + api + "/v1/orders"} {
			if !strings.Contains(welcome, want) {
				t.Errorf("%q is not in what it prints:\n%s", want, welcome)
			}
		}
		nobodyRuns(t, dir)
	})

	t.Run("Ctrl-C while the command runs", func(t *testing.T) {
		cmd := upOn(t, dir, "sh", "-c", "echo here; exec tail -f /dev/null "+filepath.Join(dir, "stack.json"))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		started(t, cmd)
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(os.Interrupt)
		if code := exitCode(cmd.Wait()); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		nobodyRuns(t, dir)
	})
}

func TestUpWrongUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		command []string
		want    string
	}{
		{[]string{"no-such-command"}, `orderflow: exec: "no-such-command": executable file not found in $PATH`},
		{[]string{filepath.Join(dir, "none")}, "no such file or directory"},
	} {
		out, err := upOn(t, dir, c.command...).CombinedOutput()
		if exitCode(err) != 2 || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: %v: %s", c.command, err, out)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was started")
	}
}

// openDir makes a directory that the servers can reach, who may run as another user; a test's own is closed to others.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderflow-up-*")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// started starts a command, and stops it if the test gives up on it.
func started(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	})
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// isDown checks that nobody listens at an address any more.
func isDown(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", u.Host); err == nil {
		conn.Close()
		t.Errorf("%s still answers", u.Host)
	}
}

// nobodyRuns checks that no process names the directory any more: the servers, their helpers and the command all do.
func nobodyRuns(t *testing.T, dir string) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) {
			t.Errorf("still running: %s", line)
		}
	}
}

func lastLines(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-40):], []byte("\n"))
}
