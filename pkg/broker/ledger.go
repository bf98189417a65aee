package broker

import "iter"

// ledger keeps account of which delivery tags of a channel are settled, so that a whole run of them is acknowledged with one
// frame. Tags grow by one with each delivery. A tag whose predecessors are not settled yet is acknowledged alone.
type ledger struct {
	low   uint64              // the lowest tag that is not settled
	alone map[uint64]struct{} // settled tags above low
}

func newLedger() *ledger { return &ledger{low: 1, alone: map[uint64]struct{}{}} }

// open yields the tags of a range that are not settled.
func (l *ledger) open(from, to uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for tag := max(from, l.low); tag <= to; tag++ {
			if _, settled := l.alone[tag]; !settled && !yield(tag) {
				return
			}
		}
	}
}

// settle takes tags, in ascending order, none of which was settled before. It returns the tag up to which everything can be
// acknowledged at once, or 0, and the tags that have to be acknowledged one by one.
func (l *ledger) settle(tags []uint64) (upTo uint64, singles []uint64) {
	for {
		if len(tags) > 0 && tags[0] == l.low {
			// The broker must still know the tag that a multiple acknowledgement names, so it is never one of alone.
			upTo, tags = l.low, tags[1:]
		} else if _, ok := l.alone[l.low]; ok {
			delete(l.alone, l.low)
		} else {
			break
		}
		l.low++
	}
	for _, tag := range tags {
		l.alone[tag] = struct{}{}
	}
	return upTo, tags
}
