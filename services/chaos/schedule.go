package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// kind is a sort of fault.
type kind string

// The kinds of faults. Each is undone when its time is over.
const (
	killService     kind = "kill a service"
	killBusyService kind = "kill a service amid its work"
	restartService  kind = "restart a service"
	freezeService   kind = "freeze a service"
	killServer      kind = "kill a server"
	freezeServer    kind = "freeze a server"
	memoryAlarm     kind = "memory alarm"
	diskAlarm       kind = "disk alarm"
	killFullServer  kind = "kill a server in a memory alarm"
	cutLink         kind = "cut connections"
	truncateLink    kind = "cut connections amid a message"
	stallLink       kind = "stall connections"
	swallowLink     kind = "swallow what is sent"
	slowLink        kind = "slow connections"
	refuseLink      kind = "refuse connections"
	gatewayDown     kind = "gateway down"
	carrierDown     kind = "carrier down"
	holdBack        kind = "hold messages back"
	multiplyEvents  kind = "storm of events"
)

// fault is one thing that goes wrong.
type fault struct {
	At     time.Duration // since the load began
	Lasts  time.Duration
	Kind   kind
	Target string // a process, a server, a link between the two, a queue
	Dice   uint64 // for what a fault leaves to chance
}

func (f fault) String() string {
	s := fmt.Sprintf("%6.1fs  %s", f.At.Seconds(), f.Kind)
	if f.Target != "" {
		s += ": " + f.Target
	}
	if f.Lasts > 0 {
		s += fmt.Sprintf(", for %.1fs", f.Lasts.Seconds())
	}
	return s
}

const (
	rabbitmq = "RabbitMQ"
	postgres = "Postgres"
)

// stage is what can be a target.
type stage struct {
	processes []string
	mortals   []string // those that may be killed
	links     []string
	queues    []string
}

// card is a kind of fault in the deck from which the schedule is dealt.
type card struct {
	kind     kind
	copies   int // in a deck
	from, to time.Duration
	targets  func(stage) []string
}

func processes(s stage) []string { return s.processes }
func mortals(s stage) []string   { return s.mortals }
func links(s stage) []string     { return s.links }
func queues(s stage) []string    { return s.queues }
func progress(stage) []string    { return []string{"order.progress"} }
func nobody(stage) []string      { return []string{""} }
func broker(stage) []string      { return []string{rabbitmq} }
func servers(stage) []string     { return []string{rabbitmq, postgres} }

const s = time.Second

// deck has every kind, so that all of them come in turn, in an order that the seed decides.
var deck = []card{
	{killService, 3, 0, 3 * s, mortals},
	{killBusyService, 4, 0, 3 * s, mortals},
	{restartService, 2, 0, 1 * s, mortals},
	{freezeService, 2, 20 * s, 20 * s, processes},
	{killServer, 3, 1 * s, 5 * s, servers},
	{freezeServer, 1, 2 * s, 8 * s, servers},
	{memoryAlarm, 1, 4 * s, 10 * s, broker},
	{diskAlarm, 1, 4 * s, 10 * s, broker},
	{killFullServer, 1, 3 * s, 6 * s, broker},
	{cutLink, 4, 0, 0, links},
	{truncateLink, 3, 1 * s, 3 * s, links},
	{stallLink, 2, 5 * s, 15 * s, links},
	{swallowLink, 2, 5 * s, 15 * s, links},
	{slowLink, 2, 10 * s, 20 * s, links},
	{refuseLink, 2, 2 * s, 10 * s, links},
	{gatewayDown, 1, 30 * s, 30 * s, nobody},
	{carrierDown, 1, 10 * s, 30 * s, nobody},
	{holdBack, 3, 2 * s, 6 * s, queues},
	{holdBack, 2, 3 * s, 6 * s, progress}, // the order service does not know yet what has long happened
	{multiplyEvents, 2, 3 * s, 8 * s, nobody},
}

// A run has this many faults, but no more often than every second. In a run of five minutes there is one every four seconds.
const (
	faultsInARun = 75
	shortestGap  = 1 * s
)

// newSchedule deals the faults of a run. The same seed, duration and stage give the same schedule.
func newSchedule(seed uint64, duration time.Duration, on stage) []fault {
	r := rand.New(rand.NewPCG(seed, 1))
	gap := max(shortestGap, duration/faultsInARun)
	longest := duration / 4 // so that a short run is not over before its longest fault
	var schedule []fault
	var hand []card
	for at := gap; at < duration; at += gap/2 + time.Duration(r.Int64N(int64(gap))) {
		if len(hand) == 0 {
			hand = shuffled(r)
		}
		c := hand[0]
		hand = hand[1:]
		targets := c.targets(on)
		lasts := c.from
		if c.to > c.from {
			lasts += time.Duration(r.Int64N(int64(c.to - c.from)))
		}
		schedule = append(schedule, fault{
			At: at, Lasts: min(lasts, longest), Kind: c.kind, Target: targets[r.IntN(len(targets))], Dice: r.Uint64(),
		})
	}
	return schedule
}

func shuffled(r *rand.Rand) (hand []card) {
	for _, c := range deck {
		hand = append(hand, slices.Repeat([]card{c}, c.copies)...)
	}
	r.Shuffle(len(hand), func(i, j int) { hand[i], hand[j] = hand[j], hand[i] })
	return hand
}

// workQueues are those that the services consume.
var workQueues = []string{
	"payment.order-placed", "payment.inventory-released", "inventory.payment-processed", "inventory.shipment-cancelled",
	"inventory.shipment-created", "shipping.inventory-reserved", "shipping.cancellation-requested", "order.progress",
}
