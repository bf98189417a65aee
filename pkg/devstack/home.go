package devstack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"orderflow/pkg/devstack/port"
)

// home is the directory of a stack: its lock, its lasting state, its logs and its data.
type home struct {
	dir  string // absolute, without symbolic links
	data string // where the servers' own directories are: dir/data, or what it points to
	lock *os.File
	user *account // as whom the servers run; nil: the user of this process
	state
}

// state is kept in stack.json.
type state struct {
	Password string `json:"password"` // of the user orderflow, on both servers
	Cookie   string `json:"cookie"`   // the Erlang node's
	Ports    ports  `json:"ports"`
}

// ports are those of 127.0.0.1 on which the servers listen.
type ports struct {
	Postgres     int `json:"postgres"`
	AMQP         int `json:"amqp"`
	Management   int `json:"management"`
	Metrics      int `json:"metrics"`      // RabbitMQ's, for Prometheus
	Distribution int `json:"distribution"` // Erlang's; also tells our node from others in the list of processes
}

// openHome creates what is missing of the directory and locks it.
func openHome(dir string) (*home, error) {
	h := &home{}
	var err error
	if h.dir, err = makeDir(dir); err != nil {
		return nil, err
	}
	if h.lock, err = lockDir(h.dir); err != nil {
		return nil, err
	}
	if err = h.fill(); err != nil {
		return nil, errors.Join(err, h.lock.Close())
	}
	return h, nil
}

func makeDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w", dir, err)
	}
	return abs, nil
}

func (h *home) fill() error {
	var err error
	if h.user, err = serverAccount(filepath.Join(h.dir, "data", "postgres")); err != nil {
		return err
	}
	if h.data, err = placeData(h.dir, h.user); err != nil {
		return err
	}
	for _, name := range []string{"postgres", "rabbitmq"} {
		if err := makePrivate(filepath.Join(h.data, name), h.user); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(h.logDir(), 0o755); err != nil {
		return fmt.Errorf("directory for logs: %w", err)
	}
	return h.loadState(filepath.Join(h.dir, "stack.json"))
}

func (h *home) logDir() string { return filepath.Join(h.dir, "log") }

// lockDir takes the lock of the directory. A lock whose owner is dead is released soon, by the watcher that ends the
// owner's servers; one whose owner lives isn't waited for.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock of the data directory: %w", err)
	}
	const limit = 20 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		owner := lockOwner(path)
		if !errors.Is(err, syscall.EWOULDBLOCK) || alive(owner) || time.Now().After(deadline) {
			f.Close()
			return nil, lockError(dir, owner, err)
		}
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock of the data directory: %w", err)
	}
	return f, nil
}

func lockOwner(path string) int {
	b, _ := os.ReadFile(path)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func lockError(dir string, owner int, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return fmt.Errorf("data directory %s is in use by process %d: stop that, or choose another directory", dir, owner)
}

// placeData returns dir/data if the account can reach it. Otherwise the data goes below /var/lib, and dir/data points there.
func placeData(dir string, user *account) (string, error) {
	path := filepath.Join(dir, "data")
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return reachable(target, user)
	}
	target := path
	if !user.reaches(dir) {
		target = fmt.Sprintf("/var/lib/orderflow/%x", sha256.Sum256([]byte(dir)))[:len("/var/lib/orderflow/")+16]
		if err := pointTo(target, path); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(target, 0o711); err != nil {
		return "", fmt.Errorf("directory for the servers' data: %w", err)
	}
	return reachable(target, user)
}

// pointTo makes path a symbolic link to the target. What is at the target belonged to a directory that was removed since,
// together with the password for it.
func pointTo(target, path string) error {
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove old data: %w", err)
	}
	os.Remove(path) // a link to data that is gone
	if err := os.Symlink(target, path); err != nil {
		return fmt.Errorf("link to the servers' data: %w", err)
	}
	return nil
}

func reachable(data string, user *account) (string, error) {
	if !user.reaches(data) {
		return "", fmt.Errorf("the servers run as user %s, who may not enter %s: choose a data directory that every user may enter", user.name, data)
	}
	return data, nil
}

// makePrivate creates a directory that only the servers' user may enter.
func makePrivate(path string, user *account) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory for a server: %w", err)
	}
	return user.own(path)
}

// writePrivate writes a file that only the servers' user may read. It replaces the file, which may be read-only.
func writePrivate(path, content string, mode os.FileMode, user *account) error {
	os.Remove(path)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return fmt.Errorf("configuration of a server: %w", err)
	}
	return user.own(path)
}

// loadState reads the state or begins a new one. Ports that somebody else has taken meanwhile are replaced.
func (h *home) loadState(path string) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &h.state)
	} else if errors.Is(err, fs.ErrNotExist) {
		h.state, err = state{Password: rand.Text(), Cookie: rand.Text()}, nil
	}
	if err != nil {
		return fmt.Errorf("state of the data directory: %w", err)
	}
	if err := sweep(h); err != nil {
		return err
	}
	if h.Ports, err = freePorts(h.Ports); err != nil {
		return err
	}
	if b, err = json.MarshalIndent(h.state, "", "  "); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("state of the data directory: %w", err)
	}
	return nil
}

// freePorts keeps the ports that are free and replaces the others.
func freePorts(p ports) (ports, error) {
	fresh, err := port.Free(5)
	if err != nil {
		return ports{}, err
	}
	for i, kept := range []*int{&p.Postgres, &p.AMQP, &p.Management, &p.Distribution, &p.Metrics} {
		if *kept == 0 || !port.IsFree(*kept) {
			*kept = fresh[i]
		}
	}
	return p, nil
}

// sweep ends servers of an earlier run that were left because their watcher was killed, too. Nobody else can be running
// them: this process has the lock. They are known by the data directory and by the distribution port among their arguments.
func sweep(h *home) error {
	table, err := processTable()
	if err != nil {
		return err
	}
	marks := []string{" -D " + h.clusterDir() + " ", fmt.Sprintf(" -erl_epmd_port %d ", h.Ports.Distribution)}
	var left []int
	for _, e := range table {
		for _, mark := range marks {
			if !e.zombie && strings.Contains(e.command+" ", mark) {
				left = append(left, e.pid)
			}
		}
	}
	for _, pid := range left {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return awaitGone(left)
}
