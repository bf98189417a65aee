package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// program is a command that runs as a server: by its own user, in its own environment, with its output in a file.
type program struct {
	path string
	args []string
	env  []string
	dir  string
	user *account // nil: the user of this process
	log  string   // path of the file that takes its output
	end  string   // name of the signal by which the watcher ends it
}

// process is a running program. It is in a process group of its own, so that Ctrl-C in a terminal doesn't reach it.
type process struct {
	pid    int
	exited chan struct{} // closed when it has ended and err is set
	err    error
}

// launch starts the program behind a gate (see the package's documentation) and returns when the gate is open.
func launch(w *watcher, p program) (*process, error) {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.path, err)
	}
	defer out.Close()
	gate, open, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.path, err)
	}
	defer open.Close()

	cmd := exec.Command("/bin/sh", append([]string{"-c", `read -r _ && exec "$0" "$@" </dev/null`, p.path}, p.args...)...)
	cmd.Env, cmd.Dir = p.env, p.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = gate, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.user.credential()}
	err = cmd.Start()
	gate.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.path, err)
	}
	proc := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	w.add(proc.pid, p.end)
	go func() {
		proc.err = cmd.Wait()
		w.remove(proc.pid)
		close(proc.exited)
	}()
	if _, err := open.Write([]byte("\n")); err != nil {
		proc.kill()
		return nil, fmt.Errorf("start %s: %w", p.path, err)
	}
	return proc, nil
}

// run runs the program to its end, or kills it when the context ends.
func run(ctx context.Context, w *watcher, p program) error {
	proc, err := launch(w, p)
	if err != nil {
		return err
	}
	select {
	case <-proc.exited:
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), proc.kill())
	}
	if proc.err != nil {
		return withLog(fmt.Errorf("%s failed: %w", p.path, proc.err), p.log)
	}
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop asks by the signal, and kills what has not ended after the time given.
func (p *process) stop(sig syscall.Signal, grace time.Duration) error {
	if !p.running() {
		return nil
	}
	syscall.Kill(p.pid, sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		return p.kill()
	}
}

// signalAll sends a signal to the process first, and then to all that it started: while it is stopped, it starts no more.
func (p *process) signalAll(signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	children, err := descendants(p.pid)
	for _, pid := range children {
		syscall.Kill(pid, signal)
	}
	return err
}

// kill ends the process and all that it started by SIGKILL, at one blow as in a crash of the machine, and waits until
// none is left. It is stopped first: what cannot run cannot fork, so the list of its children is complete.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	syscall.Kill(p.pid, syscall.SIGSTOP)
	children, err := descendants(p.pid)
	for _, pid := range append(children, p.pid) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.exited
	return errors.Join(err, awaitGone(children))
}

// awaitGone waits until none of the processes runs. They have been killed and are not our children, so the only way to
// learn of their end is to look.
func awaitGone(pids []int) error {
	const limit = 10 * time.Second
	deadline := time.Now().Add(limit)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d still runs %v after SIGKILL", pid, limit)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}
