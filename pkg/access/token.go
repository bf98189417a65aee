package access

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"orderflow/pkg/httpapi"
)

// algorithms are those that tokens may be signed with. A symmetric one is not among them: with it, whoever can check a token can make one.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// types are what the header of a token may say that it is. An ID token and a token of RFC 9068 are taken, and nothing that was signed for another use.
var types = []string{"", "jwt", "at+jwt", "application/at+jwt"}

const (
	leeway    = 30 * time.Second // for clocks that differ
	ownerMark = "oidc:"          // keeps the owners of tokens apart from keys, whose names have no colon
	maxOwner  = 255              // bytes; as OpenID Connect has it
)

// claims are those of a token that say what it is for.
type claims struct {
	jwt.Claims
	Scope string `json:"scope"`
}

// ownerOf checks a token and tells whose it is, and what it is for.
func (i *issuer) ownerOf(ctx context.Context, text string, now time.Time) (*httpapi.Caller, error) {
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, refuse("it is neither an API key of orderflow nor a JWT with an asymmetric signature")
	}
	header := token.Headers[0]
	kind, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(types, strings.ToLower(kind)) {
		return nil, refuse("the token is of another type (typ) than JWT and at+jwt")
	}
	if header.KeyID == "" {
		return nil, refuse("the token does not say which key it is signed with (kid)")
	}
	key, err := i.key(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, refuse("the token is signed with another algorithm than its key is for")
	}
	var said claims
	var all map[string]json.RawMessage
	if err := token.Claims(key.Key, &said, &all); err != nil {
		return nil, refuse("the signature of the token is wrong, or its claims are not what they should be")
	}
	if err := i.check(said.Claims, now); err != nil {
		return nil, err
	}
	customers, err := i.customers(all)
	if err != nil {
		return nil, err
	}
	return &httpapi.Caller{Name: ownerMark + said.Subject, Scopes: ours(said.Scope), Customers: customers}, nil
}

// check checks from whom a token is, for whom, and when.
func (i *issuer) check(said jwt.Claims, now time.Time) error {
	err := said.ValidateWithLeeway(jwt.Expected{Issuer: i.cfg.URL, AnyAudience: jwt.Audience{i.cfg.Audience}, Time: now}, leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refuse("the token is of another issuer")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refuse("the token is for another audience")
	case errors.Is(err, jwt.ErrExpired):
		return refuse("the token has expired")
	case err != nil:
		return refuse("the token is not valid yet")
	case said.Expiry == nil:
		return refuse("the token does not say when it expires (exp)")
	case said.Subject == "" || len(said.Subject) > maxOwner || strings.ContainsFunc(said.Subject, unicode.IsControl):
		return refuse("the token does not say whose it is (sub), in at most 255 characters")
	}
	return nil
}

// ours are those scopes of a token that mean something here.
func ours(scope string) (scopes []httpapi.Scope) {
	for name := range strings.FieldsSeq(scope) {
		if slices.Contains(Scopes, httpapi.Scope(name)) {
			scopes = append(scopes, httpapi.Scope(name))
		}
	}
	return scopes
}

// customers are those that a token is for: a list of ids, or one. Where the claim is asked for, a token without it is refused: else one
// that somebody forgot to add it to would be for all customers.
func (i *issuer) customers(all map[string]json.RawMessage) ([]string, error) {
	if i.cfg.CustomersClaim == "" {
		return nil, nil
	}
	raw := all[i.cfg.CustomersClaim]
	customers := []string{""}
	if json.Unmarshal(raw, &customers[0]) != nil && json.Unmarshal(raw, &customers) != nil || len(customers) == 0 || checkCustomers(customers) != nil {
		return nil, refuse("the token does not say for which customers it is, in the claim that has been agreed on")
	}
	return customers, nil
}
