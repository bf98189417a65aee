package dlq

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

func TestPlan(t *testing.T) {
	b := newBench(t)
	db, historyDB := b.database()
	done := event.NewID()
	b.handle(db, done)
	b.publish(deadLetter("a", work), deadLetter(done.String(), work), deadLetter("twin", work), deadLetter("twin", work), deadLetter("gone", "t.gone"))
	plan, run, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db)})
	if err != nil || len(plan.Messages) != 4 || run.Count(TargetGone) != 1 || len(b.ids(dead)) != 5 {
		t.Fatalf("%+v, %+v, %v", plan, run, err)
	}
	l := Read(deadLetter("a", work))
	if want := (Planned{DLQ: dead, ID: "a", Hash: bodyHash(&l), Type: "OrderPlaced", OrderID: "order-a", Target: work, Verdict: New}); plan.Messages[0] != want {
		t.Errorf("planned %+v, want %+v", plan.Messages[0], want)
	}
	if plan.Messages[1].Verdict != Handled {
		t.Errorf("planned %+v", plan.Messages[1])
	}
	var text bytes.Buffer
	if err := plan.Write(&text); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadPlan(&text); err != nil || !reflect.DeepEqual(again, plan) {
		t.Fatalf("read as %+v, %v\nfrom %+v", again, err, plan)
	}

	other := deadLetter("a", work)
	other.Body = []byte("another body")
	b.publish(other, deadLetter("later", work))
	job := Job{History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	first := job
	first.Max = 1 // as if it was killed
	for n, want := range []struct {
		job                    Job
		replayed, before, gone int
		left                   []string
	}{
		{first, 1, 0, 3, []string{done.String(), "twin", "twin", "gone", "a", "later"}},
		{job, 3, 1, 0, []string{"gone", "a", "later"}},
		{job, 0, 4, 0, []string{"gone", "a", "later"}},
	} {
		want.job.From = []Source{{Queue: dead}}
		got, err := Apply(t.Context(), b.broker, plan, want.job)
		if n == 0 {
			got.Missing = got.Missing[:0] // of a call that was stopped, more is not met
			want.gone = 0
		}
		if err != nil || got.Count(Replayed) != want.replayed || got.Before != want.before || len(got.Missing) != want.gone {
			t.Errorf("call %d: %+v, %v", n+1, got, err)
		}
		if left := b.ids(dead); !slices.Equal(left, want.left) {
			t.Errorf("call %d left %v, want %v", n+1, left, want.left)
		}
	}
	job.From = []Source{{Queue: dead}}
	again := deadLetter("a", work) // it has died again: that is another dead letter
	again.Headers[flow.HeaderReplays] = int64(1)
	b.publish(again)
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(Replayed) != 0 || got.Count(DiedAgain) != 1 || got.Before != 3 || len(got.Changed)+len(got.Missing) > 0 {
		t.Errorf("what has died again: %+v, %v", got, err)
	}
	plan.Messages = append(plan.Messages, Planned{DLQ: dead, ID: "vanished", Hash: bodyHash(&l), Target: work}, Planned{DLQ: dead, ID: "later", Hash: bodyHash(&l), Target: "elsewhere"})
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || len(got.Missing) != 1 || got.Missing[0].ID != "vanished" ||
		len(got.Changed) != 1 || got.Changed[0].ID != "later" {
		t.Errorf("what has vanished, and what is another: %+v, %v", got, err)
	}
}

// Each planned message is in one state, also where the same event is planned twice and one of the two has died again.
func TestPlanOfTwins(t *testing.T) {
	b := newBench(t)
	_, historyDB := b.database()
	b.publish(deadLetter("twin", work), deadLetter("twin", work))
	plan, _, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}})
	if err != nil || len(plan.Messages) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	b.replay(Job{}) // by somebody else
	again := deadLetter("twin", work)
	again.Headers[flow.HeaderReplays] = int64(1)
	b.publish(again)
	job := Job{From: []Source{{Queue: dead}}, History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || len(got.Missing) != 1 || got.Before+len(got.Changed) > 0 {
		t.Errorf("one has died again: %+v, %v", got, err)
	}
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || len(got.Missing) != 1 {
		t.Errorf("once more: %+v, %v", got, err)
	}
	plan.Messages = plan.Messages[:1]
	b.publish(again)
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || got.Count(Unmatched) != 1 || len(got.Missing)+got.Before+len(got.Changed) > 0 {
		t.Errorf("one is planned: %+v, %v", got, err)
	}
}

// What this very run has replayed does not stand for its twin, which somebody has taken away.
func TestPlanOfATwinThatIsMissing(t *testing.T) {
	b := newBench(t)
	_, historyDB := b.database()
	b.publish(deadLetter("twin", work), deadLetter("twin", work), deadLetter("", work))
	plan, _, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}})
	if err != nil || len(plan.Messages) != 3 {
		t.Fatalf("%+v, %v", plan, err)
	}
	b.empty(dead)
	other := deadLetter("", work)
	other.Body = []byte("another")
	b.publish(deadLetter("twin", work), other)
	job := Job{From: []Source{{Queue: dead}}, History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	got, err := Apply(t.Context(), b.broker, plan, job)
	if err != nil || got.Count(Replayed) != 1 || len(got.Missing) != 2 || got.Before+len(got.Changed) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPlansThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		``: "it is no plan: EOF", `[]`: "it is no plan", `{"version":2}`: "it is a plan of version 2, this program reads version 1", `{"ver":1}`: "unknown field",
		`{"version":1} {}`: "something follows it", `{"version":1}`: "it has no plan_id", `{"version":1,"messages":[{"dlq":"q","id":"1","body_sha256":"ab"}]}`: "message 1 has no queue, or no SHA-256",
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
