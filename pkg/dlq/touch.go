package dlq

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/broker"
	"orderflow/pkg/telemetry"
)

// touch does to some letters what is to be done, and removes from their queue those that it was done with:
//
//	kept in the file ─▶ sent, confirmed and not returned ─▶ in the history ─▶ acknowledged
//
// Wherever this ends, a letter is in at least one place, and what was done without being told is done again and told by the next run.
func (w *task) touch(ctx context.Context, some []*held) error {
	if err := w.limiter.WaitN(ctx, len(some)); err != nil {
		return err
	}
	if err := w.beforeCanary(ctx, some); err != nil {
		return err
	}
	if w.Do.Keep != nil {
		if err := w.Do.Keep.keep(some); err != nil {
			return fmt.Errorf("nothing more was done: %w", err)
		}
	}
	begun, stop := context.WithTimeout(context.WithoutCancel(ctx), finishLimit)
	defer stop()
	lost := w.send(begun, some)
	done := some[:0:0]
	for _, h := range some {
		if h.outcome.Fate == w.Do.Done {
			done = append(done, h)
		}
	}
	err := w.note(ctx, some)
	if err != nil {
		err = fmt.Errorf("the history: %w", err)
	} else {
		err = settle(done)
	}
	for _, h := range some {
		if err != nil && h.outcome.Fate == w.Do.Done {
			h.outcome.Fate = Unsettled
		}
		h.tally.Counts[h.outcome]++
	}
	if err != nil {
		return err
	}
	w.touched += len(done)
	if w.Progress != nil {
		w.Progress(w.touched)
	}
	if lost != nil {
		return lost
	}
	return w.afterCanary(ctx, done)
}

// send publishes the copies and waits for the answers to all of them. It returns why a connection was lost.
func (w *task) send(ctx context.Context, some []*held) (lost error) {
	if w.publisher == nil {
		return nil
	}
	copies, spans := make([]broker.Message, len(some)), make([]trace.Span, len(some))
	for i, h := range some {
		spans[i] = w.beginSpan(h)
		copies[i] = h.copy
	}
	for i, err := range w.publisher.PublishAll(ctx, copies) {
		telemetry.End(spans[i], err)
		switch some[i].outcome.Fate = fateOf(err, w.Do.Done); some[i].outcome.Fate {
		case Unknown:
			lost = err
		case Unfit:
			some[i].unfit(err)
		}
	}
	if errors.Is(lost, context.Canceled) || errors.Is(lost, context.DeadlineExceeded) {
		lost = fmt.Errorf("RabbitMQ has not confirmed within %s", finishLimit)
	}
	return lost
}

// beginSpan begins the span of sending a letter's copy, below that of its death, and lets the copy say so; nil where nobody records that.
func (w *task) beginSpan(h *held) trace.Span {
	parent, _ := h.copy.Headers[telemetry.HeaderTraceParent].(string)
	if w.Tracer == nil || parent == "" {
		return nil
	}
	span := telemetry.Under(w.Tracer, parent, w.Do.Name+" "+h.outcome.Target, trace.WithSpanKind(trace.SpanKindProducer),
		telemetry.Message("send", w.Do.Name, h.outcome.Target, h.copy.ID, attribute.String("orderflow.replay_id", w.id)))
	if span != nil {
		h.copy.Headers[telemetry.HeaderTraceParent] = telemetry.TraceParent(span)
	}
	return span
}

// note writes down what was done, and what may have been done. It has a time of its own: sending may have taken all of the other.
func (w *task) note(ctx context.Context, some []*held) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), finishLimit)
	defer stop()
	var deeds []deed
	for _, h := range some {
		if fate := h.outcome.Fate; fate == w.Do.Done || fate == Unknown {
			d := deed{fate: fate, letter: &h.Letter, from: h.tally.Queue}
			if w.Do.Send != nil {
				d.sent, d.to = h.copy.ID, h.outcome.Target
			}
			if w.Do.Keep != nil {
				d.file = w.Do.Keep.path
			}
			deeds = append(deeds, d)
		}
	}
	return w.History.note(ctx, w.id, w.Do.Name, deeds)
}

func fateOf(err error, done Fate) Fate {
	switch {
	case err == nil:
		return done
	case errors.Is(err, broker.ErrUnroutable):
		return TargetGone
	case errors.Is(err, broker.ErrNacked):
		return Refused
	case errors.Is(err, broker.ErrTooLarge):
		return Unfit
	}
	return Unknown
}

// settle acknowledges letters.
func settle(done []*held) error {
	byReader := map[*reader][]*broker.Delivery{}
	for _, h := range done {
		byReader[h.from] = append(byReader[h.from], h.delivery)
	}
	for from, deliveries := range byReader {
		if err := broker.Ack(deliveries); err != nil {
			return err
		}
		from.settled += len(deliveries)
	}
	return nil
}
