package main

import (
	"net"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/client"
)

// newHealthcheck is for containers, whose image has no other program.
func newHealthcheck() *cobra.Command {
	return &cobra.Command{
		Use:    "healthcheck",
		Short:  "Ask the orderflow on this machine's HTTP_ADDR whether it is ready",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			_, port, err := net.SplitHostPort(cfg.HTTPAddr)
			if err != nil {
				return err
			}
			c, err := client.New("http://"+net.JoinHostPort("127.0.0.1", port), client.WithTimeout(4*time.Second))
			if err != nil {
				return err
			}
			defer c.Close()
			return c.Ready(cmd.Context())
		},
	}
}
