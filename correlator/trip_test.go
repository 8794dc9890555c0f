package correlator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
)

// replier is a trip whose callbacks are settled by another goroutine, as a gateway's are by the one that writes the reply.
type replier struct {
	expiry
	dones chan func(correlator.Disposition)
}

func (r *replier) Deliver(_ correlator.Callback, done func(correlator.Disposition)) { r.dones <- done }

// run settles until dones is closed.
func (r *replier) run() {
	for done := range r.dones {
		done(correlator.Written)
	}
}

// TestDeliverAfterItsContext: a trip that settles at once is not held back by a context that has ended. One that settles
// later is not waited for, and what it says then reaches no other callback.
func TestDeliverAfterItsContext(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	over := time.Now().Add(-time.Minute) // so that Gone is told from Written
	prompt, late := m.NewID(over), m.NewID(over)
	r := &replier{dones: make(chan func(correlator.Disposition), 100)}
	deadline := time.Now().Add(time.Hour)
	if err := errors.Join(m.Park(prompt, new(expiry), deadline), m.Park(late, r, deadline)); err != nil {
		t.Fatal(err)
	}
	for range cap(r.dones) {
		if err := m.Deliver(ended, late, correlatortest.Final(0, `1`)); !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("settled later: %v", err)
		}
	}
	for range cap(r.dones) {
		(<-r.dones)(correlator.Gone)
		if err := m.Deliver(ended, prompt, correlatortest.Final(0, `1`)); err != nil {
			t.Errorf("settled at once: %v", err)
		}
	}
}

// mixed settles callbacks by their op: the even ones are written and the others gone, each second of them in its own time.
type mixed struct{ expiry }

func (*mixed) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	d := correlator.Written
	if cb.Op%2 == 1 {
		d = correlator.Gone
	}
	if cb.Op%4 < 2 {
		done(d)
	} else {
		go done(d)
	}
}

// TestSettlements: each callback hears its own settlement, at once or later, and however many there are.
func TestSettlements(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	id := m.NewID(time.Now().Add(-time.Minute)) // so that Gone is told from Written
	if err := m.Park(id, new(mixed), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for op := range 2000 {
				err := m.Deliver(t.Context(), id, correlatortest.Final(op, `1`))
				if gone := errors.Is(err, correlator.ErrGone); gone != (op%2 == 1) || !gone && err != nil {
					t.Errorf("op %d: %v", op, err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkTrip is what the table has to do for one trip.
func BenchmarkTrip(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("settled=at once/others=%d", others), func(b *testing.B) {
			benchmarkTrip(b, others, new(expiry))
		})
		b.Run(fmt.Sprintf("settled=later/others=%d", others), func(b *testing.B) {
			r := &replier{dones: make(chan func(correlator.Disposition), 1)}
			go r.run()
			defer close(r.dones)
			benchmarkTrip(b, others, r)
		})
	}
}

func benchmarkTrip(b *testing.B, others int, trip correlator.Receiver) {
	m := newMemory(b, correlator.Config{})
	deadline := time.Now().Add(time.Hour)
	for range others {
		if err := m.Park(m.NewID(deadline), trip, deadline); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // an engine's patience has an end
	defer cancel()
	cb := correlatortest.Final(0, `{"result":1}`)
	b.ReportAllocs()
	for b.Loop() {
		id := m.NewID(deadline)
		if err := m.Park(id, trip, deadline); err != nil {
			b.Fatal(err)
		}
		if err := m.Deliver(ctx, id, cb); err != nil {
			b.Fatal(err)
		}
		m.Close(id)
	}
}

// BenchmarkTripAlone has one trip after the other, each with a round trip over a socket: the wheel has no timer between two
// of them, and is not to be woken by each.
func BenchmarkTripAlone(b *testing.B) {
	m := newMemory(b, correlator.Config{})
	engine := echo(b)
	trip := new(expiry)
	deadline := time.Now().Add(time.Hour)
	work := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		id := m.NewID(deadline)
		if err := m.Park(id, trip, deadline); err != nil {
			b.Fatal(err)
		}
		_, sent := engine.Write(work)
		_, heard := engine.Read(work)
		if err := errors.Join(sent, heard); err != nil {
			b.Fatal(err)
		}
		m.Close(id)
	}
}

// echo gives a connection to somebody who sends back what comes.
func echo(b *testing.B) net.Conn {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return // closed before anybody came
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Error(err)
	}
	b.Cleanup(func() {
		if c != nil {
			_ = c.Close()
		}
		_ = l.Close()
		done.Wait()
	})
	return c
}
