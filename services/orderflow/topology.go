package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

func newTopology() *cobra.Command {
	return &cobra.Command{
		Use:   "topology [service…]",
		Short: "Declare the exchanges and queues of services; of all services if none is named",
		Long: `Declare exchanges and queues, as "serve" does for its own. It is for brokers on which the services' users may not
configure anything: run it once with a user who may.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			picked, err := pick(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			b, err := broker.Open(cmd.Context(), broker.Config{URLs: cfg.AMQPURLs, Name: "orderflow topology", Patience: cfg.StartTimeout})
			if err != nil {
				return err
			}
			defer b.Close()
			for _, s := range picked {
				topology := flow.Topology(event.Orders, cfg.RetryDelays, s.subscriptions())
				if err := b.Declare(cmd.Context(), topology); err != nil {
					return err
				}
				for _, q := range topology.Queues {
					fmt.Fprintf(cmd.OutOrStdout(), "%-34s %v\n", q.Name, q.RoutingKeys)
				}
			}
			return nil
		},
	}
}
