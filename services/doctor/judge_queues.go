package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// piledUp is how many messages in a work queue are more than a moment's delay.
const piledUp = 10_000

// judgeQuorums looks at the copies of queues.
func judgeQuorums(p *plan, f *managementFacts) []Finding {
	c := check{name: "quorums"}
	if do, seen, is := dark(f, f.copies, "monitoring"); is {
		return unknown(c.name, do, seen)
	}
	nodes := len(f.nodes.value)
	var few, silent []string
	for _, q := range f.copies.value {
		if !p.has(q.Name) || q.Type != "quorum" {
			continue
		}
		switch {
		case q.State != "" && !slices.Contains([]string{"running", "idle", "flow"}, q.State):
			c.wrong("rabbitmq-queues quorum_status "+q.Name+"; see the log of its nodes", "queue %s is in state %s", q.Name, q.State)
		case len(q.Members) == 0:
			silent = append(silent, q.Name)
		case 2*len(q.Online) <= len(q.Members):
			c.wrong("start the nodes that are down", "queue %s has lost its quorum: %d of %d members are online", q.Name, len(q.Online), len(q.Members))
		case len(q.Online) < len(q.Members):
			c.warning("start the nodes that are down, or rabbitmq-queues delete_member "+q.Name+" NODE", "queue %s: %d of %d members are online",
				q.Name, len(q.Online), len(q.Members))
		case len(q.Members) < min(nodes, 3):
			few = append(few, q.Name)
		}
	}
	if len(few) > 0 {
		c.warning("rabbitmq-queues grow NODE all, for each node that has no copy", "fewer than %d of %d nodes have a copy of %s", min(nodes, 3), nodes, many(few))
	}
	if len(silent) > 0 {
		c.unknown("try again in some seconds; or rabbitmq-queues quorum_status QUEUE", "the broker does not tell which nodes have %s", many(silent))
	}
	return c.otherwise("all members of all queues are online")
}

// judgeConsumers looks at who takes messages away.
func judgeConsumers(p *plan, f *brokerFacts) []Finding {
	c := check{name: "consumers"}
	if noBroker(f, f.api.consumers.err) {
		return unknown(c.name, seeBroker, brokerAway)
	}
	do, why, blind := dark(f.api, f.api.consumers, "")
	for _, queue := range slices.Sorted(maps.Keys(p.work)) {
		service := p.work[queue]
		own := 0
		for _, one := range f.api.consumers.value {
			if one.Queue.Name == queue && one.of(service) {
				own++
			}
		}
		if blind || own == 0 && f.amqp.err == nil { // the management API may be a few seconds late
			seen := f.amqp.queues[queue]
			if f.amqp.missing[queue] || seen.err != nil {
				continue // judgeQueues tells
			}
			own = seen.value.consumers - f.api.strangers(queue, service)
		}
		switch connected := f.api.connected(service); {
		case own > 0:
		case connected:
			c.wrong(fmt.Sprintf("see the log of %s: it cannot consume", service), "service %s is connected, and nobody takes messages from %s", service, queue)
		default:
			c.wrong("orderflow serve "+service, "nobody takes messages from %s: service %s does not run, and orders do not end", queue, service)
		}
	}
	for _, one := range f.api.consumers.value {
		service, isWork := p.work[one.Queue.Name]
		owner, isDead := p.dead[one.Queue.Name]
		switch {
		case !p.has(one.Queue.Name), isWork && one.of(service):
		case isDead && (one.of(owner) || strings.HasPrefix(one.Tag, "getter-")): // an operator's command, or a look for the oldest
		case isDead:
			c.warning("stop that program, if it is not an operator's", "a foreign consumer takes dead letters from %s: %s", one.Queue.Name, one)
		default:
			c.wrong("stop that program, and give it a queue of its own", "a foreign consumer takes messages away from %s: %s", one.Queue.Name, one)
		}
	}
	if blind && len(c.findings) == 0 {
		c.unknown(do, "every work queue has a consumer, but whose is not known: %s", why)
	}
	return c.otherwise("every work queue has one of its service, and none of others")
}

// of tells whether it is a service's own. The runtime's tags begin with the name of the connection.
func (c consumer) of(service string) bool { return strings.HasPrefix(c.Tag, "orderflow "+service+"-") }

// String tells what helps to find it.
func (c consumer) String() string {
	return fmt.Sprintf("tag %q, user %q, connection %s", c.Tag, c.Channel.User, c.Channel.Connection)
}

// strangers counts consumers of a queue that are not of its service.
func (f *managementFacts) strangers(queue, service string) (n int) {
	for _, one := range f.consumers.value {
		if one.Queue.Name == queue && !one.of(service) {
			n++
		}
	}
	return n
}

// connected tells whether a service has a connection, as far as that can be seen.
func (f *managementFacts) connected(service string) bool {
	return slices.ContainsFunc(f.connections.value, func(c connection) bool { return c.service() == service })
}

// service is the one whose connection it is, or "".
func (c connection) service() string {
	name, isOurs := strings.CutPrefix(c.Given, "orderflow ")
	service, _, _ := strings.Cut(name, " ")
	if !isOurs {
		return ""
	}
	return service
}

// judgeProcesses tells which services are connected, how often, and in which version. What it means that one is not, judgeConsumers tells.
func judgeProcesses(p *plan, f *managementFacts, own string) []Finding {
	c := check{name: "processes"}
	if do, seen, is := dark(f, f.connections, "monitoring"); is {
		return unknown(c.name, do, seen)
	}
	var counts []string
	versions := map[string]bool{}
	for _, s := range p.services {
		n := 0
		for _, one := range f.connections.value {
			if one.service() == s.Name && strings.HasSuffix(one.Given, "(consume)") {
				n++
				versions[cmp.Or(one.Client.Version, "unknown")] = true
			}
		}
		counts = append(counts, fmt.Sprintf("%s %d", s.Name, n))
	}
	if len(versions) == 0 {
		return c.otherwise("no service is listed as connected to RabbitMQ; the list is some seconds old")
	}
	running := many(slices.Sorted(maps.Keys(versions)))
	if len(versions) > 1 {
		c.warning("bring all services to one version, if this is no release under way", "services of several versions are connected: %s", running)
	} else if len(versions) == 1 && !versions[own] {
		c.warning("use `orderflow doctor` of the services' version: another one may need something else", "the services are of version %s, and this is %s", running, own)
	}
	return c.otherwise("connected to RabbitMQ: %s", strings.Join(counts, ", "))
}

// depths is how many messages wait, of all queues of the plan that are there.
func (f *brokerFacts) depths() map[string]int {
	depths := map[string]int{}
	for _, q := range f.api.queues.value {
		if q.Messages != nil {
			depths[q.Name] = *q.Messages
		}
	}
	for name, seen := range f.amqp.queues { // which is exact, and not a few seconds old
		if seen.err == nil {
			depths[name] = seen.value.messages
		}
	}
	return depths
}

func judgeBacklog(p *plan, f *brokerFacts) []Finding {
	c := check{name: "backlog"}
	if noBroker(f, f.api.queues.err) {
		return unknown(c.name, seeBroker, brokerAway)
	}
	depths, total := f.depths(), 0
	for _, queue := range slices.Sorted(maps.Keys(p.work)) {
		total += depths[queue]
		if depths[queue] > piledUp {
			c.warning("see the log of "+p.work[queue]+"; run more of it: orderflow serve "+p.work[queue], "%d messages wait in %s", depths[queue], queue)
		}
	}
	return c.otherwise("%d messages wait in the work queues", total)
}

func judgeDeadLetters(p *plan, f *brokerFacts) []Finding {
	c := check{name: "dead-letters"}
	if noBroker(f, f.api.queues.err) {
		return unknown(c.name, seeBroker, brokerAway)
	}
	depths := f.depths()
	for _, queue := range slices.Sorted(maps.Keys(p.dead)) {
		if depths[queue] > 0 {
			c.warning("orderflow dlq list, orderflow dlq show "+queue, "%d dead letters wait in %s", depths[queue], queue)
		}
	}
	return c.otherwise("none waits")
}
