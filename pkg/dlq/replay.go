package dlq

import "orderflow/pkg/broker"

// Replay is the action that sends dead letters back to the queues that they died in, as if they had never failed.
func Replay() Action {
	return Action{Name: "replay", Done: Replayed, Send: func(l *Letter, run string) (broker.Message, error) { return l.again(run), nil }}
}
