package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

// choice is which dead letters of a queue are looked at; what is empty chooses all.
type choice struct {
	where *dlq.Filter
	id    string
	limit int
}

// sight is what a look at a queue found.
type sight struct {
	depth, chosen int
	full          bool  // the limit was reached before the end
	doubts        int   // messages that the filter could not be applied to
	doubt         error // about the first of them
}

var errFull = errors.New("as many as the limit allows")

// look calls see with the dead letters that are chosen. A queue that does not exist is broker.ErrNoQueue.
func (c choice) look(ctx context.Context, b *broker.Broker, from dlq.Source, see func(n int, l dlq.Letter) error) (seen sight, err error) {
	looked := 0
	seen.depth, err = dlq.Look(ctx, b, from, func(l dlq.Letter) error {
		looked++
		if !c.chooses(l, &seen) {
			return nil
		}
		seen.chosen++
		if err := see(seen.chosen, l); err != nil {
			return err
		}
		if seen.chosen == c.limit {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		seen.full, err = looked < seen.depth, nil
	}
	if err != nil && !errors.Is(err, broker.ErrNoQueue) {
		err = fmt.Errorf("look at %s: %w", from.Queue, err)
	}
	return seen, err
}

func (c choice) chooses(l dlq.Letter, seen *sight) bool {
	if c.id != "" && l.ID != c.id {
		return false
	}
	if c.where == nil {
		return true
	}
	matches, doubt := c.where.Match(l)
	if doubt != nil {
		seen.doubts++
		seen.doubt = cmp.Or(seen.doubt, doubt)
	}
	return matches
}
