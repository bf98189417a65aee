package payment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// table is what every state makes of everything that can happen: the state that follows, and the event that is said. A state with
// an undo mark has a star; a dash is no change and not a word.
const table = `
              accepted                    declined               takeback     repaid
charging      charged+PaymentProcessed    failed+PaymentFailed   charging*    -
charging*     refunding                   failed+PaymentFailed   -            -
charged       -                           -                      refunding    -
failed        -                           -                      -            -
refunding     -                           -                      -            refunded+PaymentRefunded
refunded      -                           -                      -            -
voided        -                           -                      -            -
`

// happenings are the columns of the table.
var happenings = map[string]func(Payment) (Payment, event.Payload){
	"accepted": func(p Payment) (Payment, event.Payload) { return p.Settle(&order, Verdict{Reference: "ch_1"}) },
	"declined": func(p Payment) (Payment, event.Payload) {
		return p.Settle(&order, Verdict{Declined: true, Detail: "no"})
	},
	"takeback": func(p Payment) (Payment, event.Payload) { return p.Takeback(event.ReasonOutOfStock), nil },
	"repaid":   func(p Payment) (Payment, event.Payload) { return p.Repaid(&order) },
}

var (
	id    = uuid.MustParse("01890000-0000-7000-8000-000000000002")
	order = event.Order{
		OrderID: uuid.MustParse("01890000-0000-7000-8000-000000000001"), Currency: "EUR", TotalAmount: event.MinorAmount(3998, "EUR"),
	}
)

// TestEveryStateAndEvent follows the rules from where a payment begins to every state that can be reached, and compares each step
// with the table. The table must have those states and no others.
func TestEveryStateAndEvent(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])
	rows := map[string][]string{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		rows[cells[0]] = cells[1:]
	}
	tombstone, _ := Tombstone(&order, event.ReasonCustomerRequest, id)
	seen := map[Payment]bool{}
	reached := map[string]bool{}
	for todo := []Payment{Open(&order, id), tombstone}; len(todo) > 0; todo = todo[1:] {
		p := todo[0]
		if seen[p] {
			continue
		}
		seen[p], reached[name(p)] = true, true
		row := rows[name(p)]
		if len(row) != len(columns) {
			t.Errorf("%s has %d cells in the table, want %d", name(p), len(row), len(columns))
			continue
		}
		for i, column := range columns {
			next, said := happenings[column](p)
			if got := outcome(p, next, said); got != row[i] {
				t.Errorf("%s, %s: %s, want %s", name(p), column, got, row[i])
			}
			todo = append(todo, next)
		}
	}
	if len(reached) != len(rows) || len(columns) != len(happenings) {
		t.Errorf("reached %v, table has %d rows and %d columns", reached, len(rows), len(columns))
	}
}

func name(p Payment) string {
	if p.Status == Charging && p.Undo != "" {
		return "charging*"
	}
	return string(p.Status)
}

func outcome(before, after Payment, said event.Payload) string {
	if before == after && said == nil {
		return "-"
	}
	if said == nil {
		return name(after)
	}
	return fmt.Sprintf("%s+%s", name(after), said.Type())
}

func TestPaymentTellsWhatTheGatewaySaid(t *testing.T) {
	charged, said := Open(&order, id).Settle(&order, Verdict{Reference: "ch_1"})
	if e := said.(*event.PaymentProcessed); e.PaymentID != id || e.Amount.String() != "39.98" || e.GatewayReference != "ch_1" {
		t.Errorf("PaymentProcessed says %+v", e.Payment)
	}
	refunded, said := charged.Takeback(event.ReasonOutOfStock).Repaid(&order)
	if e := said.(*event.PaymentRefunded); e.PaymentID != id || e.Amount.String() != "39.98" || e.GatewayReference != "ch_1" ||
		e.Reason != event.ReasonOutOfStock {
		t.Errorf("PaymentRefunded says %+v", e)
	}
	if refunded.Amount != 3998 || refunded.RefundedAmount != 3998 {
		t.Errorf("refunded %d of %d, want 3998 of 3998", refunded.RefundedAmount, refunded.Amount)
	}
	_, said = Open(&order, id).Settle(&order, Verdict{Declined: true, Detail: "no funds"})
	if e := said.(*event.PaymentFailed); e.PaymentID != id || e.Reason != event.ReasonPaymentFailed || e.Detail != "no funds" {
		t.Errorf("PaymentFailed says %+v", e)
	}
	_, said = Tombstone(&order, event.ReasonCustomerRequest, id)
	if e := said.(*event.PaymentVoided); e.PaymentID != id || e.Reason != event.ReasonCustomerRequest {
		t.Errorf("PaymentVoided says %+v", e)
	}
}

// Whatever the gateway calls a charge, the payment keeps it for the refund, and what is said of it can be sent.
func TestAnyReferenceIsCharged(t *testing.T) {
	for reference, told := range map[string]string{
		"ch_1\n":                 "ch_1",
		"ch\x00\x1b[31m_1":       "ch  [31m_1",
		"ch_\xff":                "ch_�",
		strings.Repeat("é", 201): strings.Repeat("é", 200),
		"\n":                     "",
	} {
		order := placedOrder()
		charged, said := Open(&order, id).Settle(&order, Verdict{Reference: reference})
		refunded, saidBack := charged.Takeback(event.ReasonOutOfStock).Repaid(&order)
		if charged.GatewayReference != reference || refunded.GatewayReference != reference {
			t.Errorf("%q is kept as %q, and then %q", reference, charged.GatewayReference, refunded.GatewayReference)
		}
		if got := said.(*event.PaymentProcessed).GatewayReference; got != told {
			t.Errorf("of %q is told %q, want %q", reference, got, told)
		}
		for _, payload := range []event.Payload{said, saidBack} {
			body, err := event.Orders.Encode(event.New(Name, time.Now(), "", payload))
			if err != nil {
				t.Errorf("%q: %v", reference, err)
			} else if _, err := event.Orders.Decode(body); err != nil {
				t.Errorf("%q: %v", reference, err)
			}
		}
	}
}

// placedOrder is an order that can be sent.
func placedOrder() event.Order {
	o := order
	o.CustomerID, o.PaymentMethod = "c", "pm_ok"
	o.Items = []event.Item{{ProductID: "p", Quantity: 2, UnitPrice: event.MinorAmount(1999, "EUR")}}
	o.ShippingAddress = event.Address{Name: "Ada", Line1: "Main Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"}
	return o
}

func TestFirstReasonToTakeBackStays(t *testing.T) {
	marked := Open(&order, id).Takeback(event.ReasonCustomerRequest).Takeback(event.ReasonOutOfStock)
	settled, _ := marked.Settle(&order, Verdict{Reference: "ch_1"})
	_, said := settled.Repaid(&order)
	if e := said.(*event.PaymentRefunded); e.Reason != event.ReasonCustomerRequest {
		t.Errorf("refunded for %s, want %s", e.Reason, event.ReasonCustomerRequest)
	}
}
