package dlq

// Drop is the action that takes dead letters out of their queues, into a file.
func Drop(keep *Store) Action { return Action{Name: "drop", Done: Dropped, Keep: keep} }
