package main_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// kind is a sort of order, and every way in which it may end.
type kind struct {
	name    string
	share   int      // of 200 orders
	method  string   // of payment
	postal  string   // code
	product string   // the one that is special about it
	cancel  bool     // at a random moment
	ends    []string // as summary writes them
}

// What a summary says: the order's status and reason, and the status of its payment, its reservation and its parcel, each of which
// there is at most one of.
const (
	shipped          = "shipped charged shipped created"
	declined         = "cancelled/payment_failed failed - -"
	outOfStock       = "cancelled/out_of_stock refunded rejected -"
	unknown          = "cancelled/unknown_product refunded rejected -"
	undeliverable    = "cancelled/shipment_failed refunded released failed"
	calledOff        = "cancelled/customer_request refunded released cancelled"
	calledOffEarly   = "cancelled/customer_request refunded voided cancelled"
	calledOffAtOnce  = "cancelled/customer_request voided voided cancelled"
	declinedMeantime = "cancelled/payment_failed failed voided cancelled"
)

const (
	plenty   = 100_000 // of each product that is not special
	products = 6
	scarce   = "scarce" // some of the orders for it can be shipped
	short    = "short"  // there is less of it than any order wants
	nowhere  = "nowhere"
)

var kinds = []kind{
	{name: "plain", share: 66, ends: []string{shipped}},
	{name: "declined", share: 15, method: "pm_declined", ends: []string{declined}},
	{name: "out of stock", share: 12, product: short, ends: []string{outOfStock}},
	{name: "scarce", share: 12, product: scarce, ends: []string{shipped, outOfStock}},
	{name: "unknown product", share: 10, product: nowhere, ends: []string{unknown}},
	{name: "undeliverable", share: 12, postal: "UNDELIVERABLE", ends: []string{undeliverable}},
	{name: "flaky", share: 12, method: "pm_flaky", ends: []string{shipped}},
	{name: "slow", share: 5, method: "pm_slow", ends: []string{shipped}},
	{name: "called off", share: 36, cancel: true, ends: []string{shipped, calledOff, calledOffEarly, calledOffAtOnce}},
	{name: "flaky, called off", share: 6, method: "pm_flaky", cancel: true, ends: []string{shipped, calledOff, calledOffEarly, calledOffAtOnce}},
	{name: "slow, called off", share: 4, method: "pm_slow", cancel: true, ends: []string{shipped, calledOff, calledOffEarly, calledOffAtOnce}},
	{name: "declined, called off", share: 4, method: "pm_declined", cancel: true, ends: []string{declined, declinedMeantime, calledOffAtOnce}},
	{name: "undeliverable, called off", share: 6, postal: "UNDELIVERABLE", cancel: true,
		ends: []string{undeliverable, calledOff, calledOffEarly, calledOffAtOnce}},
}

// campaign is a number of orders of all kinds, placed by 16 clients, and what became of them.
type campaign struct {
	*client
	t       testing.TB
	run     string // a word that makes its products and customers its own
	patient bool   // requests that fail are sent again, with the same Idempotency-Key
	orders  []*placed
	stock   map[string]int64 // put in, by product

	refused atomic.Int64 // requests that had to be sent again
	endings milestones
}

const clients = 16

// placed is one order of a campaign.
type placed struct {
	*kind
	placement
	key         string
	total       int64 // minor units of the currency
	cancelAfter time.Duration

	id        string
	cancelled int // the status of the answer to the cancellation, or 0
	took      time.Duration
	end       order
	summary   string
}

// currencies with the number of their decimals.
var currencies = map[string]int{"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}

// newCampaign thinks n orders up and puts the stock for them in.
func newCampaign(t testing.TB, c *client, n int) *campaign {
	t.Helper()
	r, run := random(t)
	m := &campaign{client: c, t: t, run: run, stock: map[string]int64{short: 1}}
	for i := range n {
		m.orders = append(m.orders, m.newOrder(r, i, kindOf(i*200/n)))
	}
	r.Shuffle(n, func(i, j int) { m.orders[i], m.orders[j] = m.orders[j], m.orders[i] })
	m.stock[scarce] = int64(m.count("scarce") * 7 / 12)
	for i := range products {
		m.stock[strconv.Itoa(i)] = plenty
	}
	for product, n := range m.stock {
		putStock(t, c, m.product(product), n)
	}
	return m
}

// random makes a source of chance, and a word for it that nobody else has. The test's log has the seed.
func random(t testing.TB) (*rand.Rand, string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0)), fmt.Sprintf("run-%x", seed)
}

func kindOf(n int) *kind {
	for i := range kinds {
		if n -= kinds[i].share; n < 0 {
			return &kinds[i]
		}
	}
	panic("the shares do not add up to 200")
}

func (m *campaign) newOrder(r *rand.Rand, i int, k *kind) *placed {
	names := make([]string, 0, len(currencies))
	for name := range currencies {
		names = append(names, name)
	}
	slices.Sort(names)
	currency := names[r.IntN(len(names))]
	o := &placed{kind: k, key: fmt.Sprintf("%s-%d", m.run, i), cancelAfter: time.Duration(r.Int64N(int64(150 * time.Millisecond)))}
	o.placement = placement{
		CustomerID: fmt.Sprintf("%s-customer-%d", m.run, i%clients), Currency: currency, PaymentMethod: cmp.Or(k.method, "pm_ok"),
		ShippingAddress: address{"Ada Lovelace", "12 St James Square", "London", cmp.Or(k.postal, "SW1Y 4JH"), "GB"},
	}
	add := func(product string, quantity int64) {
		price := r.Int64N(10_000)
		o.Items = append(o.Items, item{m.product(product), quantity, decimal(price, currencies[currency])})
		o.total += price * quantity
	}
	for range 1 + r.IntN(3) {
		add(strconv.Itoa(r.IntN(products)), 1+r.Int64N(5))
	}
	switch k.product {
	case scarce:
		add(scarce, 1)
	case short:
		add(short, 2+r.Int64N(5))
	case nowhere:
		add(nowhere, 1)
	}
	return o
}

func (m *campaign) product(name string) string   { return m.run + "-" + name }
func (m *campaign) stockPath(name string) string { return "/v1/stock/" + m.product(name) }

func (m *campaign) count(name string) (n int) {
	for _, o := range m.orders {
		if o.kind.name == name {
			n++
		}
	}
	return n
}

// decimal writes minor units as the API does.
func decimal(minor int64, decimals int) string {
	digits := fmt.Sprintf("%0*d", decimals+1, minor)
	if decimals == 0 {
		return digits
	}
	return digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:]
}

// minor reads an amount of the API.
func minor(amount string) (int64, error) {
	return strconv.ParseInt(strings.Replace(amount, ".", "", 1), 10, 64)
}

// place places all orders, and returns when they have ended.
func (m *campaign) place() {
	m.t.Helper()
	if err := <-m.begin(); err != nil {
		m.t.Fatal(err)
	}
}

// begin begins to place all orders; each client follows an order to its end before it places the next one. The channel tells of the
// end of it.
func (m *campaign) begin() <-chan error {
	began, over := time.Now(), make(chan error, 1)
	go func() {
		patience := limit
		if m.patient { // what was under way when something was killed is published again after a while
			patience = 2 * limit
		}
		ctx, stop := context.WithTimeout(m.t.Context(), patience)
		defer stop()
		err := m.each(func(o *placed) error {
			began := time.Now()
			defer func() { o.took = time.Since(began) }()
			if err := m.placeOne(ctx, o); err != nil {
				return fmt.Errorf("place: %w", err)
			}
			if err := m.follow(ctx, o); err != nil {
				return err
			}
			m.endings.pass()
			return nil
		})
		took := time.Since(began)
		m.t.Logf("%d orders in %.1fs: %.0f orders/s; %d requests were sent again", len(m.orders), took.Seconds(),
			float64(len(m.orders))/took.Seconds(), m.refused.Load())
		m.slowest()
		over <- err
	}()
	return over
}

// slowest tells how the order went that took longest.
func (m *campaign) slowest() {
	o := slices.MaxFunc(m.orders, func(a, b *placed) int { return cmp.Compare(a.took, b.took) })
	var events strings.Builder
	line, err := read[struct{ Events []moment }](m.t.Context(), m.client, "/v1/orders/"+o.id+"/events")
	if err != nil {
		fmt.Fprint(&events, ", ", err)
	}
	for _, e := range line.Events {
		fmt.Fprintf(&events, ", %s at %s seen after %.2fs", e.Type, e.Time.Format("05.00"), e.SeenAt.Sub(e.Time).Seconds())
	}
	m.t.Logf("slowest: %s order %s, %.1fs%s", o.kind.name, o.id, o.took.Seconds(), events.String())
}

// each calls f with each order, 16 at a time.
func (m *campaign) each(f func(*placed) error) error {
	var group sync.WaitGroup
	next := make(chan *placed, len(m.orders))
	for _, o := range m.orders {
		next <- o
	}
	close(next)
	errs := make(chan error, len(m.orders))
	for range clients {
		group.Go(func() {
			for o := range next {
				if err := f(o); err != nil {
					errs <- fmt.Errorf("%s order %s: %w", o.kind.name, o.id, err)
				}
			}
		})
	}
	group.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (m *campaign) placeOne(ctx context.Context, o *placed) error {
	a, err := m.insist(ctx, "/v1/orders", o.placement, "Idempotency-Key: "+o.key)
	if err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		return errors.New(a.String())
	}
	o.id = strings.TrimPrefix(a.header.Get("Location"), "/v1/orders/")
	if !o.cancel {
		return nil
	}
	select {
	case <-time.After(o.cancelAfter):
	case <-ctx.Done():
		return ctx.Err()
	}
	if a, err = m.insist(ctx, "/v1/orders/"+o.id+"/cancel", nil); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	if o.cancelled = a.status; a.status != http.StatusAccepted && a.status != http.StatusConflict {
		return fmt.Errorf("cancel: %s", a)
	}
	return nil
}

// insist posts until there is an answer, if the campaign is patient.
func (m *campaign) insist(ctx context.Context, path string, body any, headers ...string) (a *answer, err error) {
	again := devtest.Until(ctx, func() error {
		a, err = m.send(ctx, http.MethodPost, path, body, headers...)
		if !m.patient || err == nil && a.status < http.StatusInternalServerError {
			return nil
		}
		m.refused.Add(1)
		if err == nil {
			err = errors.New(a.String())
		}
		return err
	})
	return a, cmp.Or(again, err)
}

// follow waits until the order has ended as it may.
func (m *campaign) follow(ctx context.Context, o *placed) error {
	return devtest.Until(ctx, func() error {
		end, err := m.await(ctx, o.id)
		if err != nil && ctx.Err() == nil {
			m.refused.Add(1)
		}
		o.end = end
		return err
	})
}

// milestones lets others wait until something has happened often enough.
type milestones struct {
	mu      sync.Mutex
	passed  int
	waiting map[int]chan struct{}
}

func (s *milestones) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed++
	if c := s.waiting[s.passed]; c != nil {
		close(c)
	}
}

// after returns a channel that is closed when it has happened n times. It is called before.
func (s *milestones) after(n int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = map[int]chan struct{}{}
	}
	s.waiting[n] = make(chan struct{})
	return s.waiting[n]
}

// await waits for a milestone of a campaign.
func await(t testing.TB, milestone <-chan struct{}, over <-chan error) {
	t.Helper()
	select {
	case <-milestone:
	case err := <-over:
		t.Fatalf("the campaign is over too early: %v", err)
	}
}
