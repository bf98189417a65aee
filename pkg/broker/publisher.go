package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// window is how many messages may be published and not yet confirmed. More than a thousand gains nothing.
const window = 1000

// Publisher streams messages on a connection of its own. Its methods may be called from any goroutine.
type Publisher struct {
	broker  *Broker
	current atomic.Pointer[pubSession]
	blocked atomic.Bool
	refused atomic.Bool
	once    sync.Once
	began   chan struct{} // closed by once, when there is a connection for the first time
}

// stream is some messages and the one who wants to know what became of each.
type stream struct {
	messages []Message
	done     func(i int, err error)
}

// NewPublisher starts a publisher; the Broker's Close ends it.
func (b *Broker) NewPublisher() *Publisher {
	p := &Publisher{broker: b, began: make(chan struct{})}
	b.owned.Go(p.run)
	return p
}

// Ready tells whether messages can be published now: there is a connection and the broker does not hold publishers back.
func (p *Publisher) Ready() bool { return p.current.Load() != nil && !p.blocked.Load() }

// Refused tells whether the broker said last that its user may not publish there, and has confirmed nothing since.
func (p *Publisher) Refused() bool { return p.refused.Load() }

// Await waits until the publisher has connected for the first time. It is for tools that publish at once or not at all.
func (p *Publisher) Await(ctx context.Context) error {
	select {
	case <-p.began:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w for publishing: %w", ErrNotConnected, ctx.Err())
	}
}

// Publish hands messages over and returns when that is done, which waits while the broker is slow to confirm. done is called
// once for each message, from another goroutine and not to block, with nil when the broker has confirmed it and not returned
// it; otherwise with ErrUnroutable, ErrNacked, ErrTooLarge, or ErrNotConnected and why. If Publish itself fails, done is not
// called.
func (p *Publisher) Publish(ctx context.Context, messages []Message, done func(i int, err error)) error {
	s := p.current.Load()
	if s == nil {
		return ErrNotConnected
	}
	select {
	case s.in <- stream{messages, done}:
		return nil
	case <-s.gone:
		return ErrNotConnected
	case <-ctx.Done():
		return ctx.Err()
	}
}

// PublishAll publishes messages and waits until each one's fate is known. It returns one error for each message.
func (p *Publisher) PublishAll(ctx context.Context, messages []Message) []error {
	errs := make([]error, len(messages))
	type outcome struct {
		i   int
		err error
	}
	outcomes := make(chan outcome, len(messages)) // all of them fit, so that done never blocks
	if err := p.Publish(ctx, messages, func(i int, err error) { outcomes <- outcome{i, err} }); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for i := range errs {
		errs[i] = context.Canceled // until known
	}
	for range messages {
		select {
		case o := <-outcomes:
			errs[o.i] = o.err
		case <-ctx.Done():
			return errs
		}
	}
	return errs
}

func (p *Publisher) run() {
	ctx, log := p.broker.ctx, p.broker.cfg.Log
	pause := firstPause
	for ctx.Err() == nil {
		s, err := p.open(ctx)
		if err == nil {
			p.current.Store(s)
			p.once.Do(func() { close(p.began) })
			err = s.serve(ctx)
			if isCode(err, amqp.AccessRefused) {
				p.refused.Store(true) // before anybody is told that what he has sent is lost
			}
			s.fail(err)
			p.current.Store(nil)
			if isCode(err, amqp.AccessRefused) {
				err = fmt.Errorf("publish: the user needs to write the exchange: %w", err)
			}
			p.blocked.Store(false)
			s.conn.close()
			if s.confirmed {
				pause = firstPause
			}
		}
		if ctx.Err() != nil {
			return
		}
		log.Warn("publisher lost, connecting again", "error", err)
		if isCode(err, amqp.NotFound) {
			if err := p.broker.Redeclare(ctx); err != nil {
				log.Error("cannot declare the exchanges again", "error", err)
			}
		}
		wait(ctx, jitter(pause))
		pause = min(2*pause, longestWait)
	}
}

func (p *Publisher) open(ctx context.Context) (*pubSession, error) {
	conn, err := p.broker.dial(ctx, "publish", true)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		conn.close()
		return nil, fmt.Errorf("open a channel with confirms: %w", err)
	}
	return &pubSession{
		publisher: p, conn: conn, ch: ch,
		in:       make(chan stream),
		gone:     make(chan struct{}),
		confirms: ch.NotifyPublish(make(chan amqp.Confirmation, window)),
		returns:  ch.NotifyReturn(make(chan amqp.Return, window)),
		closed:   ch.NotifyClose(make(chan *amqp.Error, 1)),
		blocking: conn.NotifyBlocked(make(chan amqp.Blocking, 8)),
		returned: map[address]uint64{},
	}, nil
}

// pubSession is the life of one connection that publishes. One goroutine owns the channel and all state.
type pubSession struct {
	publisher *Publisher
	conn      *connection
	ch        *amqp.Channel
	in        chan stream // unbuffered: what was handed over is this session's responsibility
	gone      chan struct{}
	confirms  <-chan amqp.Confirmation
	returns   <-chan amqp.Return
	closed    <-chan *amqp.Error
	blocking  <-chan amqp.Blocking
	confirmed bool // at least once

	current  stream  // being published
	next     int     // the first message of current that is not published yet
	inFlight flights // published and not confirmed, in the order of their delivery tags
	sent     uint64  // how many were published
	settled  uint64  // how many of those have their confirm

	// returned is what came back: any of the first so many that were published to that address. With an id that is one; of several without
	// an id nobody can tell which, so none of them counts as arrived.
	returned map[address]uint64
}

// address tells apart messages that can be in flight at the same time, as far as a return shows.
type address struct{ id, exchange, key string }

// flight is one message that waits for its confirm.
type flight struct {
	address address
	done    func(int, error)
	i       int
}

func (s *pubSession) serve(ctx context.Context) error {
	blocked := false
	for {
		var in chan stream
		if !blocked {
			if err := s.publish(); err != nil {
				return s.explain(ctx, err)
			}
			if s.next == len(s.current.messages) {
				in = s.in
			}
		}
		select {
		case s.current = <-in:
			s.next = 0
		case c, ok := <-s.confirms:
			if !ok {
				s.confirms = nil // the reason comes by closed
				continue
			}
			s.confirm(c)
		case b, ok := <-s.blocking:
			if !ok {
				s.blocking = nil
				continue
			}
			blocked = b.Active
			s.publisher.blocked.Store(blocked)
			s.publisher.broker.cfg.Log.Warn("RabbitMQ holds publishers back", "blocked", b.Active, "reason", b.Reason)
		case err := <-s.closed:
			if err == nil {
				return ErrNotConnected
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish sends as much of the current stream as the window allows.
func (s *pubSession) publish() (err error) {
	if s.next == len(s.current.messages) {
		return nil
	}
	s.conn.socket.cork()
	defer func() {
		if failed := s.conn.socket.uncork(); err == nil && failed != nil {
			err = fmt.Errorf("publish: %w", failed)
		}
	}()
	for s.next < len(s.current.messages) && s.inFlight.len() < window {
		m := &s.current.messages[s.next]
		if err := m.check(); err != nil {
			s.current.done(s.next, err)
			s.next++
			continue
		}
		if err := s.ch.Publish(m.Exchange, m.RoutingKey, m.Mandatory, false, m.publishing()); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		f := flight{done: s.current.done, i: s.next}
		if m.Mandatory { // others are never returned
			f.address = address{m.ID, m.Exchange, m.RoutingKey}
		}
		s.inFlight.push(f)
		s.sent++
		s.next++
	}
	return nil
}

// explain waits for the broker's word on why the channel is closed, where that is what err says.
func (s *pubSession) explain(ctx context.Context, err error) error {
	if !errors.Is(err, amqp.ErrClosed) {
		return err
	}
	select {
	case reason := <-s.closed:
		if reason != nil {
			return reason
		}
	case <-ctx.Done():
	}
	return err
}

// confirm settles the oldest message in flight: the library puts confirms into the order of publishing.
func (s *pubSession) confirm(c amqp.Confirmation) {
	if !s.confirmed {
		s.confirmed = true
		s.publisher.refused.Store(false)
	}
	s.collectReturns()
	f := s.inFlight.pop()
	s.settled++
	upTo := s.returned[f.address]
	if s.inFlight.len() == 0 {
		clear(s.returned)
	}
	switch {
	case !c.Ack:
		f.done(f.i, ErrNacked)
	case upTo >= s.settled:
		f.done(f.i, ErrUnroutable)
	default:
		f.done(f.i, nil)
	}
}

// collectReturns notes what came back. A message is returned before it is confirmed, and one goroutine of the library passes
// both on, so whatever belongs to a confirm that is here is here too.
func (s *pubSession) collectReturns() {
	for {
		select {
		case r, ok := <-s.returns:
			if !ok {
				s.returns = nil
				return
			}
			s.returned[address{r.MessageId, r.Exchange, r.RoutingKey}] = s.sent
		default:
			return
		}
	}
}

// fail ends the session: whatever has no confirm yet may or may not have arrived.
func (s *pubSession) fail(cause error) {
	err := ErrNotConnected
	if cause != ErrNotConnected {
		err = fmt.Errorf("%w: %w", ErrNotConnected, cause)
	}
	close(s.gone)
	for s.inFlight.len() > 0 {
		f := s.inFlight.pop()
		f.done(f.i, err)
	}
	for ; s.next < len(s.current.messages); s.next++ {
		s.current.done(s.next, err)
	}
}

// flights is a ring of the flights of one window.
type flights struct {
	ring        [window]flight
	head, count int
}

func (q *flights) len() int { return q.count }

func (q *flights) push(f flight) {
	q.ring[(q.head+q.count)%window] = f
	q.count++
}

func (q *flights) pop() flight {
	f := q.ring[q.head]
	q.ring[q.head] = flight{}
	q.head = (q.head + 1) % window
	q.count--
	return f
}
