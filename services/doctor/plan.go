package doctor

import (
	"slices"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Service is what the doctor is told of a service.
type Service struct {
	Name          string
	Schema        string
	Subscriptions []flow.Subscription
	Overhears     bool     // it listens to all events, by queues that it makes for a while
	Daily         []string // tables of which the service makes a partition for each day, beside the inbox
}

// plan is how the broker is to be.
type plan struct {
	services  []Service
	topology  broker.Topology
	exchanges []broker.Part
	queues    []broker.Part // all: work, dead-letter and delay queues
	bindings  []broker.Part
	work      map[string]string // queue → its service
	dead      map[string]string // dead-letter queue → its service
}

func newPlan(services []Service, retryDelays []time.Duration) *plan {
	p := &plan{services: services, work: map[string]string{}, dead: map[string]string{}}
	var all []flow.Subscription
	for _, s := range services {
		for _, subscription := range s.Subscriptions {
			p.work[subscription.Queue], p.dead[broker.DeadLetterQueue(subscription.Queue)] = s.Name, s.Name
		}
		all = append(all, s.Subscriptions...)
	}
	p.topology = flow.Topology(event.Orders, retryDelays, all)
	for _, part := range p.topology.Parts() {
		switch part.What {
		case "exchange":
			p.exchanges = append(p.exchanges, part)
		case "queue":
			p.queues = append(p.queues, part)
		case "binding":
			p.bindings = append(p.bindings, part)
		}
	}
	return p
}

// has tells whether the plan has a queue of that name.
func (p *plan) has(queue string) bool {
	return slices.ContainsFunc(p.queues, func(q broker.Part) bool { return q.Name == queue })
}
