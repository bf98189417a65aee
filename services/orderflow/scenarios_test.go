package main_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// TestScenarios places 200 orders of all kinds and follows each to its end. It runs against the program that ORDERFLOW_URL names, as
// the command of "orderflow up", or else against one of its own.
func TestScenarios(t *testing.T) {
	env := devtest.Env{AMQPURL: os.Getenv("AMQP_URL"), DatabaseURL: os.Getenv("DATABASE_URL")}
	var api *client
	if url := os.Getenv("ORDERFLOW_URL"); url != "" {
		api = newJudged(t, url)
	} else {
		env = *devtest.New(t)
		api = serve(t, env).client
	}
	hearAll(t, env)
	m := newCampaign(t, api, 200)
	m.place()
	m.check()
	nothingLeft(t, env)
}

// nothingLeft checks that no outbox and no dead-letter queue has anything in it.
func nothingLeft(t testing.TB, env devtest.Env) {
	t.Helper()
	b := openBroker(t, env)
	eventually(t, "what is left", func() error {
		if err := outboxesEmpty(t, env); err != nil {
			return err
		}
		for queue := range queues {
			for _, name := range []string{queue, broker.DeadLetterQueue(queue)} {
				if n, err := b.Depth(t.Context(), name); err != nil || n > 0 {
					return fmt.Errorf("%d messages in %s, %v", n, name, err)
				}
			}
		}
		return nil
	})
}

// openBroker connects the test itself.
func openBroker(t testing.TB, env devtest.Env) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Config{URLs: []string{env.AMQPURL}, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// schemas are those of the services.
var schemas = []string{"orders", "payment", "inventory", "shipping"}

func outboxesEmpty(t testing.TB, env devtest.Env) error {
	for _, schema := range schemas {
		n, err := queryOne[int](t.Context(), env, "SELECT count(*) FROM "+schema+".outbox")
		if err != nil || n > 0 {
			return fmt.Errorf("%d events in the outbox of %s, %v", n, schema, err)
		}
	}
	return nil
}

// queryOne asks the database for one value.
func queryOne[T any](ctx context.Context, env devtest.Env, sql string) (value T, err error) {
	conn, err := pgx.Connect(ctx, env.DatabaseURL)
	if err != nil {
		return value, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&value)
	return value, err
}

// queues are the work queues, and which events are routed to each.
var queues = map[string][]string{
	"payment.order-placed":            {"order.placed"},
	"payment.inventory-released":      {"inventory.rejected", "inventory.released"},
	"inventory.payment-processed":     {"payment.processed"},
	"inventory.shipment-created":      {"shipment.created"},
	"inventory.shipment-cancelled":    {"shipment.failed", "shipment.cancelled"},
	"shipping.inventory-reserved":     {"inventory.reserved"},
	"shipping.cancellation-requested": {"order.cancellation-requested"},
	"order.progress": {
		"payment.processed", "payment.failed", "payment.refunded", "payment.voided", "inventory.reserved", "inventory.rejected",
		"inventory.released", "shipment.created", "shipment.failed", "shipment.cancelled", "shipment.cancellation-rejected",
	},
}
