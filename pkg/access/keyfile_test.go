package access

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/httpapi"
)

var hashA, hashB = HashOf("a"), HashOf("b")

func TestParseKeys(t *testing.T) {
	t.Parallel()
	keys, err := parseKeys(fmt.Appendf(nil, `# Who may call.
keys:
  - name: shop
    hash: %s
    scopes: [orders:read, orders:write]
  - name: customer-1
    hash: %s
    scopes: [orders:read]
    customers: [customer-1, "2"]
    rate: 0.5
    burst: 20
    expires: 2027-01-31
`, hashA, hashB))
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	want := httpapi.Caller{Name: "shop", Scopes: []httpapi.Scope{httpapi.OrdersRead, httpapi.OrdersWrite}}
	if got := keys[0]; !reflect.DeepEqual(got.Caller, want) || !got.expires.IsZero() || got.limit != nil || got.hash != hashOf("a") {
		t.Errorf("the first key is %+v", got)
	}
	want = httpapi.Caller{Name: "customer-1", Scopes: []httpapi.Scope{httpapi.OrdersRead}, Customers: []string{"customer-1", "2"}}
	if got := keys[1]; !reflect.DeepEqual(got.Caller, want) || !got.expires.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) || got.limit.rate != (Rate{0.5, 20}) {
		t.Errorf("the second key is %+v", got)
	}
	if keys, err := parseKeys([]byte("keys: []\n")); err != nil || len(keys) != 0 {
		t.Errorf("nobody: %d keys, %v", len(keys), err)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	const good = "  - {name: a, hash: HASH, scopes: [ops]"
	for text, want := range map[string]string{
		"":                                `the file is empty`,
		"# nothing":                       `the file is empty`,
		"keys:":                           `line 1: the file is one list`,
		"keys: {}":                        `line 1: the file is one list`,
		"keys: []\nmore: 1":               `line 1: the file is one list`,
		"- name: a":                       `line 1: the file is one list`,
		"keys: [a]":                       `line 1: an entry has fields: name, hash`,
		"keys:\n  - [":                    `did not find`,
		"keys:\n" + good + ", scope: x}":  `line 2: key "a": there is no field "scope": did you mean scopes\?$`,
		"keys:\n" + good + ", colour: x}": `line 2: key "a": there is no field "colour": the fields are name, hash, customers`,
		"keys:\n" + good + ", orderflow_SECRET: x}":                               `there is no field "orderflow_…"`,
		"keys:\n" + good + ", rate: orderflow_SECRET}":                            `must be a number of requests a second, is "orderflow_…"`,
		"keys:\n  - {name: a, key: orderflow_SECRET, scopes: [ops]}":              `^line 2: key "a": there is no field "key": did you mean hash\?$`,
		"keys:\n  - {name: a, hash: HASH, scopes: ops}":                           `scopes must be a list, such as .*, is "ops"$`,
		"keys:\n  - {name: {a: b}, hash: HASH, scopes: [ops]}":                    `name must be text, is a set of fields$`,
		"keys:\n" + good + ", name: b}":                                           `line 2: key "a": name is there twice, first on line 2`,
		"keys:\n" + good + ", customers: }":                                       `line 2: key "a": customers has no value: give it one, or leave it out`,
		"keys:\n" + good + ", customers: null}":                                   `line 2: key "a": customers has no value`,
		"keys:\n" + good + ", customers: []}":                                     `key "a": customers is empty: leave it out`,
		"keys:\n" + good + ", customers: ['']}":                                   `customer "" is not the id of a customer`,
		"keys:\n" + good + ", customers: [~]}":                                    `customers is empty`,
		"keys:\n" + good + ", customers: a}":                                      `customers must be a list, such as \[customer-1\], is "a"$`,
		"keys:\n" + good + ", rate: 0}":                                           `rate and burst are more than 0`,
		"keys:\n" + good + ", rate: -1}":                                          `rate -1 is not more than 0`,
		"keys:\n" + good + ", rate: .nan}":                                        `rate NaN is not more than 0`,
		"keys:\n" + good + ", rate: .inf}":                                        `rate \+Inf is not more than 0`,
		"keys:\n" + good + ", rate: fast}":                                        `^line 2: key "a": rate must be a number of requests a second, is "fast"$`,
		"keys:\n" + good + ", burst: 5}":                                          `burst is of no use without rate`,
		"keys:\n" + good + ", expires: soon}":                                     `expires "soon" is neither a date such as 2027-01-31`,
		"keys:\n" + good + ", expires: ''}":                                       `expires has no value`,
		"keys:\n  - {name: a, hash: HASH}":                                        `key "a": scopes are missing: they are some of orders:read, orders:write, stock:write, ops$`,
		"keys:\n  - {name: a, hash: HASH, scopes: []}":                            `scopes are missing`,
		"keys:\n  - {name: a, hash: HASH, scopes: [orders]}":                      `there is no scope "orders": the scopes are orders:read, orders:write, stock:write, ops$`,
		"keys:\n  - {name: a, hash: HASH, scopes: ['']}":                          `there is no scope ""`,
		"keys:\n  - {hash: HASH, scopes: [ops]}":                                  `key without a name: name "" is not 1 to 64 letters`,
		"keys:\n  - {name: 'oidc:a', hash: HASH, scopes: [ops]}":                  `name "oidc:a" is not 1 to 64 letters`,
		"keys:\n  - {name: orderflow_SECRET, hash: HASH, scopes: [ops]}":          `the name begins as a key does`,
		"keys:\n  - {name: a, hash: [HASH, OTHER], scopes: [ops]}":                ``,
		"keys:\n  - {name: a, hash: [], scopes: [ops]}":                           `hash is not sha256: .*or a list of such`,
		"keys:\n  - {name: a, hash: {HASH: x}, scopes: [ops]}":                    `hash is not sha256:`,
		"keys:\n  - {name: a, scopes: [ops]}":                                     `hash is not sha256:`,
		"keys:\n  - {name: a, hash: [HASH, ~], scopes: [ops]}":                    `hash is not sha256:`,
		"keys:\n  - {name: a, hash: [HASH, [OTHER]], scopes: [ops]}":              `hash is not sha256:`,
		"keys:\n  - {name: a, hash: [&h HASH, *h], scopes: [ops]}":                `hash is not sha256:`,
		"keys:\n  - {name: a, hash: [HASH, orderflow_SECRET], scopes: [ops]}":     `hash is not sha256:`,
		"keys:\n  - {name: a, hash: [HASH, HASH], scopes: [ops]}":                 `key "a": it has the same hash twice`,
		"keys:\n" + good + "}\n  - {name: b, hash: [OTHER, HASH], scopes: [ops]}": `line 3: key "b": it has the hash of key "a"`,
		"keys:\n  - {name: a, hash: 'orderflow_SECRET', scopes: [ops]}":           `hash is not sha256: and 64 hexadecimal digits, or a list of such; orderflow key new`,
		"keys:\n  - {name: a, hash: 'sha256:12', scopes: [ops]}":                  `hash is not sha256:`,
		"keys:\n" + good + "}\n  - {name: a, hash: OTHER, scopes: [ops]}":         `line 3: key "a": another key has this name`,
		"keys:\n" + good + "}\n  - {name: b, hash: HASH, scopes: [ops]}":          `line 3: key "b": it has the hash of key "a"`,
		"keys:\n" + good + ", customers: &x [c]}\n  - *x":                         `line 3: an entry has fields`,
		"keys:\n  - {name: &n a, hash: HASH, scopes: [ops], customers: [*n]}":     "",
		"keys:\n  - {name: &n a, hash: HASH, scopes: [ops], expires: *n}":         `expires is an alias`,
		"keys:\n  - {name: a, hash: x, scopes: [ops]}\n  - {name: b, hash: x}":    `(?s)line 2: .*line 3: `,
	} {
		_, err := parseKeys([]byte(strings.NewReplacer("HASH", hashA, "OTHER", hashB).Replace(text)))
		if want == "" && err == nil {
			continue
		}
		if err == nil || want == "" || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: the error tells the key: %v", text, err)
		}
	}
}

// All faults are told, each with the line of its field, and nothing that only follows from another.
func TestParseKeysTellsAll(t *testing.T) {
	t.Parallel()
	_, err := parseKeys([]byte("keys:\n  - name: a\n    hash: " + hashA + "\n    customer: [c]\n    rate: fast\n    burst: 5\n    scope: [ops]\n  - hash: " + hashA + "\n    name: a\n    scopes:\n      - all\n"))
	want := `5 faults:
  line 4: key "a": there is no field "customer": did you mean customers?
  line 5: key "a": rate must be a number of requests a second, is "fast"
  line 7: key "a": there is no field "scope": did you mean scopes?
  line 9: key "a": another key has this name; callers are told apart by it: two keys of one caller are one entry, with a list as hash
  line 10: key "a": there is no scope "all": the scopes are orders:read, orders:write, stock:write, ops`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	_, err = parseKeys([]byte("keys:" + strings.Repeat("\n  - x", 13)))
	if err == nil || strings.Count(err.Error(), "line ") != 10 || !strings.HasSuffix(err.Error(), "\n  and 3 more") {
		t.Errorf("13 faults: %v", err)
	}
}

func TestOpenTellsHowManyKeys(t *testing.T) {
	t.Parallel()
	old := entry("old", "b")
	old.Expires = "2020-01-01"
	if log := open(t, Config{}, entry("a", "a"), old).log.String(); !strings.Contains(log, "level=INFO") || !strings.Contains(log, "keys=2 expired=1") {
		t.Errorf("two keys, one of which has expired: %s", log)
	}
	if log := open(t, Config{}, old).log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "nobody gets in") {
		t.Errorf("no key that is good: %s", log)
	}
}

// What key new prints can be read.
func TestEntryYAML(t *testing.T) {
	t.Parallel()
	e := Entry{Name: "a", Hash: Hashes{hashA}, Scopes: []string{"ops", "orders:read"}, Customers: []string{"null", "#1", "a: b", " x"}, Rate: 2.5, Burst: 3, Expires: "2027-01-31"}
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys([]byte("keys:\n" + text))
	if err != nil || !reflect.DeepEqual(keys[0].Customers, e.Customers) || keys[0].limit.rate != (Rate{2.5, 3}) {
		t.Errorf("%s\n%v, %v", text, keys, err)
	}
}

// However an entry is cut short, it is refused, and not one that may more than the whole.
func TestEntryCutShort(t *testing.T) {
	t.Parallel()
	for _, hashes := range []Hashes{{hashA}, {hashA, hashB}} {
		e := Entry{Name: "a", Hash: hashes, Scopes: []string{"ops", "orders:read"}, Customers: []string{"1", "22"}, Rate: 25, Burst: 30, Expires: "2027-01-31"}
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.TrimSuffix(text, "\n")
		for i := range whole {
			if keys, err := parseKeys([]byte("keys:\n" + whole[:i])); err == nil {
				t.Errorf("%s\nis read as %+v", whole[:i], keys[0])
			}
		}
		if keys, err := parseKeys([]byte("keys:\n" + whole)); err != nil || len(keys) != len(hashes) {
			t.Errorf("%s\n%v, %v", whole, keys, err)
		}
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^orderflow_[A-Z2-7]{52}$`) // as doc and README have it, for programs that look for secrets
	if a, b := NewKey(), NewKey(); a == b || !form.MatchString(a) {
		t.Errorf("%s, %s", a, b)
	}
}
