package access

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"orderflow/pkg/httpapi"
)

// Entry is what the file says of one caller. The scopes, without which it is refused, stand at the end, so that no entry is taken that is
// cut short, and is perhaps for all customers because of that.
type Entry struct {
	Name      string   `yaml:"name" json:"name"`
	Hash      Hashes   `yaml:"hash" json:"hash"`
	Customers []string `yaml:"customers,flow,omitempty" json:"customers,omitempty"` // none: all customers
	Rate      float64  `yaml:"rate,omitempty" json:"rate,omitempty"`                // requests a second; none: the rate of those without one
	Burst     int      `yaml:"burst,omitempty" json:"burst,omitempty"`              // requests at once; none: those of one second
	Expires   string   `yaml:"expires,omitempty" json:"expires,omitempty"`          // 2027-01-31, or a time as of RFC 3339
	Scopes    []string `yaml:"scopes,flow" json:"scopes"`
}

// Scopes are what a key may be allowed to.
var Scopes = []httpapi.Scope{httpapi.OrdersRead, httpapi.OrdersWrite, httpapi.StockWrite, httpapi.Ops}

// YAML is the entry as it stands in the file, below "keys:".
func (e Entry) YAML() (string, error) {
	text, err := yaml.Marshal([]Entry{e})
	return strings.TrimSuffix("  "+strings.ReplaceAll(string(text), "\n", "\n  "), "  "), err
}

// key is one of the keys of an entry that was checked.
type key struct {
	*caller
	hash    hash
	expires time.Time // zero: never
}

func (k *key) expired(now time.Time) bool { return !k.expires.IsZero() && !now.Before(k.expires) }

// The limits of an entry.
const (
	maxRate      = 1_000_000
	maxCustomers = 1000
	maxCustomer  = 200 // characters
)

// keyName leaves out the colon, so that no key is called as a token's owner is.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckNew reports what is wrong with an entry for a key that is made now, and what would be right.
func (e Entry) CheckNew(now time.Time) error {
	keys, wrong := e.read()
	if len(wrong) == 0 && keys[0].expired(now) {
		return fmt.Errorf("expires %s is in the past: the key would never be good", e.Expires)
	}
	errs := make([]error, len(wrong))
	for i, w := range wrong {
		errs[i] = w.err
	}
	return errors.Join(errs...)
}

// wrongField is what is wrong with a field.
type wrongField struct {
	field string
	err   error
}

// read returns the keys of the entry, which have one caller, and all that is wrong with the entry.
func (e Entry) read() (keys []*key, wrong []wrongField) {
	check := func(field string, err error) {
		if err != nil {
			wrong = append(wrong, wrongField{field, err})
		}
	}
	check("name", checkName(e.Name))
	sums, err := e.Hash.read()
	check("hash", err)
	check("customers", checkCustomers(e.Customers))
	check("rate", checkRate(e.Rate))
	check("burst", checkBurst(e.Burst, e.Rate))
	expires, err := readExpiry(e.Expires)
	check("expires", err)
	scopes, err := readScopes(e.Scopes)
	check("scopes", err)
	c := &caller{Caller: httpapi.Caller{Name: e.Name, Scopes: scopes, Customers: e.Customers}}
	if e.Rate > 0 {
		c.limit = newLimit(Rate{e.Rate, e.Burst})
	}
	for _, sum := range sums {
		keys = append(keys, &key{caller: c, hash: sum, expires: expires})
	}
	return keys, wrong
}

func checkName(name string) error {
	if strings.HasPrefix(name, keyPrefix) { // which gets into logs
		return fmt.Errorf("the name begins as a key does, with %s; a key itself is nowhere in the file", keyPrefix)
	}
	if !keyName.MatchString(name) {
		return fmt.Errorf("name %s is not 1 to 64 letters, digits, dots, dashes and underscores", quote(name))
	}
	return nil
}

func readScopes(given []string) ([]httpapi.Scope, error) {
	if len(given) == 0 {
		return nil, fmt.Errorf("scopes are missing: they are some of %s", scopeNames())
	}
	scopes := make([]httpapi.Scope, len(given))
	for i, name := range given {
		if scopes[i] = httpapi.Scope(name); !slices.Contains(Scopes, scopes[i]) {
			return nil, fmt.Errorf("there is no scope %s: the scopes are %s", quote(name), scopeNames())
		}
	}
	return scopes, nil
}

func checkCustomers(customers []string) error {
	if customers != nil && len(customers) == 0 {
		return errors.New("customers is empty: leave it out if the key is for the orders of all customers")
	}
	if len(customers) > maxCustomers {
		return fmt.Errorf("%d customers are more than %d", len(customers), maxCustomers)
	}
	for _, c := range customers {
		if strings.TrimSpace(c) == "" || len([]rune(c)) > maxCustomer || strings.ContainsFunc(c, unicode.IsControl) {
			return fmt.Errorf("customer %s is not the id of a customer: that is text of 1 to %d characters", quote(c), maxCustomer)
		}
	}
	return nil
}

func checkRate(rate float64) error {
	if rate < 0 || rate > maxRate || math.IsNaN(rate) {
		return fmt.Errorf("rate %v is not more than 0 and at most %d requests a second", rate, maxRate)
	}
	return nil
}

func checkBurst(burst int, rate float64) error {
	if burst < 0 || burst > maxRate {
		return fmt.Errorf("burst %d is not from 1 to %d requests", burst, maxRate)
	}
	if burst > 0 && rate == 0 {
		return errors.New("burst is of no use without rate")
	}
	return nil
}

func readExpiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("expires %s is neither a date such as 2027-01-31, at whose first moment (UTC) it expires, nor a time such as 2027-01-31T12:00:00Z", quote(text))
}

// scopeNames are the scopes, for errors.
func scopeNames() string {
	names := make([]string, len(Scopes))
	for i, s := range Scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// quote is text for errors, unless it has a key in it that has got into the wrong place.
func quote(text string) string {
	if strings.Contains(text, keyPrefix) {
		return `"` + keyPrefix + `…"`
	}
	return fmt.Sprintf("%.100q", text)
}
