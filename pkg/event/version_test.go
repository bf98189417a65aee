package event

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// voided is PaymentVoided as it might have been before there were reasons.
type voided struct {
	Order
	PaymentID uuid.UUID `json:"payment_id"`
}

func (*voided) Type() Type        { return TypePaymentVoided }
func (v *voided) Validate() error { return v.check(needID("/payment_id", v.PaymentID)) }

func twoVersions(lift func(*voided) Payload) *Catalog {
	return NewCatalog("x", NewKind[PaymentVoided](2, "payment", "payment.voided", true).Reading(Lift(1, lift)))
}

func TestOlderVersionsAreLifted(t *testing.T) {
	before := NewCatalog("x", NewKind[voided](1, "payment", "payment.voided", true))
	now := twoVersions(func(v *voided) Payload { return &PaymentVoided{v.Order, v.PaymentID, ReasonCustomerRequest} })
	body, err := before.Encode(&Event{ID: someID, Source: "payment", Time: someAt, Data: &voided{anOrder(), someID}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := now.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := e.Data.(*PaymentVoided); !ok || v.Reason != ReasonCustomerRequest || v.OrderID != anOrder().OrderID {
		t.Errorf("lifted to %#v", e.Data)
	}
	again, err := now.Encode(e)
	if err != nil || !strings.Contains(string(again), `PaymentVoided:2"`) || !strings.Contains(string(again), `"reason":"customer_request"`) {
		t.Errorf("sent on as %s, %v", again, err)
	}
	if _, err := before.Decode(again); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("version 2 where only 1 is known: %v", err)
	}
	third := strings.Replace(string(again), "PaymentVoided:2", "PaymentVoided:3", 1)
	if _, err := now.Decode([]byte(third)); !errors.Is(err, ErrUnsupportedVersion) || !strings.Contains(err.Error(), "version 3, this program reads versions 2 and 1") {
		t.Errorf("version 3: %v", err)
	}
	spoilt := strings.Replace(string(body), someID.String()+`"}`, uuid.Nil.String()+`"}`, 1)
	_, err = now.Decode([]byte(spoilt))
	wantField(t, err, "/data/payment_id")
	if err := now.Known(body); err != nil {
		t.Errorf("a field of version 1 is not known: %v", err)
	}
}

// A lift that makes something of it that is not valid, or about another order, is found out.
func TestWhatIsLiftedIsChecked(t *testing.T) {
	before := NewCatalog("x", NewKind[voided](1, "payment", "payment.voided", true))
	body, err := before.Encode(&Event{ID: someID, Source: "payment", Time: someAt, Data: &voided{anOrder(), someID}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = twoVersions(func(v *voided) Payload { return &PaymentVoided{v.Order, v.PaymentID, ""} }).Decode(body)
	wantField(t, err, "/data/reason")
	_, err = twoVersions(func(v *voided) Payload {
		v.OrderID = someID
		return &PaymentVoided{v.Order, v.PaymentID, ReasonOutOfStock}
	}).Decode(body)
	wantField(t, err, "/subject")
}

func TestVersionsThatCannotBe(t *testing.T) {
	for name, make := range map[string]func(){
		"another type": func() {
			NewKind[OrderShipped](2, "order", "x", false).Reading(Lift(1, func(v *voided) Payload { return v }))
		},
		"twice": func() {
			NewKind[PaymentVoided](1, "payment", "x", false).Reading(Lift(1, func(v *voided) Payload { return v }))
		},
		"too late": func() {
			Orders.Kind(TypePaymentVoided).Reading(Lift(7, func(v *voided) Payload { return v }))
		},
		"no schema": func() {
			c := NewCatalog("x", NewKind[PaymentProcessed](7, "payment", "x", false)).Against(Schemas)
			c.Decode([]byte(strings.NewReplacer("Processed:1", "Processed:7", `"data":{`, `"data":{ `).Replace(wire)))
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			make()
		}()
	}
}

// Every version of the catalog has its own file, and the wire's data is decoded by it.
func TestVersionNamesItsFile(t *testing.T) {
	v := Orders.Kind(TypePaymentProcessed).Versions()[0]
	if v.File() != "PaymentProcessed.v1.json" || v.Schema != "urn:orderflow:event:PaymentProcessed:1" || v.Number != 1 {
		t.Errorf("%+v, file %s", v, v.File())
	}
	var doc struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(wire), &doc); err != nil || v.check(doc.Data) != nil {
		t.Errorf("%v, %v", err, v.check(doc.Data))
	}
}
