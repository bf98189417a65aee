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
		"":                                                                        `the file is empty`,
		"# nothing":                                                               `the file is empty`,
		"keys:":                                                                   `line 1: the file is one list`,
		"keys: {}":                                                                `line 1: the file is one list`,
		"keys: []\nmore: 1":                                                       `line 1: the file is one list`,
		"- name: a":                                                               `line 1: the file is one list`,
		"keys: [a]":                                                               `line 1: an entry has fields: name, hash`,
		"keys:\n  - [":                                                            `did not find`,
		"keys:\n" + good + ", scope: x}":                                          `line 2: there is no field "scope": the fields are name, hash, customers`,
		"keys:\n" + good + ", name: b}":                                           `line 2: .*already defined`,
		"keys:\n" + good + ", customers: }":                                       `line 2: customers has no value: give it one, or leave it out`,
		"keys:\n" + good + ", customers: null}":                                   `line 2: customers has no value`,
		"keys:\n" + good + ", customers: []}":                                     `key "a": customers is empty: leave it out`,
		"keys:\n" + good + ", customers: ['']}":                                   `customer "" is not the id of a customer`,
		"keys:\n" + good + ", customers: [~]}":                                    `customers is empty`,
		"keys:\n" + good + ", customers: a}":                                      `line 2: .*cannot unmarshal`,
		"keys:\n" + good + ", rate: 0}":                                           `rate and burst are more than 0`,
		"keys:\n" + good + ", rate: -1}":                                          `rate -1 is not more than 0`,
		"keys:\n" + good + ", rate: .nan}":                                        `rate NaN is not more than 0`,
		"keys:\n" + good + ", rate: .inf}":                                        `rate \+Inf is not more than 0`,
		"keys:\n" + good + ", rate: fast}":                                        `line 2: .*cannot unmarshal`,
		"keys:\n" + good + ", burst: 5}":                                          `burst is of no use without rate`,
		"keys:\n" + good + ", expires: soon}":                                     `expires "soon" is neither a date such as 2027-01-31`,
		"keys:\n" + good + ", expires: ''}":                                       `expires has no value`,
		"keys:\n  - {name: a, hash: HASH}":                                        `key "a": scopes are missing: they are some of \["orders:read"`,
		"keys:\n  - {name: a, hash: HASH, scopes: []}":                            `scopes are missing`,
		"keys:\n  - {name: a, hash: HASH, scopes: [orders]}":                      `there is no scope "orders": they are \["orders:read"`,
		"keys:\n  - {name: a, hash: HASH, scopes: ['']}":                          `there is no scope ""`,
		"keys:\n  - {hash: HASH, scopes: [ops]}":                                  `key "without a name": name "" is not 1 to 64 letters`,
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
