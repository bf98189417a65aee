package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// briefly is a context that ends soon.
func briefly(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(stop)
	return ctx
}

func TestClaim(t *testing.T) {
	env := devtest.New(t)
	one, two := connect(t, env.AMQPURL), connect(t, env.AMQPURL)
	claim, err := one.Claim(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Claim(briefly(t), "q"); !errors.Is(err, ErrClaimed) {
		t.Errorf("claimed twice: %v", err)
	}
	if other, err := two.Claim(briefly(t), "another"); err != nil || other.Release() != nil {
		t.Errorf("another queue: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := two.Claim(t.Context(), "q")
		if err == nil {
			err = second.Release()
		}
		got <- err
	}()
	if err := claim.Release(); err != nil {
		t.Error(err)
	}
	if err := receive(t, "the claim", got); err != nil {
		t.Error(err)
	}
}

// A claim ends with the connection of who has it.
func TestClaimOfOneWhoIsGone(t *testing.T) {
	env := devtest.New(t)
	p, through := newProxy(t, env.AMQPURL)
	if _, err := connect(t, through).Claim(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	p.cut()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	claim, err := connect(t, env.AMQPURL).Claim(ctx, "q")
	if err != nil || claim.Release() != nil {
		t.Error(err)
	}
}

// Who may not configure the queue that stands for a claim heeds those of others.
func TestClaimWithoutRights(t *testing.T) {
	env := devtest.New(t)
	admin, reader := connect(t, env.AMQPURL), connect(t, user(t, env, "^$", "^$", ".*"))
	claim, err := admin.Claim(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Claim(briefly(t), "q"); !errors.Is(err, ErrClaimed) {
		t.Errorf("a claim of somebody else's queue: %v", err)
	}
	if err := claim.Release(); err != nil {
		t.Error(err)
	}
	if none, err := reader.Claim(t.Context(), "q"); err != nil || none.Release() != nil {
		t.Errorf("a queue that nobody has: %v", err)
	}
}
