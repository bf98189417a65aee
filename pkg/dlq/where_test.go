package dlq

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// anOrder is a dead letter with the body of an event.
func anOrder() Letter {
	m := deadLetter("e-1", work)
	m.Headers["theirs"] = map[string]any{"deep": []any{int64(1), "two"}}
	m.Headers[flow.HeaderDeadAt] = time.Now().Add(-3 * time.Hour).Format(time.RFC3339Nano)
	m.Body = []byte(`{"time":"2026-01-02T03:04:05Z","data":{"customer_id":"ada","total_amount":"39.98","gift":true,
		"items":[{"product_id":"demo-1","quantity":2},{"product_id":"demo-2","quantity":9}]}}`)
	return Read(m)
}

func matches(t *testing.T, expression string, l Letter) (bool, error) {
	t.Helper()
	f, err := ParseFilter(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return f.Match(l)
}

func TestFilter(t *testing.T) {
	l := anOrder()
	for expression, want := range map[string]bool{
		`type == "OrderPlaced" and id == "e-1" and order == "order-e-1" and source == "order" and service == "t"`: true,
		`queue == "t.work" and reason == "retries_exhausted" and error == "no luck"`:                              true,
		`attempts == 5 and replays == 0`:                               true,
		`attempts in [1, 2]`:                                           false,
		`type in ["OrderPlaced", "PaymentFailed"]`:                     true,
		`error contains "luck" and not (error startsWith "luck")`:      true,
		`error matches "^no (luck|time)$"`:                             true,
		`age > duration("2h59m") and age < duration("4h")`:             true,
		`dead_at > date("2026-01-01") and dead_at < now()`:             true,
		`data.customer_id == "ada"`:                                    true,
		`data.gift`:                                                    true,
		`data.nothing == "ada"`:                                        false,
		`data.nothing == nil`:                                          true,
		`data.items[0].product_id == "demo-1"`:                         true,
		`any(data.items, .product_id == "demo-2" and .quantity > 5)`:   true,
		`all(data.items, .quantity > 5)`:                               false,
		`len(data.items) == 2 and count(data.items, .quantity>5) == 1`: true,
		`float(data.total_amount) > 39.97`:                             true,
		`envelope.time startsWith "2026-01"`:                           true,
		`body contains "demo-2"`:                                       true,
		`"traceparent" in headers`:                                     true,
		`headers["theirs"].deep[1] == "two"`:                           true,
		`headers["none"] == nil`:                                       true,
	} {
		if got, err := matches(t, expression, l); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", expression, got, err, want)
		}
	}
}

// A message that lacks what is asked for does not match, and where that is more than a missing field, it is said.
func TestFilterOnWhatTellsLittle(t *testing.T) {
	silent := Read(broker.Message{Body: []byte("\xff no JSON")})
	number := Read(broker.Message{Body: []byte("7"), Headers: map[string]any{"theirs": true}})
	for _, c := range []struct {
		expression string
		letter     Letter
		want       bool
		doubt      string
	}{
		{`reason == "" and type == "" and attempts == 0`, silent, true, ""},
		{`data.customer_id == "ada"`, silent, false, ""},
		{`data.customer_id != "ada"`, silent, true, ""},
		{`headers["orderflow-reason"] == "x"`, silent, false, ""},
		{`body contains "no JSON"`, silent, true, ""},
		{`headers["theirs"]`, number, true, ""},
		{`envelope == 7`, number, true, ""},
		{`age > duration("1s")`, silent, false, "invalid operation: <nil> > time.Duration (1:5)"},
		{`not (age > duration("1s"))`, silent, false, "invalid operation: <nil> > time.Duration (1:10)"},
		{`data.address.city == "Berlin"`, anOrder(), false, "cannot fetch city from <nil> (1:14)"},
		{`data.address?.city == "Berlin"`, anOrder(), false, ""},
		{`data.total_amount > 5`, anOrder(), false, "invalid operation: string > int (1:19)"},
		{`data.total_amount`, anOrder(), false, "invalid operation: bool(string) (1:1)"},
		{`int(data.customer_id) > 5`, anOrder(), false, `invalid operation: int(ada) (1:1)`},
	} {
		got, err := matches(t, c.expression, c.letter)
		if got != c.want || (err == nil) != (c.doubt == "") || err != nil && !strings.HasPrefix(err.Error(), c.doubt) {
			t.Errorf("%s: %v, %v; want %v, %s", c.expression, got, err, c.want, c.doubt)
		}
	}
}

func TestWrongFilters(t *testing.T) {
	for expression, want := range map[string]string{
		"":                                     "an expression is missing",
		strings.Repeat(" ", 5000) + "true":     "an expression of 5004 bytes is too long, at most 4096 are allowed",
		strings.Repeat("!", 600) + "true":      "exceeds maximum allowed nodes",
		`kind == "OrderPlaced"`:                "unknown name kind (1:1)\n | kind == \"OrderPlaced\"\n | ^\nknown are age, attempts, body,",
		`type = "OrderPlaced"`:                 "(1:6)",
		`type == "OrderPlaced`:                 "literal not terminated (1:21)",
		`attempts > "4"`:                       "mismatched types int and string) (1:10)",
		`type`:                                 "expected bool, but got string",
		`type matches "("`:                     "missing closing )",
		`dead_at.nothing == 1`:                 "(1:9)",
		`let x = body; x != ""`:                "variables are not supported",
		`any(data.list, # == attempts)`:        "a condition on the elements of a list can look at the element only: .attempts is its field (1:21)",
		`attempts in 1..9`:                     "ranges are not supported; write x >= 1 and x <= 3 (1:14)",
		`any(data.items, any(.parts, # == 1))`: "cannot have another one in it (1:29)",
		`any(data.items, $env.body == "")`:     "can look at the element only",
		`len(map(data.items, .quantity)) == 1`: "map is not supported; functions are all, any,",
		`reduce(data.items, #acc + #, "")`:     "reduce is not supported",
		`body matches body`:                    "a pattern must be written out (1:14)",
		`body matches "(a{100}){10}"`:          "this pattern is too large (1:14)",
		`dead_at.Year() == 2026`:               "this cannot be called",
	} {
		if _, err := ParseFilter(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: %v\nwant %s", expression, err, want)
		}
	}
}

// What an expression may do with the largest message is done soon.
func TestFilterIsBounded(t *testing.T) {
	elements := maxJSON/2 - 100
	l := Read(broker.Message{Body: []byte(`{"data":{"list":[` + strings.Repeat("1,", elements) + `1],"text":"x"}}`)})
	for _, expression := range []string{
		`any(data.list, string(#) matches "^(a|b|1){1,30}2$")`,
		`len(filter(filter(data.list, # == 1), # == 1)) == 0`,
		`body + body + body + body matches "(1,)+x"`,
	} {
		began := time.Now()
		if got, err := matches(t, expression, l); got || err != nil {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
		if took := time.Since(began); took > limit {
			t.Errorf("%s took %s", expression, took)
		}
	}
	larger := Read(broker.Message{Type: "t", Body: append(slices.Repeat([]byte(" "), maxJSON), l.Body...)})
	if got, err := matches(t, `type == "t" and data.list == nil`, larger); !got || err != nil {
		t.Errorf("a body that is larger than any event: %v, %v", got, err)
	}
}

func TestReplayWhere(t *testing.T) {
	b := newBench(t)
	b.mix()
	other, err := ParseFilter(`queue in ["t.other", "t.gone"]`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[Outcome]int{{Fate: Replayed, Target: "t.other"}: 2, {Fate: TargetGone, Target: "t.gone"}: 2, {Fate: Unmatched, Target: ""}: 5}
	for _, dry := range []bool{true, false} {
		if got := b.replay(Job{Where: other, DryRun: dry}).Tallies[0]; !reflect.DeepEqual(got.Counts, want) || got.Doubt != nil {
			t.Errorf("dry run %v: got %+v\nwant %v", dry, got, want)
		}
	}
	for queue, want := range map[string][]string{
		work: nil, "t.other": {"o1", "o2"}, dead: {"w1", "g1", "mute", "w2", "self", "g2", "w3"},
	} {
		if got := b.ids(queue); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", queue, got, want)
		}
	}
}

// A limit counts what is replayed, and what is left keeps its order, whatever was looked at before.
func TestReplayWhereUpToALimit(t *testing.T) {
	b := newBench(t)
	ids := b.die(50)
	even, err := ParseFilter(`int(id) % 2 == 0`)
	if err != nil {
		t.Fatal(err)
	}
	b.look(dead, 7)
	var sent []string
	for round := range 3 {
		run := b.replay(Job{Where: even, Max: 5})
		sent = append(sent, fmt.Sprint(10*round), fmt.Sprint(10*round+2), fmt.Sprint(10*round+4), fmt.Sprint(10*round+6), fmt.Sprint(10*round+8))
		want := map[Outcome]int{{Fate: Replayed, Target: work}: 5, {Fate: Unmatched, Target: ""}: 4 + 5*round}
		if got := run.Tallies[0].Counts; !reflect.DeepEqual(got, want) {
			t.Errorf("round %d: got %v, want %v", round, got, want)
		}
	}
	left := slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(sent, id) })
	if got := b.ids(dead); !slices.Equal(got, left) {
		t.Errorf("left %v, want %v", got, left)
	}
	if got := b.ids(work); !slices.Equal(got, sent) {
		t.Errorf("sent %v, want %v", got, sent)
	}
}

func TestReplayTellsWhereTheFilterCannotBeApplied(t *testing.T) {
	b := newBench(t)
	b.mix()
	f, err := ParseFilter(`headers["orderflow-attempts"] > 4`)
	if err != nil {
		t.Fatal(err)
	}
	got := b.replay(Job{Where: f, DryRun: true}).Tallies[0]
	if got.Counts[Outcome{Fate: Unmatched}] != 1 || got.Doubt == nil || got.Doubt.Error() != "invalid operation: <nil> > int (1:31)" {
		t.Errorf("got %+v", got)
	}
}

// A filter has one moment, however long it is used: what it did not choose at first it does not choose later.
func TestFilterHasOneMoment(t *testing.T) {
	for _, expression := range []string{
		`age > duration("0s")`, `now() > dead_at`, `now() - dead_at > duration("0s") and any(data.items, now() > date("2000-01-01"))`,
	} {
		old, err := ParseFilter(expression)
		if err != nil {
			t.Fatal(err)
		}
		m := deadLetter("young", work)
		m.Body = []byte(`{"data":{"items":[1]}}`)
		m.Headers[flow.HeaderDeadAt] = old.now.Format(time.RFC3339Nano) // it is of no age
		eventually(t, "it gets older", func() bool { return time.Since(old.now) > time.Millisecond })
		if got, err := old.Match(Read(m)); got || err != nil {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
		if got, err := matches(t, expression, Read(m)); !got || err != nil {
			t.Errorf("%s, asked anew: %v, %v", expression, got, err)
		}
	}
}

// The queue changes between the plan and what is done: no more is replayed than was planned.
func TestReplayAsPlanned(t *testing.T) {
	b := newBench(t)
	b.publish(deadLetter("1", work), deadLetter("2", work), deadLetter("30", work), deadLetter("40", work))
	small, err := ParseFilter(`int(id) < 10`)
	if err != nil {
		t.Fatal(err)
	}
	plan := b.replay(Job{Where: small, DryRun: true})
	g, err := b.broker.NewGetter(t.Context(), dead)
	if err != nil {
		t.Fatal(err)
	}
	var others []*broker.Delivery
	for range 4 {
		d, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, d)
	}
	if err := broker.Ack(others); err != nil {
		t.Fatal(err)
	}
	g.Close()
	b.publish(deadLetter("3", work), deadLetter("50", work), deadLetter("4", work), deadLetter("5", work))
	run := b.replay(Job{Where: small, From: plan.Planned([]Source{{Queue: dead}}, Replayed)})
	if want := map[Outcome]int{{Fate: Replayed, Target: work}: 2, {Fate: Unmatched, Target: ""}: 1}; !reflect.DeepEqual(run.Tallies[0].Counts, want) {
		t.Errorf("got %v, want %v", run.Tallies[0].Counts, want)
	}
	if got, want := b.ids(work), []string{"3", "4"}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if got, want := b.ids(dead), []string{"50", "5"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}
