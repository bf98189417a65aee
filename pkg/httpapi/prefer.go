package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MostWait is the longest wait that is granted.
const MostWait = time.Minute

// Wait reads how long a client wants to wait for what it asks for, by Prefer: wait=SECONDS (RFC 7240), at most MostWait. It is false where
// the client does not say so in the way of that RFC; a preference that is not understood is as if it were not there.
func Wait(h http.Header) (time.Duration, bool) {
	for e := range elements(h.Values("Prefer")) {
		name, value := preference(e)
		if !strings.EqualFold(name, "wait") {
			continue
		}
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return 0, false // of a preference that is there twice, the first counts
		}
		seconds, err := strconv.Atoi(value)
		if most := int(MostWait / time.Second); err != nil || seconds > most { // more digits than a number has
			seconds = most
		}
		return time.Duration(seconds) * time.Second, true
	}
	return 0, false
}

// preference reads a preference's name and value; its parameters are nothing that is known here.
func preference(e string) (name, value string) {
	for first := range unquoted(e, ';') {
		name, value, _ = strings.Cut(first, "=")
		break
	}
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if inner, quoted := strings.CutPrefix(value, `"`); quoted {
		value = strings.TrimSuffix(inner, `"`)
	}
	return name, value
}

// ApplyWait says in an answer's header that a wait was granted.
func ApplyWait(h http.Header, wait time.Duration) {
	h.Set("Preference-Applied", fmt.Sprintf("wait=%d", wait/time.Second))
}
