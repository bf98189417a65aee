package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/broker/management"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/dlq"
	"orderflow/pkg/flow"
)

// TestDeliveryLimitOfAPolicy: before a dead letter loses its last life by being looked at, the commands refuse.
func TestDeliveryLimitOfAPolicy(t *testing.T) {
	for _, kind := range []string{"policies", "operator-policies"} {
		t.Run(kind, func(t *testing.T) {
			d := newDeadLetters(t)
			d.add(placed, placed, flow.ReasonExhausted, "1", "2")
			t.Setenv("RABBITMQ_MANAGEMENT_URL", d.env.ManagementURL)
			call(t, exitDone, "dlq", "show", placed)
			vhost := url.PathEscape(d.broker.VirtualHost())
			setPolicy(t, d.env.ManagementURL+"/api/"+kind+"/"+vhost+"/low", `{"pattern":".*","apply-to":"queues","definition":{"delivery-limit":10}}`)
			if kind == "operator-policies" {
				awaitOperatorPolicy(t, management.New(d.env.ManagementURL, d.broker.VirtualHost()), placed+".dlq")
			}
			var said string
			for look := 0; ; look++ {
				var out, errs bytes.Buffer
				if run(t.Context(), []string{"dlq", "show", placed}, strings.NewReader(""), &out, &errs) != exitDone {
					said = errs.String()
					break
				}
				if look == 20 {
					t.Fatal("20 looks at a queue whose limit is 10")
				}
			}
			contains(t, said, "delivery limit", "--force-queue")
			if depth, err := d.broker.Depth(t.Context(), placed+".dlq"); err != nil || depth != 2 {
				t.Errorf("%d are left, %v", depth, err)
			}
		})
	}
}

// awaitOperatorPolicy waits until the management API tells that an operator policy applies to a queue, which it does some seconds later.
func awaitOperatorPolicy(t *testing.T, api *management.Client, queue string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := devtest.Until(ctx, func() error {
		var queues []management.Queue
		if err := api.Get(ctx, "queues/{vhost}", &queues); err != nil {
			return err
		}
		if !slices.ContainsFunc(queues, func(q management.Queue) bool { return q.Name == queue && q.OperatorPolicy != "" }) {
			return fmt.Errorf("no operator policy at %s among %+v", queue, queues)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func setPolicy(t *testing.T, address, policy string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(policy))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatal(response.Status)
	}
}

func TestDeliveryLimits(t *testing.T) {
	said := []management.Policy{{Name: "five", Definition: map[string]any{"delivery-limit": 5.0}}, {Name: "none", Definition: map[string]any{"delivery-limit": -1.0}}}
	for text, want := range map[string]int{
		`{"type":"classic","arguments":{"x-delivery-limit":5}}`: -1,
		`{"type":"quorum"}`: 0,
		`{"type":"quorum","arguments":{"x-delivery-limit":50}}`:                                                                     50,
		`{"type":"quorum","arguments":{"x-delivery-limit":50},"policy":"five"}`:                                                     5,
		`{"type":"quorum","arguments":{"x-delivery-limit":50},"policy":"other"}`:                                                    dlq.DefaultLives,
		`{"type":"quorum","arguments":{"x-delivery-limit":50},"policy":"other","effective_policy_definition":{"delivery-limit":7}}`: 7,
		`{"name":"payment.order-placed.dlq","type":"quorum","arguments":{"x-delivery-limit":50},"policy":"other"}`:                  50,
		`{"type":"quorum","policy":"none"}`:                                                                                         -1,
		`{"type":"quorum","policy":"none","operator_policy":"five"}`:                                                                5,
		`{"type":"quorum","arguments":{"x-delivery-limit":0}}`:                                                                      1,
	} {
		q := unmarshal[managedQueue](t, text)
		q.gather(said, said)
		if q.lives() != want {
			t.Errorf("%s: %d, want %d", text, q.lives(), want)
		}
	}
}
