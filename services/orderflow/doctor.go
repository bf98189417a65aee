package main

import "github.com/spf13/cobra"

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Find out what is wrong"}
	cmd.AddCommand(newDoctorOrder(), newDoctorOrders())
	return cmd
}
