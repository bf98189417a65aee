package broker

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Death is one line of the history that the broker keeps of a message that it dead-lettered.
type Death struct {
	Queue  string // in which the message died
	Reason string // delivery_limit, expired, maxlen, rejected
	Count  int64
	Time   time.Time
}

// Deaths reads the x-death header, newest first.
func (m *Message) Deaths() []Death {
	entries, _ := m.Headers["x-death"].([]any)
	deaths := make([]Death, 0, len(entries))
	for _, entry := range entries {
		table, ok := entry.(amqp.Table)
		if !ok {
			continue
		}
		var d Death
		d.Queue, _ = table["queue"].(string)
		d.Reason, _ = table["reason"].(string)
		d.Count, _ = table["count"].(int64)
		d.Time, _ = table["time"].(time.Time)
		deaths = append(deaths, d)
	}
	return deaths
}
