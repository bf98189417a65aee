package access

import (
	"net/http"
	"regexp"
	"strings"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// token68 is what a bearer token may be made of, by RFC 6750, section 2.1.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// bearer returns the token that a request brings, or "" if it brings none.
func bearer(h http.Header) (string, error) {
	given := h.Values("Authorization")
	if len(given) == 0 {
		return "", nil
	}
	if len(given) > 1 {
		return "", refuse("there is more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil // of another scheme, which is not asked for here
	}
	token = strings.Trim(token, " ")
	if len(token) > maxToken || !token68.MatchString(token) {
		return "", refuse("what follows Bearer is no token")
	}
	return token, nil
}
