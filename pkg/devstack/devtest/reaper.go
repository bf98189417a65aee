package devtest

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/testcontainers/testcontainers-go"
)

// reapScript reads names of containers from a pipe and removes them when the test binary at its other end is gone.
const reapScript = `
trap '' HUP INT TERM
while read -r name; do names="$names $name"; done
[ -z "$names" ] || docker rm -f -v $names
`

// reaper removes containers of a test binary that panics or is killed, where testcontainers' own reaper, which runs as a
// container, is switched off. It needs the docker command; without that, there is none.
type reaper struct {
	cmd *exec.Cmd

	mu   sync.Mutex
	pipe *os.File
}

// reaperIfNeeded returns nil where none is needed or possible.
func reaperIfNeeded() (*reaper, error) {
	if _, err := exec.LookPath("docker"); err != nil || !testcontainers.ReadConfig().Config.RyukDisabled {
		return nil, nil
	}
	return startReaper()
}

func startReaper() (*reaper, error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("reaper of containers: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", reapScript, "orderflow-devtest-reaper")
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of reach of signals to the test
	if err := cmd.Start(); err != nil {
		pipe.Close()
		return nil, fmt.Errorf("reaper of containers: %w", err)
	}
	return &reaper{cmd: cmd, pipe: pipe}, nil
}

// add tells the name of a container that is about to be created. An error is ignored: a dead reaper hinders no test.
func (r *reaper) add(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.pipe, name)
}

// close makes it remove what is left, and waits for it.
func (r *reaper) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	r.pipe.Close()
	r.mu.Unlock()
	r.cmd.Wait() // fails where nothing is left to remove
	return nil
}
