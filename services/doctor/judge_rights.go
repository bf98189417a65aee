package doctor

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// need is one right that a service has to have of the broker.
type need struct{ right, resource string }

func (n need) String() string { return n.right + " " + n.resource }

// overhearing lists what listening to all events takes: a queue of one's own, that RabbitMQ names, bound to the exchange.
func (p *plan) overhearing() []need {
	const own = "amq.gen-x"
	return []need{{"configure", own}, {"write", own}, {"read", own}, {"read", p.topology.Exchange}}
}

// needs lists what a service cannot do without on a broker on which everything is declared.
func (p *plan) needs(service string) []need {
	needs := []need{{"write", p.topology.Exchange}}
	for _, delay := range p.topology.Delays {
		if retry := (need{"write", broker.DelayQueue(p.topology.Exchange, delay)}); !slices.Contains(needs, retry) {
			needs = append(needs, retry)
		}
	}
	for _, s := range p.services {
		for _, subscription := range s.Subscriptions {
			if s.Name == service {
				needs = append(needs, need{"read", subscription.Queue}, need{"write", broker.DeadLetterExchange(subscription.Queue)},
					need{"read", broker.DeadLetterQueue(subscription.Queue)})
			}
		}
	}
	return needs
}

// lacks lists what a user may not do of what is needed. Patterns are not anchored, as in RabbitMQ.
func (p permission) lacks(needs []need) (lacks []string, err error) {
	for _, n := range needs {
		text := map[string]string{"configure": p.Configure, "write": p.Write, "read": p.Read}[n.right]
		pattern, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		if text == "" || !pattern.MatchString(n.resource) {
			lacks = append(lacks, n.String())
		}
	}
	return lacks, nil
}

// judgeBrokerRights compares what users may do with what the services need that they run as, and tells what AMQP_URL's user is good for.
func judgeBrokerRights(p *plan, f *brokerFacts) []Finding {
	c := check{name: "broker-rights"}
	if do, seen, is := dark(f.api, f.api.permissions, "administrator"); is {
		return unknown(c.name, do, seen)
	}
	var runs []string
	missing := map[string][]string{}
	for _, s := range p.services {
		lacks, err := f.api.lacks(f.user, p, s.Name)
		if err != nil {
			c.unknown("look at it: rabbitmqctl list_user_permissions "+f.user, "the rights of user %q cannot be read here: %v", f.user, err)
			return c.findings
		}
		if missing[s.Name] = lacks; len(lacks) == 0 {
			runs = append(runs, s.Name)
		}
	}
	type runner struct{ user, service string }
	seen := map[runner]bool{}
	for _, one := range f.api.connections.value {
		who := runner{one.User, one.service()}
		at := slices.IndexFunc(p.services, func(s Service) bool { return s.Name == who.service })
		if seen[who] || at < 0 {
			continue
		}
		seen[who] = true
		if lacks, err := f.api.granted(who.user).lacks(p.overhearing()); p.services[at].Overhears && err == nil && len(lacks) > 0 {
			c.warning(grant(f.vhost, who.user), "service %s runs as user %q, who may not overhear events, so that its streams ask the database instead: %s",
				who.service, who.user, many(lacks))
		}
		if lacks, err := f.api.lacks(who.user, p, who.service); err == nil && len(lacks) > 0 {
			c.wrong(grant(f.vhost, who.user), "service %s runs as user %q, who may not: %s", who.service, who.user, many(lacks))
		}
	}
	if len(runs) == 0 {
		closest := slices.MinFunc(p.services, func(a, b Service) int { return cmp.Compare(len(missing[a.Name]), len(missing[b.Name])) })
		c.wrong(grant(f.vhost, f.user), "user %q of AMQP_URL may run none of the services; for %s it lacks: %s",
			f.user, closest.Name, many(missing[closest.Name]))
	}
	return c.otherwise("user %q of AMQP_URL may run %s; so may the users of the services that run", f.user, strings.Join(runs, ", "))
}

func grant(vhost, user string) string {
	return fmt.Sprintf("rabbitmqctl set_permissions -p %s %s CONFIGURE WRITE READ (compose.yaml shows the least of them, and of set_topic_permissions)", vhost, user)
}

// granted is what a user may do.
func (f *managementFacts) granted(user string) permission {
	if at := slices.IndexFunc(f.permissions.value, func(p permission) bool { return p.User == user }); at >= 0 {
		return f.permissions.value[at]
	}
	return permission{}
}

// lacks lists what a user may not do of what a service needs.
func (f *managementFacts) lacks(user string, p *plan, service string) ([]string, error) {
	lacks, err := f.granted(user).lacks(p.needs(service))
	for _, topic := range f.topics.value {
		if topic.User != user || topic.Exchange != p.topology.Exchange || err != nil {
			continue
		}
		var keys []string
		keys, err = permission{Write: topic.Write}.lacks(p.says(service))
		for _, key := range keys {
			lacks = append(lacks, key+" (a topic permission)")
		}
	}
	return lacks, err
}

// says lists the routing keys that a service publishes with.
func (p *plan) says(service string) (keys []need) {
	for _, kind := range event.Orders.Kinds() {
		if kind.Source == service {
			keys = append(keys, need{"write", kind.RoutingKey})
		}
	}
	return keys
}
