package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"orderflow/pkg/devstack/port"
)

// services of which there are processes.
var services = []string{"order", "payment", "inventory", "shipping"}

// process is a service as one process, which is started, killed, frozen and started again.
type process struct {
	name    string // "payment-1"
	service string
	binary  string
	address string // where it serves HTTP
	env     []string
	log     string // path of the file that takes what it logs, of all its lives
	links   []*link

	mu   sync.Mutex // held by whoever does something to it
	life *life      // the present one, or the last

	noted sync.Mutex
	fell  []string // what it did that nobody had asked for
}

// life is a process from its start to its end.
type life struct {
	cmd   *exec.Cmd
	began int64         // the size of the log
	ended chan struct{} // closed when it is over
	err   error         // how it ended; set before ended is closed
	asked atomic.Bool   // it is to end
}

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.binary, "serve", p.service)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env...), log, log
	cmd.SysProcAttr = alone
	l := &life{cmd: cmd, ended: make(chan struct{})}
	if info, err := log.Stat(); err == nil {
		l.began = info.Size()
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.life = l
	go func() {
		defer close(l.ended)
		if l.err = cmd.Wait(); !l.asked.Load() {
			p.note("%s ended by itself: %v", p.name, cmd.ProcessState)
		}
	}()
	return nil
}

// note remembers what the process did that nobody had asked for.
func (p *process) note(format string, args ...any) {
	p.noted.Lock()
	defer p.noted.Unlock()
	p.fell = append(p.fell, fmt.Sprintf(format, args...))
}

// revive starts the process where it has ended by itself, as whoever runs it would.
func (p *process) revive() error {
	select {
	case <-p.life.ended:
		return p.start()
	default:
		return nil
	}
}

// stopPatience is longer than the program takes for its shutdown when nothing answers.
const stopPatience = 60 * time.Second

// stop ends the process by SIGTERM, and notes what was not in good order.
func (p *process) stop() {
	l := p.life
	l.asked.Store(true)
	l.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C:
		l.cmd.Process.Kill()
		<-l.ended
		p.note("%s did not end within %s of SIGTERM", p.name, stopPatience)
		return
	}
	// Before it has logged anything, the program does not know yet what to do about the signal.
	info, err := os.Stat(p.log)
	early := err == nil && info.Size() == l.began && l.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM
	if l.err != nil && !early {
		p.note("on SIGTERM %s ended with %v", p.name, l.err)
	}
}

// kill ends the process by SIGKILL, and starts it again after a while.
func (p *process) kill(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.revive(); err != nil {
		return err
	}
	p.life.asked.Store(true)
	p.life.cmd.Process.Kill()
	<-p.life.ended
	if status := p.life.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		p.note("%s ended by itself: %v", p.name, p.life.cmd.ProcessState)
	}
	sleep(ctx, d)
	return p.start()
}

// restart ends the process by SIGTERM, as a new release would, and starts it again after a while.
func (p *process) restart(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.revive(); err != nil {
		return err
	}
	p.stop()
	sleep(ctx, d)
	return p.start()
}

// freeze stops the process, and lets it go on after a while, as if nothing had been.
func (p *process) freeze(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.revive(); err != nil {
		return err
	}
	if err := p.life.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, d)
	return p.life.cmd.Process.Signal(syscall.SIGCONT)
}

// fleet is all processes of the services.
type fleet struct {
	processes []*process
	wires     wires
	http      *http.Client
	stopping  sync.Once
}

// poolSize is how many sessions on Postgres a process may have.
const poolSize = 6

// settings that all processes have. Failed messages are tried long enough for an outage of the gateway, and one more right after it;
// a server may be away for longer than usual while a process starts.
var settings = []string{
	"LOG_FORMAT=json", "START_TIMEOUT=3m", fmt.Sprintf("DB_MAX_CONNS=%d", poolSize), "RETRY_DELAYS=1s,2s,5s,10s,20s,30s,30s,30s,30s",
	"GATEWAY_TIMEOUT=2s", "CARRIER_TIMEOUT=2s", "GORACE=halt_on_error=0 atexit_sleep_ms=0",
}

// newFleet makes the processes, number of each service, each with its own links to the servers.
func newFleet(dir, binary string, number map[string]int, amqpURL, databaseURL string, more ...string) (*fleet, error) {
	f := &fleet{wires: newWires(), http: &http.Client{Timeout: 5 * time.Second}}
	for _, service := range services {
		for i := range number[service] {
			p := &process{name: fmt.Sprintf("%s-%d", service, i+1), service: service, binary: binary}
			p.log = filepath.Join(dir, p.name+".log")
			free, err := port.Free(1) // it keeps it from life to life
			if err != nil {
				return nil, err
			}
			p.address = port.Address(free[0])
			p.env = append(slices.Concat(settings, more), "HTTP_ADDR="+p.address)
			for _, to := range []struct{ server, variable, url string }{{rabbitmq, "AMQP_URL", amqpURL}, {postgres, "DATABASE_URL", databaseURL}} {
				l, through, err := f.wires.lay(p.name, to.server, to.url)
				if err != nil {
					return nil, err
				}
				p.links, p.env = append(p.links, l), append(p.env, to.variable+"="+through)
			}
			f.processes = append(f.processes, p)
		}
	}
	return f, nil
}

func (f *fleet) start() error {
	for _, p := range f.processes {
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}

// revive starts every process that has ended by itself.
func (f *fleet) revive() error {
	for _, p := range f.processes {
		p.mu.Lock()
		err := p.revive()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// stop ends every process in good order. To call it again does nothing.
func (f *fleet) stop() { f.stopping.Do(f.end) }

func (f *fleet) end() {
	var group sync.WaitGroup
	for _, p := range f.processes {
		if p.life == nil {
			continue
		}
		group.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.stop()
		})
	}
	group.Wait()
	for _, p := range f.processes {
		for _, l := range p.links {
			l.remove()
		}
	}
	f.http.CloseIdleConnections()
}

// fell lists what processes did that nobody had asked for.
func (f *fleet) fell() (found []string) {
	for _, p := range f.processes {
		p.noted.Lock()
		found = append(found, p.fell...)
		p.noted.Unlock()
	}
	return found
}

// ready waits until every process says that it is.
func (f *fleet) ready(ctx context.Context) error {
	for _, p := range f.processes {
		if err := until(ctx, func() error { return f.get(ctx, p, "/readyz", nil) }); err != nil {
			return fmt.Errorf("%s is not ready: %w; it said last: %s", p.name, err, p.lastWords())
		}
	}
	return nil
}

// lastWords are the last lines of the process's log, and how it ended, if it has.
func (p *process) lastWords() string {
	const some = 2000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	p.noted.Lock()
	defer p.noted.Unlock()
	return fmt.Sprintf("%s%s", text[max(0, len(text)-some):], strings.Join(p.fell, "; "))
}

// of lists the processes of a service.
func (f *fleet) of(service string) []*process {
	return slices.DeleteFunc(slices.Clone(f.processes), func(p *process) bool { return p.service != service })
}

func (f *fleet) named(name string) *process {
	return f.processes[slices.IndexFunc(f.processes, func(p *process) bool { return p.name == name })]
}

func (f *fleet) link(name string) *link {
	process, server, _ := strings.Cut(name, linkTo)
	return f.named(process).link(server)
}

// link is the process's link to a server.
func (p *process) link(server string) *link {
	return p.links[slices.IndexFunc(p.links, func(l *link) bool { return l.name == p.name+linkTo+server })]
}

// stage tells what can be a target. One process, which the seed chooses, lives from beginning to end: whatever leaks, leaks there.
func (f *fleet) stage(survivor int, queues []string) (s stage) {
	s.queues = queues
	for i, p := range f.processes {
		s.processes = append(s.processes, p.name)
		if i != survivor%len(f.processes) {
			s.mortals = append(s.mortals, p.name)
		}
		for _, l := range p.links {
			s.links = append(s.links, l.name)
		}
	}
	return s
}

// complaints are lines of the processes' logs that nobody should ever see.
func (f *fleet) complaints() (found []string) {
	for _, p := range f.processes {
		text, err := os.ReadFile(p.log)
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
			if i := strings.Index(string(text), bad); i >= 0 {
				found = append(found, fmt.Sprintf("%s logged %q: %.500s", p.name, bad, text[i:]))
			}
		}
	}
	return found
}

// build compiles the program into dir, with a bug in it if one is named.
func build(ctx context.Context, dir string, race bool, b *bug) (string, error) {
	binary := filepath.Join(dir, "orderflow")
	args := []string{"build", "-o", binary}
	if race {
		args = append(args, "-race")
	}
	if b != nil {
		overlay, err := b.overlay(dir)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "orderflow/services/orderflow")...).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build orderflow: %w", err), errors.New(string(out)))
	}
	return binary, nil
}
