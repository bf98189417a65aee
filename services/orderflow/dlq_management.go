package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// managementTimeout is how long the management API may take to list the queues.
const managementTimeout = 10 * time.Second

// deadLetterQueuesOfOthers asks the management API for dead-letter queues that are none of the services': by their name, or because another
// queue names them as the place for its dead letters.
func deadLetterQueuesOfOthers(ctx context.Context, management, vhost string) ([]string, error) {
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
		return nil, fmt.Errorf("the management API says %s", response.Status)
	}
	var queues []struct {
		Name      string
		Arguments map[string]any
		Policy    map[string]any `json:"effective_policy_definition"`
	}
	if err := json.NewDecoder(response.Body).Decode(&queues); err != nil {
		return nil, fmt.Errorf("the management API: %w", err)
	}
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
	var others []string
	known := workQueues()
	for _, q := range queues {
		if isDLQ := workQueue(q.Name) != q.Name; (isDLQ || named[q.Name]) && !slices.Contains(known, workQueue(q.Name)) {
			others = append(others, q.Name)
		}
	}
	return others, nil
}
