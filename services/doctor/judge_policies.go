package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"orderflow/pkg/broker"
	"orderflow/pkg/broker/management"
)

// judgePolicies looks at what policies make of the queues and exchanges. Of two numbers the lower one counts. An argument of the declaration overrides a
// policy's dead-letter-exchange and dead-letter-strategy, but a policy's overflow overrides the argument, and by that it takes away
// dead-lettering at least once (seen with RabbitMQ 3.10.8).
func judgePolicies(p *plan, f *managementFacts) []Finding {
	c := check{name: "policies"}
	if do, seen, is := dark(f, f.queues, ""); is {
		return unknown(c.name, do, seen)
	}
	if do, seen, is := dark(f, f.exchanges, ""); is {
		return unknown(c.name, do, seen)
	}
	harmless := c.judgeExchangePolicies(p, f)
	for _, want := range p.queues {
		at := slices.IndexFunc(f.queues.value, func(q management.Queue) bool { return q.Name == want.Name })
		if at < 0 {
			continue // judgeQueues tells
		}
		q, before := f.queues.value[at], len(c.findings)
		names := slices.DeleteFunc([]string{q.Policy, q.OperatorPolicy}, func(name string) bool { return name == "" })
		if len(names) == 0 {
			continue
		}
		policy := strings.Join(names, " and ")
		said, whole := q.Said(f.policies.value, f.operator.value)
		if !whole {
			do, _, _ := dark(f, f.policies, "policymaker")
			c.unknown(do, "policy %s applies to queue %s; what it says is not known", policy, q.Name)
			continue
		}
		c.judgePolicy(p, want, policy, said)
		if len(c.findings) == before {
			harmless = append(harmless, q.Name+" ("+policy+")")
		}
	}
	if len(harmless) > 0 {
		return c.otherwise("they do no harm, at %s", many(harmless))
	}
	return c.otherwise("none applies to these queues and exchanges")
}

// judgeExchangePolicies judges what policies say about the exchanges, and returns where they do no harm. There are no operator policies for these.
func (c *check) judgeExchangePolicies(p *plan, f *managementFacts) (harmless []string) {
	for _, want := range p.exchanges {
		at := slices.IndexFunc(f.exchanges.value, func(x exchange) bool { return x.Name == want.Name })
		if at < 0 || f.exchanges.value[at].Policy == "" {
			continue
		}
		policy := f.exchanges.value[at].Policy
		said := slices.IndexFunc(f.policies.value, func(p management.Policy) bool { return p.Name == policy })
		if said < 0 {
			do, _, _ := dark(f, f.policies, "policymaker")
			c.unknown(cmp.Or(do, "ask again"), "policy %s applies to exchange %s; what it says is not known", policy, want.Name)
			continue
		}
		if to, is := f.policies.value[said].Definition["alternate-exchange"]; is {
			c.wrong(without("alternate-exchange", policy, want.Name), "policy %s sends what exchange %s has no queue for to exchange %q: it counts as published, and is lost",
				policy, want.Name, to)
			continue
		}
		harmless = append(harmless, want.Name+" ("+policy+")")
	}
	return harmless
}

// without is what to do about a key of a policy.
func without(key, policy, from string) string {
	return fmt.Sprintf("take %s out of policy %s, or let its pattern leave out %s", key, policy, from)
}

// judgePolicy judges what policies say about one queue.
func (c *check) judgePolicy(p *plan, want broker.Part, policy string, said []map[string]any) {
	without := func(key string) string { return without(key, policy, want.Name) }
	isDead := p.dead[want.Name] != ""
	if _, is := setting(said, "expires"); is {
		c.wrong(without("expires"), "policy %s lets queue %s be deleted when nobody has used it for a while", policy, want.Name)
	}
	if ttl, is := setting(said, "message-ttl"); is {
		switch declared, delayed := want.Arguments["x-message-ttl"]; {
		case isDead:
			c.wrong(without("message-ttl"), "policy %s deletes dead letters in %s after %s ms", policy, want.Name, plainNumber(ttl))
		case !delayed:
			c.wrong(without("message-ttl"), "policy %s makes dead letters of events that wait in %s for %s ms", policy, want.Name, plainNumber(ttl))
		case number(ttl) < number(declared):
			c.warning(without("message-ttl"), "policy %s lets messages out of %s after %s ms already", policy, want.Name, plainNumber(ttl))
		}
	}
	overflow, _ := setting(said, "overflow")
	_, rejects := want.Arguments["x-overflow"]
	drops := overflow == "drop-head" || overflow == nil && !rejects // which is the default
	if rejects && overflow != nil && overflow != "reject-publish" {
		c.wrong(without("overflow"), "policy %s sets overflow %s for %s: what leaves it may be lost on the way to its dead-letter exchange", policy, overflow, want.Name)
	}
	for _, key := range []string{"max-length", "max-length-bytes"} {
		length, is := setting(said, key)
		switch {
		case !is:
		case drops:
			c.wrong(without(key)+", or set its overflow to reject-publish", "policy %s drops the oldest messages of %s beyond %s %s",
				policy, want.Name, key, plainNumber(length))
		default:
			c.warning(without(key), "policy %s makes %s refuse messages beyond %s %s", policy, want.Name, key, plainNumber(length))
		}
	}
	declared, isLimited := want.Arguments["x-delivery-limit"]
	if limit, is := setting(said, "delivery-limit"); is && isLimited && number(limit) >= 0 && number(limit) < number(declared) {
		if isDead {
			c.wrong(without("delivery-limit"), "policy %s lets %s lose a dead letter when it is looked at for the %sth time", policy, want.Name, plainNumber(number(limit)+1))
		} else {
			c.warning(without("delivery-limit"), "policy %s lowers the delivery limit of %s from %v to %s", policy, want.Name, declared, plainNumber(limit))
		}
	}
	if key, is := setting(said, "dead-letter-routing-key"); is && broker.IsDelayQueue(p.topology.Exchange, want.Name) {
		c.wrong(without("dead-letter-routing-key"), "policy %s sends what %s holds to queue %q, and not back to where it came from", policy, want.Name, key)
	}
	if to, is := setting(said, "dead-letter-exchange"); is && isDead {
		c.warning(without("dead-letter-exchange"), "policy %s sends what leaves %s to exchange %q", policy, want.Name, to)
	}
}

// setting is what policies say about a key, the lowest number where there are several.
func setting(said []map[string]any, key string) (value any, is bool) {
	for _, one := range said {
		v, has := one[key]
		if has && (!is || number(v) < number(value)) {
			value, is = v, true
		}
	}
	return value, is
}

// number is a value of JSON, or of a declaration, as a number; 0 where it is none.
func number(v any) float64 {
	switch n := v.(type) {
	case float64:
		return n
	case int:
		return float64(n)
	case int64:
		return float64(n)
	}
	return 0
}
