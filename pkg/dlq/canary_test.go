package dlq

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// handler handles what comes to t.work as a service does: what bad names dies again.
func (b *bench) handler(db *pgxpool.Pool, bad map[string]bool) (stop func()) {
	return b.consume(work, func(d *broker.Delivery) {
		if !bad[d.ID] {
			b.handle(db, uuid.MustParse(d.ID))
			return
		}
		m := d.Copy()
		m.Exchange, m.RoutingKey, m.Headers[flow.HeaderQueue] = broker.DeadLetterExchange(work), "", work
		b.publish(m)
	})
}

func TestCanary(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	bad := map[string]bool{}
	var ids []string
	for i := range 30 {
		ids = append(ids, event.NewID().String())
		bad[ids[i]] = i == 3 || i == 5
		b.publish(deadLetter(ids[i], work))
	}
	defer b.handler(db, bad)()
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 10, MaxFailures: 1, Patience: limit}}
	run, err := Do(t.Context(), b.broker, job)
	var died *CanaryError
	if !errors.As(err, &died) || died.Died != 2 || run.Canary == nil || run.Canary.Sent != 10 || run.Count(Replayed) != 10 {
		t.Fatalf("%+v, %v", run, err)
	}
	if left := b.ids(dead); len(left) != 22 || !slices.Equal(left[:20], ids[10:]) {
		t.Errorf("left %v", left)
	}
	clear(bad) // mended
	run, err = Do(t.Context(), b.broker, job)
	if err != nil || run.Count(Replayed) != 22 || *run.Canary != (Canaries{Sent: 10, Handled: 10}) {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
	}
}

// The same event twice is one canary.
func TestCanaryThatIsThereTwice(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	twice, once := event.NewID().String(), event.NewID().String()
	b.publish(deadLetter(twice, work), deadLetter(twice, work), deadLetter(once, work), deadLetter(event.NewID().String(), work))
	defer b.handler(db, map[string]bool{once: true})()
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 2, Patience: limit}}
	run, err := Do(t.Context(), b.broker, job)
	var died *CanaryError
	if !errors.As(err, &died) || *run.Canary != (Canaries{Sent: 2, Handled: 1, Died: 1}) && *run.Canary != (Canaries{Sent: 2, Died: 1, Waiting: 1}) || run.Count(Replayed) != 3 {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
	}
}

// The dead-letter exchange of another program may be a direct one.
func TestCanaryAtADirectExchange(t *testing.T) {
	b := newBench(t)
	b.manage("PUT", "/api/exchanges/%s/billing.dlx", `{"type":"direct","durable":true}`)
	b.manage("PUT", "/api/queues/%s/billing", `{"durable":true,"arguments":{"x-queue-type":"quorum","x-dead-letter-exchange":"billing.dlx"}}`)
	b.publish(deadLetter("1", "billing"), deadLetter("2", "billing"))
	defer b.consume("billing", func(d *broker.Delivery) {
		m := d.Copy()
		m.Exchange = broker.DeadLetterExchange("billing") // with the key that it came by, as the broker does it
		m.Mandatory = false
		m.Headers[flow.HeaderQueue] = "billing"
		b.publish(m)
	})()
	run, err := Do(t.Context(), b.broker, Job{Do: Replay(), From: []Source{{Queue: dead}}, Force: true, Canary: Canary{Send: 1, Patience: limit}})
	var died *CanaryError
	if !errors.As(err, &died) || died.Died != 1 || run.Count(Replayed) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestCanaryOfWhichNothingIsHeard(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	for range 3 {
		b.publish(deadLetter(event.NewID().String(), work))
	}
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 1, Patience: time.Second}}
	run, err := Do(t.Context(), b.broker, job)
	var unheard *CanaryError
	if !errors.As(err, &unheard) || unheard.Waiting != 1 || run.Count(Replayed) != 1 || len(b.ids(dead)) != 2 {
		t.Errorf("%+v, %v", run, err)
	}
	job.Inboxes = nil // nobody can tell
	if run, err := Do(t.Context(), b.broker, job); !errors.As(err, &unheard) || run.Count(Replayed) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
	b.publish(deadLetter(event.NewID().String(), work))
	job.Force = true // what has not died is well
	if run, err := Do(t.Context(), b.broker, job); err != nil || run.Count(Replayed) != 2 || *run.Canary != (Canaries{Sent: 1, Waiting: 1}) {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
	}
}
