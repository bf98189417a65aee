package bench

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestLedger counts orders whose ends come in any order: after the answer to their placing, before it, twice, or of nobody here.
func TestLedger(t *testing.T) {
	l, t0 := newLedger(), time.Now()
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	usual, early, declined, unwanted, left := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()

	l.accept(usual, Shipped, at(0), at(2))
	l.end(usual, end{at(10), true})
	l.end(usual, end{at(90), true}) // said again
	l.end(early, end{at(20), true})
	l.accept(early, Shipped, at(0), at(25))
	l.end(uuid.New(), end{at(30), true}) // somebody else's
	l.accept(declined, Declined, at(0), at(3))
	l.end(declined, end{at(4), false})
	l.accept(unwanted, Shipped, at(0), at(3))
	l.end(unwanted, end{at(50), false})
	l.accept(left, Cancelled, at(0), at(3))
	l.close(0)

	if l.acceptedOrders() != 5 || l.ends != 4 || l.shipped != 2 || l.wrong != 1 {
		t.Errorf("accepted %d, ended %d, shipped %d, wrong %d", l.acceptedOrders(), l.ends, l.shipped, l.wrong)
	}
	if !l.accepted.Equal(at(25)) || !l.ended.Equal(at(50)) {
		t.Errorf("last accepted after %s, ended after %s", l.accepted.Sub(t0), l.ended.Sub(t0))
	}
	if n, longest := l.latency.TotalCount(), l.latency.Max(); n != 2 || longest/100 != 200 {
		t.Errorf("%d latencies, the longest %d µs, want 20 ms", n, longest)
	}
	if ids, n := l.underWay(3); n != 1 || ids[0] != left {
		t.Errorf("under way: %d, %v", n, ids)
	}
	select {
	case <-l.calm:
		t.Error("calm, and an order is under way")
	default:
	}
	l.end(left, end{at(60), true}) // an order that was called off may ship
	select {
	case <-l.calm:
	default:
		t.Error("not calm")
	}
	if l.wrong != 1 {
		t.Error("a cancelled order that ships is not wrong")
	}
}

// TestForeignEnds are forgotten when no answer can be waited for any more.
func TestForeignEnds(t *testing.T) {
	l, t0 := newLedger(), time.Now()
	mine := uuid.New()
	l.end(mine, end{t0, true})
	for i := range 10_000 {
		l.end(uuid.New(), end{t0.Add(time.Duration(i) * answerLimit / 1000), true})
		if i == 1000 {
			l.accept(mine, Shipped, t0, t0.Add(answerLimit))
		}
	}
	if l.ends != 1 {
		t.Error("an end that came before its answer is forgotten")
	}
	if n := len(l.early) + len(l.earlier); n > 2100 {
		t.Errorf("%d ends of others are kept", n)
	}
}
