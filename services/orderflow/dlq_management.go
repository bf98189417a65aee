package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

// managementTimeout is how long the management API may take to list the queues.
const managementTimeout = 10 * time.Second

// managedQueue is a queue as the management API tells of it.
type managedQueue struct {
	Name           string
	Type           string
	Arguments      map[string]any
	Unacked        *int           `json:"messages_unacknowledged"` // in consumers' hands, as of some seconds ago
	Policy         string         // their names
	OperatorPolicy string         `json:"operator_policy"`
	Effective      map[string]any `json:"effective_policy_definition"` // of both; not all brokers tell it

	settings []map[string]any // of the arguments and the policies
	unknown  bool             // there is a policy of which nobody knows what it says
}

// policy is one of a virtual host.
type policy struct {
	Name       string
	Definition map[string]any
}

// managedQueues asks the management API, where there is one, for the queues of the virtual host. It tells why it has no answer, and does
// without.
func managedQueues(cmd *cobra.Command, b *broker.Broker) []managedQueue {
	cfg, err := loadConfig()
	if err != nil || cfg.ManagementURL == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(cmd.Context(), managementTimeout)
	defer stop()
	api := strings.TrimSuffix(cfg.ManagementURL, "/") + "/api/%s/" + url.PathEscape(b.VirtualHost())
	var queues []managedQueue
	if err := askManagement(ctx, fmt.Sprintf(api, "queues")+"?disable_stats=true&enable_queue_totals=true", &queues); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "going on without the management API: RABBITMQ_MANAGEMENT_URL: %v\n", err)
		return nil
	}
	var policies, operatorPolicies []policy
	for what, list := range map[string]*[]policy{"policies": &policies, "operator-policies": &operatorPolicies} {
		if err := askManagement(ctx, fmt.Sprintf(api, what), list); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "going on without %s: RABBITMQ_MANAGEMENT_URL: %v; its user needs the tag policymaker\n", what, err)
		}
	}
	for i := range queues {
		q := &queues[i]
		q.settings = []map[string]any{q.Arguments, q.Effective}
		q.add(q.Policy, policies)
		q.add(q.OperatorPolicy, operatorPolicies)
	}
	return queues
}

// add adds what a policy says, by its name.
func (q *managedQueue) add(name string, all []policy) {
	if name == "" {
		return
	}
	at := slices.IndexFunc(all, func(p policy) bool { return p.Name == name })
	if at < 0 {
		q.unknown = q.unknown || len(q.Effective) == 0
		return
	}
	q.settings = append(q.settings, all[at].Definition)
}

func askManagement(ctx context.Context, address string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it says %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// deadLetterQueuesOfOthers are those that are none of the services': by their name, or because another queue names them as the place for its
// dead letters.
func deadLetterQueuesOfOthers(queues []managedQueue) (others []string) {
	named := map[string]bool{}
	for _, q := range queues {
		for _, settings := range q.settings {
			for _, exchange := range []string{"x-dead-letter-exchange", "dead-letter-exchange"} {
				key, _ := settings[strings.Replace(exchange, "exchange", "routing-key", 1)].(string)
				if name, ok := settings[exchange].(string); ok && name == "" {
					named[key] = true
				}
			}
		}
	}
	known := workQueues()
	for _, q := range queues {
		if isDLQ := workQueue(q.Name) != q.Name; (isDLQ || named[q.Name]) && !slices.Contains(known, workQueue(q.Name)) {
			others = append(others, q.Name)
		}
	}
	return others
}

// lives is the delivery limit of a queue: the lowest that anybody has set; less than 0 where it has none, 0 where nobody has said anything and
// the broker's own applies. Where there is a policy and nobody knows what it says, that of another program's queue counts as the broker's own.
func (q *managedQueue) lives() int {
	if q.Type != "quorum" {
		return -1
	}
	least, set := math.MaxInt, false
	for _, settings := range q.settings {
		for _, name := range []string{"x-delivery-limit", "delivery-limit"} {
			n, ok := settings[name].(float64)
			if set = set || ok; ok && n >= 0 {
				least = min(least, int(n))
			}
		}
	}
	if q.unknown && !slices.Contains(workQueues(), workQueue(q.Name)) {
		least, set = min(least, dlq.DefaultLives), true
	}
	switch {
	case !set:
		return 0
	case least == math.MaxInt:
		return -1
	}
	return max(least, 1)
}
