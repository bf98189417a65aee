package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// article is a sort of order: what is special about it, and every way in which it may end.
type article struct {
	name    string
	share   int    // of 100 orders
	method  string // of payment
	postal  string // code
	product string
	amount  int64
	cancel  bool // a moment after it was placed
	ends    []string
}

// What an order may end as: shipped, or the reason of its cancellation.
const (
	shipped        = "shipped"
	paymentFailed  = "payment_failed"
	outOfStock     = "out_of_stock"
	unknownProduct = "unknown_product"
	shipmentFailed = "shipment_failed"
	calledOff      = "customer_request"
)

const (
	plenty  = "plenty-%d" // there is enough of these products
	scarce  = "scarce"    // of this for some of those who want it
	short   = "short"     // of this never enough
	nowhere = "nowhere"   // and this does not exist
)

var articles = []article{
	{name: "plain", share: 38, ends: []string{shipped}},
	{name: "declined", share: 6, method: "pm_declined", ends: []string{paymentFailed}},
	{name: "out of stock", share: 6, product: short, amount: 2, ends: []string{outOfStock}},
	{name: "scarce", share: 6, product: scarce, amount: 1, ends: []string{shipped, outOfStock}},
	{name: "unknown product", share: 4, product: nowhere, amount: 1, ends: []string{unknownProduct}},
	{name: "undeliverable", share: 8, postal: undeliverable, ends: []string{shipmentFailed}},
	{name: "called off", share: 22, cancel: true, ends: []string{shipped, calledOff}},
	{name: "declined, called off", share: 3, method: "pm_declined", cancel: true, ends: []string{paymentFailed, calledOff}},
	{name: "out of stock, called off", share: 3, product: short, amount: 2, cancel: true, ends: []string{outOfStock, calledOff}},
	{name: "undeliverable, called off", share: 4, postal: undeliverable, cancel: true, ends: []string{shipmentFailed, calledOff}},
}

const plentyOf = 3 // products

// promise is an order, and what the shop has said about it on the wire.
type promise struct {
	*article
	key       string
	body      []byte
	after     time.Duration // until it is called off
	moment    string        // or as soon as this event is heard of it
	total     string        // of its items
	items     string
	id        string // "" until there was a 201
	cancelled int    // the status of the answer to the cancellation, or 0
	unsure    bool   // the cancellation was sent more than once, since an answer was lost
}

// item is a line of an order.
type item struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price"`
}

// contents is items in a form that can be compared.
func contents(items []item) string { return fmt.Sprint(items) }

// shop places orders at a steady rate, and remembers what it was promised.
type shop struct {
	fleet *fleet
	tap   *tap
	rate  float64 // orders a second
	seed  uint64

	group    sync.WaitGroup
	underway chan struct{} // one token for each order that is being placed

	mu       sync.Mutex
	promises []*promise
	again    int // requests that had to be sent again
}

// atATime bounds how many customers wait for an answer: while nothing answers, there is no use in more of them.
const atATime = 400

func newShop(f *fleet, t *tap, seed uint64, rate float64) *shop {
	return &shop{fleet: f, tap: t, seed: seed, rate: rate, underway: make(chan struct{}, atATime)}
}

// open puts the goods on the shelves.
func (s *shop) open(ctx context.Context, orders int) error {
	stock := map[string]int{short: 1, scarce: max(1, orders*3/100)}
	for i := range plentyOf {
		stock[fmt.Sprintf(plenty, i)] = 1_000_000
	}
	for product, n := range stock {
		body := fmt.Appendf(nil, `{"on_hand": %d}`, n)
		status, answer, err := s.send(ctx, s.fleet.of("inventory")[0], http.MethodPut, "/v1/stock/"+product, body, "")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("put %s into stock: %d %s %w", product, status, answer, err)
		}
	}
	return nil
}

// trade places orders until selling ends. Each is pursued, with its cancellation, until there is an answer or ctx ends.
func (s *shop) trade(ctx, selling context.Context) {
	r := rand.New(rand.NewPCG(s.seed, 2))
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-selling.Done():
			return
		}
		select {
		case s.underway <- struct{}{}:
		default:
			continue // everybody waits; nobody new comes in
		}
		p := s.think(r, n)
		n++
		s.group.Go(func() {
			defer func() { <-s.underway }()
			s.pursue(ctx, p, rand.New(rand.NewPCG(s.seed, uint64(n)<<8)))
		})
	}
}

// think makes an order up.
func (s *shop) think(r *rand.Rand, n int) *promise {
	at, i := r.IntN(100), 0
	for ; at >= articles[i].share; i++ {
		at -= articles[i].share
	}
	a := &articles[i]
	items, total := []item{}, int64(0)
	add := func(product string, quantity, cents int64) {
		items = append(items, item{product, quantity, euros(cents)})
		total += quantity * cents
	}
	for i := range 1 + r.IntN(plentyOf) {
		add(fmt.Sprintf(plenty, i), 1+r.Int64N(5), r.Int64N(10_000))
	}
	if a.product != "" {
		add(a.product, a.amount, 100)
	}
	method, postal := "pm_card", "SW1Y 4JH"
	if a.method != "" {
		method = a.method
	}
	if a.postal != "" {
		postal = a.postal
	}
	body, err := json.Marshal(map[string]any{
		"customer_id": fmt.Sprintf("customer-%d", r.IntN(50)), "currency": "EUR", "payment_method": method, "items": items,
		"shipping_address": map[string]string{"name": "Ada Lovelace", "line1": "12 St James Square", "city": "London", "postal_code": postal, "country": "GB"},
	})
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	p := &promise{
		article: a, key: fmt.Sprintf("chaos-%d-%d", s.seed, n), body: body, total: euros(total), items: contents(items),
		after: time.Duration(r.Int64N(int64(250 * time.Millisecond))), moment: moments[r.IntN(len(moments))],
	}
	s.mu.Lock()
	s.promises = append(s.promises, p)
	s.mu.Unlock()
	return p
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// moments at which it is close whether a cancellation comes in time; "" is any other.
var moments = []string{"", "InventoryReserved", "ShipmentCreated", "ShipmentCreated"}

// momentLimit is how long a customer waits for such a moment, which may never come.
const momentLimit = 5 * time.Second

// pursue places an order and calls it off, if it is of that sort.
func (s *shop) pursue(ctx context.Context, p *promise, r *rand.Rand) {
	status, answer, _ := s.insist(ctx, r, "/v1/orders", p.body, p.key)
	if status == 0 {
		return
	}
	var order struct {
		ID string `json:"order_id"`
	}
	if err := json.Unmarshal(answer, &order); err != nil || status != http.StatusCreated {
		s.set(func() { p.id = fmt.Sprintf("answer %d: %.200s", status, answer) })
		return
	}
	s.set(func() { p.id = order.ID })
	if !p.cancel {
		return
	}
	if p.moment == "" {
		sleep(ctx, p.after)
	} else {
		limited, stop := context.WithTimeout(ctx, momentLimit)
		select {
		case <-s.tap.heard(p.moment, order.ID):
		case <-limited.Done():
		}
		stop()
	}
	if status, _, again := s.insist(ctx, r, "/v1/orders/"+order.ID+"/cancel", nil, ""); status != 0 {
		s.set(func() { p.cancelled, p.unsure = status, again })
	}
}

func (s *shop) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// insist posts to any of the order service's processes until one of them answers something other than that it cannot. It tells
// whether it had to do so more than once.
func (s *shop) insist(ctx context.Context, r *rand.Rand, path string, body []byte, key string) (status int, answer []byte, again bool) {
	counters := s.fleet.of("order")
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 2*time.Second) {
		status, answer, err := s.send(ctx, counters[r.IntN(len(counters))], http.MethodPost, path, body, key)
		if err == nil && status < http.StatusInternalServerError {
			return status, answer, again
		}
		again = true
		s.mu.Lock()
		s.again++
		s.mu.Unlock()
		sleep(ctx, pause/2+time.Duration(r.Int64N(int64(pause))))
	}
	return 0, nil, again
}

func (s *shop) send(ctx context.Context, to *process, method, path string, body []byte, key string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+to.address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := s.fleet.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// get reads JSON from a process; into may be nil.
func (f *fleet) get(ctx context.Context, from *process, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+from.address+path, nil)
	if err != nil {
		return err
	}
	response, err := f.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %.300s", path, response.StatusCode, answer)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// until asks again and again until ask returns nil, and returns its last word when ctx has ended: the last that was not cut short.
func until(ctx context.Context, ask func() error) (last error) {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if sleep(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		}
	}
}
