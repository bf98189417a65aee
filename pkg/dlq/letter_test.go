package dlq

import (
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

func TestReadTakesFlowsHeaders(t *testing.T) {
	m := deadLetter("1", work)
	m.Headers[flow.HeaderReplays], m.Headers[flow.HeaderReplayID] = int64(2), "run"
	m.Headers["x-first-death-queue"], m.Headers["x-first-death-reason"] = "t.retry.1s", "expired"
	want := Letter{
		Message: m, Queue: work, Reason: flow.ReasonExhausted, Error: "no luck", Attempts: 5, Replays: 2, ReplayID: "run",
		FirstFailedAt: time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC), DeadAt: time.Date(2026, 1, 2, 3, 10, 0, 0, time.UTC),
	}
	if got := Read(m); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestReadBelievesNothingOfTheWrongType(t *testing.T) {
	m := broker.Message{Headers: map[string]any{
		flow.HeaderQueue: int64(1), flow.HeaderReason: nil, flow.HeaderAttempts: "many", flow.HeaderReplays: "x",
		flow.HeaderDeadAt: "yesterday", "x-death": "none", "x-first-death-queue": true,
	}}
	if got, want := Read(m), (Letter{Message: m}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// A count can be counted on, whoever has written it.
func TestReadBelievesNoImpossibleCount(t *testing.T) {
	for n, want := range map[int64]int64{math.MinInt64: 0, -1: 0, 7: 7, math.MaxInt64: maxReplays} {
		l := Read(broker.Message{Headers: map[string]any{flow.HeaderReplays: n, flow.HeaderAttempts: n}})
		if l.Replays != want || l.Attempts != want || l.again("run").Headers[flow.HeaderReplays] != min(want+1, maxReplays) {
			t.Errorf("%d is read as %d replays, %d attempts, want %d", n, l.Replays, l.Attempts, want)
		}
	}
}

// A message that died by the broker's hand alone, in a queue of another program.
func TestForeignDeadLetter(t *testing.T) {
	b := newBench(t)
	b.manage(http.MethodPut, "/api/queues/%s/foreign.dlq", `{"durable":true,"arguments":{"x-queue-type":"quorum"}}`)
	b.manage(http.MethodPut, "/api/queues/%s/foreign", `{"durable":true,"arguments":{"x-queue-type":"quorum","x-max-length":1,
		"x-dead-letter-exchange":"","x-dead-letter-routing-key":"foreign.dlq"}}`)
	sent := broker.Message{RoutingKey: "foreign", Mandatory: true, ID: "f", Headers: map[string]any{"theirs": "kept"}, Body: []byte{0, 255}}
	b.publish(sent)
	b.publish(broker.Message{RoutingKey: "foreign", Mandatory: true, ID: "pushes the other one out"})
	eventually(t, "the message has died", func() bool {
		depth, err := b.broker.Depth(t.Context(), "foreign.dlq")
		return err == nil && depth == 1
	})
	b.empty("foreign")

	l := b.look("foreign.dlq", 0)[0]
	if l.Queue != "foreign" || l.Reason != "maxlen" || l.RoutingKey != "foreign.dlq" || time.Since(l.DeadAt).Abs() > time.Hour {
		t.Errorf("read as %+v", l)
	}
	run := b.replay(Job{From: []Source{{Queue: "foreign.dlq"}}})
	if want := map[Outcome]int{{Fate: Replayed, Target: "foreign"}: 1}; !reflect.DeepEqual(run.Tallies[0].Counts, want) {
		t.Fatalf("got %v, want %v", run.Tallies[0].Counts, want)
	}
	got := b.look("foreign", 0)[0]
	want := map[string]any{"theirs": "kept", flow.HeaderReplays: int64(1), flow.HeaderReplayID: run.ID}
	if !reflect.DeepEqual(withoutCount([]Letter{got})[0].Headers, want) || string(got.Body) != string(sent.Body) || got.ID != "f" {
		t.Errorf("arrived as %+v", got.Message)
	}
}
