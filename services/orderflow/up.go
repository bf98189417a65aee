package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/devstack"
	"orderflow/pkg/postgres"
	"orderflow/services/inventory"
)

// The demo stock of `orderflow up`: demo-1 … demo-20.
const (
	demoProducts = 20
	demoOnHand   = 1_000_000
)

// commandPatience is how long the command of up may take to end when it is told to.
const commandPatience = 10 * time.Second

func newUp() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "up [-- CMD [ARG…]]",
		Short: "Run everything on this machine: a private RabbitMQ and Postgres, and all services",
		Long: `Run a private RabbitMQ, a private Postgres and all services on this machine, with some stock to order from, until Ctrl-C.
The data stays in .orderflow.

With -- CMD, run CMD with AMQP_URL, RABBITMQ_MANAGEMENT_URL, DATABASE_URL and ORDERFLOW_URL set, and end with it and with its
exit code; the services' log is then in .orderflow/log/orderflow.log. AMQP_URL and DATABASE_URL of the environment are not used.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usagef("unexpected argument %q; a command to run comes after --", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return up(cmd, dir, args) },
	}
	cmd.Flags().StringVar(&dir, "dir", ".orderflow", "where the data is kept")
	return cmd
}

func up(cmd *cobra.Command, dir string, command []string) (err error) {
	if len(command) > 0 {
		if _, err := exec.LookPath(command[0]); err != nil {
			return usagef("%w", err)
		}
	}
	cfg, err := loadConfig((*config).checkServe)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	stack, err := devstack.Start(ctx, devstack.Options{Dir: dir, Log: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(cmd.ErrOrStderr(), "stopping RabbitMQ and Postgres")
		err = errors.Join(err, stack.Stop())
	}()
	cfg.AMQPURLs, cfg.DatabaseURL, cfg.ManagementURL = []string{stack.AMQPURL()}, stack.DatabaseURL(), stack.ManagementURL()
	if address := freeAddress(cfg.HTTPAddr); address != cfg.HTTPAddr {
		fmt.Fprintf(cmd.ErrOrStderr(), "another program listens on %s, so the REST API gets a free port\n", cfg.HTTPAddr)
		cfg.HTTPAddr = address
	}

	log := cmd.ErrOrStderr()
	if len(command) > 0 {
		file, err := os.Create(filepath.Join(dir, "log", "orderflow.log"))
		if err != nil {
			return err
		}
		defer file.Close()
		log = file
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	began := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		err := serve(running, cfg, services, log, func(address string) { began <- address })
		stop(err) // without the services, a command has nothing to run against
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case address := <-began:
		err = against(running, cmd, cfg, "http://"+address, command)
	}
	stop(nil)
	return cmp.Or(<-ended, err)
}

// against does what up is for, when everything runs: it tells where everything is and waits for the end, or runs a command.
func against(ctx context.Context, cmd *cobra.Command, cfg config, api string, command []string) error {
	if err := putDemoStock(ctx, cfg); err != nil {
		return err
	}
	if len(command) == 0 {
		printWelcome(cmd.OutOrStdout(), cfg, api)
		<-ctx.Done()
		return nil
	}
	return runCommand(ctx, cmd, cfg, api, command)
}

// freeAddress is the address to serve HTTP on: the usual one, unless nobody has asked for it and it is taken.
func freeAddress(address string) string {
	if _, chosen := os.LookupEnv("HTTP_ADDR"); chosen {
		return address
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	listener.Close()
	return address
}

func putDemoStock(ctx context.Context, cfg config) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: inventory.Schema, Name: "orderflow up"})
	if err != nil {
		return err
	}
	defer db.Close()
	products := make([]string, demoProducts)
	for i := range products {
		products[i] = fmt.Sprintf("demo-%d", i+1)
	}
	return inventory.PutDemoStock(ctx, db, products, demoOnHand)
}

const welcome = `
orderflow is up. Ctrl-C stops it; the data stays.

  REST API             %[1]s
  Documentation        %[1]s/docs
  RabbitMQ management  %[2]s   user %[3]s, password %[4]s
  RabbitMQ             %[6]s
  Postgres             %[5]s

Place a first order, and see what becomes of it (its id is in the answer):

  curl -s %[1]s/v1/orders -H 'Content-Type: application/json' -d '{
    "customer_id": "customer-1", "currency": "EUR", "payment_method": "pm_ok",
    "items": [{"product_id": "demo-1", "quantity": 2, "unit_price": "19.99"}],
    "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}}'

  curl -s %[1]s/v1/orders/ORDER_ID
  curl -s %[1]s/v1/orders/ORDER_ID/events

From another terminal, ask whether all is well, where an order stands, for dead letters, and whether everything adds up:

  export AMQP_URL='%[6]s' DATABASE_URL='%[5]s'
  export RABBITMQ_MANAGEMENT_URL='%[8]s' ORDERFLOW_URL='%[1]s'
  %[7]s doctor
  %[7]s doctor order ORDER_ID
  %[7]s dlq list
  %[7]s verify

`

func printWelcome(w io.Writer, cfg config, api string) {
	management, user, password := cfg.ManagementURL, "", ""
	if u, err := url.Parse(cfg.ManagementURL); err == nil {
		user = u.User.Username()
		password, _ = u.User.Password()
		u.User = nil
		management = u.String()
	}
	fmt.Fprintf(w, welcome, api, management, user, password, cfg.DatabaseURL, cfg.AMQPURLs[0], os.Args[0], cfg.ManagementURL)
}

// runCommand runs a command with everything's addresses in its environment. Its exit code becomes this program's.
func runCommand(ctx context.Context, cmd *cobra.Command, cfg config, api string, command []string) error {
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	child.Env = append(os.Environ(),
		"AMQP_URL="+cfg.AMQPURLs[0], "RABBITMQ_MANAGEMENT_URL="+cfg.ManagementURL, "DATABASE_URL="+cfg.DatabaseURL, "ORDERFLOW_URL="+api)
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = commandPatience
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return &exitError{code: exit.ExitCode()}
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w", command[0], err)
	case err != nil:
		return fmt.Errorf("run %s: %w", command[0], err)
	}
	return nil
}
