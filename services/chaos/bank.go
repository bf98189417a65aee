package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// bank is the payment gateway and the parcel service: other companies, with books of their own, by idempotency key. Now and then they
// do what they are asked to, and the answer is lost.
type bank struct {
	server *http.Server
	url    string
	ended  chan struct{}
	seed   uint64

	gatewayDown, carrierDown atomic.Bool

	mu      sync.Mutex
	tries   map[string]int     // requests, by key
	ledger  map[string]account // by order
	strange []string           // requests that must never come
	lost    int                // answers that were lost on purpose
}

// account is what the outside world has done for one order.
type account struct {
	charged, refunded string // amounts and currencies; "" where no money was moved
	declined          bool
	parcel, refused   bool
	items             string // in the parcel
}

func openBank(seed uint64) (*bank, error) {
	b := &bank{seed: seed, ended: make(chan struct{}), tries: map[string]int{}, ledger: map[string]account{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /gateway/charges", b.unreliable(&b.gatewayDown, "charge-", b.charge))
	mux.HandleFunc("POST /gateway/refunds", b.unreliable(&b.gatewayDown, "refund-", b.refund))
	mux.HandleFunc("POST /carrier/parcels", b.unreliable(&b.carrierDown, "book-", b.book))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.url, b.server = "http://"+listener.Addr().String(), &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Second}
	go func() {
		defer close(b.ended)
		b.server.Serve(listener)
	}()
	return b, nil
}

func (b *bank) close() {
	b.server.Close()
	<-b.ended
}

// request is what services ask for.
type request struct {
	Amount          string `json:"amount"`
	Currency        string `json:"currency"`
	PaymentMethod   string `json:"payment_method"`
	Reference       string `json:"reference"`
	OrderID         string `json:"order_id"`
	Items           []item `json:"items"`
	ShippingAddress struct {
		PostalCode string `json:"postal_code"`
	} `json:"shipping_address"`
}

// How often an answer is lost: before anything was done, and after.
const (
	lostBefore = 0.02
	lostAfter  = 0.03
)

// unreliable makes a handler that is sometimes down, and sometimes loses its answer. Which of them are lost is decided by seed, key and
// attempt.
func (b *bank) unreliable(down *atomic.Bool, prefix string, do func(order string, r request) (int, map[string]string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		order, known := strings.CutPrefix(key, prefix)
		var asked request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || !known || uuid.Validate(order) != nil {
			b.complain("%s with key %q: %v", r.URL.Path, key, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if down.Load() {
			panic(http.ErrAbortHandler) // ends the connection
		}
		chance := b.chance(key)
		if chance < lostBefore {
			panic(http.ErrAbortHandler)
		}
		status, answer := do(order, asked)
		if chance < lostBefore+lostAfter {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(answer)
	}
}

func (b *bank) chance(key string) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries[key]++
	h := fnv.New64a()
	fmt.Fprint(h, b.seed, key, b.tries[key])
	chance := float64(h.Sum64()%10_000) / 10_000
	if chance < lostBefore+lostAfter {
		b.lost++
	}
	return chance
}

func (b *bank) lostAnswers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

func (b *bank) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strange = append(b.strange, fmt.Sprintf(format, args...))
}

// enter changes an order's account; change returns what is wrong with that.
func (b *bank) enter(order string, change func(*account) string) account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.ledger[order]
	if wrong := change(&a); wrong != "" {
		b.strange = append(b.strange, fmt.Sprintf("order %s: %s", order, wrong))
	}
	b.ledger[order] = a
	return a
}

func (b *bank) charge(order string, r request) (int, map[string]string) {
	money := r.Amount + " " + r.Currency
	a := b.enter(order, func(a *account) string {
		switch {
		case r.PaymentMethod == "pm_declined":
			a.declined = true
		case a.charged != "" && a.charged != money:
			return fmt.Sprintf("charged %s, and now %s under the same key", a.charged, money)
		default:
			a.charged = money
		}
		return ""
	})
	if a.declined {
		return http.StatusPaymentRequired, map[string]string{"detail": "insufficient funds"}
	}
	return http.StatusCreated, map[string]string{"reference": "ch-" + order}
}

func (b *bank) refund(order string, r request) (int, map[string]string) {
	money := r.Amount + " " + r.Currency
	b.enter(order, func(a *account) string {
		switch {
		case a.charged != money || r.Reference != "ch-"+order:
			return fmt.Sprintf("refund of %s by reference %s, charged was %q", money, r.Reference, a.charged)
		case a.parcel:
			return "refunded, though its parcel is on its way"
		}
		a.refunded = money
		return ""
	})
	return http.StatusCreated, map[string]string{"reference": "re-" + order}
}

const undeliverable = "UNDELIVERABLE"

func (b *bank) book(order string, r request) (int, map[string]string) {
	a := b.enter(order, func(a *account) string {
		if r.OrderID != order {
			return "a parcel for order " + r.OrderID + " under its key"
		}
		if r.ShippingAddress.PostalCode == undeliverable {
			a.refused = true
			return ""
		}
		a.parcel, a.items = true, contents(r.Items)
		if a.refunded != "" || a.charged == "" {
			return fmt.Sprintf("a parcel, though charged is %q and refunded %q", a.charged, a.refunded)
		}
		return ""
	})
	if a.refused {
		return http.StatusUnprocessableEntity, map[string]string{"detail": "no such place"}
	}
	return http.StatusCreated, map[string]string{"carrier": "chaos parcels", "tracking_number": "tr-" + order}
}
