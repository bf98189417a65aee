package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

func newTopology() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
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
			var queues []broker.Queue
			for _, s := range picked {
				topology := flow.Topology(event.Orders, cfg.RetryDelays, s.subscriptions())
				if err := b.Declare(cmd.Context(), topology); err != nil {
					return err
				}
				queues = append(queues, topology.Queues...)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"exchange": event.Orders.Exchange, "queues": queues})
			}
			for _, q := range queues {
				fmt.Fprintf(cmd.OutOrStdout(), "%-32s %s\n", q.Name, strings.Join(q.RoutingKeys, " "))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
