package main_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"orderflow/pkg/conformance"
)

// judged is the transport of a client whose exchanges are judged, but for streams, which have no end while they are read.
type judged struct{ *client }

// RoundTrip implements http.RoundTripper.
func (j judged) RoundTrip(r *http.Request) (*http.Response, error) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context()) // a transport does not change what it was given
	r.Body = io.NopCloser(bytes.NewReader(asked))
	response, err := j.http.Transport.RoundTrip(r)
	if err != nil || strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response, err
	}
	defer response.Body.Close()
	answered, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(answered))
	j.judge(conformance.Exchange{Request: r, RequestBody: asked, Status: response.StatusCode, Header: response.Header, Body: answered})
	return response, nil
}
