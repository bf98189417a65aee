package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	firstPause    = 100 * time.Millisecond // after a request that has failed
	longestPause  = 10 * time.Second
	mostPatience  = time.Minute // a server that wants to be left alone for longer is not asked again
	pauseOfStream = time.Second // before a stream is connected again, until the server says otherwise
)

// temporary tells whether it may help to send a request again.
func temporary(err error) bool {
	var p *Problem
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &p):
		return p.temporary() && p.RetryAfter <= mostPatience
	case errors.Is(err, context.Canceled), errors.Is(err, errUnexpected), errors.As(err, &untrusted):
		return false
	}
	return true // there was no answer, or not all of it
}

func (p *Problem) temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict: // with another request that has the same key, and that will be over soon
		return p.RetryAfter > 0
	}
	return false
}

// pauseAfter is how long to wait after the nth error in a row: twice as long each time, and as long as the server says at least. Chance
// keeps clients apart that have failed together.
func pauseAfter(err error, first time.Duration, n int) time.Duration {
	pause := max(min(first<<min(max(n-1, 0), 16), longestPause), first)
	pause = pause/2 + rand.N(pause/2+1)
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p.RetryAfter + pause
	}
	return pause
}

// pauseFor waits, if the context will not end before. It returns whether it has.
func pauseFor(ctx context.Context, d time.Duration) bool {
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) < d {
		return false
	}
	return rest(ctx, d) == nil
}

// rest waits, or returns the context's error.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
