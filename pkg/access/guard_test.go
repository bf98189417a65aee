package access

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/httpapi"
)

// ask sends a request to a route that needs the scope, through the server's own error handler.
func (f *fixture) ask(scope httpapi.Scope, authorization ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	e := httpapi.New(httpapi.Config{Log: f.cfg.Log, Metrics: prometheus.NewRegistry(), Guard: f.Guard})
	httpapi.Add(e, f.Guard, []httpapi.Route{{Method: http.MethodGet, Path: "/", Scope: scope, Handler: func(c echo.Context) error {
		return c.String(http.StatusOK, httpapi.CallerOf(c).Name)
	}}})
	request := httptest.NewRequestWithContext(f.t.Context(), http.MethodGet, "/", nil)
	request.Header["Authorization"] = authorization
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, request)
	return answer
}

func TestGuard(t *testing.T) {
	t.Parallel()
	good, old, reader := NewKey(), NewKey(), NewKey()
	expired := entry("old", old)
	expired.Expires = "2020-01-01"
	f := open(t, Config{}, entry("shop", good), expired, Entry{Name: "metrics", Hash: Hashes{HashOf(reader)}, Scopes: []string{"ops"}})
	invalid := `Bearer realm="orderflow", error="invalid_token", error_description="`
	for name, c := range map[string]struct {
		headers   []string
		status    int
		challenge string
		says      string
		reason    string
	}{
		"nothing":            {nil, 401, `Bearer realm="orderflow"`, "send the header Authorization: Bearer", httpapi.RefusedNoCredentials},
		"another scheme":     {[]string{"Basic dTpw"}, 401, `Bearer realm="orderflow"`, "send the header Authorization: Bearer", httpapi.RefusedNoCredentials},
		"Bearer alone":       {[]string{"Bearer"}, 401, invalid + `what follows Bearer is no token"`, "is no token", httpapi.RefusedInvalidToken},
		"no token":           {[]string{"Bearer a b"}, 401, invalid + `what follows Bearer is no token"`, "is no token", httpapi.RefusedInvalidToken},
		"quotation marks":    {[]string{`Bearer "` + good + `"`}, 401, invalid + `what follows Bearer is no token"`, "is no token", httpapi.RefusedInvalidToken},
		"too long":           {[]string{"Bearer " + strings.Repeat("a", maxToken+1)}, 401, invalid + `what follows Bearer is no token"`, "is no token", httpapi.RefusedInvalidToken},
		"two headers":        {[]string{"Bearer " + good, "Bearer " + good}, 401, invalid + `there is more than one Authorization header"`, "more than one", httpapi.RefusedInvalidToken},
		"wrong key":          {[]string{"Bearer " + NewKey()}, 401, invalid + `there is no such API key; it may have been revoked"`, "no such API key", httpapi.RefusedInvalidToken},
		"half a key":         {[]string{"Bearer " + good[:40]}, 401, invalid + `there is no such API key; it may have been revoked"`, "no such API key", httpapi.RefusedInvalidToken},
		"the hash":           {[]string{"Bearer " + HashOf(good)[7:]}, 401, invalid + `it is no API key of orderflow, and tokens of an issuer are not taken here"`, "no API key", httpapi.RefusedInvalidToken},
		"expired key":        {[]string{"Bearer " + old}, 401, invalid + `the API key has expired"`, "has expired", httpapi.RefusedInvalidToken},
		"key without scope":  {[]string{"Bearer " + reader}, 403, `Bearer realm="orderflow", error="insufficient_scope", error_description="the scope orders:read is needed", scope="orders:read"`, "this needs the scope orders:read, and metrics has [ops]", httpapi.RefusedScope},
		"good key":           {[]string{"Bearer " + good}, 200, "", "shop", ""},
		"small letters":      {[]string{"bearer " + good}, 200, "", "shop", ""},
		"many blanks behind": {[]string{"Bearer   " + good + " "}, 200, "", "shop", ""},
	} {
		before := 0.0
		if c.reason != "" {
			before = f.refusals(c.reason)
		}
		a := f.ask(httpapi.OrdersRead, c.headers...)
		if got := a.Header().Get("WWW-Authenticate"); a.Code != c.status || got != c.challenge || !strings.Contains(a.Body.String(), c.says) {
			t.Errorf("%s: %d %q %s", name, a.Code, got, a.Body)
		}
		if c.reason != "" && f.refusals(c.reason) != before+1 {
			t.Errorf("%s is not counted as %s", name, c.reason)
		}
		if public := f.ask(httpapi.Public, c.headers...); public.Code != 200 {
			t.Errorf("%s, a route for everybody: %d %s", name, public.Code, public.Body)
		}
	}
	for _, secret := range []string{good, old, reader} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("a key is in the log: %s", f.log)
		}
	}
}

func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	first, second := NewKey(), NewKey()
	own := entry("own", second)
	own.Rate, own.Burst = 0.001, 3
	f := open(t, Config{Rate: Rate{PerSecond: 0.001, Burst: 1}}, entry("shop", first), own)
	if a := f.ask(httpapi.OrdersRead, "Bearer "+first); a.Code != 200 || a.Header().Get("RateLimit") != `"default";r=0;t=1000` {
		t.Errorf("the first: %d %v", a.Code, a.Header())
	}
	a := f.ask(httpapi.OrdersRead, "Bearer "+first)
	if a.Code != 429 || a.Header().Get("Retry-After") != "1000" || a.Header().Get("RateLimit-Policy") != `"default";q=1;w=1000` || !strings.Contains(a.Body.String(), "shop may send 0.001 requests a second") {
		t.Errorf("the second: %d %v %s", a.Code, a.Header(), a.Body)
	}
	if f.refusals(httpapi.RefusedRate) != 1 {
		t.Error("it is not counted")
	}
	for range 3 { // whose key says something else
		if a := f.ask(httpapi.OrdersRead, "Bearer "+second); a.Code != 200 {
			t.Errorf("the other caller: %d %s", a.Code, a.Body)
		}
	}
	// A file that changes elsewhere gives nobody new requests.
	f.write(entry("shop", first), own, entry("third", NewKey()))
	f.settle()
	if a := f.ask(httpapi.OrdersRead, "Bearer "+second); a.Code != 429 {
		t.Errorf("after the file has changed: %d", a.Code)
	}
}

// Keys are revoked and added by changing the file; a file that is broken changes nothing, and that is said once.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	first, second := NewKey(), NewKey()
	f := open(t, Config{}, entry("first", first))
	expect := func(what string, one, two bool) {
		t.Helper()
		for key, want := range map[string]bool{first: one, second: two} {
			if _, err := f.identify(t.Context(), key, time.Now()); (err == nil) != want {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	expect("at the start", true, false)
	f.write(entry("first", first), entry("second", second))
	f.settle()
	expect("another key", true, true)
	f.write(entry("second", second))
	f.settle()
	expect("a key less", false, true)
	for range 3 {
		f.writeText("keys:\n  - name: third\n")
		f.settle()
	}
	if n := strings.Count(f.log.String(), "the new keys are not used"); n != 1 || !strings.Contains(f.log.String(), "line 2") {
		t.Errorf("that the file is broken is said %d times: %s", n, f.log)
	}
	f.writeText("")
	f.settle()
	expect("broken files", false, true)
	f.writeText("keys: []\n")
	f.settle()
	expect("no keys any more", false, false)
}

// A file that is read while it is being written is not taken for a whole one, though what is there of it could be one.
func TestKeysAreTakenWhole(t *testing.T) {
	t.Parallel()
	first, second := NewKey(), NewKey()
	f := open(t, Config{}, entry("first", first), entry("second", second))
	good := func(key string) bool {
		_, err := f.identify(t.Context(), key, time.Now())
		return err == nil
	}
	f.write(entry("first", first))
	f.look(t.Context())
	if !good(second) {
		t.Error("half a file has revoked a key")
	}
	f.writeText("keys:\n")
	f.look(t.Context())
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Errorf("half a file is called broken: %s", f.log)
	}
	third := NewKey()
	f.write(entry("first", first), entry("third", third))
	f.look(t.Context())
	if !good(second) || good(third) {
		t.Error("the file is taken over at the first look")
	}
	f.look(t.Context())
	if good(second) || !good(first) || !good(third) {
		t.Error("the file is not taken over at the second look")
	}
}

// While a new key takes the place of an old one, both are the same caller, which does not get twice the rate.
func TestKeyIsReplaced(t *testing.T) {
	t.Parallel()
	old, young := NewKey(), NewKey()
	shop := entry("shop", old)
	shop.Rate, shop.Burst = 0.001, 2
	f := open(t, Config{}, shop)
	expect := func(key string, status int) {
		t.Helper()
		if a := f.ask(httpapi.OrdersRead, "Bearer "+key); a.Code != status || status == http.StatusOK && a.Body.String() != "shop" {
			t.Errorf("%d %s, want %d", a.Code, a.Body, status)
		}
	}
	expect(old, http.StatusOK)
	shop.Hash = append(shop.Hash, HashOf(young))
	f.write(shop)
	f.settle()
	expect(young, http.StatusOK)
	expect(old, http.StatusTooManyRequests)
	shop.Hash = shop.Hash[1:]
	f.write(shop)
	f.settle()
	expect(young, http.StatusTooManyRequests)
	expect(old, http.StatusUnauthorized)
}
