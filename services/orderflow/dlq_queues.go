package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orderflow/pkg/broker"
)

// workQueues lists the queues of all services; each has a dead-letter queue.
func workQueues() []string {
	var queues []string
	for _, s := range services {
		for _, subscription := range s.subscriptions() {
			queues = append(queues, subscription.Queue)
		}
	}
	return queues
}

// workQueue is the name of the queue that a dead-letter queue belongs to. A work queue's name stays as it is.
func workQueue(name string) string { return strings.TrimSuffix(name, broker.DeadLetterQueue("")) }

// findQueues turns what an operator wrote into names of work queues, without repetition. A queue of another program is fine,
// if its dead-letter queue exists.
func findQueues(ctx context.Context, b *broker.Broker, args []string) ([]string, error) {
	known := workQueues()
	var found []string
	for _, arg := range args {
		name := workQueue(arg)
		if slices.Contains(found, name) {
			continue
		}
		if !slices.Contains(known, name) {
			_, err := b.Depth(ctx, broker.DeadLetterQueue(name))
			if errors.Is(err, broker.ErrNoQueue) {
				return nil, usagef("there is no dead-letter queue %q%s; orderflow dlq list shows all",
					broker.DeadLetterQueue(name), suggestion(name, known))
			}
			if err != nil {
				return nil, err
			}
		}
		found = append(found, name)
	}
	return found, nil
}

// suggestion names the known queues that may have been meant.
func suggestion(name string, known []string) string {
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return name == "" || !strings.Contains(k, name) && distance(name, k) > len(k)/4
	})
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
}

// distance is how many letters have to be put in, left out or changed to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
