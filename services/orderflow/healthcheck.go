package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
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
			client := http.Client{Timeout: 4 * time.Second}
			response, err := client.Get("http://" + net.JoinHostPort("127.0.0.1", port) + "/readyz")
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				body, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
				return fmt.Errorf("not ready: %s", body)
			}
			return nil
		},
	}
}
