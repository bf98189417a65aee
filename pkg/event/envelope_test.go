package event

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	someID = uuid.MustParse("01890000-0000-7000-8000-00000000000a")
	someAt = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
)

// contract is what the design fixes for each type: the routing key, who sends it, and whether a queue of the workflow takes it; and
// an example with every field set.
var contract = []struct {
	key, source string
	expected    bool
	example     Payload
}{
	{"order.placed", "order", true, &OrderPlaced{anOrder()}},
	{"payment.processed", "payment", true, &PaymentProcessed{anOrder(), aPayment()}},
	{"payment.failed", "payment", true, &PaymentFailed{anOrder(), someID, ReasonPaymentFailed, "no funds"}},
	{"inventory.reserved", "inventory", true, &InventoryReserved{anOrder(), someID}},
	{"inventory.rejected", "inventory", true, &InventoryRejected{anOrder(), someID, ReasonUnknownProduct, []string{"demo-2"}}},
	{"shipment.created", "shipping", true, &ShipmentCreated{anOrder(), Shipment{someID, "post", "T1"}}},
	{"shipment.failed", "shipping", true, &ShipmentFailed{anOrder(), someID, ReasonShipmentFailed, "no such street"}},
	{"order.cancellation-requested", "order", true, &CancellationRequested{anOrder(), ReasonCustomerRequest}},
	{"shipment.cancellation-rejected", "shipping", true, &CancellationRejected{anOrder(), Shipment{someID, "post", "T1"}}},
	{"shipment.cancelled", "shipping", true, &ShipmentCancelled{anOrder(), someID, ReasonCustomerRequest}},
	{"inventory.released", "inventory", true, &InventoryReleased{anOrder(), someID, ReasonOutOfStock}},
	{"payment.refunded", "payment", true, &PaymentRefunded{anOrder(), aPayment(), ReasonOutOfStock}},
	{"payment.voided", "payment", true, &PaymentVoided{anOrder(), someID, ReasonCustomerRequest}},
	{"order.shipped", "order", false, &OrderShipped{anOrder()}},
	{"order.cancelled", "order", false, &OrderCancelled{anOrder(), ReasonOutOfStock}},
}

func aPayment() Payment {
	return Payment{PaymentID: someID, Amount: MinorAmount(4248, "EUR"), GatewayReference: "ch_1"}
}

func TestContract(t *testing.T) {
	if Orders.Exchange != "orders.events" || len(Orders.Kinds()) != len(contract) {
		t.Errorf("%d types in %s, want %d in orders.events", len(Orders.Kinds()), Orders.Exchange, len(contract))
	}
	for _, c := range contract {
		k := Orders.Kind(c.example.Type())
		if k == nil || k.RoutingKey != c.key || k.Source != c.source || k.Expected != c.expected || k.Version != 1 {
			t.Errorf("%s is %+v, want %+v", c.example.Type(), k, c)
		}
	}
}

func TestEveryTypeComesBackAsItWas(t *testing.T) {
	for _, c := range contract {
		e := &Event{
			ID: someID, Source: c.source, Time: someAt, CorrelationID: "req-1", CausationID: NewID().String(),
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Data: c.example,
		}
		body, err := Orders.Encode(e)
		if err != nil {
			t.Errorf("%s: %v", e.Type(), err)
			continue
		}
		if back, err := Orders.Decode(body); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s came back as\n%+v, %v\nfrom %s", e.Type(), back, err, body)
		}
	}
}

// An event on the wire, to the letter.
const wire = `{"specversion":"1.0","id":"01890000-0000-7000-8000-00000000000a","source":"/payment","type":"PaymentProcessed",` +
	`"subject":"01890000-0000-7000-8000-000000000001","time":"2026-01-02T03:04:05.6789Z","datacontenttype":"application/json",` +
	`"dataschema":"urn:orderflow:event:PaymentProcessed:1","correlationid":"req-1","causationid":"cause-1","traceparent":"trace-1",` +
	`"data":{"order_id":"01890000-0000-7000-8000-000000000001","customer_id":"c-1","currency":"EUR","total_amount":"42.48",` +
	`"items":[{"product_id":"demo-1","quantity":2,"unit_price":"19.99"},{"product_id":"demo-2","quantity":1,"unit_price":"2.50"}],` +
	`"payment_method":"pm_ok","shipping_address":{"name":"Ada","line1":"Main Street 1","city":"Berlin","postal_code":"10115",` +
	`"country":"DE"},"payment_id":"01890000-0000-7000-8000-00000000000a","amount":"42.48","gateway_reference":"ch_1"}}`

func TestWireFormat(t *testing.T) {
	e := &Event{
		ID: someID, Source: "payment", Time: someAt, CorrelationID: "req-1", CausationID: "cause-1", TraceParent: "trace-1",
		Data: &PaymentProcessed{anOrder(), aPayment()},
	}
	if body, err := Orders.Encode(e); err != nil || string(body) != wire {
		t.Errorf("encoded as %v\n%s\nwant\n%s", err, body, wire)
	}
	if back, err := Orders.Decode([]byte(wire)); err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("decoded as %+v, %v", back, err)
	}
}

// set returns the wire event with one field changed; a value of nil takes the field away.
func set(t *testing.T, pointer string, value any) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(wire), &doc); err != nil {
		t.Fatal(err)
	}
	path := strings.Split(pointer[1:], "/")
	at := doc
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	if last := path[len(path)-1]; value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	for _, c := range []struct {
		pointer string
		values  []any
	}{
		{"/specversion", []any{nil, "", "0.3", 1}},
		{"/id", []any{nil, "", "nope", 7, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "00000000-0000-0000-0000-000000000000"}},
		{"/source", []any{nil, "", "payment", "/", 1, "/\x00", "/" + strings.Repeat("s", MaxText)}},
		{"/time", []any{nil, "", "yesterday", "2026-01-02", 1767323045, "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"}},
		{"/type", []any{nil, "", "PaymentGuessed", "paymentprocessed", true}},
		{"/dataschema", []any{
			nil, "", "urn:orderflow:event:PaymentProcessed", "urn:orderflow:event:PaymentProcessed:", "urn:orderflow:event:PaymentProcessed:x",
			"urn:orderflow:event:PaymentProcessed:0", "urn:orderflow:event:PaymentProcessed:-1", "urn:other:PaymentProcessed:1",
			"urn:orderflow:event:PaymentFailed:1", 1,
		}},
		{"/subject", []any{nil, "", "01890000-0000-7000-8000-000000000009", 5}},
		{"/correlationid", []any{1, "\x00", strings.Repeat("c", MaxForeign+1)}},
		{"/causationid", []any{1, "a\nb"}},
		{"/traceparent", []any{1, strings.Repeat("t", MaxForeign+1)}},
		{"/data", []any{nil, []any{}, "text", 1}},
		{"/data/order_id", []any{nil, "", "nope", 1}},
		{"/data/customer_id", []any{nil, "", 1}},
		{"/data/currency", []any{nil, "XXQ", 978}},
		{"/data/total_amount", []any{"42.49", "42.480", "42", 42.48, "99999999999999999999.00", ""}},
		{"/data/items", []any{nil, []any{}, "demo-1", map[string]any{}}},
		{"/data/shipping_address", []any{"Berlin"}},
		{"/data/shipping_address/name", []any{nil, "", 1}},
		{"/data/payment_id", []any{nil, "nope"}},
		{"/data/amount", []any{nil, "42.4", 42.48}},
	} {
		for _, value := range c.values {
			_, err := Orders.Decode(set(t, c.pointer, value))
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupportedVersion) {
				t.Errorf("%s = %#v: error %v, want ErrInvalid", c.pointer, value, err)
			}
			wantField(t, err, c.pointer)
		}
	}
	for pointer, item := range map[string]map[string]any{
		"/data/items/0":            {},
		"/data/items/0/quantity":   {"product_id": "p", "quantity": 1.5, "unit_price": "1.00"},
		"/data/items/0/unit_price": {"product_id": "p", "quantity": 1, "unit_price": 1},
		"/data/items/0/product_id": {"quantity": 1, "unit_price": "1.00"},
	} {
		value := []any{item}
		if len(item) == 0 {
			value = []any{"p"}
		}
		_, err := Orders.Decode(set(t, "/data/items", value))
		wantField(t, err, pointer)
	}
}

// Each type has the checks of its own fields.
func TestEveryTypeChecksItsOwnFields(t *testing.T) {
	for _, c := range contract {
		v := reflect.ValueOf(c.example).Elem()
		for name, pointer := range map[string]string{
			"PaymentID": "/data/payment_id", "ReservationID": "/data/reservation_id", "ShipmentID": "/data/shipment_id",
			"Reason": "/data/reason", "Carrier": "/data/carrier", "TrackingNumber": "/data/tracking_number", "OrderID": "/data/order_id",
			"ProductIDs": "/data/product_ids",
		} {
			if !v.FieldByName(name).IsValid() {
				continue
			}
			spoilt := reflect.New(v.Type())
			spoilt.Elem().Set(v)
			spoilt.Elem().FieldByName(name).SetZero()
			e := New(c.source, someAt, "", spoilt.Interface().(Payload))
			_, err := Orders.Encode(e)
			wantField(t, err, pointer)
			body, err := Orders.encode(e)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Orders.Decode(body); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s without %s: %v, want ErrInvalid", c.example.Type(), name, err)
			}
			wantField(t, err, pointer)
		}
	}
}

// What other systems said is stored, too: Postgres has to take it.
func TestTextsOfOthersAreChecked(t *testing.T) {
	for pointer, data := range map[string]Payload{
		"/data/detail":        &PaymentFailed{anOrder(), someID, ReasonPaymentFailed, "no\x00funds"},
		"/data/product_ids/1": &InventoryRejected{anOrder(), someID, ReasonOutOfStock, []string{"demo-1", "demo\x00"}},
		"/data/product_ids":   &InventoryRejected{anOrder(), someID, ReasonOutOfStock, slices.Repeat([]string{"demo-1"}, MaxItems+1)},
	} {
		_, err := Orders.Encode(New("payment", someAt, "", data))
		wantField(t, err, pointer)
	}
	_, err := Orders.Encode(New("shipping", someAt, "", &ShipmentFailed{anOrder(), someID, ReasonShipmentFailed, strings.Repeat("x", MaxText+1)}))
	wantField(t, err, "/data/detail")
}

// An error quotes what is wrong, but not all of it, and its pointer leads to something.
func TestErrorsAreShort(t *testing.T) {
	for _, c := range []struct{ body, pointer string }{
		{`{"specversion":"` + strings.Repeat("é", 10_000) + `"}`, "/specversion"},
		{`{"a":{"` + strings.Repeat("b", 10_000) + `":x}}`, "/a"},
		{strings.Repeat(`{"a":`, 1000) + "x", strings.Repeat("/a", maxPointer/2)},
	} {
		_, err := Orders.Decode([]byte(c.body))
		wantField(t, err, c.pointer)
		if len(err.Error()) > maxErrorText {
			t.Errorf("%d bytes: %.100s", len(err.Error()), err)
		}
	}
}

func TestWhatIsNoEventAtAll(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "not JSON": "hello", "half": wire[:len(wire)/2], "more": wire + "x", "two": wire + wire, "null": "null", "list": "[]",
		"text": `"x"`, "number": "7", "no fields": "{}", "nested": strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		"nested data": strings.Replace(wire, `"Ada"`, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000), 1),
		"huge":        strings.Replace(wire, "Ada", strings.Repeat("A", MaxSize), 1), "bytes": "\x00\xff\xfe",
		"no text": strings.Replace(wire, "Ada", "\xff", 1),
	} {
		if e, err := Orders.Decode([]byte(body)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: decoded as %+v, %v, want ErrInvalid", name, e, err)
		}
	}
}

func TestOtherVersionsAreUnsupported(t *testing.T) {
	for _, version := range []string{"2", "17"} {
		_, err := Orders.Decode(set(t, "/dataschema", "urn:orderflow:event:PaymentProcessed:"+version))
		if !errors.Is(err, ErrUnsupportedVersion) || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "version "+version) {
			t.Errorf("version %s: %v, want ErrUnsupportedVersion that names it", version, err)
		}
	}
	// Data of another version may have any shape; it is the version that is at fault.
	body := strings.Replace(wire, "PaymentProcessed:1", "PaymentProcessed:2", 1)
	body = strings.Replace(body, `"amount":"42.48"`, `"amount":{"value":4248}`, 1)
	if _, err := Orders.Decode([]byte(body)); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("new shape: %v, want ErrUnsupportedVersion", err)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	want, err := Orders.Decode([]byte(wire))
	if err != nil {
		t.Fatal(err)
	}
	for _, pointer := range []string{"/extension", "/data/coupon", "/data/shipping_address/floor"} {
		for _, value := range []any{"new", 1, []any{1}, map[string]any{"a": 1}} {
			if e, err := Orders.Decode(set(t, pointer, value)); err != nil || !reflect.DeepEqual(e, want) {
				t.Errorf("%s = %v: %+v, %v", pointer, value, e, err)
			}
		}
	}
}

func TestFollowKeepsTheThread(t *testing.T) {
	first := New("order", someAt.In(time.FixedZone("", 3600)), "req-1", &OrderPlaced{anOrder()})
	first.TraceParent = "trace-1"
	next := first.Follow("payment", someAt, &PaymentVoided{anOrder(), someID, ReasonCustomerRequest})
	if next.CorrelationID != "req-1" || next.CausationID != first.ID.String() || next.TraceParent != "trace-1" ||
		next.Source != "payment" || next.ID == first.ID || first.Time.Location() != time.UTC {
		t.Errorf("%+v follows %+v", next, first)
	}
	answers := Respond(nil, first, "payment", someAt, nil, next.Data, nil)
	if len(answers) != 1 || answers[0].Type() != TypePaymentVoided || answers[0].CausationID != first.ID.String() {
		t.Errorf("responded %+v", answers)
	}
}

func TestIDsTellTheirTime(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	id := NewID()
	if at := IDTime(id); at.Before(before) || at.After(time.Now()) || id.Version() != 7 {
		t.Errorf("id %s is of %s, made after %s", id, at, before)
	}
}

func TestCatalogRefusesATypeTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewCatalog("x", NewKind[OrderPlaced](1, "order", "a", true), NewKind[OrderPlaced](2, "order", "b", true))
}

func TestOnlyTypesOfTheCatalogAreEncoded(t *testing.T) {
	few := NewCatalog("x", NewKind[OrderPlaced](1, "order", "order.placed", true))
	if _, err := few.Encode(New("payment", someAt, "", &PaymentProcessed{anOrder(), aPayment()})); err == nil {
		t.Error("encoded a type that is not in the catalog")
	}
	if _, err := few.Decode([]byte(wire)); !errors.Is(err, ErrInvalid) {
		t.Errorf("decoded a type that is not in the catalog: %v", err)
	}
}
