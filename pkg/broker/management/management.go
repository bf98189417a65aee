package management

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Client asks about one virtual host, and about the broker that has it.
type Client struct {
	address string
	vhost   string
	http    *http.Client
}

// New makes a client of the API at an address such as http://user:password@host:15672.
func New(address, vhost string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // who asks now and then leaves nothing open
	return &Client{strings.TrimSuffix(address, "/") + "/api/", url.PathEscape(vhost), &http.Client{Transport: transport}}
}

// StatusError is an answer other than 200.
type StatusError struct{ Code int }

// Error names the status.
func (e *StatusError) Error() string {
	return fmt.Sprintf("it says %d %s", e.Code, http.StatusText(e.Code))
}

// IsRefused tells whether err says that the user may not ask this, or is not known at all.
func IsRefused(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	return ok && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden)
}

// Get asks for what is at path below /api, in which "{vhost}" stands for the virtual host.
func (c *Client) Get(ctx context.Context, path string, answer any) error {
	response, err := c.ask(ctx, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return &StatusError{response.StatusCode}
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// Date asks what time it is. The answer is that of the last full second, or of the one before.
func (c *Client) Date(ctx context.Context) (time.Time, error) {
	response, err := c.ask(ctx, "whoami")
	if err != nil {
		return time.Time{}, err
	}
	response.Body.Close()
	return http.ParseTime(response.Header.Get("Date"))
}

func (c *Client) ask(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+strings.ReplaceAll(path, "{vhost}", c.vhost), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // the address is long, and known
	}
	return response, err
}

// Queue is a queue as the API tells of it. Not everything is told by all brokers, and to every question.
type Queue struct {
	Name           string
	Type           string
	Durable        bool
	Arguments      map[string]any
	Policy         string         // their names
	OperatorPolicy string         `json:"operator_policy"`
	Effective      map[string]any `json:"effective_policy_definition"` // of both
	State          string
	Members        []string // the nodes that have a copy, and those of them that run
	Online         []string
	Messages       *int
	Unacked        *int `json:"messages_unacknowledged"` // in consumers' hands, as of some seconds ago
}

// Policy is one of a virtual host.
type Policy struct {
	Name       string
	Definition map[string]any
}

// Complete adds to queues, which were listed with disable_stats, what only a listing without knows: which operator policies apply, and where
// effective is set, because the policies themselves cannot be read, what they come to.
func Complete(queues, late []Queue, effective bool) {
	for i := range queues {
		q := &queues[i]
		at := slices.IndexFunc(late, func(l Queue) bool { return l.Name == q.Name })
		if at < 0 {
			continue
		}
		q.OperatorPolicy = cmp.Or(q.OperatorPolicy, late[at].OperatorPolicy)
		if effective && q.Policy == late[at].Policy {
			q.Effective = late[at].Effective
		}
	}
}

// Said is what policies say about the queue, each by itself. It is not whole where one is not among those that the caller could read.
func (q *Queue) Said(policies, operatorPolicies []Policy) (said []map[string]any, whole bool) {
	said, whole = []map[string]any{q.Effective}, true
	for _, from := range []struct {
		name string
		all  []Policy
	}{{q.Policy, policies}, {q.OperatorPolicy, operatorPolicies}} {
		at := slices.IndexFunc(from.all, func(p Policy) bool { return p.Name == from.name })
		if at >= 0 {
			said = append(said, from.all[at].Definition)
		} else if from.name != "" && len(q.Effective) == 0 {
			whole = false
		}
	}
	return said, whole
}
