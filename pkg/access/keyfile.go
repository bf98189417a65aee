package access

import (
	"cmp"
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

// fields are those that an entry may have.
var fields = []string{"name", "hash", "customers", "rate", "burst", "expires", "scopes"}

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

// The limits of an entry.
const (
	maxRate      = 1_000_000
	maxCustomers = 1000
	maxCustomer  = 200 // characters
)

// keyName leaves out the colon, so that no key is called as a token's owner is.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Check reports what is wrong with an entry, and what would be right.
func (e Entry) Check() error {
	_, err := e.read()
	return err
}

// read returns the keys of the entry, which have one caller.
func (e Entry) read() ([]*key, error) {
	if !keyName.MatchString(e.Name) {
		return nil, fmt.Errorf("name %.100q is not 1 to 64 letters, digits, dots, dashes and underscores", e.Name)
	}
	if strings.HasPrefix(e.Name, keyPrefix) { // which gets into logs
		return nil, fmt.Errorf("the name begins as a key does, with %s; a key itself is nowhere in the file", keyPrefix)
	}
	sums, err := e.Hash.read()
	if err != nil {
		return nil, err
	}
	scopes, err := readScopes(e.Scopes)
	if err != nil {
		return nil, err
	}
	if err := checkCustomers(e.Customers); err != nil {
		return nil, err
	}
	if err := e.checkRate(); err != nil {
		return nil, err
	}
	expires, err := readExpiry(e.Expires)
	if err != nil {
		return nil, err
	}
	c := &caller{Caller: httpapi.Caller{Name: e.Name, Scopes: scopes, Customers: e.Customers}}
	if e.Rate > 0 {
		c.limit = newLimit(Rate{e.Rate, e.Burst})
	}
	keys := make([]*key, len(sums))
	for i, sum := range sums {
		keys[i] = &key{caller: c, hash: sum, expires: expires}
	}
	return keys, nil
}

func readScopes(given []string) ([]httpapi.Scope, error) {
	if len(given) == 0 {
		return nil, fmt.Errorf("scopes are missing: they are some of %q", Scopes)
	}
	scopes := make([]httpapi.Scope, len(given))
	for i, name := range given {
		if scopes[i] = httpapi.Scope(name); !slices.Contains(Scopes, scopes[i]) {
			return nil, fmt.Errorf("there is no scope %.100q: they are %q", name, Scopes)
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
			return fmt.Errorf("customer %.100q is not the id of a customer: that is text of 1 to %d characters", c, maxCustomer)
		}
	}
	return nil
}

func (e Entry) checkRate() error {
	if e.Rate < 0 || e.Rate > maxRate || math.IsNaN(e.Rate) {
		return fmt.Errorf("rate %v is not more than 0 and at most %d requests a second", e.Rate, maxRate)
	}
	if e.Burst < 0 || e.Burst > maxRate {
		return fmt.Errorf("burst %d is not from 1 to %d requests", e.Burst, maxRate)
	}
	if e.Burst > 0 && e.Rate == 0 {
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
	return time.Time{}, fmt.Errorf("expires %.100q is neither a date such as 2027-01-31, at whose first moment (UTC) it expires, nor a time such as 2027-01-31T12:00:00Z", text)
}

// parseKeys reads the text of a file. It is strict: a key that may less or more than was meant is worse than none. The errors name lines.
func parseKeys(text []byte) (keys []*key, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	list, err := listOf(&root)
	if err != nil {
		return nil, err
	}
	var wrong []error
	for _, node := range list.Content {
		more, err := readEntry(node)
		if err == nil {
			err = unlike(keys, more)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", node.Line, err))
			continue
		}
		keys = append(keys, more...)
	}
	return keys, errors.Join(wrong...)
}

// listOf finds the list below "keys", the only thing there may be. Written out as empty, it means that there are no keys any more. An
// empty file does not mean that: it may be one that is just being written.
func listOf(root *yaml.Node) (*yaml.Node, error) {
	if len(root.Content) == 0 {
		return nil, errors.New("the file is empty; it begins with keys: and an entry for each key, which orderflow key new prints")
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) != 2 || top.Content[0].Value != "keys" || top.Content[1].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: the file is one list, keys:, with an entry for each key, which orderflow key new prints; without any, it is keys: []", top.Line)
	}
	return top.Content[1], nil
}

func readEntry(node *yaml.Node) ([]*key, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("an entry has fields: %s", strings.Join(fields, ", "))
	}
	given := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		field, value := node.Content[i].Value, node.Content[i+1]
		given[field] = true
		switch {
		case !slices.Contains(fields, field):
			return nil, fmt.Errorf("there is no field %.100q: the fields are %s", field, strings.Join(fields, ", "))
		case value.Tag == "!!null", value.Kind == yaml.ScalarNode && value.Value == "":
			return nil, fmt.Errorf("%s has no value: give it one, or leave it out", field)
		case value.Kind == yaml.AliasNode:
			return nil, fmt.Errorf("%s is an alias: write the value out, so that an entry can be read by itself", field)
		}
	}
	var e Entry
	if err := node.Decode(&e); err != nil {
		return nil, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  "), "\n ", ";"))
	}
	keys, err := e.read()
	if err == nil && (given["rate"] && e.Rate == 0 || given["burst"] && e.Burst == 0) {
		err = errors.New("rate and burst are more than 0; leave them out if the key has no rate of its own")
	}
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", shown(e.Name), err)
	}
	return keys, nil
}

// shown is a name for errors, unless it is a key that has got into the wrong place.
func shown(name string) string {
	if strings.HasPrefix(name, keyPrefix) {
		return keyPrefix + "…"
	}
	return cmp.Or(name, "without a name")
}

// unlike refuses the keys of an entry that is called as another one, or has a key of another one.
func unlike(keys, more []*key) error {
	name := more[0].Name
	for _, other := range keys {
		if other.Name == name {
			return fmt.Errorf("key %q: another key has this name; callers are told apart by it: two keys of one caller are one entry, with a list as hash", name)
		}
		if slices.ContainsFunc(more, func(k *key) bool { return k.hash == other.hash }) {
			return fmt.Errorf("key %q: it has the hash of key %q; make a key for each caller", name, other.Name)
		}
	}
	return nil
}
