package broker

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Message is what is published: an address, properties and a body. Every message is persistent.
type Message struct {
	Exchange   string // "" is the default exchange, whose routing keys are queue names
	RoutingKey string
	Mandatory  bool // it is a failure where no queue takes it

	ID              string
	Type            string
	CorrelationID   string
	AppID           string
	ContentType     string
	ContentEncoding string
	ReplyTo         string
	Priority        uint8
	Timestamp       time.Time
	Headers         map[string]any
	Body            []byte
}

// Delivery is a message that was received and is not settled yet. Its Exchange and RoutingKey are those it was published with.
type Delivery struct {
	Message
	Queue       string
	Redelivered bool
	Remaining   uint32 // messages left in the queue; known only after Getter.Next

	session *session
	tag     uint64
}

// brokerHeaders are written by the broker and mean something to it; a copy that carried them would be misunderstood, by the
// broker or by whoever reads it later.
var brokerHeaders = map[string]bool{"x-death": true, "x-delivery-count": true, "x-acquired-count": true, "CC": true, "BCC": true}

func isBrokerHeader(name string) bool {
	return brokerHeaders[name] || strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// Copy is the message as it may be published again: without what the broker wrote on it, without an expiration, and with
// headers of its own that can be changed. The body is shared. The user id stays behind too, since the broker checks it against
// the connection's user.
func (m *Message) Copy() Message {
	c := *m
	c.Headers = make(map[string]any, len(m.Headers)+8)
	for name, value := range m.Headers {
		if !isBrokerHeader(name) {
			c.Headers[name] = value
		}
	}
	return c
}

func (m *Message) publishing() amqp.Publishing {
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: m.ID, Type: m.Type, CorrelationId: m.CorrelationID, AppId: m.AppID,
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, ReplyTo: m.ReplyTo, Priority: m.Priority,
		Timestamp: m.Timestamp, Headers: amqp.Table(m.Headers), Body: m.Body,
	}
}

func newDelivery(d *amqp.Delivery, queue string, s *session) *Delivery {
	return &Delivery{
		Message: Message{
			Exchange: d.Exchange, RoutingKey: d.RoutingKey, ID: d.MessageId, Type: d.Type, CorrelationID: d.CorrelationId,
			AppID: d.AppId, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, ReplyTo: d.ReplyTo,
			Priority: d.Priority, Timestamp: d.Timestamp, Headers: d.Headers, Body: d.Body,
		},
		Queue: queue, Redelivered: d.Redelivered, Remaining: d.MessageCount, session: s, tag: d.DeliveryTag,
	}
}
