package devstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/internal/probe"
)

// Options of a stack. The zero value is that of `orderflow up`, without progress.
type Options struct {
	Dir string    // the data directory; ".orderflow" if empty
	Log io.Writer // takes a line for each step; nil for none. The servers' own output goes to files in Dir/log

	// Scratch is for tests: the data is not to outlive the stack. Postgres doesn't wait for the disk, Stop kills the
	// servers and removes the data, and so does the watcher. Dir must be empty: a directory for temporary files is used.
	Scratch bool

	places *places // nil: the usual ones
}

// Stack is a running RabbitMQ and a running Postgres.
type Stack struct {
	home     *home
	remove   []string // paths to remove at the end
	scratch  bool
	watcher  *watcher
	rabbitmq *Server
	postgres *Server
	stop     func() error
}

// Start starts both servers and returns when they serve. The context bounds the start alone; the servers run until Stop or
// the end of the program. Of programs that are not installed a *MissingError tells. The data directory stays; a
// directory that another stack uses is refused.
func Start(ctx context.Context, opt Options) (*Stack, error) {
	began := time.Now()
	if opt.Log == nil {
		opt.Log = io.Discard
	}
	usual := usualPlaces()
	bin, err := find(*cmp.Or(opt.places, &usual))
	if err != nil {
		return nil, err
	}
	s, err := open(opt)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, bin, opt.Log); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	fmt.Fprintf(opt.Log, "RabbitMQ and Postgres are ready after %.1fs\n", time.Since(began).Seconds())
	return s, nil
}

// open takes the directory and starts the watcher.
func open(opt Options) (*Stack, error) {
	s := &Stack{scratch: opt.Scratch}
	s.stop = sync.OnceValue(s.end)
	dir := cmp.Or(opt.Dir, ".orderflow")
	if opt.Scratch {
		var err error
		if dir, err = scratchDir(opt.Dir); err != nil {
			return nil, err
		}
	}
	h, err := openHome(dir)
	if err != nil && opt.Scratch {
		os.RemoveAll(dir)
	}
	if err != nil {
		return nil, err
	}
	s.home = h
	if opt.Scratch {
		s.remove = []string{h.dir, h.data}
	}
	if s.watcher, err = startWatcher(h.lock, s.remove); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func scratchDir(dir string) (string, error) {
	if dir != "" {
		return "", fmt.Errorf("a scratch stack chooses its own directory, and is not to remove %s", dir)
	}
	dir, err := os.MkdirTemp("", "orderflow-*")
	if err == nil {
		err = os.Chmod(dir, 0o711) // the servers may run as another user
	}
	if err != nil {
		return "", fmt.Errorf("directory for a scratch stack: %w", err)
	}
	return dir, nil
}

// start starts both servers, at the same time.
func (s *Stack) start(ctx context.Context, bin binaries, log io.Writer) error {
	h := s.home
	pg, err := choosePostgres(bin.postgres, h.clusterDir())
	if err != nil {
		return err
	}
	for _, name := range []string{"rabbitmq.log", "postgres.log", "initdb.log"} {
		os.Remove(filepath.Join(h.logDir(), name)) // of the last run
	}
	// The grace has room for the five seconds that RabbitMQ's management plugin waits for nothing before 3.13.2.
	s.rabbitmq = &Server{
		name: "RabbitMQ", program: h.rabbitmqServer(bin.rabbitmq), watcher: s.watcher,
		prepare: h.configureRabbitMQ, ready: probe.RabbitMQ(h.amqpURL(), h.managementURL()),
		stopSig: syscall.SIGTERM, grace: 20 * time.Second,
	}
	s.postgres = &Server{
		name: "Postgres", program: h.postgresServer(pg, s.scratch), watcher: s.watcher,
		prepare: h.forgetPostmaster, ready: probe.Postgres(h.databaseURL("postgres")),
		stopSig: syscall.SIGINT, grace: 20 * time.Second,
	}
	fmt.Fprintf(log, "starting RabbitMQ (%s) and Postgres (%s), data in %s\n", bin.rabbitmq, pg, h.data)
	if h.user != nil {
		fmt.Fprintf(log, "they run as user %s, because Postgres refuses to run as root\n", h.user.name)
	}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.rabbitmq.Start(ctx) })
	g.Go(func() error { return s.startPostgres(ctx, pg) })
	return g.Wait()
}

func (s *Stack) startPostgres(ctx context.Context, bin string) error {
	if err := s.home.initCluster(ctx, s.watcher, bin, s.scratch); err != nil {
		return err
	}
	if err := s.postgres.Start(ctx); err != nil {
		return err
	}
	return s.home.createDatabase(ctx)
}

// AMQPURL is the address of the broker, with user, password and vhost.
func (s *Stack) AMQPURL() string { return s.home.amqpURL() }

// ManagementURL is the address of the management UI and API, with user and password.
func (s *Stack) ManagementURL() string { return s.home.managementURL() }

// MetricsURL is the address of the broker's metrics, without a path: /metrics, /metrics/detailed.
func (s *Stack) MetricsURL() string { return s.home.metricsURL() }

// DatabaseURL is the address of an empty database; its user may create others.
func (s *Stack) DatabaseURL() string { return s.home.databaseURL(identity) }

// RabbitMQ is the broker as a process.
func (s *Stack) RabbitMQ() *Server { return s.rabbitmq }

// Postgres is the database server as a process.
func (s *Stack) Postgres() *Server { return s.postgres }

// Stop stops both servers, by force after 20 seconds, and returns when they are gone. To call it again does nothing and
// returns the same.
func (s *Stack) Stop() error { return s.stop() }

func (s *Stack) end() error {
	stop := (*Server).stop
	if s.scratch {
		stop = (*Server).Kill
	}
	var g errgroup.Group
	for _, server := range []*Server{s.rabbitmq, s.postgres} {
		if server != nil {
			g.Go(func() error { return stop(server) })
		}
	}
	err := g.Wait()
	if s.watcher != nil {
		err = errors.Join(err, s.watcher.close())
	}
	return errors.Join(err, s.home.lock.Close())
}
