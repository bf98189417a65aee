package main

import (
	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
)

func newDLQReplay() *cobra.Command {
	c := &change{what: replaying}
	cmd := &cobra.Command{
		Use:   "replay QUEUE…",
		Short: "Put dead letters back onto the queue that each of them died in",
		Long: `Put dead letters back onto the queue that each of them died in, and onto no other. A dead letter is removed when RabbitMQ
has confirmed its copy in that queue: a replay that is stopped, killed or cut off loses nothing, and to go on is to run it again.
It does not touch what was not there when it began.

Asks before it acts. Exit code: 1 where a dead letter cannot be replayed; it stays where it is.`,
		Example: `  orderflow dlq replay payment.order-placed --dry-run
  orderflow dlq replay payment.order-placed inventory.payment-processed --limit 10 --yes
  orderflow dlq replay payment.order-placed --canary 20 --max-failures 1 --rate 200
  orderflow dlq replay --order 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10
  orderflow dlq replay payment.order-placed --where 'reason == "retries_exhausted" and age < duration("12h")'
  orderflow dlq replay payment.order-placed --where 'any(data.items, .product_id == "demo-1") and error contains "timeout"'`,
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
			replay := func() (dlq.Action, error) { return dlq.Replay(), nil }
			return c.run(cmd, d, c.job(cmd, d, queues), act{dlq.Replay(), replay, doJob})
		})
	}
	c.chooseFlags(cmd, "replay")
	c.canaryFlags(cmd)
	c.actFlags(cmd)
	return cmd
}
