package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"orderflow/pkg/broker"
)

// amqpFacts is what can be seen by AMQP alone.
type amqpFacts struct {
	err       error // why nothing can
	setup     bool  // err is a fault of the configuration
	release   string
	exchanges map[string]answer[bool]
	queues    map[string]answer[depth] // without those that are missing
	missing   map[string]bool          // queues
}

// depth is what a queue holds, and how many take from it.
type depth struct{ messages, consumers int }

// seeAMQP asks for what the plan needs, by passive declarations.
func seeAMQP(ctx context.Context, urls []string, p *plan) *amqpFacts {
	f := &amqpFacts{exchanges: map[string]answer[bool]{}, queues: map[string]answer[depth]{}, missing: map[string]bool{}}
	b, err := broker.Open(ctx, broker.Config{URLs: urls, Name: "orderflow doctor", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.err, f.setup = err, broker.IsSetup(err)
		return f
	}
	defer b.Close()
	// A broker that has stopped answers no question, and the questions know of no end.
	defer context.AfterFunc(ctx, func() { b.Close() })()
	f.release = b.Release()
	for _, x := range p.exchanges {
		found, err := b.ExchangeExists(ctx, x.Name)
		f.exchanges[x.Name] = answer[bool]{found, err}
	}
	for _, q := range p.queues {
		messages, consumers, err := b.Inspect(ctx, q.Name)
		if errors.Is(err, broker.ErrNoQueue) {
			f.missing[q.Name] = true
		} else {
			f.queues[q.Name] = answer[depth]{depth{messages, consumers}, err}
		}
	}
	if ctx.Err() != nil {
		f.err = fmt.Errorf("it stopped answering: %w", ctx.Err())
	}
	return f
}

// within bounds what one server gets of the time.
func within(ctx context.Context, patience time.Duration, ask func(context.Context)) func() {
	return func() {
		ctx, stop := context.WithTimeout(ctx, patience)
		defer stop()
		ask(ctx)
	}
}
