package devstack

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// watchScript reads lines of "pid:SIGNAL pid:SIGNAL …" from the pipe. When the program at its other end is gone, it
// signals the servers of the last line, waits for up to ten seconds, kills the rest, and removes the paths given as arguments.
const watchScript = `
trap '' HUP INT TERM
while read -r line; do servers=$line; done
running() {
	kill -0 "$1" 2>/dev/null || return 1
	case $(cat "/proc/$1/stat" 2>/dev/null) in *') Z '*) return 1 ;; esac
}
for s in $servers; do kill -s "${s#*:}" "${s%:*}" 2>/dev/null; done
tenths=0
for s in $servers; do
	while running "${s%:*}" && [ $tenths -lt 100 ]; do
		sleep 0.1
		tenths=$((tenths + 1))
	done
	kill -s KILL -- "-${s%:*}" 2>/dev/null
done
[ $# -eq 0 ] || rm -rf -- "$@"
`

// watcher ends the servers if this program ends without having done so.
type watcher struct {
	cmd *exec.Cmd

	mu      sync.Mutex
	pipe    *os.File
	servers map[int]string // pid → name of the signal that ends it
}

// startWatcher starts it. It keeps the lock's file open, and thereby locked, as long as it lives, and removes the
// paths of remove at its end.
func startWatcher(lock *os.File, remove []string) (*watcher, error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the watcher: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watchScript, "orderflow-devstack-watcher"}, remove...)...)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.ExtraFiles = []*os.File{lock}
	// A session of its own: signals of the program's terminal and process group must not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		pipe.Close()
		return nil, fmt.Errorf("start the watcher: %w", err)
	}
	return &watcher{cmd: cmd, pipe: pipe, servers: map[int]string{}}, nil
}

func (w *watcher) add(pid int, signal string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[pid] = signal
	w.tell()
}

func (w *watcher) remove(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.servers, pid)
	w.tell()
}

// tell ignores errors: if the watcher itself was killed, Stop still ends the servers.
func (w *watcher) tell() {
	var line []string
	for _, pid := range slices.Sorted(maps.Keys(w.servers)) {
		line = append(line, fmt.Sprintf("%d:%s", pid, w.servers[pid]))
	}
	fmt.Fprintln(w.pipe, strings.Join(line, " "))
}

// close ends the watcher and waits for it.
func (w *watcher) close() error {
	w.mu.Lock()
	w.pipe.Close()
	w.mu.Unlock()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("watcher of the servers: %w", err)
	}
	return nil
}
