package devstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"orderflow/pkg/devstack/internal/probe"
)

// startLimit bounds the start of a server, also where the caller's context has no deadline.
const startLimit = 2 * time.Minute

// Server is one of a stack's two servers.
type Server struct {
	name    string
	program program
	watcher *watcher
	prepare func() error                // before each start
	ready   func(context.Context) error // one attempt to use it
	stopSig syscall.Signal              // asks it to stop in good order
	grace   time.Duration               // how long that may take

	mu   sync.Mutex
	proc *process // nil before the first start
}

// Pid is the server's process id, or 0 while it doesn't run.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.proc.pid
}

// running is called with the lock held.
func (s *Server) running() bool { return s.proc != nil && s.proc.running() }

// Start starts the server again, on the same ports and data, and returns when it serves. It does nothing if the server
// runs. The context bounds the wait alone. If it fails, the server doesn't run; the error has the end of its log.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return nil
	}
	if err := s.prepare(); err != nil {
		return err
	}
	proc, err := launch(s.watcher, s.program)
	if err != nil {
		return err
	}
	s.proc = proc
	return s.await(ctx)
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready after %v", startLimit))
	defer cancel()
	err := probe.Until(ctx, s.proc.exited, s.ready)
	if err == nil {
		return nil
	}
	if !s.proc.running() {
		err = fmt.Errorf("it ended (%v)", s.proc.err)
	}
	return errors.Join(withLog(fmt.Errorf("%s did not start: %w", s.name, err), s.program.log), s.proc.kill())
}

// Kill ends the server and all its children by SIGKILL, as a crash would, and returns when they are gone. It does
// nothing if the server doesn't run.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	return s.proc.kill()
}

// Freeze stops the server and all its children where they are, as a machine that hangs would: its connections stay, and nobody
// answers.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("%s does not run", s.name)
	}
	return s.proc.signalAll(signal)
}

// stop ends the server in good order, or kills it where that takes too long.
func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	return s.proc.stop(s.stopSig, s.grace)
}

// withLog adds to the error the last lines of the log that tells why.
func withLog(err error, log string) error {
	return fmt.Errorf("%w; the end of its log %s:\n%s", err, log, lastLines(log, 25))
}

// lastLines returns up to n of the last lines of a file, from its last 16 KiB.
func lastLines(path string, n int) []byte {
	f, err := os.Open(path)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		f.Seek(max(0, info.Size()-16<<10), io.SeekStart)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
