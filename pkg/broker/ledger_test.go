package broker

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// channelModel is what a broker knows of a channel: which tags are delivered and not settled.
type channelModel struct {
	t           *testing.T
	next        uint64
	outstanding map[uint64]bool
}

func (m *channelModel) deliver() uint64 {
	m.next++
	m.outstanding[m.next] = true
	return m.next
}

// ack follows the broker's rules: a tag that is not outstanding closes the channel, also where it is acknowledged as a multiple.
func (m *channelModel) ack(tag uint64, multiple bool) {
	if !m.outstanding[tag] {
		m.t.Fatalf("ack of tag %d (multiple: %t), which is not outstanding: the broker would close the channel", tag, multiple)
	}
	if !multiple {
		delete(m.outstanding, tag)
		return
	}
	for t := range m.outstanding {
		if t <= tag {
			delete(m.outstanding, t)
		}
	}
}

func TestLedgerSettlesExactlyWhatItIsTold(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		model := &channelModel{t: t, outstanding: map[uint64]bool{}}
		l := newLedger()
		held := map[uint64]bool{} // delivered and not settled, as the consumer sees it
		for range 40 {
			for range r.IntN(6) {
				held[model.deliver()] = true
			}
			var tags []uint64
			for tag := range held {
				if r.IntN(3) == 0 {
					tags = append(tags, tag)
				}
			}
			slices.Sort(tags)
			for _, tag := range tags {
				delete(held, tag)
			}
			upTo, singles := l.settle(tags)
			if upTo > 0 {
				model.ack(upTo, true)
			}
			for _, tag := range singles {
				model.ack(tag, false)
			}
			if len(held) != len(model.outstanding) {
				t.Fatalf("seed %d: %d are held, the broker has %d outstanding", seed, len(held), len(model.outstanding))
			}
			for tag := range held {
				if !model.outstanding[tag] {
					t.Fatalf("seed %d: tag %d was settled without being asked for", seed, tag)
				}
			}
		}
		var rest []uint64
		for tag := range held {
			rest = append(rest, tag)
		}
		slices.Sort(rest)
		upTo, singles := l.settle(rest)
		if upTo > 0 {
			model.ack(upTo, true)
		}
		for _, tag := range singles {
			model.ack(tag, false)
		}
		if len(model.outstanding) > 0 || len(l.alone) > 0 {
			t.Fatalf("seed %d: all settled, but the broker holds %v and the ledger remembers %v", seed, model.outstanding, l.alone)
		}
	}
}

func TestLedgerAcknowledgesARunAtOnce(t *testing.T) {
	l := newLedger()
	if upTo, singles := l.settle([]uint64{1, 2, 3}); upTo != 3 || len(singles) != 0 {
		t.Errorf("a run from the start: up to %d and %v, want up to 3 and none", upTo, singles)
	}
	if upTo, singles := l.settle([]uint64{5, 7}); upTo != 0 || !slices.Equal(singles, []uint64{5, 7}) {
		t.Errorf("above a gap: up to %d and %v, want none and 5, 7", upTo, singles)
	}
	if upTo, singles := l.settle([]uint64{4, 6, 9}); upTo != 6 || !slices.Equal(singles, []uint64{9}) {
		t.Errorf("the gaps filled: up to %d and %v, want up to 6 (7 is settled, so it must not be named) and 9", upTo, singles)
	}
}
