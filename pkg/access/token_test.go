package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"orderflow/pkg/httpapi"
)

// testIssuer is an OIDC issuer. What it has can be changed.
type testIssuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  []jose.JSONWebKey
	away  bool
	asked int                // for its keys
	hangs chan chan struct{} // if there is one, whoever asks sends what it waits for
}

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *testIssuer {
	t.Helper()
	i := &testIssuer{keys: keys}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *testIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	hangs := i.hangs
	i.mu.Unlock()
	if hangs != nil {
		goOn := make(chan struct{})
		select {
		case hangs <- goOn:
			<-goOn
		case <-r.Context().Done():
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.away:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	default:
		i.asked++
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	}
}

func (i *testIssuer) set(away bool, keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away, i.keys = away, keys
}

// hang makes the issuer wait with its answers from now on.
func (i *testIssuer) hang(hangs chan chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hangs = hangs
}

func (i *testIssuer) config() *Issuer { return &Issuer{URL: i.URL, Audience: "orderflow"} }

// newSigner makes a private key and its public part, as the issuer shows it.
func newSigner(t *testing.T, id string) (*ecdsa.PrivateKey, jose.JSONWebKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private, jose.JSONWebKey{Key: private.Public(), KeyID: id, Use: "sig", Algorithm: "ES256"}
}

// sign makes a token; header is its kid, and then names and values.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims map[string]any, header ...string) string {
	t.Helper()
	options := new(jose.SignerOptions).WithType("JWT")
	for i := 0; i < len(header); i += 2 {
		options = options.WithHeader(jose.HeaderKey(header[i]), header[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// goodClaims are what a token of the issuer says, with changes; a nil takes a claim away.
func (i *testIssuer) goodClaims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": []string{"orderflow", "other"}, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "scope": "openid orders:read orders:write",
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func TestTokens(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	other, _ := newSigner(t, "one")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t, public, jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa"}, jose.JSONWebKey{Key: edPublic, KeyID: "ed"},
		jose.JSONWebKey{Key: private.Public(), KeyID: "enc", Use: "enc"}, jose.JSONWebKey{Key: []byte("symmetric"), KeyID: "oct"})
	f := open(t, Config{Issuer: i.config()})
	es := func(changes map[string]any) string {
		return sign(t, jose.ES256, private, i.goodClaims(changes), "kid", "one")
	}
	now := time.Now()
	spki, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	good := es(nil)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ token, refused string }{
		"good":                     {good, ""},
		"RS256":                    {sign(t, jose.RS256, rsaKey, i.goodClaims(nil), "kid", "rsa"), ""},
		"PS512":                    {sign(t, jose.PS512, rsaKey, i.goodClaims(nil), "kid", "rsa"), ""},
		"EdDSA":                    {sign(t, jose.EdDSA, edKey, i.goodClaims(nil), "kid", "ed"), ""},
		"one audience":             {es(map[string]any{"aud": "orderflow"}), ""},
		"at+jwt":                   {sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one", "typ", "at+jwt"), ""},
		"has just expired":         {es(map[string]any{"exp": now.Add(-10 * time.Second).Unix()}), ""},
		"alg none":                 {"eyJhbGciOiJub25lIiwia2lkIjoib25lIn0." + parts[1] + ".", "neither an API key of orderflow nor a JWT"},
		"alg none, signature":      {"eyJhbGciOiJub25lIiwia2lkIjoib25lIn0." + parts[1] + "." + parts[2], "neither an API key of orderflow nor a JWT"},
		"HS256 by the public key":  {sign(t, jose.HS256, publicPEM, i.goodClaims(nil), "kid", "rsa"), "neither an API key of orderflow nor a JWT"},
		"HS256 by a symmetric key": {sign(t, jose.HS256, []byte("symmetric, and as long as it has to be"), i.goodClaims(nil), "kid", "oct"), "neither an API key of orderflow nor a JWT"},
		"somebody else's key":      {sign(t, jose.ES256, other, i.goodClaims(nil), "kid", "one"), "signature of the token is wrong"},
		"a key of another kind":    {sign(t, jose.RS256, rsaKey, i.goodClaims(nil), "kid", "one"), "another algorithm"},
		"a key to encrypt":         {sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "enc"), "a key that the issuer does not have"},
		"no kid":                   {sign(t, jose.ES256, private, i.goodClaims(nil)), "which key it is signed with"},
		"unknown kid":              {sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "two"), "a key that the issuer does not have"},
		"another typ":              {sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one", "typ", "logout+jwt"), "another type"},

		"changed":              {parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2], "signature of the token is wrong"},
		"another issuer":       {es(map[string]any{"iss": "https://elsewhere.example"}), "of another issuer"},
		"no issuer":            {es(map[string]any{"iss": nil}), "of another issuer"},
		"another audience":     {es(map[string]any{"aud": "else"}), "for another audience"},
		"no audience":          {es(map[string]any{"aud": nil}), "for another audience"},
		"expired":              {es(map[string]any{"exp": now.Add(-time.Minute).Unix()}), "has expired"},
		"never expires":        {es(map[string]any{"exp": nil}), "does not say when it expires"},
		"expires at some time": {es(map[string]any{"exp": "soon"}), "claims are not what they should be"},
		"not valid yet":        {es(map[string]any{"nbf": now.Add(time.Minute).Unix()}), "not valid yet"},
		"of the future":        {es(map[string]any{"iat": now.Add(time.Minute).Unix()}), "not valid yet"},
		"nobody's":             {es(map[string]any{"sub": nil}), "does not say whose it is"},
		"a name of control":    {es(map[string]any{"sub": "a\x00b"}), "does not say whose it is"},
		"a long name":          {es(map[string]any{"sub": strings.Repeat("a", 256)}), "does not say whose it is"},
		"scopes as a list":     {es(map[string]any{"scope": []string{"orders:read"}}), "claims are not what they should be"},
		"JSON":                 {`{"payload":"","signatures":[]}`, "neither an API key"},
		"dots":                 {"..", "neither an API key"},
	} {
		// Unknown keys are asked for, which has an end; here every token is as the first.
		f.issuer.asks.SetBurst(1000)
		who, err := f.identify(t.Context(), c.token, now)
		if c.refused == "" && err == nil {
			want := httpapi.Caller{Name: "oidc:alice", Scopes: []httpapi.Scope{httpapi.OrdersRead, httpapi.OrdersWrite}}
			if !reflect.DeepEqual(who.Caller, want) {
				t.Errorf("%s: %+v", name, who.Caller)
			}
			continue
		}
		if err == nil || c.refused == "" || !strings.Contains(err.Error(), c.refused) || strings.ContainsAny(err.Error(), `"\`) {
			t.Errorf("%s: %v, want %q", name, err, c.refused)
		}
	}
	if strings.Contains(f.log.String(), parts[2]) {
		t.Errorf("a token is in the log: %s", f.log)
	}
}

func TestTokenCustomers(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	i := newIssuer(t, public)
	cfg := i.config()
	cfg.CustomersClaim = "customers"
	f := open(t, Config{Issuer: cfg})
	for _, c := range []struct {
		claim any
		want  []string // nil: refused
	}{
		{[]string{"a", "b"}, []string{"a", "b"}}, {"a", []string{"a"}},
		{nil, nil}, {[]string{}, nil}, {"", nil}, {[]string{"a", ""}, nil}, {5, nil}, {map[string]string{}, nil}, {[]any{"a", 5}, nil}, {[]any{nil}, nil},
	} {
		who, err := f.identify(t.Context(), sign(t, jose.ES256, private, i.goodClaims(map[string]any{"customers": c.claim}), "kid", "one"), time.Now())
		if c.want == nil && (err == nil || !strings.Contains(err.Error(), "for which customers")) || c.want != nil && (err != nil || !reflect.DeepEqual(who.Customers, c.want)) {
			t.Errorf("%v: %+v, %v", c.claim, who, err)
		}
	}
	// Where it is whose the token is.
	f.issuer.cfg.CustomersClaim = "sub"
	if who, err := f.identify(t.Context(), sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one"), time.Now()); err != nil || !reflect.DeepEqual(who.Customers, []string{"alice"}) {
		t.Errorf("%+v, %v", who, err)
	}
}

// An issuer changes its keys, and is away: what is known goes on being used.
func TestIssuerRotatesAndGoesAway(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	private2, public2 := newSigner(t, "two")
	i := newIssuer(t)
	i.set(true)
	f := open(t, Config{Issuer: i.config()})
	one := sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one")
	two := sign(t, jose.ES256, private2, i.goodClaims(nil), "kid", "two")
	if a := f.ask(httpapi.OrdersRead, "Bearer "+one); a.Code != 503 || a.Header().Get("Retry-After") == "" || f.refusals(httpapi.RefusedIssuerAway) != 1 {
		t.Errorf("before the issuer was ever there: %d %s", a.Code, a.Body)
	}
	i.set(false, public)
	if a := f.ask(httpapi.OrdersRead, "Bearer "+one); a.Code != 200 || a.Body.String() != "oidc:alice" {
		t.Errorf("when it is there: %d %s", a.Code, a.Body)
	}
	i.set(false, public2)
	if a := f.ask(httpapi.OrdersRead, "Bearer "+two); a.Code != 200 {
		t.Errorf("with the new key: %d %s", a.Code, a.Body)
	}
	if a := f.ask(httpapi.OrdersRead, "Bearer "+one); a.Code != 401 {
		t.Errorf("with the old key: %d %s", a.Code, a.Body)
	}
	i.set(true)
	f.issuer.next = time.Time{}
	f.look(t.Context())
	if a := f.ask(httpapi.OrdersRead, "Bearer "+two); a.Code != 200 {
		t.Errorf("with a known key when the issuer is away: %d %s", a.Code, a.Body)
	}
}

// While the issuer does not answer, one request waits for it and the others are told so soon. What it answers is for all, also if the
// client that has asked is not there any more.
func TestIssuerHangs(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	_, old := newSigner(t, "old")
	i := newIssuer(t, old)
	f := open(t, Config{Issuer: i.config()})
	token := sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one")
	i.set(false, public)
	hangs := make(chan chan struct{})
	i.hang(hangs)
	client, leave := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := f.identify(client, token, time.Now())
		asked <- err
	}()
	goOn := <-hangs
	leave()
	if a := f.ask(httpapi.OrdersRead, "Bearer "+token); a.Code != http.StatusServiceUnavailable || f.refusals(httpapi.RefusedIssuerAway) != 1 {
		t.Errorf("while the issuer hangs: %d %s", a.Code, a.Body)
	}
	if _, err := f.identify(client, token, time.Now()); !errors.Is(err, errIssuerAway) {
		t.Errorf("a client that leaves: %v", err)
	}
	i.hang(nil)
	close(goOn)
	if err := <-asked; err != nil {
		t.Errorf("whoever has asked: %v", err)
	}
	if a := f.ask(httpapi.OrdersRead, "Bearer "+token); a.Code != http.StatusOK {
		t.Errorf("when it has answered: %d %s", a.Code, a.Body)
	}
}

// A request waits for a fetch of another one not longer than maxWait, and not at all if the last one failed.
func TestWaitForIssuerIsBounded(t *testing.T) {
	t.Parallel()
	for away, want := range map[bool]time.Duration{false: maxWait, true: 0} {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{turn: make(chan struct{}, 1)}
			i.turn <- struct{}{}
			i.away.Store(away)
			start := time.Now()
			if _, err := i.key(t.Context(), "unknown"); !errors.Is(err, errIssuerAway) || time.Since(start) != want {
				t.Errorf("away %t: %v after %v, want %v", away, err, time.Since(start), want)
			}
			i.renew(t.Context())
			if waited := time.Since(start); waited != want {
				t.Errorf("away %t: the look at the files waits for %v", away, waited-want)
			}
		})
	}
}

// An issuer that says that it has no keys, as after somebody has got at them, revokes those that are known. What is no key set does not.
func TestIssuerHasNoKeysAnyMore(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	i := newIssuer(t, public)
	f := open(t, Config{Issuer: i.config()})
	token := "Bearer " + sign(t, jose.ES256, private, i.goodClaims(nil), "kid", "one")
	renew := func() {
		f.issuer.next = time.Time{}
		f.look(t.Context())
	}
	i.set(false) // {"keys": null}
	renew()
	if a := f.ask(httpapi.OrdersRead, token); a.Code != http.StatusOK {
		t.Errorf("with an answer that is no key set: %d %s", a.Code, a.Body)
	}
	for _, keys := range [][]jose.JSONWebKey{{}, {{Key: private.Public(), KeyID: "one", Use: "enc"}}} {
		i.set(false, public)
		renew()
		if a := f.ask(httpapi.OrdersRead, token); a.Code != http.StatusOK {
			t.Errorf("with the key: %d %s", a.Code, a.Body)
		}
		i.set(false, keys...)
		renew()
		f.issuer.asks.SetBurst(1000)
		if a := f.ask(httpapi.OrdersRead, token); a.Code != http.StatusUnauthorized {
			t.Errorf("with %d keys, none for signatures: %d %s", len(keys), a.Code, a.Body)
		}
	}
	if n := strings.Count(f.log.String(), "no token is good"); n != 2 {
		t.Errorf("that there is no key is said %d times: %s", n, f.log)
	}
}

// Made-up keys do not become a load on the issuer, however many tokens name them.
func TestIssuerIsNotAskedTooOften(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	i := newIssuer(t, public)
	f := open(t, Config{Issuer: i.config()})
	var group sync.WaitGroup
	for n := range 40 {
		token := sign(t, jose.ES256, private, i.goodClaims(nil), "kid", fmt.Sprint("made-up-", n))
		group.Go(func() {
			if _, err := f.identify(t.Context(), token, time.Now()); err == nil || errors.Is(err, errIssuerAway) {
				t.Errorf("token %d: %v", n, err)
			}
		})
	}
	group.Wait()
	if i.mu.Lock(); i.asked > 1+askAtOnce {
		t.Errorf("the issuer was asked %d times", i.asked)
	}
	i.mu.Unlock()
}

func TestKeysOfIssuerInFile(t *testing.T) {
	t.Parallel()
	private, public := newSigner(t, "one")
	private2, public2 := newSigner(t, "two")
	file := filepath.Join(t.TempDir(), "jwks.json")
	write := func(keys ...jose.JSONWebKey) {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	i := newIssuer(t)
	i.set(true)
	cfg := i.config()
	cfg.JWKS = file
	if err := cfg.CheckKeys(); err == nil {
		t.Error("a file that is not there is fine")
	}
	write(jose.JSONWebKey{Key: private, KeyID: "private"})
	if err := cfg.CheckKeys(); err == nil || !strings.Contains(err.Error(), "no public key for signatures") {
		t.Errorf("a private key: %v", err)
	}
	write(public)
	f := open(t, Config{Issuer: cfg})
	expect := func(key crypto.Signer, id string, good bool) {
		t.Helper()
		if _, err := f.identify(t.Context(), sign(t, jose.ES256, key, i.goodClaims(nil), "kid", id), time.Now()); (err == nil) != good {
			t.Errorf("key %s: %v", id, err)
		}
	}
	expect(private, "one", true)
	expect(private2, "two", false)
	write(public2)
	f.look(t.Context())
	expect(private, "one", false)
	expect(private2, "two", true)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.look(t.Context())
	expect(private2, "two", true)
}

func TestIssuerCheck(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"https://issuer.example/realms/a": true, "http://127.0.0.1:8081": true, "http://localhost": true, "http://[::1]:1": true,
		"http://issuer.example": false, "issuer.example": false, "ftp://issuer.example": false, "https://": false, "": false,
	} {
		if err, _ := (Issuer{URL: url}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := (Issuer{URL: "https://a.example", JWKS: "http://a.example/keys"}).Check(); err == nil {
		t.Error("keys over http are fine")
	}
	if _, err := (Issuer{URL: "https://a.example", JWKS: "keys.json"}).Check(); err != nil {
		t.Error(err)
	}
}

// Run ends when it is told to.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	f := open(t, Config{}, entry("a", NewKey()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	stop()
	<-ended
}
