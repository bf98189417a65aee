package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
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

// findQueues turns what an operator wrote into names of dead-letter queues, without repetition. A queue of another program is fine, if it
// exists.
func findQueues(ctx context.Context, b *broker.Broker, args []string) ([]string, error) {
	known := workQueues()
	var found []string
	for _, arg := range args {
		name := broker.DeadLetterQueue(workQueue(arg))
		if !slices.Contains(known, workQueue(arg)) {
			var err error
			if name, err = findForeign(ctx, b, arg, known); err != nil {
				return nil, err
			}
			if err := checkDead(name); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// findForeign finds a dead-letter queue that is none of the services: Q.dlq for Q, or a queue of any name.
func findForeign(ctx context.Context, b *broker.Broker, arg string, known []string) (string, error) {
	for _, name := range []string{broker.DeadLetterQueue(workQueue(arg)), arg} {
		if name == "" {
			continue
		}
		_, err := b.Depth(ctx, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, broker.ErrNoQueue) {
			return name, err
		}
	}
	return "", usagef("there is no dead-letter queue %q%s orderflow dlq list shows all",
		broker.DeadLetterQueue(workQueue(arg)), suggestion(workQueue(arg), known))
}

// checkDead refuses a queue of the services' whose messages are not dead, but under way.
func checkDead(queues ...string) error {
	for _, queue := range queues {
		if slices.Contains(workQueues(), queue) {
			return usagef("%s is no dead-letter queue: its messages are under way", queue)
		}
		if broker.IsDelayQueue(event.Orders.Exchange, queue) {
			return usagef("%s is no dead-letter queue: its messages wait for their next attempt, and go on by themselves", queue)
		}
	}
	return nil
}

// sources are dead-letter queues to read, with their delivery limits where the management API tells them.
func sources(cmd *cobra.Command, b *broker.Broker, queues []string, force bool) []dlq.Source {
	from, managed := make([]dlq.Source, len(queues)), managedQueues(cmd, b)
	for i, queue := range queues {
		from[i] = dlq.Source{Queue: queue, Foreign: !slices.Contains(workQueues(), workQueue(queue)), Force: force}
		if at := slices.IndexFunc(managed, func(q managedQueue) bool { return q.Name == queue }); at >= 0 {
			from[i].Lives = managed[at].lives()
		}
	}
	return from
}

// suggestion names the known queues that may have been meant.
func suggestion(name string, known []string) string {
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return name == "" || !strings.Contains(k, name) && distance(name, k) > len(k)/4
	})
	if len(near) == 0 {
		return ";"
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
