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

	mu    sync.Mutex // held by whoever does something to it
	cmd   *exec.Cmd
	ended chan error // gets what Wait says, once
	fell  []string   // how it ended by itself
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
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended = cmd, make(chan error, 1)
	go func() { p.ended <- cmd.Wait() }()
	return nil
}

// stopPatience is longer than the program takes for its shutdown when nothing answers.
const stopPatience = 60 * time.Second

// stop ends the process by SIGTERM. It returns what was not in good order.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case err := <-p.ended:
		if status, is := p.cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil && is && status.Signal() == syscall.SIGTERM {
			return nil // the signal came so early that the program did not know yet what to do about it
		}
		if err != nil {
			return fmt.Errorf("on SIGTERM %s ended with %w", p.name, err)
		}
		return nil
	case <-timer.C:
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, stopPatience)
	}
}

// kill ends the process by SIGKILL, and starts it again after a while.
func (p *process) kill(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noticeEnd()
	p.cmd.Process.Kill()
	<-p.ended
	sleep(ctx, d)
	return p.start()
}

// restart ends the process by SIGTERM, as a new release would, and starts it again after a while.
func (p *process) restart(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noticeEnd()
	if err := p.stop(); err != nil {
		p.fell = append(p.fell, err.Error())
	}
	sleep(ctx, d)
	return p.start()
}

// freeze stops the process, and lets it go on after a while, as if nothing had been.
func (p *process) freeze(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, d)
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

// noticeEnd remembers that the process has ended by itself, and starts it, as whoever runs it would.
func (p *process) noticeEnd() {
	select {
	case err := <-p.ended:
		p.fell = append(p.fell, fmt.Sprintf("%s ended by itself: %v", p.name, err))
		if err := p.start(); err != nil {
			p.fell = append(p.fell, err.Error())
		}
	default:
	}
}

// fleet is all processes of the services.
type fleet struct {
	processes []*process
	wires     wires
	http      *http.Client
}

// settings that all processes have. Failed messages are tried long enough for an outage of the gateway, and one more right after it;
// a server may be away for longer than usual while a process starts.
var settings = []string{
	"LOG_FORMAT=json", "START_TIMEOUT=3m", "DB_MAX_CONNS=6", "RETRY_DELAYS=1s,2s,5s,10s,20s,30s,30s,30s,30s",
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

// stop ends every process in good order, and tells what was not in order.
func (f *fleet) stop() (found []string) {
	var group sync.WaitGroup
	for _, p := range f.processes {
		if p.cmd == nil {
			continue
		}
		group.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.noticeEnd()
			if err := p.stop(); err != nil {
				p.fell = append(p.fell, err.Error())
			}
		})
	}
	group.Wait()
	for _, p := range f.processes {
		found = append(found, p.fell...)
		for _, l := range p.links {
			l.remove()
		}
	}
	f.http.CloseIdleConnections()
	return found
}

// ready waits until every process says that it is.
func (f *fleet) ready(ctx context.Context) error {
	for _, p := range f.processes {
		if err := until(ctx, func() error { return f.get(ctx, p, "/readyz", nil) }); err != nil {
			return fmt.Errorf("%s is not ready: %w", p.name, err)
		}
	}
	return nil
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

// stage tells what can be a target.
func (f *fleet) stage(queues []string) (s stage) {
	s.queues = queues
	for _, p := range f.processes {
		s.processes = append(s.processes, p.name)
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
