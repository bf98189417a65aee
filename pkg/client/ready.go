package client

import (
	"context"
	"net/http"
)

// Ready tells whether orderflow can do its work; if not, the error is a [*Problem] with status 503 that says why. It is asked once.
func (c *Client) Ready(ctx context.Context) error {
	r := newRequest(http.MethodGet, "/readyz")
	r.repeatable = false
	_, err := c.call(ctx, r, nil)
	return err
}
