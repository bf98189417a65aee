package broker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// deliveryLimit is how often a work queue delivers a message whose consumer dies of it before it gives the message up.
const deliveryLimit = 20

// Topology is what one workflow needs of a broker.
type Topology struct {
	Exchange string          // a topic exchange, "orders.events"
	Queues   []Queue         // the work queues
	Delays   []time.Duration // one delay queue for each distinct one
	// Others are work queues of others. They are declared too, since an event that goes to several queues would be lost to one
	// that does not exist yet; who may not declare them relies on those who may.
	Others []Queue
}

// Queue is a work queue and what is routed to it.
type Queue struct {
	Name        string   `json:"queue"`
	RoutingKeys []string `json:"routing_keys"`
}

// DeadLetterExchange is the name of the exchange that a work queue's dead letters go to.
func DeadLetterExchange(queue string) string { return queue + ".dlx" }

// DeadLetterQueue is the name of the queue in which a work queue's dead letters wait.
func DeadLetterQueue(queue string) string { return queue + ".dlq" }

// IsDelayQueue tells whether name is that of a delay queue for the exchange, whatever its delay.
func IsDelayQueue(exchange, name string) bool {
	_, isOne := DelayOf(exchange, name)
	return isOne
}

// DelayOf tells by its name how long messages stay in a delay queue of the workflow of an exchange.
func DelayOf(exchange, name string) (delay time.Duration, isOne bool) {
	rest, isOne := strings.CutPrefix(name, strings.TrimSuffix(DelayQueue(exchange, time.Second), "1s"))
	number, hasUnit := strings.CutSuffix(rest, "s")
	number, millis := strings.CutSuffix(number, "m")
	n, err := strconv.ParseUint(number, 10, 64)
	unit := time.Second
	if millis {
		unit = time.Millisecond
	}
	if !isOne || !hasUnit || err != nil {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// DelayQueue is the name of a delay queue and of the exchange before it: "orders.retry.10s" for the exchange "orders.events".
// What is published there with the name of a queue as its routing key comes to that queue after the delay, and to no other.
func DelayQueue(exchange string, delay time.Duration) string {
	workflow := exchange
	if i := slices.Index([]byte(exchange), '.'); i > 0 {
		workflow = exchange[:i]
	}
	unit, n := "ms", delay.Milliseconds()
	if n%1000 == 0 {
		unit, n = "s", n/1000
	}
	return fmt.Sprintf("%s.retry.%d%s", workflow, n, unit)
}

// Part is one of the things that a topology is made of, all of them durable.
type Part struct {
	What      string         // "exchange", "queue" or "binding"
	Name      string         // of a binding, what people call it
	Kind      string         // of an exchange
	Arguments map[string]any // of a queue

	Exchange, Queue, RoutingKey string // of a binding
}

// Parts lists what is declared, as data, for those who compare it with what is there.
func (t Topology) Parts() []Part {
	steps := t.declarations()
	parts := make([]Part, len(steps))
	for i, s := range steps {
		parts[i] = s.Part
	}
	return parts
}

// declaration is one step of asserting a topology.
type declaration struct {
	Part
	declare func(*amqp.Channel) error
	exists  func(*amqp.Channel) error // for a user who may not configure it; nil where there is no way to ask
	others  bool                      // it is for others' queues, and not asked for where this user may not declare it
}

// Declare asserts t: what is missing is made, what exists is compared. A user without the right to configure passes where
// everything exists already. What cannot be asserted is named, with the way out; see IsSetup.
func (b *Broker) Declare(ctx context.Context, t Topology) error {
	b.mu.Lock()
	b.declared = append(b.declared, t)
	b.mu.Unlock()
	return b.assert(t.declarations(), func() (*amqp.Channel, error) { return b.shared.channel(ctx) })
}

// Redeclare asserts everything again, after a queue or an exchange has vanished.
func (b *Broker) Redeclare(ctx context.Context) error {
	return b.redeclare(func() (*amqp.Channel, error) { return b.shared.channel(ctx) })
}

// redeclare also is what is done first on each new connection: a broker that crashes may forget what it was told last.
func (b *Broker) redeclare(channel func() (*amqp.Channel, error)) error {
	b.mu.Lock()
	all := slices.Clone(b.declared)
	b.mu.Unlock()
	for _, t := range all {
		if err := b.assert(t.declarations(), channel); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) assert(steps []declaration, channel func() (*amqp.Channel, error)) error {
	var ch *amqp.Channel
	defer func() {
		if ch != nil {
			ch.Close()
		}
	}()
	// A refusal closes the channel, so each step finds out whether it needs a new one.
	open := func() (err error) {
		if ch == nil || ch.IsClosed() {
			ch, err = channel()
		}
		return err
	}
	refused := false // others' queues
	for _, s := range steps {
		if refused && s.others {
			continue
		}
		if err := open(); err != nil {
			return fmt.Errorf("declare %s %q: %w", s.What, s.Name, err)
		}
		err := s.declare(ch)
		if isCode(err, amqp.AccessRefused) && s.others {
			refused = true
			continue
		}
		if isCode(err, amqp.AccessRefused) && s.exists != nil {
			if openErr := open(); openErr != nil {
				return fmt.Errorf("declare %s %q: %w", s.What, s.Name, openErr)
			}
			if s.exists(ch) == nil {
				continue
			}
		}
		if err != nil {
			return explainDeclare(b.uris[0].Vhost, s.What, s.Name, err)
		}
	}
	return nil
}

// declarations lists the steps in an order in which every name exists before it is referred to, so that nothing can be
// dead-lettered into the void, and in which own queues are bound last, so that no event finds only some of its queues.
func (t Topology) declarations() []declaration {
	steps := []declaration{exchange(t.Exchange, amqp.ExchangeTopic)}
	for _, delay := range slices.Compact(slices.Sorted(slices.Values(t.Delays))) {
		name := DelayQueue(t.Exchange, delay)
		steps = append(steps, exchange(name, amqp.ExchangeFanout), queue(name, amqp.Table{
			"x-message-ttl":          delay.Milliseconds(),
			"x-dead-letter-exchange": "", // the default exchange: back to the queue that the routing key names
			"x-dead-letter-strategy": "at-least-once",
			amqp.QueueOverflowArg:    amqp.QueueOverflowRejectPublish,
			amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		}), binding(name, name, ""))
	}
	for _, q := range t.Queues {
		steps = append(steps, q.declarations()...)
	}
	for _, q := range t.Others {
		for _, s := range append(q.declarations(), q.bindings(t.Exchange)...) {
			s.others = true
			steps = append(steps, s)
		}
	}
	for _, q := range t.Queues {
		steps = append(steps, q.bindings(t.Exchange)...)
	}
	return steps
}

func (q Queue) declarations() []declaration {
	dlx, dlq := DeadLetterExchange(q.Name), DeadLetterQueue(q.Name)
	return []declaration{exchange(dlx, amqp.ExchangeFanout), queue(dlq, amqp.Table{
		amqp.QueueTypeArg: amqp.QueueTypeQuorum,
		// Looking at a message counts as a delivery. Without a limit of its own the queue gets the broker's default of 20
		// from RabbitMQ 4.0 on, and the 21st look would delete the message.
		"x-delivery-limit": math.MaxInt32,
	}), binding(dlq, dlx, ""), queue(q.Name, amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		"x-delivery-limit":       deliveryLimit,
		"x-dead-letter-exchange": dlx,
		"x-dead-letter-strategy": "at-least-once",
		amqp.QueueOverflowArg:    amqp.QueueOverflowRejectPublish,
	})}
}

func (q Queue) bindings(from string) (steps []declaration) {
	for _, key := range q.RoutingKeys {
		steps = append(steps, binding(q.Name, from, key))
	}
	return steps
}

func exchange(name, kind string) declaration {
	return declaration{
		Part:    Part{What: "exchange", Name: name, Kind: kind},
		declare: func(ch *amqp.Channel) error { return ch.ExchangeDeclare(name, kind, true, false, false, false, nil) },
		exists: func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(name, kind, true, false, false, false, nil)
		},
	}
}

func queue(name string, args amqp.Table) declaration {
	return declaration{
		Part: Part{What: "queue", Name: name, Arguments: args},
		declare: func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(name, true, false, false, false, args)
			return err
		},
		exists: func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(name, true, false, false, false, args)
			return err
		},
	}
}

func binding(queue, exchange, key string) declaration {
	return declaration{
		Part:    Part{What: "binding", Name: fmt.Sprintf("%s → %s %s", exchange, queue, key), Exchange: exchange, Queue: queue, RoutingKey: key},
		declare: func(ch *amqp.Channel) error { return ch.QueueBind(queue, key, exchange, false, nil) },
		// There is no way to ask for a binding. Who may not bind relies on the one who declared the queue.
		exists: func(*amqp.Channel) error { return nil },
	}
}
