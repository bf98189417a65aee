package main

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"orderflow/pkg/contract"
	"orderflow/pkg/event"
)

// Each example is an event that could have been sent: a reader takes it, and it has no field too many.
func TestExamplesKeepToTheSchemas(t *testing.T) {
	all, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := contract.Read(event.Schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range event.Orders.Kinds() {
		strict, err := contract.Strict(schemas[k.Versions()[0].File()])
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(all[k.Type]); err != nil {
			t.Errorf("%s: %v in %s", k.Type, err, all[k.Type])
		}
		if e, err := event.Orders.Decode(all[k.Type]); err != nil || e.Type() != k.Type {
			t.Errorf("%s: %v", k.Type, err)
		}
	}
}

// The document has a channel for every event and every queue, and says what to do with a dead letter of each.
func TestEveryEventAndQueueIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../documents/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Channels map[string]struct {
			Address  string
			Messages map[string]any
		}
		Operations map[string]struct{ Action, Description string }
		Components struct{ Messages, Schemas map[string]any }
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, k := range event.Orders.Kinds() {
		name := string(k.Type)
		if c, op := doc.Channels[name], doc.Operations["send"+name]; c.Address != k.RoutingKey || len(c.Messages) != 1 || op.Action != "send" ||
			doc.Components.Messages[name] == nil || doc.Components.Schemas[name] == nil {
			t.Errorf("%s: %+v, %+v", name, c, op)
		}
	}
	all, err := readers()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		id := identifier(r.Queue)
		op := doc.Operations["receive"+strings.ToUpper(id[:1])+id[1:]]
		if c := doc.Channels[id]; c.Address != r.Queue || len(c.Messages) != len(r.Events) || op.Action != "receive" ||
			!strings.Contains(op.Description, r.Queue+".dlq") || !strings.Contains(op.Description, r.Stuck) {
			t.Errorf("%s: %+v, %+v", r.Queue, c, op)
		}
	}
	if len(doc.Channels) != len(event.Orders.Kinds())+len(all) || len(doc.Operations) != len(doc.Channels) {
		t.Errorf("%d channels, %d operations", len(doc.Channels), len(doc.Operations))
	}
}
