package bench

import (
	"encoding/json"
	"strings"
	"testing"

	"orderflow/pkg/client"
)

func TestParseMix(t *testing.T) {
	for _, c := range []struct {
		text string
		want Mix
		err  string
	}{
		{"", Mix{100}, ""},
		{"declined=5", Mix{95, 5}, ""},
		{"declined=5,out_of_stock=2.5,cancelled=3", Mix{89.5, 5, 2.5, 3}, ""},
		{"cancelled = 100", Mix{0, 0, 0, 100}, ""},
		{"declined=60,cancelled=41", Mix{}, "101 % together"},
		{"declined=-1", Mix{}, `"-1" is not a number of percent`},
		{"declined=NaN", Mix{}, `"NaN" is not a number of percent`},
		{"declined=101", Mix{}, "from 0 to 100"},
		{"declined", Mix{}, `"" is not a number of percent`},
		{"declined=1,declined=1", Mix{}, "declined is there twice"},
		{"shipped=50", Mix{}, `no kind "shipped"`},
		{"lost=5", Mix{}, "the kinds are declined, out_of_stock, cancelled"},
		{"declined=5,", Mix{}, `no kind ""`},
	} {
		mix, err := ParseMix(c.text)
		switch {
		case c.err == "" && (err != nil || mix != c.want):
			t.Errorf("%q: %v, %v, want %v", c.text, mix, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: %v, want %s", c.text, err, c.err)
		}
	}
}

// TestNewOrders counts kinds, and looks for what tells them from each other.
func TestNewOrders(t *testing.T) {
	for _, c := range []struct {
		n    int
		mix  Mix
		want [kindCount]int
	}{
		{200, Mix{100}, [kindCount]int{200}},
		{200, Mix{90, 5, 2, 3}, [kindCount]int{180, 10, 4, 6}},
		{7, Mix{0, 0, 0, 100}, [kindCount]int{0, 0, 0, 7}},
		{3, Mix{0, 50, 50, 0}, [kindCount]int{0, 2, 1, 0}}, // two and two would be one too many
		{mostBodies + 1, Mix{99, 1}, [kindCount]int{mostBodies * 99 / 100, mostBodies / 100}},
	} {
		var got [kindCount]int
		named := map[string]bool{}
		for _, o := range newOrders(c.n, c.mix) {
			got[o.kind]++
			var b client.OrderRequest
			if err := json.Unmarshal(o.body, &b); err != nil || len(b.Items) != itemsEach {
				t.Fatalf("%v: %s", err, o.body)
			}
			if (b.PaymentMethod == "pm_declined") != (o.kind == Declined) || (b.Items[0].Quantity > inStock) != (o.kind == OutOfStock) {
				t.Fatalf("%s: %s", o.kind, o.body)
			}
			for _, i := range b.Items {
				named[i.ProductID] = true
			}
		}
		if got != c.want {
			t.Errorf("%d orders of %v: %v, want %v", c.n, c.mix, got, c.want)
		}
		if c.n > mostBodies && len(named) != products {
			t.Errorf("%d orders name %d products, want %d", c.n, len(named), products)
		}
	}
}
