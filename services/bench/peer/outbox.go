package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

// outbox puts events into tables, from which forwarders publish them. Each service has several, its topics, that are used in turn: what a
// topic holds is published one after the other.
type outbox struct {
	schema wsql.SchemaAdapter
	topics int
	turn   atomic.Uint64
}

func newOutbox(t tuning) *outbox {
	asBytes := func(string) string { return "BYTEA" }
	return &outbox{schema: wsql.PostgreSQLQueueSchema{SubscribeBatchSize: t.batch, GeneratePayloadType: asBytes}, topics: t.forwarders}
}

// topic is the name of an outbox of a service.
func (o *outbox) topic(service string, n uint64) string {
	return fmt.Sprintf("outbox_%s_%d", service, n%uint64(o.topics))
}

// add puts an event into an outbox of its service, in the transaction of its cause.
func (o *outbox) add(ctx context.Context, tx pgx.Tx, service string, e event) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	table, err := wsql.NewPublisher(wsql.TxFromPgx(tx), wsql.PublisherConfig{SchemaAdapter: o.schema}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	m := message.NewMessage(e.ID, payload)
	m.SetContext(ctx)
	envelope := forwarder.PublisherConfig{ForwarderTopic: o.topic(service, o.turn.Add(1))}
	return forwarder.NewPublisher(table, envelope).Publish(e.Type, m)
}
