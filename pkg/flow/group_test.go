package flow

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// desk is a group under test. Its requests are events; the method "poison" fails, "panic" panics, "wait" waits for open, and "broken"
// fails when it is committed.
type desk struct {
	*Group[*event.Event]
	*running
	batches chan int      // how large they were; room for all of a test
	open    chan struct{} // closed when those that wait may go on
}

func newDesk(h *house) *desk {
	h.t.Helper()
	h.observe()
	h.exec("CREATE TABLE promises (event_id uuid REFERENCES effects DEFERRABLE INITIALLY DEFERRED)")
	d := &desk{batches: make(chan int, 2*groupWaiting), open: make(chan struct{})}
	d.running = h.start(func(s *Service) {
		d.Group = NewGroup(s, func(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
			d.batches <- len(batch)
			for _, e := range batch {
				switch method(e) {
				case "poison":
					return nil, errors.New("poison")
				case "panic":
					panic("panic")
				case "wait":
					<-d.open
				case "broken":
					tx.Queue("INSERT INTO promises (event_id) VALUES ($1)", event.NewID())
				}
				tx.Queue("INSERT INTO effects (event_id) VALUES ($1)", e.ID)
				follow = append(follow, voided(e))
			}
			return follow, nil
		})
	})
	return d
}

// occupy keeps all workers of the desk waiting, each with one request.
func (d *desk) occupy(t *testing.T, group *errgroup.Group) (held []*event.Event) {
	t.Helper()
	held = placed(groupWorkers, "wait")
	for _, e := range held {
		group.Go(func() error { return d.Do(t.Context(), e) })
		if n := receive(t, "a batch", d.batches); n != 1 {
			t.Fatalf("a request that came alone is in a batch of %d", n)
		}
	}
	return held
}

func TestRequestsShareTransactions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	d := newDesk(h)
	var group errgroup.Group
	all := d.occupy(t, &group)
	waiting := placed(groupBatch, "ok")
	for _, e := range waiting {
		group.Go(func() error { return d.Do(t.Context(), e) })
	}
	h.eventually("all wait", func() bool { return len(d.waiting) == len(waiting) })
	close(d.open)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(d.batches); n > groupWorkers {
		t.Errorf("%d requests that had waited took %d transactions, want at most %d", len(waiting), n, groupWorkers)
	}
	all = append(all, waiting...)
	h.wantOnce(all)
	h.wantFollowers(all, true)
}

func TestRequestThatFailsIsAlone(t *testing.T) {
	t.Parallel()
	for _, culprit := range []string{"poison", "panic"} {
		t.Run(culprit, func(t *testing.T) {
			h := newHouse(t, devtest.New(t))
			d := newDesk(h)
			var group errgroup.Group
			good := d.occupy(t, &group)
			bad := placed(1, culprit)[0]
			refused := make(chan error, 1)
			for i, e := range placed(40, "ok") {
				if i == 17 {
					group.Go(func() error {
						refused <- d.Do(t.Context(), bad)
						return nil
					})
				}
				good = append(good, e)
				group.Go(func() error { return d.Do(t.Context(), e) })
			}
			h.eventually("all wait", func() bool { return len(d.waiting) == 41 })
			close(d.open)
			if err := group.Wait(); err != nil {
				t.Errorf("a neighbour failed: %v", err)
			}
			if err := <-refused; err == nil {
				t.Error("the request that cannot be done was done")
			}
			h.wantOnce(good)
		})
	}
}

// The events of a transaction that could not be committed are never published.
func TestWhatIsNotCommittedIsNotSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	d := newDesk(h)
	for _, e := range placed(3, "broken") {
		if err := d.Do(t.Context(), e); err == nil || Classify(err) == World {
			t.Errorf("Do returned %v for what cannot be committed", err)
		}
	}
	good := placed(3, "ok")
	for _, e := range good {
		if err := d.Do(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	d.stop()
	h.wantOnce(good)
	h.wantFollowers(good, true)
}

// What cannot be done soon is refused at once, and what has stopped waiting is not done.
func TestRequestsDoNotPileUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	d := newDesk(h)
	var group errgroup.Group
	good := d.occupy(t, &group)

	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- d.Do(impatient, placed(1, "ok")[0]) }()
	h.eventually("it waits", func() bool { return len(d.waiting) == 1 })
	leave()
	if err := receive(t, "the end of its patience", left); !errors.Is(err, context.Canceled) {
		t.Errorf("Do returned %v to somebody who had left", err)
	}

	waiting := placed(groupWaiting-1, "ok")
	for _, e := range waiting {
		group.Go(func() error { return d.Do(t.Context(), e) })
	}
	h.eventually("as many wait as may", func() bool { return len(d.waiting) == groupWaiting })
	if err := d.Do(t.Context(), placed(1, "ok")[0]); !errors.Is(err, ErrBusy) {
		t.Errorf("Do returned %v where too many wait, want ErrBusy", err)
	}
	close(d.open)
	if err := group.Wait(); err != nil {
		t.Error(err)
	}

	hasty, stop := context.WithTimeout(t.Context(), groupTimeout/2)
	defer stop()
	if err := d.Do(hasty, placed(1, "ok")[0]); !errors.Is(err, ErrBusy) {
		t.Errorf("Do returned %v to somebody who has less time than a transaction may take, want ErrBusy", err)
	}
	h.wantOnce(append(good, waiting...)) // and nothing else
}

func TestRequestsWhenTheServiceStops(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	d := newDesk(h)
	var inHand, late errgroup.Group
	good := d.occupy(t, &inHand)
	outcomes := make(chan error, 5)
	for _, e := range placed(cap(outcomes), "ok") {
		late.Go(func() error {
			outcomes <- d.Do(t.Context(), e)
			return nil
		})
	}
	h.eventually("all wait", func() bool { return len(d.waiting) == cap(outcomes) })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		d.stop()
	}()
	close(d.open)
	if err := inHand.Wait(); err != nil {
		t.Errorf("what was in hand: %v", err)
	}
	late.Wait()
	<-stopped
	done := len(good)
	for range cap(outcomes) {
		switch err := <-outcomes; {
		case err == nil:
			done++
		case !errors.Is(err, ErrStopped):
			t.Errorf("Do returned %v where the service has stopped", err)
		}
	}
	if n := h.number("SELECT count(*) FROM effects"); n != done {
		t.Errorf("%d requests were told that they are done, %d are", done, n)
	}
	if err := d.Do(t.Context(), placed(1, "ok")[0]); !errors.Is(err, ErrStopped) {
		t.Errorf("Do returned %v after the end, want ErrStopped", err)
	}
}
