package dlq

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// placed is a dead letter with an event in it.
func placed(t *testing.T, customer string) broker.Message {
	t.Helper()
	price := event.MinorAmount(1999, "EUR")
	e := event.New("order", time.Now(), uuid.NewString(), &event.OrderPlaced{Order: event.Order{
		OrderID: uuid.New(), CustomerID: customer, Currency: "EUR", TotalAmount: price,
		Items:           []event.Item{{ProductID: "demo-1", Quantity: 1, UnitPrice: price}},
		ShippingAddress: event.Address{Name: "Ada", Line1: "Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"}, PaymentMethod: "pm_ok",
	}})
	body, err := event.Orders.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	m := deadLetter(e.ID.String(), work)
	m.Body, m.CorrelationID = body, e.CorrelationID
	return m
}

func TestEdit(t *testing.T) {
	b := newBench(t)
	ada, bob := placed(t, "ada"), placed(t, "bob")
	for name, c := range map[string]struct {
		patch string
		newID bool
	}{
		"JSON Patch":  {`[{"op":"test","path":"/data/customer_id","value":"ada"},{"op":"replace","path":"/data/shipping_address/city","value":"<Bonn>"}]`, false},
		"merge patch": {`{"data":{"shipping_address":{"city":"<Bonn>"}}}`, false},
		"new id":      {`{"data":{"shipping_address":{"city":"<Bonn>"}}}`, true},
	} {
		b.empty(dead)
		b.publish(ada, bob, deadLetter("no event", work))
		patch, err := ParsePatch([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		where, err := ParseFilter(`data.customer_id == "ada" or id == "no event"`)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "originals")
		store, err := OpenStore(path, false)
		if err != nil {
			t.Fatal(err)
		}
		shown := ""
		see := func(_ string, _ Letter, instead broker.Message, _ Outcome) { shown += string(instead.Body) }
		run := b.replay(Job{Do: Edit(event.Orders, patch, c.newID, store), Where: where, See: see})
		if store.Close(); run.Count(Edited) != 1 || run.Count(Unfit) != 1 || run.Count(Unmatched) != 1 {
			t.Errorf("%s: %+v", name, run)
		}
		arrived := b.look(work, 0)
		b.empty(work)
		if len(arrived) != 1 || string(arrived[0].Body) != shown {
			t.Fatalf("%s: arrived %+v, shown %s", name, arrived, shown)
		}
		e, err := event.Orders.Decode(arrived[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		order := e.Data.(*event.OrderPlaced)
		if order.ShippingAddress.City != "<Bonn>" || order.CustomerID != "ada" || (e.ID.String() == ada.ID) == c.newID || arrived[0].ID != e.ID.String() {
			t.Errorf("%s: %s", name, arrived[0].Body)
		}
		if c.newID && !event.IDTime(e.ID).Equal(event.IDTime(uuid.MustParse(ada.ID))) {
			t.Errorf("%s: the new id is of another time", name)
		}
		if stored := kept(t, path); len(stored) != 1 || !bytes.Equal(stored[0].Message.Body, ada.Body) {
			t.Errorf("%s: kept %+v", name, stored)
		}
	}
}

// The same edit makes the same id, so that doing it twice has the effect of doing it once.
func TestNewIDFollowsFromTheEdit(t *testing.T) {
	l := Read(placed(t, "ada"))
	made := func(text string) string {
		patch, err := ParsePatch([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Edit(event.Orders, patch, true, nil).Send(&l, "run")
		if err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	one, two := `{"data":{"customer_id":"bob"}}`, `{"data":{"customer_id":"eve"}}`
	first := made(one)
	if again := made(one); again != first || made(two) == first || first == l.ID {
		t.Errorf("%s, %s, %s of %s", first, again, made(two), l.ID)
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`x`: "no JSON", `5`: "a patch is a list", `[]`: "no operations", `[{"op":"ad","path":"/a"}]`: "unsupported operation",
		`[{"op":"add"}]`: "cannot be read", `[5]`: "cannot be read",
	} {
		if _, err := ParsePatch([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	l := Read(placed(t, "ada"))
	for _, body := range []string{"", "null", "[]", "[1]", "5", "no JSON", `{"a":`} {
		for _, text := range []string{`{"a":1}`, `[{"op":"replace","path":"","value":null}]`, `[{"op":"add","path":"/a","value":1}]`} {
			patch, err := ParsePatch([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			garbage := Letter{Message: broker.Message{Body: []byte(body)}}
			if _, err := Edit(event.Orders, patch, false, nil).Send(&garbage, "run"); err == nil || !strings.Contains(err.Error(), "no JSON object") {
				t.Errorf("%s of %q: %v", text, body, err)
			}
		}
	}
	for text, want := range map[string]string{
		`[{"op":"replace","path":"","value":null}]`: "no JSON object", `{"data":{"amuont":"5.00"}}`: "a field that no event has: /data/amuont",
		`{}`: "changes nothing", `{"data":{"customer_id":"ada"}}`: "changes nothing", `{"data":{"customer_id":null}}`: "/data/customer_id is missing",
		`{"id":"` + event.NewID().String() + `"}`: "which is not its own", `[{"op":"test","path":"/data/customer_id","value":"bob"}]`: "cannot be applied",
		`[{"op":"remove","path":"/none"}]`: "cannot be applied", `{"type":"NoSuch"}`: "no valid event",
	} {
		patch, err := ParsePatch([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Edit(event.Orders, patch, false, nil).Send(&l, "run"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q; %s", text, err, want, m.Body)
		}
	}
}
