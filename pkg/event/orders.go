package event

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Limits of an order. They keep the largest event far below MaxSize and every sum within 64 bits.
const (
	MaxItems    = 500
	MaxQuantity = 1_000_000_000
	MaxText     = 200 // characters of a text
)

// Order is what every event of the workflow carries, so that no consumer has to ask anyone.
type Order struct {
	OrderID         uuid.UUID `json:"order_id"`         // the order that the event is about
	CustomerID      string    `json:"customer_id"`      // who ordered, as the client that placed the order calls them
	Currency        string    `json:"currency"`         // of all amounts, by ISO 4217
	TotalAmount     Amount    `json:"total_amount"`     // the sum of the items
	Items           []Item    `json:"items"`            // what was ordered
	PaymentMethod   string    `json:"payment_method"`   // what the payment gateway charges
	ShippingAddress Address   `json:"shipping_address"` // where the parcel goes
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"product_id"` // as in the stock
	Quantity  int64  `json:"quantity"`   // how many of it
	UnitPrice Amount `json:"unit_price"` // of one of them
}

// Address is where a parcel goes.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"` // As the carrier wants it, such as "GB"; nothing here reads it.
}

// Subject is the order's id.
func (o *Order) Subject() uuid.UUID { return o.OrderID }

// Base returns the order itself; through it, code that needs only the order can take any event of the workflow.
func (o *Order) Base() *Order { return o }

// Validate reports the first field that is wrong, as a *FieldError with a pointer into the order.
func (o *Order) Validate() error {
	if o.OrderID == uuid.Nil {
		return fieldErrorf("/order_id", "is missing")
	}
	if err := o.ValidateTerms(); err != nil {
		return err
	}
	total, err := o.Sum()
	if err != nil {
		return err
	}
	if total != o.TotalAmount {
		return fieldErrorf("/total_amount", "is %s, but the items add up to %s", o.TotalAmount, total)
	}
	return nil
}

// ValidateTerms checks what a customer says: everything but the id and the total. It reports the first field that is wrong.
func (o *Order) ValidateTerms() (first error) {
	o.checkTerms(func(err error) bool {
		first = err
		return err == nil
	})
	return first
}

// TermFaults is ValidateTerms for those who mend it: all fields that are wrong, but no more than limit.
func (o *Order) TermFaults(limit int) (all FieldErrors) {
	o.checkTerms(func(err error) bool {
		if f, wrong := errors.AsType[*FieldError](err); wrong {
			all = append(all, f)
		}
		return len(all) < limit
	})
	return all
}

// checkTerms tells found what comes of the check of each field, nil or a *FieldError, as long as that returns true.
func (o *Order) checkTerms(found func(error) bool) bool {
	decimals, known := Decimals(o.Currency)
	return found(text("/customer_id", o.CustomerID, true, MaxText)) &&
		(known || found(fieldErrorf("/currency", "%q is not an ISO 4217 code such as \"EUR\"", o.Currency))) &&
		o.checkItems(found, decimals, known) &&
		found(text("/payment_method", o.PaymentMethod, true, MaxText)) &&
		o.ShippingAddress.check(func(err error) bool { return err == nil || found(below("/shipping_address", err)) })
}

func (o *Order) checkItems(found func(error) bool, decimals uint8, known bool) bool {
	if len(o.Items) == 0 {
		return found(fieldErrorf("/items", "must have at least one item"))
	}
	if len(o.Items) > MaxItems {
		return found(fieldErrorf("/items", "has more than %d items", MaxItems))
	}
	for i := range o.Items {
		item := &o.Items[i]
		price := error(nil)
		if known {
			price = item.checkPrice(o.Currency, decimals)
		}
		in := func(err error) bool { return err == nil || found(below(fmt.Sprintf("/items/%d", i), err)) }
		if !(in(text("/product_id", item.ProductID, true, MaxText)) && in(item.checkQuantity()) && in(price)) {
			return false
		}
	}
	return true
}

func (i *Item) checkQuantity() error {
	if i.Quantity < 1 || i.Quantity > MaxQuantity {
		return fieldErrorf("/quantity", "must be from 1 to %d, is %d", MaxQuantity, i.Quantity)
	}
	return nil
}

func (i *Item) checkPrice(currency string, decimals uint8) error {
	if i.UnitPrice.Decimals != decimals {
		return fieldErrorf("/unit_price", "%q has %d decimals, %s has %d", i.UnitPrice, i.UnitPrice.Decimals, currency, decimals)
	}
	return nil
}

func (a *Address) check(found func(error) bool) bool {
	for _, f := range []struct {
		pointer, value string
		required       bool
	}{
		{"/name", a.Name, true}, {"/line1", a.Line1, true}, {"/line2", a.Line2, false}, {"/city", a.City, true},
		{"/region", a.Region, false}, {"/postal_code", a.PostalCode, true}, {"/country", a.Country, true},
	} {
		if !found(text(f.pointer, f.value, f.required, MaxText)) {
			return false
		}
	}
	return true
}

// Sum adds up the items. It fails, with a *FieldError, where the total does not fit into 64 bits.
func (o *Order) Sum() (Amount, error) {
	total := MinorAmount(0, o.Currency)
	for i, item := range o.Items {
		line, err := item.UnitPrice.Times(item.Quantity)
		if err == nil {
			total, err = total.Add(line)
		}
		if err != nil {
			return Amount{}, fieldErrorf(fmt.Sprintf("/items/%d", i), "makes the total too large: it must stay below %s",
				MinorAmount(1<<63-1, o.Currency))
		}
	}
	return total, nil
}

// OrderOf returns the order that an event of the catalog Orders carries.
func OrderOf(e *Event) *Order {
	return e.Data.(interface{ Base() *Order }).Base()
}

// OrderIDs returns the orders that events are about, each once, in the order in which their rows are to be locked.
func OrderIDs(events []*Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.Subject()
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
