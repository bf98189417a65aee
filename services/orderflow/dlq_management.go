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
)

// managementTimeout is how long the management API may take to list the queues.
const managementTimeout = 10 * time.Second

// managedQueue is a queue as the management API tells of it.
type managedQueue struct {
	Name      string
	Type      string
	Arguments map[string]any
	Policy    map[string]any `json:"effective_policy_definition"`
}

// managedQueues asks the management API, where there is one, for the queues of the virtual host. It tells why it has no answer, and does
// without.
func managedQueues(cmd *cobra.Command, b *broker.Broker) []managedQueue {
	cfg, err := loadConfig()
	if err != nil || cfg.ManagementURL == "" {
		return nil
	}
	queues, err := askManagement(cmd.Context(), cfg.ManagementURL, b.VirtualHost())
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "going on without the management API: RABBITMQ_MANAGEMENT_URL: %v\n", err)
	}
	return queues
}

func askManagement(ctx context.Context, management, vhost string) (queues []managedQueue, err error) {
	ctx, stop := context.WithTimeout(ctx, managementTimeout)
	defer stop()
	address := strings.TrimSuffix(management, "/") + "/api/queues/" + url.PathEscape(vhost) + "?disable_stats=true&enable_queue_totals=true"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it says %s", response.Status)
	}
	return queues, json.NewDecoder(response.Body).Decode(&queues)
}

// deadLetterQueuesOfOthers are those that are none of the services': by their name, or because another queue names them as the place for its
// dead letters.
func deadLetterQueuesOfOthers(queues []managedQueue) (others []string) {
	named := map[string]bool{}
	for _, q := range queues {
		for _, settings := range []map[string]any{q.Arguments, q.Policy} {
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
// the broker's own applies.
func (q *managedQueue) lives() int {
	if q.Type != "quorum" {
		return -1
	}
	least, set := math.MaxInt, false
	for _, limit := range []any{q.Arguments["x-delivery-limit"], q.Policy["delivery-limit"]} {
		if n, ok := limit.(float64); ok {
			set = true
			if n >= 0 {
				least = min(least, int(n))
			}
		}
	}
	switch {
	case !set:
		return 0
	case least == math.MaxInt:
		return -1
	}
	return max(least, 1)
}
