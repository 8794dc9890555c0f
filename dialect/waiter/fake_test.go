package waiter_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"syncgate/correlator"
)

// names is a Namer in memory, until the real one is there.
type names struct {
	mu   sync.Mutex
	all  map[correlator.Name]*entry
	down bool
}

type entry struct {
	to       correlator.Named
	until    time.Time
	lease    time.Time
	finished bool
}

func newNames() *names { return &names{all: make(map[correlator.Name]*entry)} }

func (n *names) find(name correlator.Name) (*entry, error) {
	if n.down {
		return nil, correlator.ErrUnavailable
	}
	e := n.all[name]
	if e == nil || !time.Now().Before(e.until) {
		return nil, nil
	}
	return e, nil
}

func (n *names) Bind(_ context.Context, name correlator.Name, to correlator.Named, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, err := n.find(name)
	if err != nil {
		return err
	}
	same := e != nil && e.to.ID == to.ID && e.to.Op == to.Op
	if e != nil && !same && !e.finished {
		return correlator.ErrNameTaken
	}
	if !same {
		e = new(entry)
		n.all[name] = e
	}
	e.to, e.until = to, time.Now().Add(d)
	return nil
}

func (n *names) Take(_ context.Context, name correlator.Name, lease time.Duration) (correlator.Named, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, err := n.find(name)
	switch {
	case err != nil:
		return correlator.Named{}, err
	case e == nil:
		return correlator.Named{}, correlator.ErrNameUnknown
	case e.finished:
		return correlator.Named{}, correlator.ErrNameFinished
	case time.Now().Before(e.lease):
		return correlator.Named{}, correlator.ErrNameBusy
	}
	e.lease = time.Now().Add(lease)
	return e.to, nil
}

func (n *names) Finish(_ context.Context, name correlator.Name, id correlator.ID, op int, final bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, err := n.find(name)
	if err != nil {
		return err
	}
	if e != nil && e.to.ID == id && e.to.Op == op {
		e.lease, e.finished = time.Time{}, e.finished || final
	}
	return nil
}

func (n *names) Unbind(_ context.Context, name correlator.Name, id correlator.ID, op int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, err := n.find(name)
	if err == nil && e != nil && e.to.ID == id && e.to.Op == op {
		delete(n.all, name)
	}
	return err
}

// trips is a Deliverer that keeps what it gets, and lets each op have one final.
type trips struct {
	mu    sync.Mutex
	got   map[correlator.ID][]string
	err   error
	block chan struct{} // not nil: a delivery waits for it
}

func newTrips() *trips { return &trips{got: make(map[correlator.ID][]string)} }

func (t *trips) Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error {
	t.mu.Lock()
	block, err := t.block, t.err
	t.mu.Unlock()
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.got[to.Trip]) > 0 {
		return &correlator.Superseded{Status: correlator.Complete}
	}
	t.got[to.Trip] = append(t.got[to.Trip], string(cb.Body))
	return nil
}

func (t *trips) of(id correlator.ID) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.got[id])
}
