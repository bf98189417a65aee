package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/broker/management"
	"orderflow/pkg/dlq"
)

// managementTimeout is how long the management API may take to list the queues.
const managementTimeout = 10 * time.Second

// managedQueue is a queue as the management API tells of it.
type managedQueue struct {
	management.Queue
	settings []map[string]any // of the arguments and the policies
	unknown  bool             // there is a policy of which nobody knows what it says
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
	api := management.New(cfg.ManagementURL, b.VirtualHost())
	var late []management.Queue
	listed, err := brieflyListed(ctx, api)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "going on without the management API: RABBITMQ_MANAGEMENT_URL: %v\n", err)
		return nil
	}
	var policies, operatorPolicies []management.Policy
	readable := true
	for _, ask := range []struct {
		path string
		list *[]management.Policy
	}{{"policies", &policies}, {"operator-policies", &operatorPolicies}} {
		if err := api.Get(ctx, ask.path+"/{vhost}", ask.list); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "going on without %s: RABBITMQ_MANAGEMENT_URL: %v; its user needs the tag policymaker\n", ask.path, err)
			readable = false
		}
	}
	if !readable || len(operatorPolicies) > 0 { // to gather statistics takes a busy broker longer
		if err := api.Get(ctx, "queues/{vhost}", &late); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "going on without operator policies: RABBITMQ_MANAGEMENT_URL: %v\n", err)
		}
		management.Complete(listed, late, !readable)
	}
	queues := make([]managedQueue, len(listed))
	for i, q := range listed {
		queues[i].Queue = q
		queues[i].gather(policies, operatorPolicies)
	}
	return queues
}

// brieflyListed lists the queues with what does not take a busy broker long.
func brieflyListed(ctx context.Context, api *management.Client) (queues []management.Queue, err error) {
	err = api.Get(ctx, "queues/{vhost}?disable_stats=true&enable_queue_totals=true", &queues)
	return queues, err
}

// gather collects what is set for the queue.
func (q *managedQueue) gather(policies, operatorPolicies []management.Policy) {
	said, whole := q.Said(policies, operatorPolicies)
	q.settings, q.unknown = append(said, q.Arguments), !whole
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
