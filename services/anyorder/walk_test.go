package anyorder

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/services/payment"
	"orderflow/services/shipping"
)

var seedFlag = flag.Uint64("seed", 0, "of the random walks; 0 takes one from the clock")

const (
	walkTime = 3 * time.Second
	// walkSteps is far more than any story takes.
	walkSteps = 10_000
	// mutantWalks is within how many walks a mutant is found.
	mutantWalks = 2_000
)

// often is what may go wrong in a walk, for each order.
var often = allowance{duplicates: 3, crashes: 3, losses: 2}

// market is two orders at the same time, which have nothing in common but the stock.
type market struct {
	before warehouse
	orders []*world
}

// newMarket draws what the stock has and how the world outside will answer. Often there is enough for one of the orders only.
func newMarket(random *rand.Rand, p protocol) *market {
	plenty, scarce, nothing := stock{onHand: 5}, stock{onHand: 3}, stock{}
	m := &market{before: warehouse{plenty, scarce}}
	switch random.IntN(6) {
	case 0:
		m.before[1] = plenty
	case 1:
		m.before[1] = nothing
	case 2:
		m.before[0] = scarce
	}
	for range 2 {
		plan := plans()[0]
		plan.warehouse, plan.cancels = m.before, random.IntN(3) > 0
		if random.IntN(6) == 0 {
			plan.charge = payment.Verdict{Declined: true, Detail: "insufficient funds"}
		}
		if random.IntN(4) == 0 {
			plan.booking = shipping.Verdict{Refused: true, Detail: "no such address"}
		}
		m.orders = append(m.orders, newWorld(&plan, p, often))
	}
	return m
}

// move is a step of one of the orders.
type move struct {
	order int
	step
}

func (m *market) moves() (all []move) {
	for i, w := range m.orders {
		for _, s := range w.steps() {
			all = append(all, move{i, s})
		}
	}
	return all
}

// make takes a step: the order finds the stock as it is, and leaves it as it will be for the other one.
func (m *market) make(v move) {
	w := m.orders[v.order].after(v.step)
	for i := range m.orders {
		m.orders[i] = m.orders[i].clone()
		m.orders[i].warehouse = w.warehouse
	}
	m.orders[v.order] = w
}

// judge says which promise does not hold after a step of an order.
func (m *market) judge(order int) error {
	w := m.orders[order]
	if err := w.always(); err != nil || !w.quiet() {
		return err
	}
	if err := w.atEnd(); err != nil {
		return err
	}
	if slices.ContainsFunc(m.orders, func(w *world) bool { return !w.quiet() }) {
		return nil
	}
	return settled(w.warehouse, m.before, m.orders...)
}

// walk takes steps at random until none is left. It returns how many it took, and a broken promise with its story.
func (m *market) walk(random *rand.Rand) (steps int, err error) {
	start := slices.Clone(m.orders)
	var taken []move
	for moves := m.moves(); len(moves) > 0; moves = m.moves() {
		v := moves[random.IntN(len(moves))]
		taken = append(taken, v)
		m.make(v)
		err := m.judge(v.order)
		if err == nil && len(taken) == walkSteps {
			err = errors.New("the walk never ends")
		}
		if err != nil {
			return len(taken), &broken{promise: err, story: (&market{before: m.before, orders: start}).tell(taken)}
		}
	}
	return len(taken), nil
}

// tell takes the steps once more and says what they are.
func (m *market) tell(steps []move) string {
	var b strings.Builder
	for i, v := range steps {
		fmt.Fprintf(&b, "%3d. order %d  %s\n", i+1, v.order+1, m.orders[v.order].describe(v.step))
		m.make(v)
	}
	for i, w := range m.orders {
		fmt.Fprintf(&b, "     %d: %s\n", i+1, w)
	}
	return b.String()
}

// endings is how the orders ended, in words.
func (m *market) endings() string {
	return m.orders[0].ending() + " and " + m.orders[1].ending()
}

// Stories too long to try all of them: more goes wrong, and a second order takes the goods away.
func TestRandomWalksKeepThePromises(t *testing.T) {
	seed := cmp.Or(*seedFlag, uint64(time.Now().UnixNano()))
	again := fmt.Sprintf("go test ./services/anyorder -run RandomWalks -seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	walks, steps, seen := 0, 0, map[string]int{}
	for deadline := time.Now().Add(walkTime); time.Now().Before(deadline); walks++ {
		m := newMarket(random, newProtocol())
		n, err := m.walk(random)
		if err != nil {
			t.Fatalf("walk %d: %v\nthe same walks: %s", walks+1, err, again)
		}
		steps += n
		seen[m.endings()]++
	}
	t.Logf("%d walks, %d steps, seed %d; endings %v", walks, steps, seed, seen)
	if walks < 100 {
		t.Errorf("only %d walks in %s", walks, walkTime)
	}
	for _, rivals := range [][2]string{{"shipped", "out_of_stock"}, {"shipped", "customer_request"}} {
		if seen[rivals[0]+" and "+rivals[1]]+seen[rivals[1]+" and "+rivals[0]] == 0 {
			t.Errorf("no two orders ended as %v, but as %v; the same walks: %s", rivals, slices.Sorted(maps.Keys(seen)), again)
		}
	}
}

// The walks find every mistake that the search finds.
func TestMutantsAreFoundByWalks(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p := newProtocol()
			m.spoil(p)
			random := rand.New(rand.NewPCG(1, 2))
			for walk := range mutantWalks {
				if n, err := newMarket(random, p).walk(random); err != nil {
					t.Logf("walk %d, step %d: %v", walk+1, n, err.(*broken).promise)
					return
				}
			}
			t.Errorf("not found in %d walks", mutantWalks)
		})
	}
}
