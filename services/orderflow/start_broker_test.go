package main_test

import (
	"net/http"
	"strings"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// TestRabbitMQAtTheStart starts the program where something is wrong with RabbitMQ.
func TestRabbitMQAtTheStart(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	migrated(t, env)
	ui := newManagement(t, env)
	permit := func(name, configure, write, read string) string {
		address := brokerUser(t, env, ui, name)
		manage(t, ui, http.MethodPut, "/permissions/"+ui.vhost+"/"+name+"-"+ui.vhost,
			map[string]string{"configure": configure, "write": write, "read": read})
		return "AMQP_URL=" + address
	}
	crowded := *devtest.New(t)
	manage(t, ui, http.MethodPut, "/vhost-limits/"+newManagement(t, crowded).vhost+"/max-connections", map[string]int{"value": 0})

	url := func(address string) string { return "AMQP_URL=" + address }
	const where = `connect to RabbitMQ at 127.0.0.1:\d+`
	expectFaults(t, env, map[string]startFault{
		"wrong password":        {url(changed(t, env.AMQPURL, as("orderflow", "secret"))), "serve", 1, where + `: .*403.*check the user "orderflow" and its password in AMQP_URL`, false},
		"unknown user":          {url(changed(t, env.AMQPURL, as("nobody", "secret"))), "topology", 1, where + `: .*403.*check the user "nobody" and its password`, false},
		"wrong password, dlq":   {url(changed(t, env.AMQPURL, as("orderflow", "secret"))), "dlq list", 1, where + `: .*check the user "orderflow"`, false},
		"unknown vhost":         {url(changed(t, env.AMQPURL, path("/none"))), "serve", 1, where + `: .*check that the virtual host "none" exists`, false},
		"user of another vhost": {url(brokerUser(t, env, ui, "stranger")), "serve", 1, where + `: .*and that user "stranger-test-\w+" has permissions in it`, false},
		"no right to configure": {permit("reader", "^$", ".*", ".*"), "serve", 1, `declare \w+ "[\w.-]+": ACCESS_REFUSED.*the user needs to configure, write and read it`, false},
		"no right to write":     {permit("mute", ".*", "^$", ".*"), "serve", 1, `declare queue "[\w.-]+": ACCESS_REFUSED.*the user needs to configure, write and read it`, false},
		"no right to read":      {permit("deaf", ".*", ".*", "^$"), "topology", 1, `declare queue "[\w.-]+": ACCESS_REFUSED.*the user needs to configure, write and read it`, false},
		"HTTP":                  {url(changed(t, env.AMQPURL, on(front(t, "", web).address))), "serve", 1, where + `: what listens there does not speak AMQP: check host and port in AMQP_URL`, false},
		"the management's port": {url(changed(t, env.AMQPURL, on(hostOf(t, env.ManagementURL)))), "topology", 1, where, true}, // it waits for more

		"Postgres's port": {url(changed(t, env.AMQPURL, on(hostOf(t, env.DatabaseURL)))), "topology", 1, where, true},
		"nobody listens":  {url(changed(t, env.AMQPURL, on("127.0.0.1:1"))), "serve", 1, `connect to RabbitMQ at 127.0.0.1:1 \(by AMQP_URL\): .*connection refused`, true},
		"nobody listens anywhere": {url(changed(t, env.AMQPURL, on("127.0.0.1:1"))) + "\nDATABASE_URL=" + changed(t, env.DatabaseURL, on("127.0.0.1:1")), "serve", 1,
			`(?s)(to RabbitMQ.*refused.*to Postgres.*refused|to Postgres.*refused.*to RabbitMQ.*refused)`, true},
		"nobody listens, dlq":     {url(changed(t, env.AMQPURL, on("127.0.0.1:1"))), "dlq list", 1, `connect to RabbitMQ at 127.0.0.1:1 \(by AMQP_URL\): .*connection refused`, false},
		"it says nothing":         {url(changed(t, env.AMQPURL, on(front(t, "", silent).address))), "serve", 1, where + ` \(by AMQP_URL\): no answer`, true},
		"it hangs up":             {url(changed(t, env.AMQPURL, on(front(t, "", curt).address))), "topology", 1, where + ` \(by AMQP_URL\): the connection was lost during the handshake`, true},
		"no room for connections": {url(crowded.AMQPURL), "serve", 1, where + ` \(by AMQP_URL\): .*limit`, true},
	})
}

// TestTopologyOfOthers starts the program where somebody else has declared what it needs, and differently.
func TestTopologyOfOthers(t *testing.T) {
	t.Parallel()
	type other struct {
		path string
		body map[string]any
		want string
	}
	sideBySide(t, map[string]other{
		"a classic queue": {"/queues/%s/payment.order-placed", map[string]any{"durable": true},
			`declare queue "payment.order-placed": .*inequivalent arg '[a-z-]+' .*rabbitmqctl delete_queue -p test-\w+ payment.order-placed`},
		"a queue with another limit": {"/queues/%s/order.progress", map[string]any{"durable": true, "arguments": map[string]any{
			"x-queue-type": "quorum", "x-delivery-limit": 5, "x-dead-letter-exchange": "order.progress.dlx",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}},
			`declare queue "order.progress": .*inequivalent arg 'x-delivery-limit' .*received.*20.*current.*5.*rabbitmqctl delete_queue`},
		"a dead-letter queue": {"/queues/%s/payment.order-placed.dlq", map[string]any{"durable": true, "arguments": map[string]any{"x-queue-type": "quorum"}},
			`declare queue "payment.order-placed.dlq": .*inequivalent arg 'x-delivery-limit'.*rabbitmqctl delete_queue -p test-\w+ payment.order-placed.dlq`},
		"an exchange": {"/exchanges/%s/orders.events", map[string]any{"durable": true, "type": "direct"},
			`declare exchange "orders.events": .*inequivalent arg 'type' .*delete it \(in the management UI\)`},
	}, func(t *testing.T, c other) {
		env := *devtest.New(t)
		ui := newManagement(t, env)
		manage(t, ui, http.MethodPut, strings.ReplaceAll(c.path, "%s", ui.vhost), c.body)
		expectFaults(t, env, map[string]startFault{
			"serve":    {"", "serve payment order", 1, c.want, false},
			"topology": {"", "topology", 1, c.want, false},
		})
	})
}
