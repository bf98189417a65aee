package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxAnswer is how large an answer may be, in bytes: a page of orders that are as large as can be has to fit.
const maxAnswer = 128 << 20

// ErrNotModified says that an order is still the one that the given ETag is of.
var ErrNotModified = errors.New("the order has not changed")

// errUnexpected is the error of an answer that is no better the next time.
var errUnexpected = errors.New("the answer is not what was expected")

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request, and reads the JSON of its answer into what into points to, if that is not nil.
func (c *Client) call(ctx context.Context, r *request, into any) (*answer, error) {
	a, err := c.insist(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if a.status == http.StatusNotModified {
		return nil, ErrNotModified
	}
	if into == nil {
		return a, nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", r.method, r.path, errUnexpected, err)
	}
	return a, nil
}

// get reads what is at a path.
func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	v := new(T)
	if _, err := c.call(ctx, newRequest(http.MethodGet, path), v); err != nil {
		return nil, err
	}
	return v, nil
}

// insist sends a request as often as is needed and as it may be.
func (c *Client) insist(ctx context.Context, r *request) (*answer, error) {
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, r)
		if err == nil || !r.repeatable || attempt >= c.attempts || !temporary(err) {
			return a, err
		}
		if !pauseFor(ctx, pauseAfter(err, firstPause, attempt)) {
			return nil, ended(ctx, err)
		}
	}
}

// ended adds to an error that the context has ended, if it has.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w; before that: %w", ctx.Err(), err)
}

// attempt sends a request once. An answer that refuses it is an error.
func (c *Client) attempt(ctx context.Context, r *request) (*answer, error) {
	ctx, stop := context.WithTimeout(ctx, c.timeout+r.wait)
	defer stop()
	response, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return read(response)
}

// send sends a request, and does not read the body of the answer.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	request.Header = r.header.Clone()
	if r.header.Get("Accept") == "" {
		request.Header.Set("Accept", "application/json, application/problem+json")
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	request.Header.Set("User-Agent", c.agent)
	response, err := c.http.Do(request)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // what was asked is told once for all attempts
	}
	return response, err
}

// read reads a whole answer.
func read(response *http.Response) (*answer, error) {
	a := &answer{status: response.StatusCode, header: response.Header}
	var err error
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		return nil, fmt.Errorf("read the answer %d: %w", a.status, err)
	}
	switch {
	case a.status/100 == 2 && len(a.body) > maxAnswer:
		return nil, fmt.Errorf("%w: it has more than %d bytes", errUnexpected, maxAnswer)
	case a.status/100 == 2, a.status == http.StatusNotModified:
		return a, nil
	}
	return nil, problemOf(a)
}
