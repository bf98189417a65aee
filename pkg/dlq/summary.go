package dlq

import (
	"context"
	"time"

	"orderflow/pkg/broker"
)

// Summary is the dead letters of a queue, counted.
type Summary struct {
	Depth          int // how many there were
	Seen           int // how many of them were looked at; the rest of the summary is about those
	Oldest, Newest time.Time
	Reasons        map[string]int // a message that nothing tells about has the reason ""
	Errors         map[string]int // normalised, and at most maxErrors of them; the others are counted as OtherErrors
}

const (
	// OtherErrors stands for the errors for which a Summary has no room.
	OtherErrors = "others"
	maxErrors   = 1000
)

// Summarize counts the dead letters of a queue, and looks at the first from.Take of them; see Look.
func Summarize(ctx context.Context, b *broker.Broker, from Source) (Summary, error) {
	s := Summary{Reasons: map[string]int{}, Errors: map[string]int{}}
	depth, err := Look(ctx, b, from, func(l Letter) error {
		s.add(l)
		return nil
	})
	s.Depth = depth
	return s, err
}

func (s *Summary) add(l Letter) {
	s.Seen++
	s.Reasons[l.Reason]++
	if text := Normalize(l.Error); text != "" {
		if _, known := s.Errors[text]; !known && len(s.Errors) >= maxErrors {
			text = OtherErrors
		}
		s.Errors[text]++
	}
	if l.DeadAt.IsZero() {
		return
	}
	if s.Oldest.IsZero() || l.DeadAt.Before(s.Oldest) {
		s.Oldest = l.DeadAt
	}
	if l.DeadAt.After(s.Newest) {
		s.Newest = l.DeadAt
	}
}
