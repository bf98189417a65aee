package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

const exchange = "peer.events"

// bus is what Watermill does: forwarders bring events from the outboxes to the broker, a router brings them from there to the handlers.
type bus struct {
	publisher *wamqp.Publisher
	routers   []router
	started   []router
	running   errgroup.Group
	fail      context.CancelCauseFunc // ends what goes on, when a router fails
	stopping  atomic.Bool
}

// router is Watermill's router or a forwarder, which is made of one.
type router interface {
	Run(context.Context) error
	Running() chan struct{}
	Close() error
}

// newBus connects everything. The queues are made anew.
func newBus(url string, t tuning, w *workflow) (_ *bus, err error) {
	if err := deleteQueues(url, w.subscriptions()); err != nil {
		return nil, err
	}
	b := &bus{}
	log := errorLog{slog.Default(), &b.stopping}
	cfg := wamqp.NewDurableTopicConfig(url, exchange, "")
	cfg.Exchange.Durable = true
	cfg.Publish.ConfirmDelivery = true
	cfg.Publish.ChannelPoolSize = len(services) * t.forwarders
	if b.publisher, err = wamqp.NewPublisher(cfg, log); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.publisher.Close())
		}
	}()
	if err := b.addHandlers(url, t, w, log); err != nil {
		return nil, err
	}
	return b, b.addForwarders(t, w, log)
}

func (b *bus) addHandlers(url string, t tuning, w *workflow, log watermill.LoggerAdapter) error {
	r, err := message.NewRouter(message.RouterConfig{}, log)
	if err != nil {
		return err
	}
	r.AddMiddleware(middleware.Recoverer)
	for _, s := range w.subscriptions() {
		cfg := wamqp.NewDurableTopicConfig(url, exchange, s.queue())
		cfg.Exchange.Durable = true
		cfg.Queue.Arguments = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
		cfg.Consume.Qos.PrefetchCount = t.prefetch
		subscriber, err := wamqp.NewSubscriber(cfg, log)
		if err != nil {
			return fmt.Errorf("subscriber of %s: %w", s.queue(), err)
		}
		for i := range t.handlers {
			r.AddConsumerHandler(fmt.Sprintf("%s-%d", s.queue(), i), s.topic, subscriber, w.handler(s))
		}
	}
	b.routers = append(b.routers, r)
	return nil
}

func (b *bus) addForwarders(t tuning, w *workflow, log watermill.LoggerAdapter) error {
	for _, service := range services {
		for n := range uint64(t.forwarders) {
			subscriber, err := wsql.NewSubscriber(wsql.BeginnerFromPgx(w.db), wsql.SubscriberConfig{
				SchemaAdapter: w.outbox.schema, OffsetsAdapter: wsql.PostgreSQLQueueOffsetsAdapter{DeleteOnAck: true},
				PollInterval: t.poll, InitializeSchema: true,
			}, log)
			if err != nil {
				return fmt.Errorf("subscriber of an outbox: %w", err)
			}
			f, err := forwarder.NewForwarder(subscriber, b.publisher, log, forwarder.Config{ForwarderTopic: w.outbox.topic(service, n)})
			if err != nil {
				return fmt.Errorf("forwarder: %w", err)
			}
			b.routers = append(b.routers, f)
		}
	}
	return nil
}

// start runs everything, and returns when every subscription stands. The context that it returns ends when one of them fails.
func (b *bus) start(ctx context.Context) (context.Context, error) {
	unbound := context.WithoutCancel(ctx) // they end by stop, which lets them finish what is in hand
	ctx, b.fail = context.WithCancelCause(ctx)
	for _, r := range b.routers {
		b.started = append(b.started, r)
		b.running.Go(func() error {
			err := r.Run(unbound)
			b.fail(err)
			return err
		})
		select {
		case <-r.Running():
		case <-ctx.Done():
			return ctx, context.Cause(ctx)
		}
	}
	return ctx, nil
}

// stop ends everything, and returns when it has ended.
func (b *bus) stop() error {
	b.stopping.Store(true)
	var closing errgroup.Group
	for _, r := range b.started {
		closing.Go(r.Close)
	}
	defer b.fail(nil)
	return errors.Join(closing.Wait(), b.running.Wait(), b.publisher.Close())
}

func (s subscription) queue() string { return "peer." + s.service + "." + s.topic }

// deleteQueues removes the queues and the exchange, and what is in them.
func deleteQueues(url string, subscriptions []subscription) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("AMQP_URL: %w", err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	for _, s := range subscriptions {
		if _, err := ch.QueueDelete(s.queue(), false, false, false); err != nil {
			return fmt.Errorf("delete the queue %s: %w", s.queue(), err)
		}
	}
	if err := ch.ExchangeDelete(exchange, false, false); err != nil {
		return fmt.Errorf("delete the exchange: %w", err)
	}
	return nil
}

// errorLog is a logger of Watermill that writes errors alone, and costs nothing for the rest. What was broken off by the stop is no error.
type errorLog struct {
	log      *slog.Logger
	stopping *atomic.Bool
}

func (l errorLog) Error(msg string, err error, fields watermill.LogFields) {
	if !l.stopping.Load() {
		l.log.Error(msg, "error", err, "fields", fields)
	}
}
func (errorLog) Info(string, watermill.LogFields)                   {}
func (errorLog) Debug(string, watermill.LogFields)                  {}
func (errorLog) Trace(string, watermill.LogFields)                  {}
func (l errorLog) With(watermill.LogFields) watermill.LoggerAdapter { return l }
