package httpapi

import (
	"iter"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// elements are those of a header that is a list (RFC 9110, section 5.6.1): of all its lines, separated by commas that are not quoted.
func elements(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for e := range unquoted(line, ',') {
				if e = strings.Trim(e, " \t"); e != "" && !yield(e) {
					return
				}
			}
		}
	}
}

// unquoted splits s at each separator outside of a quoted string.
func unquoted(s string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '"':
				quoted = !quoted
			case c == '\\' && quoted:
				i++
			case c == separator && !quoted:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}

// Prefers tells which of two media types a client wants, by its Accept (RFC 9110, section 12.5.1): other only if the client wants it more
// than usual, or as much and names it more clearly.
func Prefers(h http.Header, other, usual string) bool {
	q, clarity := quality(h, other)
	usualQ, usualClarity := quality(h, usual)
	return q > 0 && (q > usualQ || q == usualQ && clarity > usualClarity)
}

// quality is how much a client wants a media type, and how clearly that is said: 3 by its name, 2 by type/*, 1 by */*, 0 not at all.
func quality(h http.Header, mediaType string) (q float64, clarity int) {
	kind, _, _ := strings.Cut(mediaType, "/")
	for e := range elements(h.Values("Accept")) {
		given, params, err := mime.ParseMediaType(e)
		if err != nil {
			continue
		}
		if at := clarityOf(given, kind, mediaType); at > clarity {
			q, clarity = weight(params["q"]), at
		}
	}
	return q, clarity
}

func clarityOf(given, kind, mediaType string) int {
	switch given {
	case mediaType:
		return 3
	case kind + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

// weight reads a quality; what is none is as if it were not there.
func weight(given string) float64 {
	q, err := strconv.ParseFloat(given, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1
	}
	return q
}

// NotModified tells whether the client has what the entity tag stands for, by its If-None-Match (RFC 9110, section 13.1.2): tags are
// compared weakly, and * is any.
func NotModified(h http.Header, tag string) bool {
	lines := h.Values("If-None-Match")
	if len(lines) == 1 && strings.Trim(lines[0], " \t") == "*" {
		return true
	}
	for given := range elements(lines) {
		if strings.TrimPrefix(given, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
