package devtest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"orderflow/pkg/devstack"
)

// servers are a running RabbitMQ and Postgres.
type servers struct {
	env                Env
	source             string // for the test's log: where they come from, and why
	rabbitmq, postgres server // nil for servers given by URL
	stop               func() error
}

// server is one of them: a process or a container.
type server interface {
	Kill() error
	Start(context.Context) error
}

func givenByURL() (Env, bool) {
	env := Env{os.Getenv("AMQP_URL"), os.Getenv("RABBITMQ_MANAGEMENT_URL"), os.Getenv("DATABASE_URL")}
	return env, env.AMQPURL != "" && env.ManagementURL != "" && env.DatabaseURL != ""
}

// start starts new servers as containers or as processes, see the package's documentation.
func start(ctx context.Context) (*servers, error) {
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

func startEither(ctx context.Context) (*servers, error) {
	s, errContainers := startContainers(ctx)
	if errContainers == nil {
		return s, nil
	}
	s, errProcesses := startProcesses(ctx)
	if errProcesses == nil {
		s.source += fmt.Sprintf(", because containers are not to be had: %v", errContainers)
		return s, nil
	}
	return nil, errors.Join(fmt.Errorf("as containers: %w", errContainers), fmt.Errorf("as processes: %w", errProcesses))
}

func startProcesses(ctx context.Context) (*servers, error) {
	stack, err := devstack.Start(ctx, devstack.Options{Scratch: true})
	if err != nil {
		return nil, err
	}
	return &servers{
		env:      Env{stack.AMQPURL(), stack.ManagementURL(), stack.DatabaseURL()},
		source:   "private processes",
		rabbitmq: stack.RabbitMQ(),
		postgres: stack.Postgres(),
		stop:     stack.Stop,
	}, nil
}
