package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"orderflow/pkg/access"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/httpapi"
	"orderflow/services/inventory"
	orderservice "orderflow/services/order"
	paymentservice "orderflow/services/payment"
	"orderflow/services/shipping"
)

// allRoutes are those of all services, and the ones that every process has.
func allRoutes() []httpapi.Route {
	return slices.Concat(orderservice.Describe(), paymentservice.Routes(nil), inventory.Routes(nil), shipping.Routes(nil), []httpapi.Route{
		{Method: http.MethodGet, Path: "/healthz"}, {Method: http.MethodGet, Path: "/readyz"},
		{Method: http.MethodGet, Path: "/metrics", Scope: httpapi.Ops},
	})
}

// public are the routes that are for everybody. Another one has to be added here on purpose.
var public = []string{"/healthz", "/readyz"}

// everyScope is the scopes as a key has them.
func everyScope() []string {
	scopes := make([]string, len(access.Scopes))
	for i, s := range access.Scopes {
		scopes[i] = string(s)
	}
	return scopes
}

// keyring is a file of keys, with the keys themselves by their names.
type keyring struct {
	t       *testing.T
	file    string
	keys    map[string]string
	entries []access.Entry
}

// newKeyring has a key for everything, and what else is asked for.
func newKeyring(t *testing.T, more ...access.Entry) *keyring {
	t.Helper()
	k := &keyring{t: t, file: filepath.Join(t.TempDir(), "keys.yaml"), keys: map[string]string{}}
	for _, e := range append([]access.Entry{{Name: "all", Scopes: everyScope()}}, more...) {
		k.keys[e.Name] = access.NewKey()
		e.Hash = access.Hashes{access.HashOf(k.keys[e.Name])}
		k.entries = append(k.entries, e)
	}
	k.write()
	return k
}

func (k *keyring) write() {
	k.t.Helper()
	text := "keys:\n"
	for _, e := range k.entries {
		entry, err := e.YAML()
		if err != nil {
			k.t.Fatal(err)
		}
		text += entry
	}
	if err := os.WriteFile(k.file, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// header is the header by which a caller says who it is.
func (k *keyring) header(name string) string { return "Authorization: Bearer " + k.keys[name] }

// expectNoKeys checks that the program says nothing that must not be known.
func (k *keyring) expectNoKeys(said string) {
	k.t.Helper()
	for name, key := range k.keys {
		if strings.Contains(said, key) || strings.Contains(said, access.HashOf(key)[7:]) {
			k.t.Errorf("the key %s is in the log", name)
		}
	}
}

// signer makes tokens of an issuer whose keys are in a file.
type signer struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	issuer string
	file   string
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{t: t, issuer: "https://issuer.example", file: filepath.Join(t.TempDir(), "jwks.json")}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "one"}}})
	if err == nil {
		err = os.WriteFile(s.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header is the header with a token for the scopes, of customer-mine.
func (s *signer) header(audience string, valid time.Duration, scopes ...string) string {
	s.t.Helper()
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "one"}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jwt.Signed(by).Claims(jwt.Claims{
		Issuer: s.issuer, Audience: jwt.Audience{audience}, Subject: "alice", Expiry: jwt.NewNumericDate(time.Now().Add(valid)),
	}).Claims(map[string]any{"scope": strings.Join(scopes, " "), "customers": []string{"customer-mine"}}).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return "Authorization: Bearer " + token
}

// TestAccess tries every route with every kind of caller, on one running program.
func TestAccess(t *testing.T) {
	t.Parallel()
	restricted := access.Entry{Name: "restricted", Scopes: everyScope(), Customers: []string{"customer-mine"}}
	more := []access.Entry{restricted, {Name: "expired", Scopes: everyScope(), Expires: "2020-01-01"}}
	for _, scope := range everyScope() {
		others := slices.DeleteFunc(everyScope(), func(s string) bool { return s == scope })
		more = append(more, access.Entry{Name: nameOf(scope), Scopes: []string{scope}}, access.Entry{Name: "no-" + nameOf(scope), Scopes: others})
	}
	ring, tokens := newKeyring(t, more...), newSigner(t)
	p := serve(t, *devtest.New(t), "ACCESS_KEYS_FILE="+ring.file, "OIDC_ISSUER="+tokens.issuer, "OIDC_AUDIENCE=orderflow", "OIDC_JWKS="+tokens.file, "OIDC_CUSTOMERS_CLAIM=customers")
	for _, r := range allRoutes() {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) { testRouteAccess(t, p.client, ring, tokens, r) })
	}
	t.Run("customers", func(t *testing.T) { testCustomers(t, p.client, ring, tokens) })
	t.Run("bench", func(t *testing.T) {
		with := append(benchSettings(p), "ORDERFLOW_KEY="+ring.keys["all"])
		if out, errs, code := call(t, with, "bench", "--orders", "10", "--clients", "2", "--warmup", "0"); code != 0 {
			t.Errorf("with a key: exit code %d\n%s%s", code, out, errs)
		}
		if out, errs, code := call(t, benchSettings(p), "bench", "--orders", "10"); code != 1 || !strings.Contains(errs, "401") {
			t.Errorf("without one: exit code %d\n%s%s", code, out, errs)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		stuck := goodOrder("customer-mine")
		stuck.PaymentMethod = "pm_down"
		stream := hold(t, p.client, place(t, p.client, stuck, ring.header("restricted")).OrderID, ring.header("restricted"))
		ring.entries = slices.DeleteFunc(ring.entries, func(e access.Entry) bool { return e.Name == "restricted" })
		ring.write()
		eventually(t, "the key is revoked", func() error {
			if a := p.call(t, http.MethodGet, "/v1/stock", nil, ring.header("restricted")); a.status != http.StatusUnauthorized {
				return fmt.Errorf("%s", a)
			}
			return nil
		})
		if a := p.call(t, http.MethodGet, "/v1/stock", nil, ring.header("all")); a.status != http.StatusOK {
			t.Errorf("another key: %s", a)
		}
		if heard := devtest.Receive(t, limit, "the end of the stream of a key that was revoked", stream); !strings.Contains(heard, "OrderPlaced") {
			t.Errorf("the stream said %q", heard)
		}
	})
	metrics := string(p.call(t, http.MethodGet, "/metrics", nil, ring.header("all")).body)
	for _, reason := range []string{httpapi.RefusedNoCredentials, httpapi.RefusedInvalidToken, httpapi.RefusedScope} {
		if line := fmt.Sprintf("orderflow_requests_refused_total{reason=%q} ", reason); !strings.Contains(metrics, line) || strings.Contains(metrics, line+"0\n") {
			t.Errorf("nothing is counted as %s", reason)
		}
	}
	ring.expectNoKeys(p.log.String() + metrics)
}

// hold listens to an order. It returns what was heard, when the stream has ended.
func hold(t *testing.T, c *client, order, header string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+"/v1/orders/"+order+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(header, ": ")
	request.Header.Set(name, value)
	request.Header.Set("Accept", "text/event-stream")
	answer, err := (&http.Client{Transport: c.http.Transport}).Do(request) // without its limit of time
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", answer, err)
	}
	heard := make(chan string, 1)
	go func() {
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		heard <- string(text)
	}()
	return heard
}

// nameOf makes the name of a key of a scope.
func nameOf(scope string) string { return strings.ReplaceAll(scope, ":", "-") }

func testRouteAccess(t *testing.T, c *client, ring *keyring, tokens *signer, r httpapi.Route) {
	path := strings.NewReplacer(":order_id", "01890000-0000-7000-8000-000000000001", ":product_id", "book").Replace(r.Path)
	var body any
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		body = map[string]any{}
	}
	scope := string(r.Scope)
	if r.Scope == httpapi.Public {
		if !slices.Contains(public, r.Path) {
			t.Error("the route is for everybody: give it a scope, or list it among those that are")
		}
		if a := c.call(t, r.Method, path, body, "Authorization: Bearer wrong"); a.status != http.StatusOK {
			t.Errorf("a route for everybody answers %s", a)
		}
		return
	}
	wrong := "Authorization: Bearer " + access.NewKey()
	for name, k := range map[string]struct {
		header string
		status int // 0: whatever the handler answers
	}{
		"no key":                      {"X-None: x", 401},
		"wrong key":                   {wrong, 401},
		"expired key":                 {ring.header("expired"), 401},
		"key without the scope":       {ring.header("no-" + nameOf(scope)), 403},
		"key with the scope":          {ring.header(nameOf(scope)), 0},
		"key of some customers":       {ring.header("restricted"), 0},
		"token":                       {tokens.header("orderflow", time.Hour, "openid", scope), 0},
		"token without the scope":     {tokens.header("orderflow", time.Hour, "openid"), 403},
		"token that has expired":      {tokens.header("orderflow", -time.Hour, scope), 401},
		"token for another audience":  {tokens.header("elsewhere", time.Hour, scope), 401},
		"token of somebody else's":    {newSigner(t).header("orderflow", time.Hour, scope), 401},
		"token in the wrong encoding": {tokens.header("orderflow", time.Hour, scope) + "ü", 401},
	} {
		a := c.call(t, r.Method, path, body, k.header)
		challenged := strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="orderflow"`)
		if k.status == 0 && (a.status == 401 || a.status == 403 || a.status >= 500 || challenged) {
			t.Errorf("%s: %s", name, a)
		} else if k.status != 0 {
			if expectProblem(t, a, k.status, ""); !challenged {
				t.Errorf("%s: no challenge in %v", name, a.header)
			}
		}
	}
}

// testCustomers places orders of two customers. Who is there for one of them sees what became of that one's only.
func testCustomers(t *testing.T, c *client, ring *keyring, tokens *signer) {
	for _, product := range []string{"book", "lamp"} {
		if a := c.call(t, http.MethodPut, "/v1/stock/"+product, map[string]int{"on_hand": 100}, ring.header("all")); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	for customer, want := range map[string]int{"customer-mine": 1, "customer-other": 0} {
		placed := c.call(t, http.MethodPost, "/v1/orders", goodOrder(customer), ring.header("all"))
		if placed.status != http.StatusCreated {
			t.Fatal(placed)
		}
		id := unmarshal[order](t, placed.body).OrderID
		eventually(t, "the order is shipped", func() error {
			if a := c.call(t, http.MethodGet, "/v1/orders/"+id, nil, ring.header("all")); !strings.Contains(string(a.body), `"status":"shipped"`) {
				return fmt.Errorf("%s", a)
			}
			return nil
		})
		for _, what := range []string{"payments", "reservations", "shipments"} {
			for caller, expected := range map[string]int{
				ring.header("restricted"): want, tokens.header("orderflow", time.Hour, "orders:read"): want, ring.header("orders-read"): 1,
			} {
				a := c.call(t, http.MethodGet, "/v1/"+what+"?order_id="+id, nil, caller)
				if rows := unmarshal[map[string][]any](t, a.body)[what]; a.status != http.StatusOK || len(rows) != expected {
					t.Errorf("%s of %s: %s, want %d", what, customer, a, expected)
				}
			}
		}
	}
}

// What a caller brings gets through the edge, and what a service says of it gets back.
func TestAccessThroughEdge(t *testing.T) {
	t.Parallel()
	env, ring := *devtest.New(t), newKeyring(t)
	stock := run(t, settings(env, "ACCESS_KEYS_FILE="+ring.file), "serve", "inventory")
	edge := run(t, settings(env, "HTTP_ADDR=0.0.0.0:0", "OPEN_TO_ANYBODY=true"), "edge", "--inventory", stock.base)
	a := edge.call(t, http.MethodGet, "/v1/stock", nil)
	if expectProblem(t, a, http.StatusUnauthorized, ""); a.header.Get("WWW-Authenticate") != `Bearer realm="orderflow"` {
		t.Errorf("the challenge is lost: %v", a.header)
	}
	if a := edge.call(t, http.MethodGet, "/v1/stock", nil, ring.header("all")); a.status != http.StatusOK {
		t.Errorf("with a key: %s", a)
	}
	ring.expectNoKeys(stock.log.String() + edge.log.String())
}

// A caller that sends too much is told so, and by headers before that.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t, access.Entry{Name: "slow", Scopes: everyScope(), Rate: 0.01, Burst: 3})
	p := run(t, settings(*devtest.New(t), "ACCESS_KEYS_FILE="+ring.file, "RATE_LIMIT=1000", "RATE_BURST=2000"), "serve", "inventory")
	for _, left := range []string{"2", "1", "0"} {
		a := p.call(t, http.MethodGet, "/v1/stock", nil, ring.header("slow"))
		if a.status != http.StatusOK || a.header.Get("RateLimit-Policy") != `"default";q=3;w=300` || !strings.HasPrefix(a.header.Get("RateLimit"), `"default";r=`+left+`;t=`) {
			t.Errorf("with %s left: %s %v", left, a, a.header)
		}
	}
	a := p.call(t, http.MethodGet, "/v1/stock", nil, ring.header("slow"))
	expectProblem(t, a, http.StatusTooManyRequests, "")
	if after := a.header.Get("Retry-After"); after != "100" && after != "99" {
		t.Errorf("Retry-After is %q", after)
	}
	if a := p.call(t, http.MethodGet, "/v1/stock", nil, ring.header("all")); a.status != http.StatusOK || a.header.Get("RateLimit-Policy") != `"default";q=2000;w=2` {
		t.Errorf("another caller: %s %v", a, a.header)
	}
	ring.expectNoKeys(p.log.String())
}

// Over the limit of requests at a time, one is refused at once; health is told all the same.
func TestMaxRequests(t *testing.T) {
	t.Parallel()
	p := run(t, settings(*devtest.New(t), "MAX_REQUESTS=1"), "serve", "inventory")
	body, rest := io.Pipe()
	reading := make(chan struct{}) // closed when the program wants the body: then the request has got the slot
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	slow, err := http.NewRequestWithContext(ctx, http.MethodPut, p.base+"/v1/stock/book", body)
	if err != nil {
		t.Fatal(err)
	}
	slow.Header.Set("Content-Type", "application/json")
	slow.Header.Set("Expect", "100-continue")
	ended := make(chan error, 1)
	go func() {
		response, err := p.http.Do(slow)
		if err == nil {
			response.Body.Close()
		}
		ended <- err
	}()
	fmt.Fprint(rest, strings.Repeat(" ", 16<<10), `{"on_hand":`) // more than the client keeps back
	devtest.Receive(t, limit, "the program to read the slow request", reading)
	eventually(t, "the slow request has the only slot", func() error {
		a := p.call(t, http.MethodGet, "/v1/stock", nil)
		if a.status != http.StatusServiceUnavailable {
			return fmt.Errorf("%s", a)
		}
		if expectProblem(t, a, http.StatusServiceUnavailable, ""); a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		return nil
	})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if a := p.call(t, http.MethodGet, path, nil); a.status != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	fmt.Fprint(rest, `5}`)
	rest.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "the slot is free", func() error {
		if a := p.call(t, http.MethodGet, "/v1/stock/book", nil); a.status != http.StatusOK {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
}

// On an address that others reach, the program starts when it is told that it may, and says so.
func TestOpenToAnybody(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := run(t, settings(env, "HTTP_ADDR=0.0.0.0:0", "OPEN_TO_ANYBODY=true"), "serve", "inventory")
	if a := p.call(t, http.MethodGet, "/v1/stock", nil); a.status != http.StatusOK || !strings.Contains(p.log.String(), "whoever reaches the address may do everything") {
		t.Errorf("%s\n%s", a, p.log)
	}
	p = run(t, settings(env), "serve", "inventory")
	if !strings.Contains(p.log.String(), "only this machine is listened to") {
		t.Errorf("that only this machine is listened to is not said:\n%s", p.log)
	}
}

// key new makes a key that counts when its entry is in the file, and says it nowhere else.
func TestKeyNew(t *testing.T) {
	t.Parallel()
	entry, said, code := call(t, nil, "key", "new", "shop", "--scope", "orders:read,orders:write", "--scope", "stock:write", "--customer", "a", "--rate", "5", "--expires", "2999-12-31")
	_, key, _ := strings.Cut(strings.TrimSpace(said), "once: ")
	if code != 0 || !strings.HasPrefix(key, "orderflow_") || !strings.Contains(entry, access.HashOf(key)) || strings.Contains(entry, key) {
		t.Fatalf("%d\n%s\n%s", code, entry, said)
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte("keys:\n"+entry), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := access.CheckKeys(file); err != nil {
		t.Error(err)
	}
	out, said, code := call(t, nil, "key", "new", "shop", "--scope", "ops", "--json")
	made := unmarshal[struct {
		Key   string
		Entry struct{ Name, Hash string }
	}](t, []byte(out))
	if code != 0 || said != "" || made.Entry.Hash != access.HashOf(made.Key) || made.Entry.Name != "shop" {
		t.Errorf("%d %q %q", code, out, said)
	}
	for _, wrong := range [][]string{
		{"new"}, {"new", "a"}, {"new", "a b", "--scope", "ops"}, {"new", "a", "--scope", "all"}, {"new", "a", "--scope", "ops", "--rate", "0"},
		{"new", "a", "--scope", "ops", "--burst", "5"}, {"new", "a", "--scope", "ops", "--customer", ""}, {"new", "a", "--scope", "ops", "--expires", "soon"}, {"old"},
		{"new", "a", "--scope", "ops", "--expires", "2020-01-01"}, {"new", "a", "--scope", "ops,all"}, {"new", "a", "--scope", ""},
	} {
		if out, said, code := call(t, nil, append([]string{"key"}, wrong...)...); code != 2 || out != "" || said == "" {
			t.Errorf("key %q: exit code %d, %q, %q", wrong, code, out, said)
		}
	}
}
