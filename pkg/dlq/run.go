package dlq

import "slices"

// Fate is what became of a dead letter, or would become of it.
type Fate string

const (
	Replayed   Fate = "replayed"    // it is in its target queue
	Edited     Fate = "edited"      // a patched copy is in its target queue, and the original in a file
	Dropped    Fate = "dropped"     // it is in a file, and in no queue
	NoTarget   Fate = "no_target"   // nothing tells where it died, or it died where it is
	TargetGone Fate = "target_gone" // there is no such queue any more
	Refused    Fate = "refused"     // by the target queue, mostly because that is full
	Unfit      Fate = "unfit"       // what would have to be sent cannot be: a patch fails, or makes no valid event of it
	Held       Fate = "held"        // no inbox can tell whether it was handled, and Force was not given
	Unsettled  Fate = "unsettled"   // it was dealt with, and is still in the dead-letter queue as well
	Unknown    Fate = "unknown"     // the connection was lost before the confirm: it may be in its target queue, too
	Unmatched  Fate = "unmatched"   // it was not chosen
	DiedAgain  Fate = "died_again"  // it was replayed since it was planned, and is dead again
)

// Outcome is a fate, the queue that a dead letter was meant for, and what the inbox of that queue says about it. All but those that an Action
// was done with stay where they are.
type Outcome struct {
	Fate    Fate
	Target  string // "" where nothing tells it
	Verdict Verdict
}

// Tally is what became of the dead letters of one queue. Those that Counts does not have were not looked at.
type Tally struct {
	Queue  string // the dead-letter queue
	Absent bool   // it does not exist
	Unread bool   // nothing is known of it, since it could not be read
	Depth  int    // when the work began
	Counts map[Outcome]int
	Doubts int   // messages that the filter could not be applied to, so that they do not match
	Doubt  error // about the first of them
	Unfit  error // what is wrong with the first message that cannot be sent
}

// Total is how many dead letters were looked at.
func (t Tally) Total() (n int) {
	for _, messages := range t.Counts {
		n += messages
	}
	return n
}

// Count is how many met a fate.
func (t Tally) Count(fate Fate) (n int) {
	for outcome, messages := range t.Counts {
		if outcome.Fate == fate {
			n += messages
		}
	}
	return n
}

// Run is a job that has ended.
type Run struct {
	ID      string // stands in the header orderflow-replay-id of what it sent, and in the history; "" for a dry run
	Tallies []Tally
	Canary  *Canaries // what became of them; nil where there were none
}

// Count is how many dead letters met a fate.
func (r Run) Count(fate Fate) (n int) {
	for _, tally := range r.Tallies {
		n += tally.Count(fate)
	}
	return n
}

// Total is how many dead letters were looked at.
func (r Run) Total() (n int) {
	for _, tally := range r.Tallies {
		n += tally.Total()
	}
	return n
}

// Planned narrows the sources of a dry run to those of a job that does no more than it has counted as done, of each queue, also where the
// queues have changed since.
func (r Run) Planned(from []Source, done Fate) (planned []Source) {
	for _, source := range from {
		at := slices.IndexFunc(r.Tallies, func(t Tally) bool { return t.Queue == source.Queue })
		if at < 0 || r.Tallies[at].Total() == 0 {
			continue
		}
		source.Take, source.Touch = r.Tallies[at].Total(), r.Tallies[at].Count(done)+r.Tallies[at].Count(Held)
		planned = append(planned, source)
	}
	return planned
}
