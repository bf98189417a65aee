package broker

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// A user that loses its rights keeps the connection, so who asks whether everything works is told by what was refused; when the
// rights are back, everything goes on by itself.
func TestRightsThatAreTakenAwayAndGivenBack(t *testing.T) {
	env := devtest.New(t)
	declareQueue(t, connect(t, env.AMQPURL), "q")
	p, through := newProxy(t, user(t, env, ".*", ".*", ".*"))
	b := connect(t, through)
	pub := publisher(t, b)
	got := consumeAll(t, b, "q")
	publishAll(t, pub, numbered("q", 1))
	got.until(t, ids(1))
	if !b.Consuming() || pub.Refused() {
		t.Errorf("consuming %v, refused %v with all rights", b.Consuming(), pub.Refused())
	}

	u, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	permit := func(write, read string) {
		manage(t, env, "PUT", "/api/permissions/"+vhost(t, env.AMQPURL)+"/"+u.User.Username(),
			map[string]string{"configure": "^$", "write": write, "read": read}, nil)
		p.cut() // the broker may remember for a minute what a channel was allowed
	}
	permit("^$", "^$")
	eventually(t, "the consumer has lost its queue", func() bool { return !b.Consuming() })
	eventually(t, "the broker refuses what is published", func() bool {
		ctx, stop := context.WithTimeout(t.Context(), limit)
		defer stop()
		errs := pub.PublishAll(ctx, numbered("q", 1))
		if !errors.Is(errs[0], ErrNotConnected) {
			t.Fatalf("a message that may not be published: %v", errs[0])
		}
		return pub.Refused()
	})
	eventually(t, "the connection is back all the same", b.Connected)

	permit(".*", ".*")
	eventually(t, "the consumer has its queue again", b.Consuming)
	eventually(t, "the publisher is ready", pub.Ready)
	publishAll(t, pub, numbered("q", 2))
	got.until(t, ids(2))
	if pub.Refused() {
		t.Error("refused, after a confirm")
	}
}
