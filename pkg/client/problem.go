package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer that refuses a request: RFC 9457 problem details.
type Problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors"` // which fields or parameters are wrong, where it is that

	RetryAfter time.Duration `json:"-"` // after which time to ask again, where the server says so
}

// FieldError says what is wrong with one field of the body, or with one parameter.
type FieldError struct {
	Pointer   string `json:"pointer"`   // a JSON pointer into the body
	Parameter string `json:"parameter"` // in the path, the query or a header
	Detail    string `json:"detail"`
}

// Error says what is wrong, as the server does.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Title)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// StatusOf is the HTTP status that the server has refused a request with, or 0 for any other error:
//
//	if client.StatusOf(err) == http.StatusNotFound {
func StatusOf(err error) int {
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p.Status
	}
	return 0
}

// mostText is how much is kept of an answer that is no problem details: the page of a proxy, say.
const mostText = 300

func problemOf(a *answer) *Problem {
	p := new(Problem)
	if kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); kind != "application/problem+json" || json.Unmarshal(a.body, p) != nil {
		p = &Problem{Detail: strings.ToValidUTF8(strings.TrimSpace(string(a.body[:min(len(a.body), mostText)])), "�")}
	}
	p.Type, p.Title, p.Status = cmp.Or(p.Type, "about:blank"), cmp.Or(p.Title, http.StatusText(a.status)), a.status
	p.RetryAfter = retryAfter(a.header.Get("Retry-After"), time.Now())
	return p
}

// retryAfter reads what is a number of seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if moment, err := http.ParseTime(text); err == nil {
		return max(moment.Sub(now), 0)
	}
	return 0
}
