package devtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/modules/rabbitmq"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/internal/probe"
	"orderflow/pkg/devstack/port"
)

const (
	rabbitmqImage = "rabbitmq:4-management"
	postgresImage = "postgres:17"
	account       = "orderflow" // the user, vhost and database that the servers begin with
)

// rabbitmqConfig takes the place of the one that the module writes: it does not let a breakpoint or a rather full disk
// stop a test.
const rabbitmqConfig = `consumer_timeout = 604800000
disk_free_limit.absolute = 100MB
`

// engine is the Docker engine that runs the containers.
type engine struct {
	docker *testcontainers.DockerClient
	host   string // where the engine's ports are reached from here
	bind   netip.Addr
	reaper *reaper
}

// startContainers starts both servers as containers. It fails if no engine answers or an image can't be had.
func startContainers(ctx context.Context) (*Servers, error) {
	e, err := connectEngine(ctx)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	s := &Servers{Source: "containers of " + rabbitmqImage + " and " + postgresImage}
	var mq, pg *containerServer
	var g errgroup.Group // not bound to one context: what one of them started must be known, to be removed
	g.Go(func() (err error) { mq, err = e.startRabbitMQ(ctx, password, &s.Env); return err })
	g.Go(func() (err error) { pg, err = e.startPostgres(ctx, password, &s.Env); return err })
	err = g.Wait()
	s.RabbitMQ, s.Postgres, s.Control = mq, pg, mq.control
	s.stop = func() error { return errors.Join(mq.terminate(), pg.terminate(), e.close()) }
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// hush keeps the library from telling about each step on stderr, amid the tests' output; once, as servers are started side by side.
var hush = sync.OnceFunc(func() { log.SetDefault(log.NewNoopLogger()) })

func connectEngine(ctx context.Context) (*engine, error) {
	hush()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, fmt.Errorf("no Docker engine: %w", err)
	}
	defer provider.Close()
	if err := provider.Health(ctx); err != nil {
		return nil, fmt.Errorf("the Docker engine does not answer: %w", err)
	}
	e := &engine{bind: netip.IPv4Unspecified()}
	if e.host, err = provider.DaemonHost(ctx); err != nil {
		return nil, fmt.Errorf("address of the Docker engine: %w", err)
	}
	if e.host == "localhost" || e.host == "127.0.0.1" {
		e.host, e.bind = "127.0.0.1", netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if e.docker, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return nil, fmt.Errorf("client of the Docker engine: %w", err)
	}
	if e.reaper, err = reaperIfNeeded(); err != nil {
		return nil, errors.Join(err, e.docker.Close())
	}
	return e, nil
}

func (e *engine) close() error { return errors.Join(e.reaper.close(), e.docker.Close()) }

func (e *engine) startRabbitMQ(ctx context.Context, password string, env *Env) (*containerServer, error) {
	at, options, err := e.options("5672/tcp", "15672/tcp", "15692/tcp")
	if err != nil {
		return nil, err
	}
	config := testcontainers.ContainerFile{
		Reader:            strings.NewReader(rabbitmqConfig),
		ContainerFilePath: "/etc/rabbitmq/rabbitmq-testcontainers.conf",
		FileMode:          0o644,
	}
	options = append(options, rabbitmq.WithAdminUsername(account), rabbitmq.WithAdminPassword(password))
	options = append(options, testcontainers.WithEnv(map[string]string{"RABBITMQ_DEFAULT_VHOST": account}))
	options = append(options, testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
		req.Files = []testcontainers.ContainerFile{config}
		return nil
	}))
	user := url.UserPassword(account, password)
	env.AMQPURL = (&url.URL{Scheme: "amqp", User: user, Host: at[0], Path: account}).String()
	env.ManagementURL = (&url.URL{Scheme: "http", User: user, Host: at[1]}).String()
	env.MetricsURL = "http://" + at[2]
	c, err := rabbitmq.Run(ctx, rabbitmqImage, options...)
	if c == nil {
		return nil, err
	}
	return e.server(ctx, c.Container, err, probe.RabbitMQ(env.AMQPURL, env.ManagementURL))
}

func (e *engine) startPostgres(ctx context.Context, password string, env *Env) (*containerServer, error) {
	at, options, err := e.options("5432/tcp")
	if err != nil {
		return nil, err
	}
	options = append(options,
		postgres.WithUsername(account), postgres.WithPassword(password), postgres.WithDatabase(account),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(account, password), Host: at[0], Path: account, RawQuery: "sslmode=disable"}
	env.DatabaseURL = u.String()
	c, err := postgres.Run(ctx, postgresImage, options...)
	if c == nil {
		return nil, err
	}
	return e.server(ctx, c.Container, err, probe.Postgres(env.DatabaseURL))
}

// options publish the container's ports on fixed ones of the host, at the addresses returned: ports that the engine
// chooses would change when a container is killed and started again.
func (e *engine) options(inside ...string) (at []string, options []testcontainers.ContainerCustomizer, err error) {
	free, err := port.Free(len(inside))
	if err != nil {
		return nil, nil, err
	}
	bindings := network.PortMap{}
	for i, p := range inside {
		number := strconv.Itoa(free[i])
		at = append(at, e.host+":"+number)
		bindings[network.MustParsePort(p)] = []network.PortBinding{{HostIP: e.bind, HostPort: number}}
	}
	name := "orderflow-test-" + strings.ToLower(rand.Text()[:12])
	e.reaper.add(name)
	return at, []testcontainers.ContainerCustomizer{
		testcontainers.WithName(name),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) { c.PortBindings = bindings }),
		testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
			req.ExposedPorts = inside
			return nil
		}),
	}, nil
}

// server takes what the start of a container came to, and waits until the server in it serves.
func (e *engine) server(ctx context.Context, c testcontainers.Container, err error, ready func(context.Context) error) (*containerServer, error) {
	if c == nil {
		return nil, err
	}
	s := &containerServer{engine: e, container: c, ready: ready}
	if err == nil {
		err = s.await(ctx)
	}
	return s, err
}

// containerServer is a server in a container.
type containerServer struct {
	engine    *engine
	container testcontainers.Container
	ready     func(context.Context) error
}

// Kill ends the container by SIGKILL and returns when it is down.
func (s *containerServer) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	id := s.container.GetContainerID()
	down := s.engine.docker.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := s.engine.docker.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return err
	}
	select {
	case <-down.Result:
		return nil
	case err := <-down.Error:
		return err
	}
}

// Start starts the killed container again, with its ports and data.
func (s *containerServer) Start(ctx context.Context) error {
	if err := s.container.Start(ctx); err != nil {
		return err
	}
	return s.await(ctx)
}

// Freeze stops all processes of the container: its first one by the engine, the others from inside. (Not every engine can pause.)
func (s *containerServer) Freeze() error { return s.signal("STOP") }

// Thaw lets them go on.
func (s *containerServer) Thaw() error { return s.signal("CONT") }

func (s *containerServer) signal(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	_, first := s.engine.docker.ContainerKill(ctx, s.container.GetContainerID(), client.ContainerKillOptions{Signal: name})
	_, others := s.run(ctx, "sh", "-c", "kill -s "+name+" -- -1")
	return errors.Join(first, others)
}

// control runs rabbitmqctl in the container.
func (s *containerServer) control(ctx context.Context, args ...string) ([]byte, error) {
	return s.run(ctx, append([]string{"rabbitmqctl"}, args...)...)
}

// run runs a command in the container, and returns what it prints.
func (s *containerServer) run(ctx context.Context, command ...string) ([]byte, error) {
	code, out, err := s.container.Exec(ctx, command, exec.Multiplexed())
	if err != nil {
		return nil, fmt.Errorf("%v: %w", command, err)
	}
	text, err := io.ReadAll(out)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, text)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", command, err)
	}
	return text, nil
}

// await waits until the server in the container serves.
func (s *containerServer) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("not ready after %v", readyLimit))
	defer cancel()
	return probe.Until(ctx, nil, s.ready)
}

// terminate removes the container with its data. nil stands for one that was never created.
func (s *containerServer) terminate() error {
	if s == nil {
		return nil
	}
	return testcontainers.TerminateContainer(s.container, testcontainers.StopTimeout(0))
}
