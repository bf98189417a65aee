package verify

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"orderflow/services/order"
)

// tallied adds up records without a look at the rules.
func tallied(limit int, standings ...string) *tally {
	t := newTally(limit)
	for _, text := range standings {
		r := standing(text)
		t.add(r, r.judge(usual))
	}
	return t
}

func TestReport(t *testing.T) {
	r := tallied(0, "shipped charged shipped created", "shipped charged shipped created", "cancelled refunded released failed",
		"cancelled failed - -", "reserved charged reserved booking", "cancelling refunding released failed", "cancelling refunded released failed").report(usual)
	if want := (Money{Charged: "60.00", Refunded: "20.00", Shipped: "40.00", Held: "40.00"}); r.Money["EUR"] != want || len(r.Money) != 1 {
		t.Errorf("money is %+v, want %+v", r.Money, want)
	}
	want := map[order.Status]int{"placed": 0, "paid": 0, "reserved": 1, "shipped": 2, "cancelling": 2, "cancelled": 2}
	if !reflect.DeepEqual(r.Orders, want) || r.UnderWay != 3 {
		t.Errorf("orders are %v, %d under way; want %v", r.Orders, r.UnderWay, want)
	}
	if r.OK || len(r.Broken) != 3 || r.Broken[2].Line != OrdersEnd {
		t.Errorf("broken is %+v, want three orders that have not ended", r.Broken)
	}
	for _, l := range r.Lines {
		if checked := map[Line]int{
			OrdersEnd: 7, PaymentsFit: 7, MoneyAddsUp: 1, ReservationsFit: 6, ParcelsFit: 6, OneOfEach: 7, SaidOnce: 7, StatusesKnown: 26,
		}[l.Line]; l.Checked != checked {
			t.Errorf("%s checked %d, want %d", l.Line, l.Checked, checked)
		}
	}
}

// A money that does not add up is found by its currency, even where sums are larger than 64 bits.
func TestSums(t *testing.T) {
	books := newTally(0)
	for range 3 {
		r := standing("shipped charged shipped created")
		r.orders[0].TotalAmount.Minor, r.payments[0].Amount = math.MaxInt64, math.MaxInt64
		books.add(r, nil)
	}
	if r := books.report(usual); !r.OK || r.Money["EUR"].Shipped != "276701161105643274.21" {
		t.Errorf("%+v", r)
	}
	r := standing("shipped charged shipped created")
	r.payments[0].Amount++
	books.add(r, nil)
	want := Finding{MoneyAddsUp, "EUR", "charged 276701161105643294.22 − refunded 0.00 = 276701161105643294.22, but 276701161105643294.21 shipped"}
	if r := books.report(usual); r.OK || len(r.Broken) != 1 || r.Broken[0] != want {
		t.Errorf("%+v, want %+v", r.Broken, want)
	}
}

// What is shown is limited, what is counted is not.
func TestLimit(t *testing.T) {
	late := "placed - - -"
	books := tallied(2, late, late)
	books.merge(tallied(2, late, late, late))
	r := books.report(usual)
	if len(r.Broken) != 2 || r.Lines[OrdersEnd].Broken != 5 || r.Lines[OrdersEnd].Checked != 5 || r.Orders[order.Placed] != 5 {
		t.Errorf("%+v", r)
	}
}

func TestReportAsJSON(t *testing.T) {
	text, err := json.Marshal(tallied(0).report(usual))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		OK     bool
		Lines  []struct{ Line, Promise string }
		Broken []struct{}
	}
	if err := json.Unmarshal(text, &r); err != nil || !r.OK || r.Broken == nil || len(r.Lines) != int(lineCount) {
		t.Fatalf("%s, %v", text, err)
	}
	names := map[string]bool{}
	for _, l := range r.Lines {
		names[l.Line] = true
		if l.Line == "" || l.Promise == "" {
			t.Errorf("%+v", l)
		}
	}
	if len(names) != int(lineCount) {
		t.Errorf("names of lines repeat: %s", text)
	}
}
