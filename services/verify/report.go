package verify

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"orderflow/pkg/event"
	"orderflow/services/order"
	"orderflow/services/payment"
)

// Line is a line of the report: one promise, in the form in which it can be checked.
type Line int

// The lines. The id of what breaks one is that of an order, if nothing else is said.
const (
	OrdersEnd       Line = iota // every order has ended, or is young
	PaymentsFit                 // a payment is its order's to the cent, which is what the items cost, and stands as the order does
	MoneyAddsUp                 // charged − refunded = shipped; the id is a currency
	ReservationsFit             // a reservation is of what was ordered, and stands as its order does
	StockAddsUp                 // what was put in is there or has left, and reservations say the same; the id is a product's
	ParcelsFit                  // there is a parcel exactly if the order is shipped, and none for money that went back
	OneOfEach                   // nothing twice, nothing without an order
	SaidOnce                    // no event twice, and the end as it was
	OutboxesEmpty               // no event waits for long; the id is an event's
	StatusesKnown               // of all rows
	lineCount
)

var lineNames = [lineCount]string{
	"orders_end", "payments_fit", "money_adds_up", "reservations_fit", "stock_adds_up", "parcels_fit", "one_of_each", "said_once",
	"outboxes_empty", "statuses_known",
}

// String is the line's name, as JSON has it.
func (l Line) String() string { return lineNames[l] }

// MarshalText writes the name.
func (l Line) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// promise says a line in words.
func (l Line) promise(a allowance) string {
	young, wait := fmt.Sprintf("is younger than %s", a.end), fmt.Sprintf("no event waits in an outbox for longer than %s", a.follow)
	if !a.waited.IsZero() {
		waited := a.waited.UTC().Format(time.TimeOnly)
		young, wait = fmt.Sprintf("was placed after %s and %s", waited, young), fmt.Sprintf("%s, or since before %s", wait, waited)
	}
	return [lineCount]string{
		"every order has ended, or " + young,
		"every payment is of its order's total, the sum of the items; kept if that has shipped, paid back or never made if it was cancelled",
		"in every currency: charged − refunded = value of what shipped",
		"every reservation is of what was ordered, has left the house if its order has shipped, and holds nothing if it was cancelled",
		"of every product: on hand + shipped = put in; reserved and shipped are what reservations say",
		"there is a parcel exactly if the order is shipped, and none whose payment went back",
		"every order has one payment, reservation and parcel at most; none is without an order",
		"every event was said once, and the end of every order as it was",
		wait,
		"every status is known",
	}[l]
}

// Report is what was found out.
type Report struct {
	OK       bool                 `json:"ok"`
	TakenAt  time.Time            `json:"taken_at"` // the first look
	Seconds  float64              `json:"seconds"`  // until the last
	Lines    []Result             `json:"lines"`
	Orders   map[order.Status]int `json:"orders"`
	UnderWay int                  `json:"under_way"` // orders that have not ended
	Money    map[string]Money     `json:"money"`     // by currency
	Broken   []Finding            `json:"broken"`    // of each line as many as were asked for
}

// Result is how a line came out.
type Result struct {
	Line    Line   `json:"line"`
	Promise string `json:"promise"`
	Checked int    `json:"checked"`
	Broken  int    `json:"broken"`
}

// Money is what became of the money in a currency: Charged − Refunded = Shipped. Held is what is charged for orders under way.
type Money struct {
	Charged  string `json:"charged"`
	Refunded string `json:"refunded"`
	Shipped  string `json:"shipped"`
	Held     string `json:"held"`
}

// Finding is something that breaks a promise.
type Finding struct {
	Line   Line   `json:"line"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// tally adds up what was looked at.
type tally struct {
	limit   int // of the findings that are kept of each line, unless it is 0
	orders  map[order.Status]int
	money   map[string]*balance
	checked [lineCount]int
	broken  [lineCount]int
	kept    [lineCount][]Finding
}

// balance is a currency's money. Sums of many orders may be larger than any amount.
type balance struct{ charged, refunded, shipped, held big.Int }

func newTally(limit int) *tally {
	return &tally{limit: limit, orders: map[order.Status]int{}, money: map[string]*balance{}}
}

// add counts a record and what is wrong with it.
func (t *tally) add(r *record, f findings) {
	for _, o := range r.orders {
		t.orders[o.Status]++
	}
	t.checked[OrdersEnd] += len(r.orders)
	t.checked[PaymentsFit] += max(len(r.orders), len(r.payments))
	t.checked[ReservationsFit] += len(r.reservations)
	t.checked[ParcelsFit] += len(r.shipments)
	t.checked[OneOfEach]++
	t.checked[SaidOnce] += len(r.timelines)
	t.checked[StatusesKnown] += len(r.orders) + len(r.payments) + len(r.reservations) + len(r.shipments)
	t.addMoney(r)
	if len(f) > 0 {
		t.found(r.id.String(), f)
	}
}

// addMoney counts money where it is. What was charged without an order counts as that of an order that has ended: something has
// to be wrong with it.
func (t *tally) addMoney(r *record) {
	var n big.Int
	ended := len(r.orders) == 0 || r.orders[0].Status.Ended()
	for _, p := range r.payments {
		if p.Status != payment.Charged && p.Status != payment.Refunding && p.Status != payment.Refunded {
			continue
		}
		b := t.balance(p.Currency)
		if ended {
			b.charged.Add(&b.charged, n.SetInt64(p.Amount))
			b.refunded.Add(&b.refunded, n.SetInt64(p.RefundedAmount))
		} else {
			b.held.Add(&b.held, n.SetInt64(p.Amount-p.RefundedAmount))
		}
	}
	for _, o := range r.orders {
		if o.Status == order.Shipped {
			b := t.balance(o.Currency)
			b.shipped.Add(&b.shipped, n.SetInt64(o.TotalAmount.Minor))
		}
	}
}

func (t *tally) balance(currency string) *balance {
	b := t.money[currency]
	if b == nil {
		b = &balance{}
		t.money[currency] = b
	}
	return b
}

// found counts what is wrong with something that has an id.
func (t *tally) found(id string, f findings) {
	for _, one := range f {
		t.broken[one.line]++
		t.keep(Finding{one.line, id, one.reason})
	}
}

// any tells whether anything is broken.
func (t *tally) any() bool { return t.broken != [lineCount]int{} }

func (t *tally) keep(f Finding) {
	if kept := &t.kept[f.Line]; t.limit == 0 || len(*kept) < t.limit {
		*kept = append(*kept, f)
	}
}

// merge adds what another tally has counted.
func (t *tally) merge(other *tally) {
	for status, n := range other.orders {
		t.orders[status] += n
	}
	for currency, more := range other.money {
		b := t.balance(currency)
		b.charged.Add(&b.charged, &more.charged)
		b.refunded.Add(&b.refunded, &more.refunded)
		b.shipped.Add(&b.shipped, &more.shipped)
		b.held.Add(&b.held, &more.held)
	}
	for line := range lineCount {
		t.checked[line] += other.checked[line]
		t.broken[line] += other.broken[line]
		for _, f := range other.kept[line] {
			t.keep(f)
		}
	}
}

// report closes the books.
func (t *tally) report(a allowance) *Report {
	r := &Report{OK: true, Orders: map[order.Status]int{}, Money: map[string]Money{}, Broken: []Finding{}}
	for _, status := range []order.Status{order.Placed, order.Paid, order.Reserved, order.Shipped, order.Cancelling, order.Cancelled} {
		r.Orders[status] = 0
	}
	for status, n := range t.orders {
		r.Orders[status] = n
		if !status.Ended() {
			r.UnderWay += n
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(t.money)) {
		r.Money[currency] = t.closeBalance(currency)
	}
	for line := range lineCount {
		r.Lines = append(r.Lines, Result{line, line.promise(a), t.checked[line], t.broken[line]})
		r.Broken = append(r.Broken, t.kept[line]...)
		r.OK = r.OK && t.broken[line] == 0
	}
	return r
}

// closeBalance compares what came in with what went out.
func (t *tally) closeBalance(currency string) Money {
	b := t.money[currency]
	m := Money{decimal(&b.charged, currency), decimal(&b.refunded, currency), decimal(&b.shipped, currency), decimal(&b.held, currency)}
	t.checked[MoneyAddsUp]++
	var kept big.Int
	if kept.Sub(&b.charged, &b.refunded).Cmp(&b.shipped) != 0 {
		var f findings
		f.add(MoneyAddsUp, "charged %s − refunded %s = %s, but %s shipped", m.Charged, m.Refunded, decimal(&kept, currency), m.Shipped)
		t.found(currency, f)
	}
	return m
}

// decimal writes minor units of a currency as the REST API does.
func decimal(minor *big.Int, currency string) string {
	decimals, _ := event.Decimals(currency)
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	return new(big.Rat).SetFrac(minor, unit).FloatString(int(decimals))
}
