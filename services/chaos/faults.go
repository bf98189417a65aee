package main

import (
	"bytes"
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

// injected counts the faults of each kind that were done.
type injected map[kind]int

// errNoEffect is the end of a fault that found nothing to harm: a queue without messages, an alarm that nobody raised.
var errNoEffect = errors.New("it had no effect")

// play lets the faults of a schedule happen in their time, and returns when all of them are undone. Faults on one target come one
// after the other.
func (w *world) play(ctx context.Context, schedule []fault) (injected, error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	began, done, targets := time.Now(), injected{}, map[string]*sync.Mutex{}
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
		group.Go(func() {
			lock.Lock()
			defer lock.Unlock()
			err := w.do(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done[f.Kind]++
			case !errors.Is(err, errNoEffect):
				errs = append(errs, fmt.Errorf("%v: %w", f, err))
			}
		})
	}
	group.Wait()
	return done, errors.Join(errs...)
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
		return w.fleet.link(f.Target).slow(forTime(ctx, f.Lasts), time.Duration(20+r.IntN(180))*time.Millisecond)
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
func (w *world) killBusy(ctx context.Context, f fault) (err error) {
	p := w.fleet.named(f.Target)
	slow := p.link(postgres).slow(func() {
		sleep(ctx, 2*time.Second)
		err = p.kill(ctx, f.Lasts)
	}, 300*time.Millisecond)
	return errors.Join(err, slow)
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
	raised, err := w.servers.Control(ctx, "-q", "eval", "rabbit_alarm:get_alarms().")
	if err == nil && !bytes.Contains(raised, []byte("resource_limit")) {
		err = errNoEffect
	}
	return errors.Join(err, off(context.WithoutCancel(ctx)))
}

func (w *world) control(ctx context.Context, args []string) error {
	_, err := w.servers.Control(ctx, args...)
	return err
}
