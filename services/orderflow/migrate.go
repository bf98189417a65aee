package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"orderflow/migrations"
	"orderflow/pkg/postgres"
)

func newMigrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate [service…]",
		Short: "Bring the database schemas of services up to date; of all services if none is named",
		RunE: func(cmd *cobra.Command, args []string) error {
			picked, err := pick(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			db, err := postgres.Open(cmd.Context(), postgres.Config{URL: cfg.DatabaseURL, Name: "orderflow migrate", Patience: cfg.StartTimeout})
			if err != nil {
				return err
			}
			db.Close()
			for _, s := range picked {
				applied, err := postgres.Migrate(cmd.Context(), cfg.DatabaseURL, s.schema, migrations.Files, migrations.Flow, s.schema)
				for _, name := range applied {
					fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
				}
				if err != nil {
					return err
				}
				if len(applied) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: up to date\n", s.schema)
				}
			}
			return nil
		},
	}
}
