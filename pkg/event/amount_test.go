package event

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"testing/quick"

	"github.com/go-json-experiment/json"
)

func TestAmountsAreWrittenAndReadWithTheirDecimals(t *testing.T) {
	for _, c := range []struct {
		currency string
		minor    int64
		text     string
	}{
		{"JPY", 0, "0"}, {"JPY", 1200, "1200"}, {"JPY", math.MaxInt64, "9223372036854775807"},
		{"EUR", 0, "0.00"}, {"EUR", 5, "0.05"}, {"EUR", 10, "0.10"}, {"EUR", 3998, "39.98"}, {"EUR", math.MaxInt64, "92233720368547758.07"},
		{"KWD", 1, "0.001"}, {"KWD", 1234, "1.234"}, {"KWD", math.MaxInt64, "9223372036854775.807"},
		{"CLF", 1, "0.0001"}, {"CLF", 12345, "1.2345"}, {"CLF", math.MaxInt64, "922337203685477.5807"},
	} {
		a := MinorAmount(c.minor, c.currency)
		if a.String() != c.text {
			t.Errorf("%d minor units of %s are written %q, want %q", c.minor, c.currency, a, c.text)
		}
		if back, err := ParseAmount(c.text); err != nil || back != a {
			t.Errorf("%q is read as %+v, %v, want %+v", c.text, back, err, a)
		}
	}
}

func TestWhatIsNotAnAmount(t *testing.T) {
	for _, s := range []string{
		"", " ", ".", "1.", ".5", "-1", "+1", "-0.01", "1,5", "1.2.3", "1e3", "0x10", "01", "00.5", " 1", "1 ", "1_000", "NaN", "Inf",
		"١", "1.٥", "1.0000000001",
	} {
		if a, err := ParseAmount(s); err == nil {
			t.Errorf("%q is read as %+v, want an error", s, a)
		}
	}
	for _, s := range []string{"9223372036854775808", "92233720368547758.08", "99999999999999999999999"} {
		if a, err := ParseAmount(s); !errors.Is(err, ErrOverflow) {
			t.Errorf("%q is read as %+v, %v, want ErrOverflow", s, a, err)
		}
	}
}

func TestAmountsAreJSONStrings(t *testing.T) {
	b, err := json.Marshal(MinorAmount(3998, "EUR"))
	if err != nil || string(b) != `"39.98"` {
		t.Errorf("written as %s, %v", b, err)
	}
	for _, s := range []string{`39.98`, `39`, `null`, `true`, `{}`, `["1"]`, `""`, `"x"`} {
		a := Amount{Minor: 1}
		if err := json.Unmarshal([]byte(s), &a); err == nil {
			t.Errorf("%s is read as %+v, want an error", s, a)
		}
	}
}

func TestDecimals(t *testing.T) {
	for currency, want := range map[string]uint8{"JPY": 0, "EUR": 2, "USD": 2, "KWD": 3, "CLF": 4} {
		if d, ok := Decimals(currency); !ok || d != want {
			t.Errorf("%s has %d decimals, %v, want %d", currency, d, ok, want)
		}
	}
	for _, currency := range []string{"", "eur", "Eur", "EURO", "XXQ", " EUR", "€"} {
		if d, ok := Decimals(currency); ok {
			t.Errorf("%q has %d decimals, but is no currency", currency, d)
		}
	}
}

// What is written is read again as it was, in JSON too.
func TestAmountRoundTrip(t *testing.T) {
	check(t, func(minor int64, decimals uint8) bool {
		a := Amount{Minor: positive(minor), Decimals: decimals % 5}
		back, err := ParseAmount(a.String())
		var fromJSON Amount
		b, _ := json.Marshal(a)
		return err == nil && back == a && json.Unmarshal(b, &fromJSON) == nil && fromJSON == a
	})
}

// Sums and products are those of whole numbers without a limit, or ErrOverflow where those do not fit.
func TestAmountArithmetic(t *testing.T) {
	exact := func(got Amount, err error, want *big.Int) bool {
		if !want.IsInt64() {
			return errors.Is(err, ErrOverflow)
		}
		return err == nil && got == Amount{Minor: want.Int64(), Decimals: 2}
	}
	add := func(a, b int64) bool {
		sum, err := Amount{Minor: a, Decimals: 2}.Add(Amount{Minor: b, Decimals: 2})
		return exact(sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
	}
	times := func(a, n int64) bool {
		product, err := Amount{Minor: a, Decimals: 2}.Times(n)
		return exact(product, err, new(big.Int).Mul(big.NewInt(a), big.NewInt(n)))
	}
	check(t, func(a, b int64, shift uint8) bool {
		a, b = positive(a)>>(shift%64), positive(b)>>(63-shift%64) // some fit and some do not
		return add(a, b) && times(a, b)
	})
	for _, edge := range [][2]int64{
		{0, 0}, {0, math.MaxInt64}, {math.MaxInt64, 0}, {math.MaxInt64, 1}, {1, math.MaxInt64}, {math.MaxInt64 / 2, 2},
		{math.MaxInt64/2 + 1, 2}, {math.MaxInt64, math.MaxInt64}, {1 << 32, 1 << 31}, {1<<32 - 1, 1 << 31},
	} {
		if !add(edge[0], edge[1]) || !times(edge[0], edge[1]) {
			t.Errorf("wrong at %d and %d", edge[0], edge[1])
		}
	}
}

func positive(n int64) int64 { return n & math.MaxInt64 }

func check(t *testing.T, property any) {
	t.Helper()
	if err := quick.Check(property, &quick.Config{MaxCount: 20_000}); err != nil {
		t.Error(err)
	}
}
