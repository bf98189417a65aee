package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/access"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make API keys for those who call the REST API",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyNew())
	return cmd
}

func newKeyNew() *cobra.Command {
	var e access.Entry
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new NAME --scope SCOPE…",
		Short: "Make a key and the entry that makes it count",
		Long: `Make an API key. It is shown once, on standard error, and kept nowhere: give it to whoever calls, who sends it as
Authorization: Bearer KEY. On standard output is its entry, which has the key's hash only, for the file that ACCESS_KEYS_FILE names:
there it stands below keys:, with the others. It counts some seconds later, and the key is revoked by taking the entry out; neither
needs a restart. The last entry is taken out by writing keys: [], which lets nobody in. With --json, key and entry are on standard output.

To give a caller a new key, make one by the same name, and put its hash into the caller's entry, which becomes a list:
hash: [OLD, NEW]. Both keys are good then, and are the same caller, with its Idempotency-Keys and its rate. When the caller sends the new
key, take the old hash out.

Scopes: orders:read (and stock), orders:write, stock:write, ops (metrics).`,
		Example: `  echo keys: >keys.yaml
  orderflow key new metrics --scope ops >>keys.yaml
  orderflow key new shop --scope orders:read,orders:write
  orderflow key new customer-1 --scope orders:read --customer customer-1 --rate 5 --burst 20 --expires 2027-01-31`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Name = args[0]
			if given := cmd.Flags(); given.Changed("rate") && e.Rate == 0 || given.Changed("burst") && e.Burst == 0 {
				return usagef("--rate and --burst are more than 0; leave them out if the key has no rate of its own")
			}
			return makeKey(cmd, e, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&e.Scopes, "scope", nil, "what the key is allowed to; may be repeated, or be some with commas between them")
	cmd.Flags().StringArrayVar(&e.Customers, "customer", nil, "a customer whose orders it is for; may be repeated (all customers)")
	cmd.Flags().Float64Var(&e.Rate, "rate", 0, "requests a second (RATE_LIMIT)")
	cmd.Flags().IntVar(&e.Burst, "burst", 0, "requests at once, after a pause (those of one second)")
	cmd.Flags().StringVar(&e.Expires, "expires", "", "when it expires: a date, at whose first moment (UTC), or a time as 2027-01-31T12:00:00Z (never)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// makeKey prints a new key and its entry: the key to where people look, so that it is not in a file to which the entry is written.
func makeKey(cmd *cobra.Command, e access.Entry, asJSON bool) error {
	key := access.NewKey()
	e.Hash = access.Hashes{access.HashOf(key)}
	if err := e.CheckNew(time.Now()); err != nil {
		return usagef("%w", err)
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
			Key   string       `json:"key"`
			Entry access.Entry `json:"entry"`
		}{key, e})
	}
	entry, err := e.YAML()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The key, which is shown this once: %s\n", key)
	_, err = fmt.Fprint(cmd.OutOrStdout(), entry)
	return err
}
