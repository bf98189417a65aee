package devstack

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// childReport is what a child that has started its servers prints.
type childReport struct {
	Pids        []int // of the stack in the given directory; the two servers first
	Watcher     int
	Scratch     string // directory of the scratch stack
	ScratchPids []int
}

// childProcess is this test binary in another role. Its stdin is a pipe: a child waits there to be ended.
type childProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(t *testing.T, role, dir string) *childProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ORDERFLOW_DEVSTACK_CHILD="+role, "ORDERFLOW_DEVSTACK_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &childProcess{cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() { c.kill(t, syscall.SIGKILL) })
	return c
}

// kill sends the signal to the child's process group, as a terminal does, and waits for the child's end.
func (c *childProcess) kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if c.cmd.ProcessState != nil {
		return
	}
	syscall.Kill(-c.cmd.Process.Pid, sig)
	c.cmd.Wait()
}

// child is what TestMain runs in a child.
func child(role string) {
	dir := os.Getenv("ORDERFLOW_DEVSTACK_DIR")
	var err error
	switch role {
	case "stack", "stacks":
		err = childStacks(dir, role == "stacks")
	default:
		err = childSleeper(dir, role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// childStacks starts a stack, or two at the same time, reports, and waits to be killed.
func childStacks(dir string, two bool) error {
	var kept, scratch *Stack
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() (err error) { kept, err = Start(ctx, Options{Dir: dir}); return err })
	if two {
		g.Go(func() (err error) { scratch, err = Start(ctx, Options{Scratch: true}); return err })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := leaveRow(ctx, kept.DatabaseURL()); err != nil {
		return err
	}
	report := childReport{Watcher: kept.watcher.cmd.Process.Pid}
	var err error
	if report.Pids, err = family(kept); err != nil {
		return err
	}
	if two {
		report.Scratch = scratch.home.dir
		if report.ScratchPids, err = family(scratch); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// family are the servers and their children.
func family(s *Stack) ([]int, error) {
	all := []int{s.RabbitMQ().Pid(), s.Postgres().Pid()}
	for _, pid := range all[:2] {
		children, err := descendants(pid)
		if err != nil {
			return nil, err
		}
		all = append(all, children...)
	}
	return all, nil
}

func leaveRow(ctx context.Context, url string) error {
	conn, err := pgx.Connect(context.WithoutCancel(ctx), url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(context.WithoutCancel(ctx), `
		CREATE TABLE visits (at timestamptz DEFAULT now());
		INSERT INTO visits DEFAULT VALUES`)
	return err
}

// childSleeper runs a small program as if it were a server, prints its pid, and ends in the way that the role names, or
// waits for a signal.
func childSleeper(dir, role string) error {
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	w, err := startWatcher(lock, nil)
	if err != nil {
		return err
	}
	script := `trap 'exit 0' TERM; echo up >up; while :; do sleep 1 & wait $!; done`
	if role == "stubborn" {
		script = `trap '' TERM; echo up >up; while :; do sleep 1; done`
	}
	proc, err := launch(w, program{
		path: "/bin/sh", args: []string{"-c", script}, dir: dir, log: filepath.Join(dir, "log"), end: "TERM",
		env: []string{"PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		return err
	}
	fmt.Println(proc.pid)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	switch role {
	case "return":
		return nil
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(7)
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestNoEndLeavesAServer ends a program in every way that it can end, none of which stops its server.
func TestNoEndLeavesAServer(t *testing.T) {
	for role, sig := range map[string]syscall.Signal{
		"return": 0, "panic": 0, "exit": 0,
		"interrupt": syscall.SIGINT, "terminate": syscall.SIGTERM, "hangup": syscall.SIGHUP, "kill": syscall.SIGKILL,
		"stubborn": syscall.SIGKILL,
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			dir := openDir(t)
			c := startChild(t, role, dir)
			line, err := c.out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			await(t, "the server runs", func() bool { _, err := os.Stat(filepath.Join(dir, "up")); return err == nil })
			if _, err := c.in.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			if sig != 0 {
				c.kill(t, sig)
			} else {
				c.cmd.Wait()
			}
			await(t, "the server is gone", func() bool { return !alive(pid) })
			await(t, "the lock is free", func() bool {
				f, err := os.Open(filepath.Join(dir, "lock"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
			})
		})
	}
}
