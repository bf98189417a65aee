package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
)

func newDLQPlan() *cobra.Command {
	c := &change{what: replaying, dryRun: true}
	cmd := &cobra.Command{
		Use:   "plan QUEUE… > plan.json",
		Short: "Write down which dead letters would be replayed, for orderflow dlq apply",
		Long: `Write down which dead letters would be replayed, to be read, discussed and applied: by their ids and the hashes of their bodies,
with their targets and with what the inbox of each target says. Changes nothing. What was found is told on standard error.`,
		Example: `  orderflow dlq plan payment.order-placed --where 'error contains "timeout"' > plan.json
  orderflow dlq apply plan.json`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.check(cmd, args); err != nil {
			return err
		}
		return withDesk(cmd, c.withoutDB, func(d *desk) error {
			queues, err := c.queuesOf(cmd, d, args)
			if err != nil {
				return err
			}
			plan, run, err := dlq.MakePlan(cmd.Context(), d.Broker, c.job(cmd, d, queues))
			if err != nil {
				return fmt.Errorf("no plan was made: %w", err)
			}
			plan.MadeBy, plan.Where, plan.Host = operator(), c.where.text, d.VirtualHost()
			return errors.Join(plan.Write(cmd.OutOrStdout()), printRun(cmd.ErrOrStderr(), run, c.what, true))
		})
	}
	c.chooseFlags(cmd, "plan")
	cmd.Flags().BoolVar(&c.force, "force", false, "also what is older than the inbox of its service remembers, and what may have been handled, therefore")
	forceFlag(cmd, &c.forceQueue)
	databaseFlag(cmd, &c.withoutDB)
	return cmd
}

func newDLQApply() *cobra.Command {
	c := &change{what: replaying}
	cmd := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Replay what a plan of orderflow dlq plan names, and nothing else",
		Long: `Replay what a plan of orderflow dlq plan names, and nothing else: what came after the plan, or has died again since, stays. It
can be stopped or killed at any moment and run again. - is standard input.

Asks before it acts. Exit code: 1 where something that was planned cannot be replayed, or is not there any more although no apply of this
plan has replayed it, as far as the history tells.`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.check(cmd, args); err != nil {
			return err
		}
		plan, err := readPlan(cmd.InOrStdin(), args[0])
		if err != nil {
			return usagef("%s: %w", args[0], err)
		}
		c.plan = &plan
		return withDesk(cmd, c.withoutDB, func(d *desk) error { return c.apply(cmd, d, plan) })
	}
	c.canaryFlags(cmd)
	c.actFlags(cmd)
	return cmd
}

func readPlan(stdin io.Reader, file string) (dlq.Plan, error) {
	if file == "-" {
		return dlq.ReadPlan(stdin)
	}
	in, err := os.Open(file)
	if err != nil {
		return dlq.Plan{}, err
	}
	defer in.Close()
	return dlq.ReadPlan(in)
}

// apply replays what is planned. What is not there any more is part of the answer.
func (c *change) apply(cmd *cobra.Command, d *desk, plan dlq.Plan) error {
	if host := d.VirtualHost(); plan.Host != host {
		return usagef("the plan is for the virtual host %q, and AMQP_URL leads to %q", plan.Host, host)
	}
	if err := checkDead(plan.Queues()...); err != nil {
		return err
	}
	if err := d.openHistory(cmd.Context(), plan.ID, !c.dryRun); err != nil {
		return err
	}
	do := func(ctx context.Context, d *desk, j dlq.Job) (dlq.Run, error) {
		j.History = d.history
		var err error
		c.applied, err = dlq.Apply(ctx, d.Broker, plan, j)
		return c.applied.Run, err
	}
	replay := func() (dlq.Action, error) { return dlq.Replay(), nil }
	err := c.run(cmd, d, c.job(cmd, d, plan.Queues()), act{dlq.Replay(), replay, do})
	if errors.Is(err, errDeclined) {
		return err
	}
	if before := c.applied.Before; before > 0 && !c.asJSON {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s replayed by an earlier apply of this plan\n", count(before))
	}
	if changed := c.applied.Changed; len(changed) > 0 {
		err = errors.Join(err, fmt.Errorf("of the plan, %s there with another body or target than it says, and stay, the first being %q of %s",
			count(len(changed)), changed[0].ID, changed[0].DLQ))
	}
	if missing := c.applied.Missing; len(missing) > 0 {
		err = errors.Join(err, fmt.Errorf("of the plan, %s not there, and not replayed by it as far as is known, the first being %q of %s", count(len(missing)), missing[0].ID, missing[0].DLQ))
	}
	return err
}
