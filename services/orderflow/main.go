package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes, for scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the command or the configuration is wrong
	exitFound  = 3 // what was looked for was found: dead letters, broken promises
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // whoever is in a hurry asks a second time
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{code: exitFailed, err: err}
	}
	if exit.err != nil {
		fmt.Fprintln(stderr, "orderflow:", exit.err)
	}
	return exit.code
}

// exitError is an error that decides the exit code; without an err it is silent.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// usagef says that the program was called wrongly.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exactly, atLeast and noArgs are cobra's checks with the exit code of wrong use.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w\n%s", err, cmd.UsageString())
		}
		return nil
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "orderflow",
		Short: "An order workflow on RabbitMQ and Postgres: four services that know each other only by events",
		Long: `orderflow charges, reserves and ships orders in four services that exchange events through a RabbitMQ topic exchange.

Configuration is the environment: AMQP_URL, DATABASE_URL, HTTP_ADDR and more; see "orderflow serve --help".
Exit codes: 0 done, 1 failed, 2 wrong use, 3 something was found.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q, see orderflow --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w, see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newUp(), newMigrate(), newTopology(), newDLQ(), newVerify(), newDoctor(), newNudge(), newBench(), newEdge(), newKey(), newVersion(), newHealthcheck())
	return root
}
