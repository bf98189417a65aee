package dlq

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// Whatever the expression and whatever the message, a filter answers, soon, and the same each time.
func FuzzFilter(f *testing.F) {
	order := string(anOrder().Body)
	for _, expression := range []string{
		`type == "OrderPlaced" and attempts > 4`, `data.customer_id == "ada"`, `any(data.items, .quantity > 5)`, `error matches "^no (luck|time)$"`,
		`age > duration("2h")`, `dead_at < date("2026-01-01")`, `"traceparent" in headers`, `data.items[0].product_id in ["demo-1"]`,
		`len(filter(data.items, .quantity in [1, 2])) == 1`, `data.a?.b ?? 1 == 2`, `int(id) % 2 == 0`, `not (body contains "x") or data.gift`,
		`float(data.total_amount) * 2 > 1e3`, `lower(string(data.items)) startsWith "["`, `find(data.items, #.quantity == 9).product_id == "demo-2"`,
		`let a = body; a == ""`, `1..3`, `type matches "(a{100}){10}"`, `data.items | filter(.quantity > 1) | len() == 1`, `{"a": data}.a == data`,
		`body[1:3] == "x" ? true : false`, `if attempts > 1 { true } else { false }`, `data[-1] == headers["x"]`, `$env.type == type`,
	} {
		f.Add(expression, order, "no luck")
	}
	f.Add(`envelope == 7`, "7", "")
	f.Add(`data == nil`, "no JSON", "\xff")
	f.Fuzz(func(t *testing.T, expression, body, said string) {
		began := time.Now()
		filter, err := ParseFilter(expression)
		if err != nil {
			if len(err.Error()) > 2*maxExpression+2000 {
				t.Errorf("an error of %d bytes: %.200s", len(err.Error()), err)
			}
			return
		}
		l := deadLetter("7", work)
		l.Body, l.Headers[flow.HeaderError], l.Headers["theirs"] = []byte(body), said, []any{said, int64(1), nil}
		matches, doubt := filter.Match(Read(l))
		if matches && doubt != nil {
			t.Errorf("matches, and cannot be evaluated: %v", doubt)
		}
		if doubt != nil && len(doubt.Error()) > 5*maxDoubt {
			t.Errorf("an error of %d bytes: %.200s", len(doubt.Error()), doubt)
		}
		if again, _ := filter.Match(Read(l)); again != matches {
			t.Errorf("first %v, then %v", matches, again)
		}
		if took := time.Since(began); took > limit {
			t.Errorf("took %s", took)
		}
	})
}

// letterHeaders are those that mean something.
var letterHeaders = []string{
	flow.HeaderQueue, flow.HeaderService, flow.HeaderReason, flow.HeaderError, flow.HeaderAttempts, flow.HeaderFirstFailedAt, flow.HeaderDeadAt,
	flow.HeaderReplays, flow.HeaderReplayID, "x-death", "x-first-death-queue", "x-first-death-reason", "x-last-death-queue", "x-delivery-count",
	"CC", "BCC", "theirs",
}

// headerOf makes a header's value of a fuzzer's bytes. How x-death is read where it is as the broker writes it is fuzzed in package broker.
func headerOf(kind byte, text string, number int64) any {
	switch kind % 9 {
	case 0:
		return nil
	case 1:
		return text
	case 2:
		return number
	case 3:
		return []byte(text)
	case 4:
		return number > 0
	case 5:
		return []any{text, number, map[string]any{text: nil}}
	case 6:
		return map[string]any{"queue": text, "count": number}
	case 7:
		return time.Unix(number, 0)
	}
	return math.Float64frombits(uint64(number))
}

// What can be read from a file of dead letters is the same when it is written and read again.
func FuzzStored(f *testing.F) {
	for _, line := range []string{
		`{"dlq":"q","message":{"id":"1","headers":{"a":{"int64":"5"},"b":{"list":[null,true,"x"]},"c":{"table":{"d":{"base64":"/w=="}}}},"body":{"base64":"/w=="}}}`,
		`{"dlq":"","message":{"timestamp":-1,"headers":{"a":{"float32":"7fc00001"},"b":{"decimal":{"Scale":2,"Value":-5}},"c":{"time":"9"}},"body":""}}`,
		`{"dlq":"q","message":{"body":"x"}} x`, `{"dlq":"q"}`, `{"dlq":"q","message":{"headers":{"a":{"bytes":""},"b":{"uint8":"255"}},"body":"\u2028"}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := readStored(line)
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if err := s.Write(&once); err != nil {
			t.Fatalf("%q was read, and cannot be written: %v", line, err)
		}
		again, err := readStored(once.Bytes())
		if err != nil {
			t.Fatalf("%q cannot be read: %v", once.Bytes(), err)
		}
		if err := again.Write(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) || bytes.Count(once.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%q became %q, %v", once.Bytes(), twice.Bytes(), err)
		}
	})
}

// A dead letter with any headers can be read, and what is sent again tells of the replay and not of the death.
func FuzzLetter(f *testing.F) {
	for i := range letterHeaders {
		for kind := range byte(9) {
			f.Add(byte(i), kind, byte(i+1), kind+1, "2026-01-02T03:04:05Z", int64(i))
		}
	}
	f.Add(byte(7), byte(2), byte(8), byte(1), "run", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, name, kind, other, otherKind byte, text string, number int64) {
		m := broker.Message{Body: []byte(text), Headers: map[string]any{
			letterHeaders[int(name)%len(letterHeaders)]:  headerOf(kind, text, number),
			letterHeaders[int(other)%len(letterHeaders)]: headerOf(otherKind, text, number),
		}}
		l := Read(m)
		if l.Attempts < 0 || l.Replays < 0 {
			t.Errorf("handled %d times and replayed %d times", l.Attempts, l.Replays)
		}
		again := Read(l.again("run"))
		kept := map[string]any{flow.HeaderReplays: again.Replays, flow.HeaderReplayID: "run"}
		if theirs, ok := m.Headers["theirs"]; ok {
			kept["theirs"] = theirs
			if number, isNumber := theirs.(float64); isNumber && math.IsNaN(number) {
				kept["theirs"], again.Headers["theirs"] = "NaN", "NaN"
			}
		}
		if !reflect.DeepEqual(again.Headers, kept) || again.Replays != min(l.Replays+1, maxReplays) || again.RoutingKey != l.Queue || string(again.Body) != text {
			t.Errorf("%v is sent again as %+v", m.Headers, again)
		}
	})
}
