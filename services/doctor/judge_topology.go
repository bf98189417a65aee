package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"orderflow/pkg/broker"
	"orderflow/pkg/broker/management"
)

// redeclare is what makes everything of the topology that is not there.
const redeclare = "orderflow topology (with a user who may configure), or restart a service"

// noBroker tells that nothing is known of what AMQP and the management API tell both.
func noBroker(f *brokerFacts, fromAPI error) bool {
	return f.amqp.err != nil && (f.api.unset || f.api.err != nil || fromAPI != nil)
}

const (
	brokerAway = "RabbitMQ does not answer"
	seeBroker  = "see rabbitmq"
)

func judgeExchanges(p *plan, f *brokerFacts) []Finding {
	c := check{name: "exchanges"}
	if noBroker(f, f.api.exchanges.err) {
		return unknown(c.name, seeBroker, brokerAway)
	}
	_, _, blind := dark(f.api, f.api.exchanges, "")
	for _, want := range p.exchanges {
		at := slices.IndexFunc(f.api.exchanges.value, func(x exchange) bool { return x.Name == want.Name })
		switch seen := f.amqp.exchanges[want.Name]; {
		case blind && seen.err != nil:
			c.unknown(seeBroker, "exchange %s: %v", want.Name, seen.err)
		case blind && seen.value:
		case at < 0:
			c.wrong(redeclare, "exchange %s is missing", want.Name)
		default:
			is := f.api.exchanges.value[at]
			again := fmt.Sprintf("delete it in the management UI, then %s", redeclare)
			if is.Type != want.Kind {
				c.wrong(again, "exchange %s is of type %s, and is declared as %s", want.Name, is.Type, want.Kind)
			}
			if !is.Durable {
				c.wrong(again, "exchange %s is not durable", want.Name)
			}
			if is.Internal {
				c.wrong(again, "exchange %s is internal: it takes nothing from publishers", want.Name)
			}
			for _, name := range slices.Sorted(maps.Keys(is.Arguments)) {
				c.wrong(again, "exchange %s has %s %v, and is declared without", want.Name, name, is.Arguments[name])
			}
		}
	}
	if blind {
		return c.otherwise("all %d are there; their types are not known without the management API", len(p.exchanges))
	}
	return c.otherwise("all %d are there, as declared", len(p.exchanges))
}

func judgeQueues(p *plan, f *brokerFacts) []Finding {
	c := check{name: "queues"}
	if noBroker(f, f.api.queues.err) {
		return unknown(c.name, seeBroker, brokerAway)
	}
	do, why, blind := dark(f.api, f.api.queues, "")
	for _, want := range p.queues {
		at := slices.IndexFunc(f.api.queues.value, func(q management.Queue) bool { return q.Name == want.Name })
		switch {
		case blind && f.amqp.queues[want.Name].err != nil:
			c.unknown(seeBroker, "queue %s: %v", want.Name, f.amqp.queues[want.Name].err)
		case blind && !f.amqp.missing[want.Name]:
		case at < 0:
			c.wrong(redeclare, "queue %s is missing", want.Name)
		default:
			c.compare(want, f.api.queues.value[at], f.vhost)
		}
	}
	if blind && len(c.findings) == 0 {
		c.unknown(do, "all %d are there, but not with which arguments: %s", len(p.queues), why)
	}
	return c.otherwise("all %d are there, as declared: quorum queues, dead-lettering at least once", len(p.queues))
}

// compare compares a queue with its declaration, argument by argument.
func (c *check) compare(want broker.Part, is management.Queue, vhost string) {
	again := fmt.Sprintf("drain it, rabbitmqctl delete_queue -p %s %s, then %s", vhost, want.Name, redeclare)
	if kind := want.Arguments["x-queue-type"]; is.Type != kind {
		c.wrong(again, "queue %s is of type %s, and is declared as %s", want.Name, is.Type, kind)
	}
	if !is.Durable {
		c.wrong(again, "queue %s is not durable", want.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(merged(want.Arguments, is.Arguments))) {
		declared, isDeclared := want.Arguments[name]
		seen, isSeen := is.Arguments[name]
		switch {
		case !isDeclared:
			c.wrong(again, "queue %s has %s %v, and is declared without", want.Name, name, plainNumber(seen))
		case !isSeen && name == "x-queue-type": // the virtual host's default; the type was compared
		case !isSeen:
			c.wrong(again, "queue %s has no %s, and is declared with %v", want.Name, name, quoted(declared))
		case plainNumber(declared) != plainNumber(seen):
			c.wrong(again, "queue %s has %s %v, and is declared with %v", want.Name, name, quoted(seen), quoted(declared))
		}
	}
}

func merged(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// plainNumber writes a value alike, whatever kind of number it came as.
func plainNumber(v any) string {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(v)
}

// quoted is plainNumber for people, who do not see an empty text.
func quoted(v any) string { return cmp.Or(plainNumber(v), `""`) }

func judgeBindings(p *plan, f *brokerFacts) []Finding {
	c := check{name: "bindings"}
	if do, seen, is := dark(f.api, f.api.bindings, ""); is {
		return unknown(c.name, do, seen)
	}
	type bound struct{ exchange, queue, key string }
	wanted, found := map[bound]bool{}, map[bound]bool{}
	for _, b := range f.api.bindings.value {
		if b.Kind == "queue" && b.Source != "" { // the default exchange's are there by themselves
			found[bound{b.Source, b.Destination, b.RoutingKey}] = true
		}
	}
	for _, b := range p.bindings {
		wanted[bound{b.Exchange, b.Queue, b.RoutingKey}] = true
		if !found[bound{b.Exchange, b.Queue, b.RoutingKey}] {
			c.wrong(redeclare, "binding %s is missing: what is sent there does not arrive", b.Name)
		}
	}
	for _, b := range f.api.bindings.value {
		if b.Kind == "queue" && b.Source != "" && p.has(b.Destination) && !wanted[bound{b.Source, b.Destination, b.RoutingKey}] {
			c.warning(fmt.Sprintf("remove it in the management UI, at the queue %s", b.Destination),
				"queue %s has a binding too many, from exchange %s with key %q: it gets events that it does not know", b.Destination, b.Source, b.RoutingKey)
		}
	}
	return c.otherwise("all %d are there, and no others into these queues", len(p.bindings))
}

// judgeDelays looks for delay queues that RETRY_DELAYS does not name.
func judgeDelays(p *plan, f *managementFacts) []Finding {
	c := check{name: "delays"}
	if do, seen, is := dark(f, f.queues, ""); is {
		return unknown(c.name, do, seen)
	}
	var empty []string
	for _, q := range f.queues.value {
		if !broker.IsDelayQueue(p.topology.Exchange, q.Name) || p.has(q.Name) {
			continue
		}
		if q.Messages != nil && *q.Messages == 0 {
			empty = append(empty, q.Name)
			continue
		}
		c.warning("wait until it is empty, then delete it; or set RETRY_DELAYS for this command as for the services",
			"RETRY_DELAYS does not name the delay of %s, which holds %s messages", q.Name, count(q.Messages))
	}
	if len(empty) > 0 {
		return c.otherwise("those that RETRY_DELAYS names are the only ones with messages; empty and not needed any more: %s", many(empty))
	}
	return c.otherwise("there are those that RETRY_DELAYS names, and no others")
}

func count(n *int) string {
	if n == nil {
		return "an unknown number of"
	}
	return fmt.Sprint(*n)
}
