package devtest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"orderflow/pkg/devstack"
)

// Servers are a running RabbitMQ and Postgres.
type Servers struct {
	Env
	Source             string // for the log: where they come from, and why
	RabbitMQ, Postgres Server // nil for servers given by URL
	// Control runs rabbitmqctl on the broker and returns what it prints; nil for servers given by URL.
	Control func(ctx context.Context, args ...string) ([]byte, error)
	stop    func() error
}

// Server is one of them: a process or a container. What a method says is done when it returns.
type Server interface {
	Kill() error                     // as a crash would
	Start(ctx context.Context) error // again, on the same address and data
	Freeze() error                   // nothing of it runs, and its connections stay
	Thaw() error
}

// Stop ends the servers and removes their data.
func (s *Servers) Stop() error { return s.stop() }

func givenByURL() (Env, bool) {
	env := Env{AMQPURL: os.Getenv("AMQP_URL"), ManagementURL: os.Getenv("RABBITMQ_MANAGEMENT_URL"), DatabaseURL: os.Getenv("DATABASE_URL")}
	return env, env.AMQPURL != "" && env.ManagementURL != "" && env.DatabaseURL != ""
}

// Start starts new servers as containers or as processes, see the package's documentation.
func Start(ctx context.Context) (*Servers, error) {
	switch choice := os.Getenv("ORDERFLOW_TEST_SERVERS"); choice {
	case "containers":
		return startContainers(ctx)
	case "processes":
		return startProcesses(ctx)
	case "":
		return startEither(ctx)
	default:
		return nil, fmt.Errorf("ORDERFLOW_TEST_SERVERS is %q: it must be containers, processes or empty", choice)
	}
}

func startEither(ctx context.Context) (*Servers, error) {
	s, errContainers := startContainers(ctx)
	if errContainers == nil {
		return s, nil
	}
	s, errProcesses := startProcesses(ctx)
	if errProcesses == nil {
		s.Source += fmt.Sprintf(", because containers are not to be had: %v", errContainers)
		return s, nil
	}
	return nil, errors.Join(fmt.Errorf("as containers: %w", errContainers), fmt.Errorf("as processes: %w", errProcesses))
}

func startProcesses(ctx context.Context) (*Servers, error) {
	stack, err := devstack.Start(ctx, devstack.Options{Scratch: true})
	if err != nil {
		return nil, err
	}
	return &Servers{
		Env:      Env{stack.AMQPURL(), stack.ManagementURL(), stack.DatabaseURL(), stack.MetricsURL()},
		Source:   "private processes",
		RabbitMQ: stack.RabbitMQ(),
		Postgres: stack.Postgres(),
		Control:  stack.Control,
		stop:     stack.Stop,
	}, nil
}
