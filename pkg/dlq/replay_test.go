package dlq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/time/rate"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

func TestReplay(t *testing.T) {
	b := newBench(t)
	ids := b.die(300) // more than are in flight at a time
	before := b.look(dead, 1)[0]
	run := b.replay(Job{})
	want := Run{ID: run.ID, Tallies: []Tally{{Queue: dead, Depth: 300, Counts: map[Outcome]int{{Fate: Replayed, Target: work}: 300}}}}
	if !reflect.DeepEqual(run, want) || run.ID == "" {
		t.Errorf("got %+v\nwant %+v", run, want)
	}
	if left := b.ids(dead); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if got := b.ids(work); !slices.Equal(got, ids) {
		t.Errorf("%s has %v, want all in their order", work, got)
	}
	after := withoutCount(b.look(work, 1))[0].Message
	wanted := before.Message
	wanted.RoutingKey = work
	wanted.Mandatory = false
	wanted.Headers = map[string]any{"traceparent": "00-1-2-01", flow.HeaderReplays: int64(1), flow.HeaderReplayID: run.ID}
	if !reflect.DeepEqual(after, wanted) {
		t.Errorf("arrived as %+v\nwant %+v", after, wanted)
	}
}

func TestReplaysAreCounted(t *testing.T) {
	b := newBench(t)
	m := deadLetter("1", work)
	m.Headers[flow.HeaderReplays], m.Headers[flow.HeaderReplayID] = int64(7), "an earlier one"
	b.publish(m)
	run := b.replay(Job{})
	if l := b.look(work, 0)[0]; l.Replays != 8 || l.ReplayID != run.ID {
		t.Errorf("replay %d of run %q, want 8 of %q", l.Replays, l.ReplayID, run.ID)
	}
}

// mix puts dead letters of all kinds into the queue: 3 for t.work, 2 for t.other, 2 for a queue that is gone, 1 that tells
// nothing and 1 that claims to have died where it is.
func (b *bench) mix() {
	b.Helper()
	mute := deadLetter("mute", "")
	mute.Headers = nil
	b.publish(deadLetter("w1", work), deadLetter("g1", "t.gone"), deadLetter("o1", "t.other"), mute, deadLetter("w2", work),
		deadLetter("self", dead), deadLetter("o2", "t.other"), deadLetter("g2", "t.gone"), deadLetter("w3", work))
}

func TestEachGoesToItsOwnTargetOnly(t *testing.T) {
	b := newBench(t)
	b.mix()
	run := b.replay(Job{})
	want := map[Outcome]int{
		{Fate: Replayed, Target: work}: 3, {Fate: Replayed, Target: "t.other"}: 2, {Fate: TargetGone, Target: "t.gone"}: 2, {Fate: NoTarget, Target: ""}: 1, {Fate: NoTarget, Target: dead}: 1,
	}
	if got := run.Tallies[0].Counts; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for queue, want := range map[string][]string{
		work: {"w1", "w2", "w3"}, "t.other": {"o1", "o2"}, dead: {"g1", "mute", "self", "g2"},
	} {
		if got := b.ids(queue); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", queue, got, want)
		}
	}
}

func TestDryRunForetellsAndChangesNothing(t *testing.T) {
	for _, max := range []int{0, 1, 4, 5} {
		t.Run(fmt.Sprint(max), func(t *testing.T) {
			b := newBench(t)
			b.mix()
			before := b.ids(dead)
			dry := b.replay(Job{DryRun: true, Max: max})
			if after := b.ids(dead); !slices.Equal(after, before) || len(b.ids(work)) > 0 {
				t.Errorf("a dry run left %v of %v, and sent %v", after, before, b.ids(work))
			}
			real := b.replay(Job{Max: max})
			if !reflect.DeepEqual(dry.Tallies, real.Tallies) || dry.ID != "" {
				t.Errorf("dry  %+v\nreal %+v", dry, real)
			}
			if n := real.Count(Replayed); max > 0 && n != max || max == 0 && n != 5 {
				t.Errorf("replayed %d, at most %d were wanted", n, max)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t)
	b.die(10)
	other := deadLetter("other", "t.other")
	other.RoutingKey = "t.other.dlq"
	b.publish(other)
	run := b.replay(Job{From: []Source{{Queue: dead, Take: 4, Touch: 4}, {Queue: "t.other.dlq"}}, Max: 5})
	if got := run.Count(Replayed); got != 5 || run.Total() != 5 || len(run.Tallies) != 2 {
		t.Errorf("replayed %d of %d: %+v", got, run.Total(), run)
	}
	if got, want := b.ids(dead), []string{"4", "5", "6", "7", "8", "9"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if run := b.replay(Job{Max: 2, From: []Source{{Queue: dead}, {Queue: "t.other.dlq"}}}); len(run.Tallies) != 1 {
		t.Errorf("after the limit was reached it went on: %+v", run)
	}
}

// What a replay leaves keeps its order also where it was looked at before.
func TestWhatIsLeftKeepsItsOrder(t *testing.T) {
	b := newBench(t)
	b.mix()
	for max := range 9 {
		b.look(dead, max)
	}
	b.replay(Job{Max: 2})
	if got, want := b.ids(dead), []string{"g1", "mute", "w2", "self", "o2", "g2", "w3"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestAbsentQueueIsNoError(t *testing.T) {
	b := newBench(t)
	b.die(1)
	run := b.replay(Job{From: []Source{{Queue: "t.none.dlq"}, {Queue: dead}}})
	if !run.Tallies[0].Absent || run.Tallies[1].Absent || run.Count(Replayed) != 1 {
		t.Errorf("got %+v", run)
	}
}

// underway is a replay of the dead letters of t.work, to be looked into.
func (b *bench) underway() *task {
	return &task{
		Job: Job{Do: Replay()}, broker: b.broker, publisher: b.publisher, limiter: rate.NewLimiter(rate.Inf, 0), id: "this run",
		exists: map[string]bool{},
	}
}

func TestTargetThatVanishesMeanwhile(t *testing.T) {
	b := newBench(t)
	b.publish(deadLetter("w", work), deadLetter("g", "t.gone"))
	r := b.underway()
	r.exists["t.gone"] = true // as it was a moment ago
	err := r.queue(t.Context(), Source{Queue: dead})
	want := map[Outcome]int{{Fate: Replayed, Target: work}: 1, {Fate: TargetGone, Target: "t.gone"}: 1}
	if got := r.tallies[0].Counts; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, want := b.ids(dead), []string{"g"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestFullTargetRefuses(t *testing.T) {
	b := newBench(t)
	b.manage(http.MethodPut, "/api/queues/%s/t.full",
		`{"durable":true,"arguments":{"x-queue-type":"quorum","x-max-length":5,"x-overflow":"reject-publish"}}`)
	const all = 4 * inFlight // a queue notices only after a while that it is full
	var letters []broker.Message
	for i := range all {
		letters = append(letters, deadLetter(fmt.Sprint(i), "t.full"))
	}
	b.publish(letters...)
	run := b.replay(Job{})
	sent, refused := run.Count(Replayed), run.Count(Refused)
	if sent == 0 || refused == 0 || sent+refused != all {
		t.Errorf("%d sent, %d refused of %d", sent, refused, all)
	}
	if in, left := len(b.ids("t.full")), len(b.ids(dead)); in != sent || left != refused {
		t.Errorf("%d in the target, %d left; want %d and %d", in, left, sent, refused)
	}
}

func TestWhatDiesAgainIsNotTakenUpAgain(t *testing.T) {
	b := newBench(t)
	b.die(500)
	again := b.broker.NewPublisher()
	if err := again.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	var died atomic.Int64
	all := make(chan struct{})
	stop := b.consume(work, func(d *broker.Delivery) {
		m := d.Copy()
		m.Exchange, m.RoutingKey = "", dead
		m.Headers[flow.HeaderQueue] = work
		if err := again.PublishAll(t.Context(), []broker.Message{m})[0]; err != nil {
			t.Error(err)
		}
		if died.Add(1) == 500 {
			close(all)
		}
	})
	defer stop()
	run := b.replay(Job{})
	if run.Count(Replayed) != 500 || run.Total() != 500 {
		t.Errorf("replayed %d, looked at %d, want 500 once each", run.Count(Replayed), run.Total())
	}
	select {
	case <-all:
	case <-t.Context().Done():
	}
	for _, l := range b.look(dead, 0) {
		if l.Replays != 1 {
			t.Errorf("message %s was replayed %d times", l.ID, l.Replays)
		}
	}
}

// A target that cannot be asked about does not keep the others from going.
func TestOddTargets(t *testing.T) {
	b := newBench(t)
	mine := "mine"
	owner, err := b.broker.Claim(t.Context(), mine) // an exclusive queue of another connection
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Release()
	long := strings.Repeat("x", 300)
	b.publish(deadLetter("1", long), deadLetter("2", broker.ClaimQueue(mine)), deadLetter("3", work))
	run, err := Do(t.Context(), open(t, b.env.AMQPURL), Job{Do: Replay(), From: []Source{{Queue: dead}}})
	if err != nil || run.Count(TargetGone) != 1 || run.Count(Replayed) != 2 {
		t.Errorf("%+v, %v", run, err)
	}
}

// What is large goes in small batches, and nothing else is different.
func TestLargeLetters(t *testing.T) {
	b := newBench(t)
	var letters []broker.Message
	for i := range 40 {
		m := deadLetter(fmt.Sprint(i), work)
		if i >= 20 {
			m.Body = bytes.Repeat([]byte("x"), 1<<20)
		}
		letters = append(letters, m)
	}
	b.publish(letters...)
	if run := b.replay(Job{}); run.Count(Replayed) != len(letters) || len(b.ids(work)) != len(letters) || len(b.ids(dead)) != 0 {
		t.Errorf("%+v", run)
	}
}

func TestStopsAtItsOwnMark(t *testing.T) {
	b := newBench(t)
	marked := deadLetter("marked", work)
	marked.Headers[flow.HeaderReplayID] = "this run"
	b.publish(deadLetter("a", work), marked, deadLetter("b", work))
	r := b.underway()
	err := r.queue(t.Context(), Source{Queue: dead})
	if tally := r.tallies[0]; err != nil || tally.Total() != 1 || tally.Depth != 3 {
		t.Errorf("got %+v, %v", tally, err)
	}
	if got, want := b.ids(dead), []string{"marked", "b"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestStoppedReplayFinishesWhatIsInFlight(t *testing.T) {
	b := newBench(t)
	ids := b.die(2000)
	ctx, cancel := context.WithCancel(t.Context())
	arrived := 0
	hundredth := make(chan struct{})
	stop := b.consume(work, func(*broker.Delivery) {
		if arrived++; arrived == 100 {
			cancel()
			close(hundredth)
		}
	})
	run, err := Do(ctx, b.broker, Job{Do: Replay(), From: []Source{{Queue: dead}}})
	<-hundredth
	stop()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	replayed := run.Count(Replayed)
	if replayed < 100 || replayed >= len(ids) || run.Count(Unknown) > 0 {
		t.Errorf("%d replayed, %d unknown", replayed, run.Count(Unknown))
	}
	if waiting := len(b.ids(work)); arrived+waiting != replayed {
		t.Errorf("%d arrived, %d are waiting, want %d", arrived, waiting, replayed)
	}
	if got := b.ids(dead); !slices.Equal(got, ids[replayed:]) {
		t.Errorf("%d left, want the last %d in their order", len(got), len(ids)-replayed)
	}
}

// The connection breaks again and again, and each time the replay is run again: nothing is lost, and what comes twice was in
// flight when it broke.
func TestBrokenConnectionLosesNothing(t *testing.T) {
	b := newBench(t)
	ids := b.die(3000)
	wire, address := newWire(t, b.env.AMQPURL)
	var next atomic.Int64
	next.Store(int64(len(ids) / 6))
	times, total := map[string]int{}, 0
	stop := b.consume(work, func(d *broker.Delivery) {
		times[d.ID]++
		if total++; int64(total) == next.Load() {
			wire.cut()
		}
	})
	breaks, allowed := 0, 0
	for {
		through := open(t, address)
		run, err := Do(t.Context(), through, Job{Do: Replay(), From: []Source{{Queue: dead}}})
		through.Close()
		if err == nil && len(b.ids(dead)) == 0 { // the broker may take a while to see that a connection is gone, and gives back then
			break
		}
		if err == nil {
			continue
		}
		breaks++
		allowed += inFlight
		t.Logf("run %d: %d replayed, %d unknown: %v", breaks, run.Count(Replayed), run.Count(Unknown), err)
		next.Add(int64(len(ids) / 6))
	}
	eventually(t, "everything is consumed", func() bool {
		depth, err := b.broker.Depth(t.Context(), work)
		return err == nil && depth == 0
	})
	stop()
	if breaks < 3 {
		t.Errorf("the connection broke %d times only", breaks)
	}
	for _, id := range ids {
		if times[id] == 0 {
			t.Errorf("message %s is lost", id)
		}
	}
	t.Logf("%d breaks, %d doubles", breaks, total-len(ids))
	if doubles := total - len(ids); doubles > allowed {
		t.Errorf("%d doubles, at most %d were in flight", doubles, allowed)
	}
	if left := b.ids(dead); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
