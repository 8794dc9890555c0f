package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// traffic is trips of a home whose callbacks come to another node, half of them with a key and somebody who waits there
// too. What the engine hears is true, and everybody hears the result.
type traffic struct {
	home, other *redis.Correlator
	all         sync.WaitGroup
	trips       atomic.Int64
	slowest     atomic.Int64 // from the acknowledgement to the last who hears it, in ns
	refused     atomic.Int64 // trips that the home would not have taken
}

// run begins trips until stop, each with its own result.
func (f *traffic) run(t *testing.T, stop <-chan struct{}) {
	for range 8 {
		f.all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.trip(t)
				}
			}
		})
	}
}

// trip is one trip. With Redis away it is one without a key.
func (f *traffic) trip(t *testing.T) {
	n := f.trips.Add(1)
	if f.home.Admits() != nil {
		f.refused.Add(1)
	}
	id := f.home.NewID(soon())
	trip, waiter := correlatortest.Always(correlator.Held), correlatortest.Always(correlator.Held)
	claimed := false
	if n%2 == 0 {
		_, err := f.home.Claim(context.Background(), newKey(), [32]byte{}, id, openRecord(1))
		claimed = err == nil
	}
	if err := f.home.Park(id, trip, soon()); err != nil {
		t.Errorf("park: %v", err)
		return
	}
	defer f.home.Close(id)
	waits := false
	if claimed {
		detach, err := f.other.Attach(context.Background(), id, waiter, soon())
		if waits = err == nil; waits {
			defer detach()
		}
	}
	body := fmt.Sprintf(`{"trip":%d}`, n)
	patiently(t, func() error { return f.other.Deliver(context.Background(), id, correlatortest.Final(0, body)) })
	begin := time.Now()
	f.hear(t, trip, body)
	if waits {
		f.hear(t, waiter, body)
	}
	if d := int64(time.Since(begin)); d > f.slowest.Load() {
		f.slowest.Store(d)
	}
}

func (f *traffic) hear(t *testing.T, trip *correlatortest.Trip, body string) {
	select {
	case cb := <-trip.Heard:
		if string(cb.Body) != body {
			t.Errorf("heard %s, want %s", cb.Body, body)
		}
	case <-time.After(15 * time.Second):
		t.Errorf("%s was acknowledged and not heard", body)
	}
}

// patiently asks until Redis serves, for at most 15 s.
func patiently(t *testing.T, ask func() error) {
	for begin := time.Now(); ; <-time.After(20 * time.Millisecond) {
		err := ask()
		if isSettled(err) {
			return
		}
		if !errors.Is(err, correlator.ErrUnavailable) || time.Since(begin) > 15*time.Second {
			t.Errorf("deliver: %v", err)
			return
		}
	}
}

// served waits until a callback from one node to the other is heard.
func served(t *testing.T, home, other *redis.Correlator) {
	t.Helper()
	trip := correlatortest.Always(correlator.Written)
	id := park(t, home, trip)
	patiently(t, func() error { return other.Deliver(context.Background(), id, correlatortest.Final(0, `1`)) })
	correlatortest.Next(t, trip.Heard, "callback")
}

// TestSentinelFailover kills the master under load: soon after the replica has become the master everything works, and what
// was acknowledged is heard.
func TestSentinelFailover(t *testing.T) {
	f := redistest.StartFailover(t, "main")
	cfg := config(f.URL())
	cfg.Mode = redis.Sentinel
	load := traffic{home: start(t, cfg), other: start(t, cfg)}
	k := newKey()
	claimed := parkClaimed(t, load.home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, load.other, claimed)
	stop := make(chan struct{})
	load.run(t, stop)
	<-time.After(500 * time.Millisecond)
	f.Master.Kill()
	f.AwaitPromotion()
	begin := time.Now()
	served(t, load.home, load.other)
	if d := time.Since(begin); d > healed {
		t.Errorf("served %v after the promotion", d)
	}
	awaitReady(t, load.home)
	awaitReady(t, load.other)
	if _, owner := claim(t, load.other, k); owner != claimed {
		t.Error("a key of a trip in flight has become free")
	}
	deliver(t, load.home, claimed, `"after"`)
	hears(t, waiter, `"after"`, healed)
	close(stop)
	load.all.Wait()
	t.Logf("%d trips; the slowest was heard %v after its acknowledgement", load.trips.Load(), time.Duration(load.slowest.Load()))
}

// TestSlotMigration moves everything of a node to another server of a Cluster, and back, under load.
func TestSlotMigration(t *testing.T) {
	m := redistest.StartMasters(t, 3)
	cfg := config(m.URL())
	cfg.Mode = redis.Cluster
	load := traffic{home: start(t, cfg), other: start(t, cfg)}
	k := newKey()
	claimed := parkClaimed(t, load.home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, load.other, claimed)
	stop := make(chan struct{})
	load.run(t, stop)
	slot := m.Slot("{" + load.home.Node().String() + "}")
	from := m.Owner(slot)
	for _, to := range []int{(from + 1) % 3, (from + 2) % 3, from} {
		<-time.After(500 * time.Millisecond)
		m.Move(slot, to)
		begin := time.Now()
		served(t, load.home, load.other)
		if d := time.Since(begin); d > healed {
			t.Errorf("served %v after the migration", d)
		}
	}
	awaitReady(t, load.home)
	if _, owner := claim(t, load.other, k); owner != claimed {
		t.Error("a key of a trip in flight has become free")
	}
	deliver(t, load.home, claimed, `"after"`)
	hears(t, waiter, `"after"`, healed)
	close(stop)
	load.all.Wait()
	t.Logf("%d trips; the slowest was heard %v after its acknowledgement", load.trips.Load(), time.Duration(load.slowest.Load()))
	if d := time.Duration(load.slowest.Load()); d > healed {
		t.Errorf("heard %v after the acknowledgement", d)
	}
	if n := load.refused.Load(); n > 0 {
		t.Errorf("%d of %d trips would have been refused", n, load.trips.Load())
	}
}
