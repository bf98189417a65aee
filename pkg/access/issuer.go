package access

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

// Issuer is an OpenID Connect issuer whose tokens are taken.
type Issuer struct {
	URL            string // as it stands in the tokens
	Audience       string // what the tokens are for
	JWKS           string // where its keys are, a file or a URL; "": where its discovery document says
	CustomersClaim string // the claim with the customers whose orders a token is for; "": tokens are for all customers' orders
}

// Check reports what is wrong with where the issuer is said to be, and with where its keys are.
func (i Issuer) Check() (issuer, jwks error) {
	issuer = checkURL(i.URL)
	if isURL(i.JWKS) {
		jwks = checkURL(i.JWKS)
	}
	return issuer, jwks
}

// CheckKeys reports what is wrong with the issuer's keys, if they are in a file.
func (i Issuer) CheckKeys() error {
	if i.JWKS == "" || isURL(i.JWKS) {
		return nil
	}
	keys, _, err := readJWKS(i.JWKS)
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("%s: there is no public key for signatures with an id (kid) in the JSON Web Key Set", i.JWKS)
	}
	return err
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// checkURL refuses what keys must not be fetched from: who can change them on their way can make tokens.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("is not a URL such as https://issuer.example")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && !ip.IsLoopback() {
		return errors.New("has to be https, except on this machine: who can change the keys on their way can make tokens")
	}
	return nil
}

// When keys are fetched. An unknown key is asked for often enough that a new one soon counts, and so rarely that tokens made up by
// somebody do not become a load on the issuer.
const (
	renewEvery   = 15 * time.Minute
	retryEvery   = time.Minute
	askEvery     = 10 * time.Second
	askAtOnce    = 3
	fetchTimeout = 5 * time.Second
	maxWait      = time.Second // of a request, for a fetch that another one has begun
	maxRedirects = 3
	maxAnswer    = 1 << 20
)

// issuer is an issuer with those of its keys that are known.
type issuer struct {
	cfg    Issuer
	log    *slog.Logger
	client *http.Client
	keys   atomic.Pointer[map[string]jose.JSONWebKey] // by id; nil before there are any
	away   atomic.Bool                                // whether the last fetch failed

	turn  chan struct{} // is held by whoever fetches; the rest is theirs
	asks  *rate.Limiter
	next  time.Time // when keys are fetched though nobody asks
	text  []byte    // of the file with the keys
	fault error     // of the last time
}

// openIssuer gets the keys. If they are in a file it has to be there; an issuer may be away.
func openIssuer(ctx context.Context, cfg Issuer, log *slog.Logger) (*issuer, error) {
	i := &issuer{
		cfg: cfg, log: log, client: &http.Client{
			Timeout: fetchTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return checkURL(r.URL.String())
			},
		},
		turn: make(chan struct{}, 1), asks: rate.NewLimiter(rate.Every(askEvery), askAtOnce),
	}
	i.renew(ctx)
	if !i.remote() && i.fault != nil {
		return nil, i.fault
	}
	return i, nil
}

// remote tells whether the keys come over the network.
func (i *issuer) remote() bool { return i.cfg.JWKS == "" || isURL(i.cfg.JWKS) }

// renew gets the keys if it is time to, and nobody else just does.
func (i *issuer) renew(ctx context.Context) {
	select {
	case i.turn <- struct{}{}:
	default:
		return
	}
	defer i.leave()
	if now := time.Now(); !i.remote() || now.After(i.next) {
		i.fetch(ctx, now)
	}
}

// take waits for the turn of a request: not long, and not at all while the issuer is away, for a request that waits takes room from others.
func (i *issuer) take(ctx context.Context) bool {
	select {
	case i.turn <- struct{}{}:
		return true
	default:
	}
	if i.away.Load() {
		return false
	}
	ctx, stop := context.WithTimeout(ctx, maxWait)
	defer stop()
	select {
	case i.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (i *issuer) leave() { <-i.turn }

// key finds the key of a token. For one that is not known, the issuer is asked.
func (i *issuer) key(ctx context.Context, id string) (jose.JSONWebKey, error) {
	key, known := i.known(id)
	if !known && i.remote() {
		if err := i.ask(ctx, id); err != nil {
			return jose.JSONWebKey{}, err
		}
		key, known = i.known(id)
	}
	if !known {
		return jose.JSONWebKey{}, refuse("the token is signed with a key that the issuer does not have")
	}
	return key, nil
}

// ask fetches the keys for one that is not known. The fetch is for everybody: it goes on if the client leaves, until fetchTimeout.
func (i *issuer) ask(ctx context.Context, id string) error {
	if !i.take(ctx) {
		return errIssuerAway
	}
	defer i.leave()
	if _, known := i.known(id); known { // somebody else has asked meanwhile
		return nil
	}
	if now := time.Now(); i.asks.AllowN(now, 1) {
		i.fetch(context.WithoutCancel(ctx), now)
	}
	if i.away.Load() {
		return errIssuerAway
	}
	return nil
}

func (i *issuer) known(id string) (key jose.JSONWebKey, known bool) {
	if keys := i.keys.Load(); keys != nil {
		key, known = (*keys)[id]
	}
	return key, known
}

// fetch gets the keys. Those that are known stay if it fails, but not if the issuer says that it has none: that is how it revokes them all.
func (i *issuer) fetch(ctx context.Context, now time.Time) {
	keys, err := i.read(ctx)
	if err != nil {
		i.next = now.Add(retryEvery)
		if i.fault == nil || i.fault.Error() != err.Error() {
			i.log.Error("the keys of the issuer cannot be read; those that are known go on being used", "issuer", i.cfg.URL, "error", err)
		}
	} else if i.next = now.Add(renewEvery); keys != nil {
		i.takeOver(keys)
	}
	i.fault = err
	i.away.Store(err != nil)
}

func (i *issuer) takeOver(keys map[string]jose.JSONWebKey) {
	old := i.keys.Swap(&keys)
	if len(keys) == 0 && (old == nil || len(*old) > 0) {
		i.log.Warn("the issuer has no public key for signatures with an id (kid): no token is good", "issuer", i.cfg.URL)
	}
}

// read reads the keys; nil if the file has not changed.
func (i *issuer) read(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	ctx, stop := context.WithTimeout(ctx, fetchTimeout)
	defer stop()
	if i.remote() {
		text, err := i.download(ctx)
		if err != nil {
			return nil, err
		}
		return parseJWKS(text)
	}
	keys, text, err := readJWKS(i.cfg.JWKS)
	if err != nil || bytes.Equal(text, i.text) {
		return nil, err
	}
	i.text = text
	return keys, nil
}

func readJWKS(file string) (keys map[string]jose.JSONWebKey, text []byte, err error) {
	if text, err = readFile(file); err != nil {
		return nil, nil, err
	}
	if keys, err = parseJWKS(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, text, nil
}

// download fetches the keys from where they are, after asking where that is.
func (i *issuer) download(ctx context.Context) ([]byte, error) {
	if i.cfg.JWKS != "" {
		return i.get(ctx, i.cfg.JWKS)
	}
	text, err := i.get(ctx, strings.TrimSuffix(i.cfg.URL, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var said struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("the discovery document is no JSON: %w", err)
	}
	if said.Issuer != i.cfg.URL {
		return nil, fmt.Errorf("the discovery document is of the issuer %.200q, and not of %q", said.Issuer, i.cfg.URL)
	}
	if err := checkURL(said.Keys); err != nil {
		return nil, fmt.Errorf("jwks_uri of the discovery document, %.200q, %w", said.Keys, err)
	}
	return i.get(ctx, said.Keys)
}

func (i *issuer) get(ctx context.Context, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", request.URL.Redacted(), response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxAnswer))
}

// minRSA is the smallest RSA key that is taken, in bits.
const minRSA = 2048

// parseJWKS reads the keys for signatures. Those of other kinds, and private and symmetric ones, are left out: an issuer may have them
// for others. There may be none; what does not even have a list of keys is something else, such as the page of a proxy.
func parseJWKS(text []byte) (map[string]jose.JSONWebKey, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("not a JSON Web Key Set: it has no list of keys")
	}
	keys := map[string]jose.JSONWebKey{}
	for _, one := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(one); err != nil || key.KeyID == "" || cmp.Or(key.Use, "sig") != "sig" || !key.Valid() || !key.IsPublic() {
			continue
		}
		if public, isRSA := key.Key.(*rsa.PublicKey); isRSA && public.N.BitLen() < minRSA {
			continue
		}
		keys[key.KeyID] = key
	}
	return keys, nil
}
