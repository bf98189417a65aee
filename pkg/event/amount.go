package event

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/Rhymond/go-money"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrOverflow says that an amount does not fit into 64-bit minor units.
var ErrOverflow = errors.New("amount is too large")

// Amount is a sum of money that is not negative: a number of minor units and the number of decimals that it is written with.
// Which currency it is in stands beside it.
type Amount struct {
	Minor    int64 // cents of a euro, whole yen, fils of a dinar
	Decimals uint8 // 2, 0, 3
}

// Decimals tells how many decimals amounts in a currency have, by ISO 4217; ok is false where there is no such currency.
// The code is three capital letters.
func Decimals(currency string) (decimals uint8, ok bool) {
	c := money.GetCurrency(currency)
	if c == nil || c.Code != currency {
		return 0, false
	}
	return uint8(c.Fraction), true
}

// MinorAmount is an amount of minor units in a currency; a currency that does not exist counts as one without decimals.
func MinorAmount(minor int64, currency string) Amount {
	decimals, _ := Decimals(currency)
	return Amount{Minor: minor, Decimals: decimals}
}

// ParseAmount reads a plain decimal number such as "39.98": digits, and if there are decimals a point and at least one digit.
func ParseAmount(s string) (Amount, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return Amount{}, fmt.Errorf("%q is not a decimal number such as \"39.98\"", s)
	}
	if len(fraction) > 9 {
		return Amount{}, fmt.Errorf("%q has more decimals than any currency", s)
	}
	minor, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%q: %w", s, ErrOverflow)
	}
	return Amount{Minor: minor, Decimals: uint8(len(fraction))}, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Add returns a + b, which must have the same number of decimals, or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Minor > math.MaxInt64-b.Minor {
		return Amount{}, ErrOverflow
	}
	return Amount{Minor: a.Minor + b.Minor, Decimals: a.Decimals}, nil
}

// Times returns a × n for n that is not negative, or ErrOverflow.
func (a Amount) Times(n int64) (Amount, error) {
	high, low := bits.Mul64(uint64(a.Minor), uint64(n))
	if high != 0 || low > math.MaxInt64 {
		return Amount{}, ErrOverflow
	}
	return Amount{Minor: int64(low), Decimals: a.Decimals}, nil
}

// String writes a with all its decimals: "39.98", "0.05", "1200".
func (a Amount) String() string { return string(a.append(nil)) }

// append adds what String writes.
func (a Amount) append(to []byte) []byte {
	at, decimals := len(to), int(a.Decimals)
	to = strconv.AppendInt(to, a.Minor, 10)
	if decimals == 0 {
		return to
	}
	for len(to)-at <= decimals {
		to = slices.Insert(to, at, '0')
	}
	return slices.Insert(to, len(to)-decimals, '.')
}

// MarshalJSONTo writes a as a JSON string.
func (a Amount) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(append(a.append(append(enc.AvailableBuffer(), '"')), '"'))
}

// UnmarshalJSONFrom reads a JSON string; a JSON number is refused, since many programs read those as floats.
func (a *Amount) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		return fmt.Errorf("an amount is a string such as \"39.98\", not %s", value)
	}
	text, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*a, err = ParseAmount(text.String())
	return err
}
