package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"orderflow/services/doctor"
	"orderflow/services/order"
)

func newDoctor() *cobra.Command {
	var patience time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the installation: servers, topology, rights, clocks, and what waits where it should not",
		Long: `Check the installation, and say what is wrong and what to do. Nothing is changed: nothing is declared, consumed, published or written.

A line is: the check, what came of it, what was seen, and after → what to do.
  ok         as it should be
  warning    it works, and may not for long, or not for all
  wrong      orders fail, do not end, or may be lost
  not known  it could not be seen, with what to do to see it

RabbitMQ is found by AMQP_URL and RABBITMQ_MANAGEMENT_URL, Postgres by DATABASE_URL, the REST API by ORDERFLOW_URL. Set RETRY_DELAYS and
DB_MAX_CONNS as for the services. No special user is needed; what a user may not see is not known. All of RabbitMQ is seen by one with the
tag administrator (all but the rights and feature flags: monitoring and policymaker), all of Postgres by a role that may read the schemas of
the services and has pg_read_all_stats. Every server is asked at the same time, for --timeout at most.

JSON is one object:
  ok         whether nothing is wrong
  wrong      how many findings are, and warnings, not_known
  findings   check, status ("ok", "warning", "wrong", "not known"), seen, do

Exit code: 3 where something is wrong. Warnings, and what is not known, do not count.`,
		Example: `  orderflow doctor
  orderflow doctor --json | jq '.findings[] | select(.status == "wrong")'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if patience <= 0 {
				return usagef("--timeout must be more than 0, is %s", patience)
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			report, err := doctor.Run(cmd.Context(), doctor.Config{
				Version: version, Services: doctored(), AMQPURLs: cfg.AMQPURLs, ManagementURL: cfg.ManagementURL, DatabaseURL: cfg.DatabaseURL,
				APIURL: os.Getenv("ORDERFLOW_URL"), RetryDelays: cfg.RetryDelays, DBMaxConns: int(cfg.DBMaxConns), Patience: patience,
			})
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report)
			}
			if err == nil && !report.OK {
				return &exitError{code: exitFound}
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&patience, "timeout", 5*time.Second, "how long each server may take to answer")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newDoctorOrder(), newDoctorOrders())
	return cmd
}

// doctored is what the doctor has to know of the services.
func doctored() []doctor.Service {
	all := make([]doctor.Service, len(services))
	for i, s := range services {
		all[i] = doctor.Service{Name: s.name, Schema: s.schema, Subscriptions: s.subscriptions()}
		if s.name == order.Name {
			all[i].Overhears, all[i].Daily = true, []string{order.AnswersTable}
		}
	}
	return all
}

func printReport(w io.Writer, r *doctor.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tSTATUS\tSEEN → TO DO")
	for _, f := range r.Findings {
		line := plain(f.Seen)
		if f.Do != "" {
			line += " → " + plain(f.Do)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Check, f.Status, line)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d wrong, %d warnings, %d not known\n", r.Wrong, r.Warnings, r.NotKnown)
	return err
}
