package doctor

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"orderflow/pkg/broker/management"
)

// managementFacts is what the management API tells. Each question may be refused, or fail, by itself.
type managementFacts struct {
	unset       bool  // there is no address of it
	err         error // why nothing is told
	user        string
	tags        []string
	overview    answer[overview]
	nodes       answer[[]node]
	exchanges   answer[[]exchange]
	queues      answer[[]management.Queue] // as they are
	copies      answer[[]management.Queue] // as they were some seconds ago, with what the nodes say of them
	bindings    answer[[]binding]
	consumers   answer[[]consumer]
	connections answer[[]connection]
	policies    answer[[]management.Policy]
	operator    answer[[]management.Policy]
	permissions answer[[]permission]
	topics      answer[[]topicPermission]
	flags       answer[[]flag]
	clock       answer[skew]
}

type overview struct {
	RabbitMQ string `json:"rabbitmq_version"`
	Erlang   string `json:"erlang_version"`
}

type node struct {
	Name          string
	Running       bool
	Partitions    []string
	MemoryAlarm   bool   `json:"mem_alarm"`
	DiskAlarm     bool   `json:"disk_free_alarm"`
	Memory        amount `json:"mem_used"`
	MemoryLimit   amount `json:"mem_limit"`
	DiskFree      amount `json:"disk_free"`
	DiskFreeLimit amount `json:"disk_free_limit"`
	Files         amount `json:"fd_used"`
	FilesLimit    amount `json:"fd_total"`
	Sockets       amount `json:"sockets_used"`
	SocketsLimit  amount `json:"sockets_total"` // 0 where there is none
}

// amount is a number, unmeasured where RabbitMQ says a word instead: "NaN" of a disk that it cannot measure, "unknown" of files.
type amount int64

const unmeasured amount = -1

// UnmarshalJSON takes both.
func (a *amount) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, (*int64)(a)) != nil {
		*a = unmeasured
	}
	return nil
}

type exchange struct {
	Name      string
	Type      string
	Durable   bool
	Internal  bool // takes nothing from publishers
	Arguments map[string]any
	Policy    string // its name
}

type binding struct {
	Source, Destination string
	Kind                string `json:"destination_type"`
	RoutingKey          string `json:"routing_key"`
}

type consumer struct {
	Tag     string `json:"consumer_tag"`
	Queue   struct{ Name string }
	Channel channel `json:"channel_details"`
}

type channel struct {
	User       string
	Connection string `json:"connection_name"`

	gone bool // RabbitMQ 3 goes on listing a consumer whose queue was deleted, without a channel
}

// UnmarshalJSON takes an empty list for a channel that is gone.
func (c *channel) UnmarshalJSON(text []byte) error {
	if c.gone = string(text) == "[]"; c.gone {
		return nil
	}
	type known channel
	return json.Unmarshal(text, (*known)(c))
}

type connection struct {
	User   string
	Given  string `json:"user_provided_name"`
	Client struct {
		Version string `json:"program_version"`
	} `json:"client_properties"`
}

type permission struct{ User, Configure, Write, Read string }

// topicPermission narrows what a user may do to one exchange, by the routing key. There need not be one.
type topicPermission struct{ User, Exchange, Write string }

type flag struct{ Name, State string }

// seeManagement asks everything at the same time.
func seeManagement(ctx context.Context, address, vhost string) *managementFacts {
	f := &managementFacts{unset: address == ""}
	if f.unset {
		return f
	}
	api := management.New(address, vhost)
	// First alone: where this is not answered, nothing is. The tags are a text of RabbitMQ's own before 3.9.
	var me struct {
		Name string
		Tags []string
	}
	if f.err = api.Get(ctx, "whoami", &me); f.err != nil {
		return f
	}
	f.user, f.tags = me.Name, me.Tags
	var group sync.WaitGroup
	question(ctx, &group, api, "overview", &f.overview)
	question(ctx, &group, api, "nodes", &f.nodes)
	question(ctx, &group, api, "exchanges/{vhost}", &f.exchanges)
	question(ctx, &group, api, "queues/{vhost}?disable_stats=true&enable_queue_totals=true", &f.queues)
	question(ctx, &group, api, "queues/{vhost}", &f.copies)
	question(ctx, &group, api, "bindings/{vhost}", &f.bindings)
	question(ctx, &group, api, "consumers/{vhost}", &f.consumers)
	question(ctx, &group, api, "vhosts/{vhost}/connections", &f.connections)
	question(ctx, &group, api, "policies/{vhost}", &f.policies)
	question(ctx, &group, api, "operator-policies/{vhost}", &f.operator)
	question(ctx, &group, api, "vhosts/{vhost}/permissions", &f.permissions)
	question(ctx, &group, api, "vhosts/{vhost}/topic-permissions", &f.topics)
	question(ctx, &group, api, "feature-flags", &f.flags)
	group.Go(func() {
		asked := time.Now()
		told, err := api.Date(ctx)
		// RabbitMQ takes the time once a second, without the fraction.
		f.clock = answer[skew]{compareClocks(asked, told, time.Now(), 2*time.Second), err}
	})
	group.Wait()
	f.consumers.value = slices.DeleteFunc(f.consumers.value, func(c consumer) bool { return c.Channel.gone })
	management.Complete(f.queues.value, f.copies.value, f.policies.err != nil || f.operator.err != nil)
	return f
}

func question[T any](ctx context.Context, group *sync.WaitGroup, api *management.Client, path string, into *answer[T]) {
	group.Go(func() { into.err = api.Get(ctx, path, &into.value) })
}
