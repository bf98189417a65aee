package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"orderflow/migrations"
	"orderflow/pkg/dlq"
	"orderflow/pkg/postgres"
)

func newMigrate() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate [service…]",
		Short: "Bring the database schemas of services up to date; of all services, and of the history of dead letters, if none is named",
		RunE: func(cmd *cobra.Command, args []string) error {
			picked, err := pick(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			deadline := time.Now().Add(cfg.StartTimeout)
			database := postgres.Config{URL: cfg.DatabaseURL, Name: "orderflow migrate", Patience: cfg.StartTimeout, Told: cfg.StartTimeout}
			db, err := postgres.Open(cmd.Context(), database)
			if err != nil {
				return err
			}
			db.Close()
			all := []string{}
			apply := func(schema string, folders ...string) error {
				database.Schema, database.Patience = schema, max(0, time.Until(deadline))
				applied, err := postgres.Migrate(cmd.Context(), database, migrations.Files, folders...)
				all = append(all, applied...)
				return err
			}
			for _, s := range picked {
				if err := apply(s.schema, migrations.Flow, s.schema); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				if err := apply(dlq.HistorySchema, migrations.DLQ); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"applied": all})
			}
			for _, name := range all {
				fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "up to date")
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
