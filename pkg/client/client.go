package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultAgent    = "orderflow-go"
	defaultAttempts = 5
	defaultTimeout  = 30 * time.Second // the server gives up earlier, and says so
	defaultSilence  = 45 * time.Second // three heartbeats
	connections     = 64               // that are kept while nobody uses them
)

// Client speaks with one orderflow.
type Client struct {
	base     string // without a slash at its end
	http     *http.Client
	token    string
	agent    string
	attempts int
	timeout  time.Duration
	silence  time.Duration
}

// Option sets something for all calls of a client.
type Option func(*Client)

// WithToken makes the client say who it is: by an API key or a JWT. Where tokens expire, give the client an http.Client that sets the
// Authorization header, such as one of golang.org/x/oauth2.
func WithToken(token string) Option { return func(c *Client) { c.token = token } }

// WithHTTPClient makes the client use another http.Client: with other certificates, limits or a tracing transport. Its Timeout, if it
// has one, also ends streams, which begin again where they were.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithUserAgent names the program that asks.
func WithUserAgent(agent string) Option { return func(c *Client) { c.agent = agent } }

// WithAttempts bounds how often a request is sent, and how often in a row a stream is connected without bringing anything; 1 means
// that nothing is tried again. It is 5 where nothing is said.
func WithAttempts(n int) Option { return func(c *Client) { c.attempts = max(n, 1) } }

// WithTimeout bounds the time for one attempt to get an answer; where one waits for an order, that comes on top. It is 30 seconds where
// nothing is said. The context of a call bounds all of its attempts together.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithSilence is how long a stream may bring nothing, not even a heartbeat, before its connection is taken for dead. It is 45 seconds
// where nothing is said.
func WithSilence(d time.Duration) Option { return func(c *Client) { c.silence = d } }

// New makes a client of the orderflow at a URL such as "http://127.0.0.1:8080". It connects when something is asked.
func New(baseURL string, options ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("the address of orderflow must be like \"http://127.0.0.1:8080\": %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of orderflow must be like \"http://127.0.0.1:8080\", is %q", u.Redacted())
	}
	c := &Client{
		base: strings.TrimRight(baseURL, "/"), agent: defaultAgent,
		attempts: defaultAttempts, timeout: defaultTimeout, silence: defaultSilence,
	}
	for _, set := range options {
		set(c)
	}
	if c.http == nil {
		c.http = newHTTPClient()
	}
	return c, nil
}

// newHTTPClient differs from the default one by the connections that it keeps: more than two for one server.
func newHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = connections, connections
	return &http.Client{Transport: transport}
}

// Close closes the connections that nobody uses. The client may still be used afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }
