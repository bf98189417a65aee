package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// world is everything that can be harmed.
type world struct {
	servers *devtest.Servers
	fleet   *fleet
	bank    *bank
	tap     *tap
	say     func(format string, args ...any)
}

// injected counts the faults of each kind.
type injected map[kind]int

// play lets the faults of a schedule happen in their time, and returns when all of them are undone. Faults on one target come one
// after the other.
func (w *world) play(ctx context.Context, schedule []fault) (injected, error) {
	began, counts := time.Now(), injected{}
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	targets := map[string]*sync.Mutex{}
	for _, f := range schedule {
		if sleep(ctx, f.At-time.Since(began)); ctx.Err() != nil {
			break
		}
		target := cmp.Or(f.Target, string(f.Kind))
		if targets[target] == nil {
			targets[target] = new(sync.Mutex)
		}
		lock := targets[target]
		w.say("%v", f)
		counts[f.Kind]++
		group.Go(func() {
			lock.Lock()
			defer lock.Unlock()
			if err := w.do(ctx, f); err != nil && ctx.Err() == nil {
				failed.Store(new(fmt.Errorf("%v: %w", f, err)))
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return counts, *err
	}
	return counts, ctx.Err()
}

// do does what a fault says, waits, and undoes it.
func (w *world) do(ctx context.Context, f fault) error {
	r := rand.New(rand.NewPCG(f.Dice, 3))
	switch f.Kind {
	case killService:
		return w.fleet.named(f.Target).kill(ctx, f.Lasts)
	case killBusyService:
		return w.killBusy(ctx, f)
	case restartService:
		return w.fleet.named(f.Target).restart(ctx, f.Lasts)
	case freezeService:
		return w.fleet.named(f.Target).freeze(ctx, f.Lasts)
	case killServer:
		return w.kill(ctx, f)
	case freezeServer:
		return w.freeze(ctx, f)
	case memoryAlarm:
		return w.alarm(ctx, f, noMemory, func(ctx context.Context) error { return w.control(ctx, enoughMemory) })
	case diskAlarm:
		return w.alarm(ctx, f, noDisk, func(ctx context.Context) error { return w.control(ctx, enoughDisk) })
	case killFullServer: // what it was sent and has not read yet is lost; it forgets the limit
		return w.alarm(ctx, f, noMemory, func(ctx context.Context) error { return w.kill(ctx, fault{Target: rabbitmq, Lasts: time.Second}) })
	case cutLink:
		return w.fleet.link(f.Target).cut()
	case truncateLink:
		direction := upstream
		if r.IntN(2) == 0 {
			direction = downstream
		}
		return w.fleet.link(f.Target).truncate(ctx, f.Lasts, 1+r.IntN(20_000), direction)
	case stallLink:
		return w.fleet.link(f.Target).stall(ctx, f.Lasts)
	case swallowLink:
		return w.fleet.link(f.Target).swallow(ctx, f.Lasts)
	case slowLink:
		return w.fleet.link(f.Target).slow(ctx, f.Lasts, time.Duration(20+r.IntN(180))*time.Millisecond)
	case refuseLink:
		return w.fleet.link(f.Target).refuse(ctx, f.Lasts)
	case gatewayDown:
		return down(ctx, &w.bank.gatewayDown, f.Lasts)
	case carrierDown:
		return down(ctx, &w.bank.carrierDown, f.Lasts)
	case holdBack:
		return w.tap.holdBack(ctx, f.Target, f.Lasts)
	case multiplyEvents:
		return w.tap.multiply(ctx, f.Lasts)
	}
	return fmt.Errorf("there is no such fault")
}

func down(ctx context.Context, switched *atomic.Bool, d time.Duration) error {
	switched.Store(true)
	defer switched.Store(false)
	sleep(ctx, d)
	return nil
}

func (w *world) server(name string) devtest.Server {
	if name == rabbitmq {
		return w.servers.RabbitMQ
	}
	return w.servers.Postgres
}

// kill ends a server by SIGKILL, and starts it again on its data after a while.
func (w *world) kill(ctx context.Context, f fault) error {
	if err := w.server(f.Target).Kill(); err != nil {
		return err
	}
	sleep(ctx, f.Lasts)
	return w.server(f.Target).Start(context.WithoutCancel(ctx))
}

// freeze stops a server where it is, and lets it go on after a while.
func (w *world) freeze(ctx context.Context, f fault) error {
	if err := w.server(f.Target).Freeze(); err != nil {
		return err
	}
	sleep(ctx, f.Lasts)
	return w.server(f.Target).Thaw()
}

// killBusy kills a process that has much in hand: its database is so slow that batches have grown.
func (w *world) killBusy(ctx context.Context, f fault) error {
	p := w.fleet.named(f.Target)
	killed := make(chan error, 1)
	go func() {
		sleep(ctx, 2*time.Second)
		killed <- p.kill(ctx, f.Lasts)
	}()
	return errors.Join(p.link(postgres).slow(ctx, 3*time.Second, 300*time.Millisecond), <-killed)
}

// Settings of the broker that make it hold publishers back, and those that it has otherwise.
var (
	noMemory     = []string{"set_vm_memory_high_watermark", "0.00001"}
	enoughMemory = []string{"set_vm_memory_high_watermark", "0.4"}
	noDisk       = []string{"set_disk_free_limit", "100000GB"}
	enoughDisk   = []string{"set_disk_free_limit", "100MB"}
)

// alarm makes the broker hold publishers back for a while.
func (w *world) alarm(ctx context.Context, f fault, on []string, off func(context.Context) error) error {
	if err := w.control(ctx, on); err != nil {
		return err
	}
	sleep(ctx, f.Lasts)
	return off(context.WithoutCancel(ctx))
}

func (w *world) control(ctx context.Context, args []string) error {
	_, err := w.servers.Control(ctx, args...)
	return err
}
