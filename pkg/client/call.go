package client

import (
	"net/http"
	"strconv"
	"time"
)

// CallOption sets something for one call.
type CallOption func(*request)

// Wait makes the server wait with its answer until the order has ended, at most for d, and no longer than the server likes. What comes
// then is the order as it is: see its Status. The server counts in whole seconds.
func Wait(d time.Duration) CallOption {
	return func(r *request) {
		r.wait = d
		r.header.Set("Prefer", "wait="+strconv.FormatInt(int64((max(d, 0)+time.Second-1)/time.Second), 10))
	}
}

// IdempotencyKey makes all orders that are placed with the same key, by the same caller and within a day, one. Where no key is given, PlaceOrder
// makes one for each call. With an empty one there is none; then the request is sent once.
func IdempotencyKey(key string) CallOption {
	return func(r *request) {
		r.repeatable = key != ""
		r.header.Del(keyHeader)
		if key != "" {
			r.header.Set(keyHeader, key)
		}
	}
}

const keyHeader = "Idempotency-Key"

// IfNoneMatch asks for an order only if it is another one than that with this ETag. If it is not, the error is [ErrNotModified].
func IfNoneMatch(etag string) CallOption {
	return func(r *request) { r.header.Set("If-None-Match", etag) }
}

// After makes Follow begin behind the event with this Cursor.
func After(cursor string) CallOption {
	return func(r *request) { r.header.Set(cursorHeader, cursor) }
}

const cursorHeader = "Last-Event-ID"

// request is one that can be sent, several times if it has to be.
type request struct {
	method, path string // the path as it is sent, with its query
	header       http.Header
	body         []byte
	wait         time.Duration // for which the server was asked to wait
	repeatable   bool          // sent twice, it does no more than once
}

func newRequest(method, path string, options ...CallOption) *request {
	r := &request{method: method, path: path, header: http.Header{}, repeatable: true}
	for _, set := range options {
		set(r)
	}
	return r
}
