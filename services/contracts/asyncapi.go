package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"orderflow/pkg/broker"
	"orderflow/pkg/contract"
	"orderflow/pkg/document"
	"orderflow/pkg/event"
)

// amqpBinding is the version of the AMQP bindings of AsyncAPI that the document uses.
const amqpBinding = "0.3.0"

const aboutEvents = `What the services of orderflow tell each other, and everybody else who wants to know. An order is charged, its goods are
reserved and a parcel is booked by services that never call each other: each says what happened on the topic exchange ` + "`orders.events`" + `, and
reacts to what others say.

What holds for every event:

- **At least once.** An event is published again until the broker has confirmed it, and may come more than once, always with the same
  ` + "`id`" + `: keep the ids that you have handled, in the transaction that handles them.
- **In any order.** Events of one order may overtake each other. Each carries the whole order, so there is nobody to ask.
- **Committed first.** An event is written into the database together with what it tells of. What is said has happened.
- **Open.** Ignore fields that you do not know: new ones that are optional come without notice. Whatever would break you is a new version, in
  ` + "`dataschema`" + `; set aside what you cannot read.
- **Properties.** ` + "`message_id`" + ` is the id, ` + "`type`" + ` the type, ` + "`correlation_id`" + ` the correlation id (its first 255 bytes), ` + "`app_id`" + ` the service,
  ` + "`timestamp`" + ` the second, ` + "`content_type`" + ` ` + event.ContentType + `, ` + "`delivery_mode`" + ` 2.

The JSON Schemas (2020-12) of the messages are files, ` + "`pkg/event/schemas`" + `; what is below is the same.`

// asyncAPI is the AsyncAPI document of all events.
func asyncAPI(root string, all []reader, examples map[event.Type]json.RawMessage) ([]byte, error) {
	describer := contract.NewDescriber(event.Orders, module, root, "#/components/schemas/")
	channels, operations, messages, schemas := document.Fields{}, document.Fields{}, document.Fields{}, document.Fields{}
	for _, k := range event.Orders.Kinds() {
		name := string(k.Type)
		s, err := describer.Message(k, k.Versions()[0])
		if err != nil {
			return nil, err
		}
		schemas = schemas.With(name, s)
		messages = messages.With(name, message(k, s.Description, examples[k.Type]))
		channels = channels.With(name, eventChannel(k, s.Description))
		operations = operations.With("send"+name, send(k, of(all, k.Type)))
	}
	for _, r := range all {
		id := identifier(r.Queue)
		channels = channels.With(id, queueChannel(r))
		operations = operations.With("receive"+strings.ToUpper(id[:1])+id[1:], receive(r, id))
	}
	for _, name := range slices.Sorted(maps.Keys(describer.Defs())) {
		schemas = schemas.With(name, describer.Defs()[name])
	}
	return document.YAML(document.Of(
		"asyncapi", "3.0.0",
		"info", document.Of("title", "orderflow events", "version", "1", "description", aboutEvents),
		"defaultContentType", event.ContentType,
		"servers", document.Of("broker", document.Of(
			"host", "localhost:5672", "protocol", "amqp", "protocolVersion", "0-9-1",
			"description", "RabbitMQ, 3.10 or later. Where it is, and as whom to log in, its operator knows; services find it by AMQP_URL.")),
		"channels", channels, "operations", operations,
		"components", document.Of("messages", messages, "schemas", schemas),
	))
}

// identifier makes a name of a queue: "payment.order-placed" is paymentOrderPlaced.
func identifier(queue string) string {
	parts := strings.FieldsFunc(queue, func(r rune) bool { return r == '.' || r == '-' })
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}

func ref(path ...string) document.Fields {
	return document.Of("$ref", "#/"+strings.Join(path, "/"))
}

func amqp(pairs ...any) document.Fields {
	return document.Of("amqp", document.Of(append(pairs, "bindingVersion", amqpBinding)...))
}

func message(k *event.Kind, says string, example json.RawMessage) document.Fields {
	return document.Of(
		"name", string(k.Type), "title", string(k.Type), "summary", says, "contentType", event.ContentType,
		"correlationId", document.Of("location", "$message.payload#/correlationid"),
		"payload", ref("components", "schemas", string(k.Type)),
		"bindings", amqp("messageType", string(k.Type)),
		"examples", []any{document.Of("payload", example)},
	)
}

func eventChannel(k *event.Kind, says string) document.Fields {
	return document.Of(
		"address", k.RoutingKey, "title", string(k.Type), "description", fmt.Sprintf("%s Said by the %s service.", says, k.Source),
		"messages", document.Of(string(k.Type), ref("components", "messages", string(k.Type))),
		"bindings", amqp("is", "routingKey", "exchange", document.Fields{
			{Name: "name", Value: event.Orders.Exchange}, {Name: "type", Value: "topic"}, {Name: "durable", Value: true}, {Name: "autoDelete", Value: false},
		}),
	)
}

func queueChannel(r reader) document.Fields {
	messages := document.Fields{}
	for _, t := range r.Events {
		messages = messages.With(string(t), ref("components", "messages", string(t)))
	}
	return document.Of(
		"address", r.Queue, "title", r.Queue,
		"description", fmt.Sprintf("The queue of the %s service that is bound to the routing keys of these events. What it gives up on goes to %s.",
			r.Service, broker.DeadLetterQueue(r.Queue)),
		"messages", messages,
		"bindings", amqp("is", "queue", "queue", document.Fields{
			{Name: "name", Value: r.Queue}, {Name: "durable", Value: true}, {Name: "exclusive", Value: false}, {Name: "autoDelete", Value: false},
		}),
	)
}

func send(k *event.Kind, takers []reader) document.Fields {
	return document.Of(
		"action", "send", "channel", ref("channels", string(k.Type)),
		"title", fmt.Sprintf("%s says %s", k.Source, k.Type), "description", guarantee(k)+"\n\n"+deadLetters(takers),
		"tags", tags(k.Source), "bindings", sending(k),
		"messages", []any{ref("channels", string(k.Type), "messages", string(k.Type))},
	)
}

// sending is the binding of a publication; a mandatory of false would be left out by document.Of.
func sending(k *event.Kind) document.Fields {
	return document.Of("amqp", document.Fields{
		{Name: "deliveryMode", Value: 2}, {Name: "mandatory", Value: k.Expected}, {Name: "timestamp", Value: true}, {Name: "bindingVersion", Value: amqpBinding},
	})
}

func receive(r reader, channel string) document.Fields {
	var messages []any
	for _, t := range r.Events {
		messages = append(messages, ref("channels", channel, "messages", string(t)))
	}
	return document.Of(
		"action", "receive", "channel", ref("channels", channel),
		"title", fmt.Sprintf("%s takes from %s", r.Service, r.Queue),
		"summary", fmt.Sprintf("The %s service %s.", r.Service, r.Does),
		"description", deadLetters([]reader{r}), "tags", tags(r.Service),
		"bindings", amqp("ack", true), "messages", messages,
	)
}

func tags(service string) []any { return []any{document.Of("name", service)} }

// guarantee tells what holds for the publication of an event.
func guarantee(k *event.Kind) string {
	if k.Expected {
		return "It is published as mandatory: where no queue takes it, it is published again until one does."
	}
	return "No service here needs it; it is for the services that others add. Where no queue takes it, it is gone."
}

// deadLetters tells what to do when readers give up on an event, and what becomes of the order meanwhile.
func deadLetters(takers []reader) string {
	if len(takers) == 0 {
		return "Nobody here takes it, so it is not dead-lettered here. Give a queue of yours a dead-letter exchange of its own."
	}
	var lines []string
	for _, r := range takers {
		lines = append(lines, fmt.Sprintf("- `%s`: %s.", broker.DeadLetterQueue(r.Queue), r.Stuck))
	}
	return "When it is dead-lettered, it is in the dead-letter queue of the queue that gave up on it, with the reason in its headers " +
		"(`orderflow-reason` and `orderflow-error`; `x-death` where the broker gave up on it). Meanwhile:\n\n" + strings.Join(lines, "\n") +
		"\n\n`orderflow dlq show QUEUE` shows it, `orderflow dlq replay QUEUE` puts it back once the cause is gone; what can never be handled is " +
		"mended by `orderflow dlq edit` or taken out by `orderflow dlq drop`. Doing it twice changes nothing."
}
