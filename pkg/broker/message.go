package broker

import (
	"fmt"
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

	consumer string // that it came by; "" where it was asked for
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

const (
	maxShort   = 255       // bytes of a property, of an address and of a header's name
	maxHeaders = 100 << 10 // bytes of all headers; the frame that they are in may have 128 KiB
)

// check reports, as ErrTooLarge, what the library would not be able to send: it would end the connection over it, and with it
// everything that is in flight.
func (m *Message) check() error {
	for _, p := range [...]struct{ what, value string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"id", m.ID}, {"type", m.Type},
		{"correlation id", m.CorrelationID}, {"app id", m.AppID}, {"content type", m.ContentType},
		{"content encoding", m.ContentEncoding}, {"reply-to", m.ReplyTo},
	} {
		if len(p.value) > maxShort {
			return fmt.Errorf("%w: its %s has %d bytes, more than %d", ErrTooLarge, p.what, len(p.value), maxShort)
		}
	}
	headers := amqp.Table(m.Headers)
	if err := headers.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	size, longest := encodedSize(headers)
	if size > maxHeaders || longest > maxShort {
		return fmt.Errorf("%w: its headers have %d bytes of at most %d, the longest name %d of at most %d",
			ErrTooLarge, size, maxHeaders, longest, maxShort)
	}
	return nil
}

// encodedSize is about how many bytes a header's value takes, and the length of the longest name in it.
func encodedSize(value any) (size, longest int) {
	add := func(name string, v any) {
		s, l := encodedSize(v)
		size, longest = size+len(name)+2+s, max(longest, len(name), l)
	}
	switch v := value.(type) {
	case amqp.Table:
		for name, field := range v {
			add(name, field)
		}
	case []any:
		for _, field := range v {
			add("", field)
		}
	case string:
		size = len(v)
	case []byte:
		size = len(v)
	}
	return size + 8, longest
}

func newDelivery(d *amqp.Delivery, queue string, s *session) *Delivery {
	return &Delivery{
		Message: newMessage(d),
		Queue:   queue, Redelivered: d.Redelivered, Remaining: d.MessageCount, session: s, tag: d.DeliveryTag, consumer: d.ConsumerTag,
	}
}

func newMessage(d *amqp.Delivery) Message {
	return Message{
		Exchange: d.Exchange, RoutingKey: d.RoutingKey, ID: d.MessageId, Type: d.Type, CorrelationID: d.CorrelationId,
		AppID: d.AppId, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, ReplyTo: d.ReplyTo,
		Priority: d.Priority, Timestamp: d.Timestamp, Headers: d.Headers, Body: d.Body,
	}
}
