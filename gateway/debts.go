package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

const (
	// debtBytes is how much of results is owed at most. What is beyond is left to the engine's repeats.
	debtBytes = 64 << 20
	// payAgain is between two attempts while the store is away.
	payAgain = time.Second
	// payLast is how long a gateway that ends goes on trying, payLastAgain between two attempts.
	payLast      = 5 * time.Second
	payLastAgain = 100 * time.Millisecond
)

// debts are what could not be saved while the store was away, and nobody will send again: the answers of clients with keys,
// as a repeat of the key is to get the same one, and the engine's own answers. They are saved as soon as the store takes
// them, and before anything else that the engine sends for the trip: its callbacks come again, perhaps with another result.
type debts struct {
	g     *Gateway
	stop  chan struct{}
	count atomic.Int64 // of owed, for those who need not look

	mu      sync.Mutex // guards the rest
	owed    map[correlator.ID]correlator.Record
	bytes   int64
	paying  bool // the goroutine runs
	closed  bool
	running sync.WaitGroup
}

func newDebts(g *Gateway) *debts {
	return &debts{g: g, stop: make(chan struct{}), owed: make(map[correlator.ID]correlator.Record)}
}

// owe has rec saved later. rec is the debts' own from now on.
func (d *debts) owe(id correlator.ID, rec correlator.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.owed[id]
	for i, cb := range known.Finals {
		if cb.Status.Final() {
			rec.Finals[i] = cb
		}
	}
	n := bytesOf(rec) - bytesOf(known)
	if d.closed || d.bytes+n > debtBytes {
		return
	}
	if known.Finals == nil {
		d.count.Add(1)
	}
	d.bytes += n
	d.owed[id] = rec // and known stays as it is: it may be on its way
	if !d.paying {
		d.paying = true
		d.running.Go(d.run)
	}
}

// forgive drops what is owed of a trip.
func (d *debts) forgive(id correlator.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rec, owed := d.owed[id]; owed {
		delete(d.owed, id)
		d.bytes -= bytesOf(rec)
		d.count.Add(-1)
	}
}

// run pays until nothing is owed.
func (d *debts) run() {
	for {
		select {
		case <-time.After(payAgain):
		case <-d.stop:
			return
		}
		d.payAll()
		d.mu.Lock()
		done := len(d.owed) == 0
		d.paying = !done
		d.mu.Unlock()
		if done {
			return
		}
	}
}

// payAll saves what is owed, up to the first failure.
func (d *debts) payAll() {
	d.mu.Lock()
	ids := make([]correlator.ID, 0, len(d.owed))
	for id := range d.owed {
		ids = append(ids, id)
	}
	d.mu.Unlock()
	for _, id := range ids {
		if d.pay(id) != nil {
			return
		}
	}
}

// pay saves what is owed of a trip, if anything is. ErrUnavailable: it is owed still.
func (d *debts) pay(id correlator.ID) error {
	if d.count.Load() == 0 {
		return nil
	}
	d.mu.Lock()
	rec, owed := d.owed[id]
	d.mu.Unlock()
	if !owed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := d.g.keeper.Save(ctx, id, rec)
	if errors.Is(err, correlator.ErrUnavailable) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.owed[id]; now.Finals != nil && &now.Finals[0] == &rec.Finals[0] { // else it is paid, or more is owed, meanwhile
		delete(d.owed, id)
		d.bytes -= bytesOf(rec)
		d.count.Add(-1)
	}
	return nil
}

// close goes on trying for a while. What the store does not take then is lost to whoever repeats a key.
func (d *debts) close(ctx context.Context) {
	d.mu.Lock()
	first := !d.closed
	d.closed = true
	d.mu.Unlock()
	if first {
		close(d.stop)
	}
	d.running.Wait()
	ctx, cancel := context.WithTimeout(ctx, payLast)
	defer cancel()
	for d.payAll(); d.count.Load() > 0 && ctx.Err() == nil; d.payAll() {
		select {
		case <-time.After(payLastAgain):
		case <-ctx.Done():
		}
	}
	if n := d.count.Load(); n > 0 {
		d.g.log.Error().Int64("trips", n).Msg("results are not kept for whoever repeats their keys: the store is away")
	}
}

func bytesOf(rec correlator.Record) (n int64) {
	n = int64(len(rec.Meta))
	for i := range rec.Finals {
		n += int64(len(rec.Finals[i].Body))
	}
	return n
}
