package waiter_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// names is a real Namer that can be away.
type names struct {
	*correlator.Memory
	down atomic.Bool
}

func newNames(t *testing.T) *names {
	t.Helper()
	n := &names{Memory: correlator.NewMemory(correlator.Config{Parked: 100})}
	t.Cleanup(func() { _ = n.Shutdown(context.Background()) })
	return n
}

func (n *names) Bind(ctx context.Context, name correlator.Name, to correlator.Named, d time.Duration) error {
	if n.down.Load() {
		return correlator.ErrUnavailable
	}
	return n.Memory.Bind(ctx, name, to, d)
}

func (n *names) Take(ctx context.Context, name correlator.Name, lease time.Duration) (correlator.Named, error) {
	if n.down.Load() {
		return correlator.Named{}, correlator.ErrUnavailable
	}
	return n.Memory.Take(ctx, name, lease)
}

// trips is a Deliverer that keeps what it gets, and lets each op have one final.
type trips struct {
	mu    sync.Mutex
	got   map[correlator.ID][]string
	err   error
	block chan struct{} // not nil: a delivery waits for it
	count int           // deliveries that run
	panic bool          // a delivery panics
}

func newTrips() *trips { return &trips{got: make(map[correlator.ID][]string)} }

func (t *trips) Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error {
	t.mu.Lock()
	block, err, panics := t.block, t.err, t.panic
	t.count++
	t.mu.Unlock()
	defer t.set(func(t *trips) { t.count-- })
	if panics {
		panic("a delivery")
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return correlator.ErrUnavailable
		}
	}
	if err != nil {
		return err
	}
	t.set(func(t *trips) {
		if len(t.got[to.Trip]) > 0 {
			err = &correlator.Superseded{Status: correlator.Complete}
			return
		}
		t.got[to.Trip] = append(t.got[to.Trip], string(cb.Body))
	})
	return err
}

// inside gives how many deliveries run.
func (t *trips) inside() (n int) {
	t.set(func(t *trips) { n = t.count })
	return n
}

// set changes the trips.
func (t *trips) set(change func(*trips)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

func (t *trips) of(id correlator.ID) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.got[id])
}
