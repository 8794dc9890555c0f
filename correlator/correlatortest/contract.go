// Package correlatortest is the contract of correlator.Correlator and correlator.Keeper as tests.
package correlatortest

import (
	"context"
	"errors"
	"testing"
	"time"

	"syncgate/correlator"
)

// Options are what a test of the contract asks for.
type Options struct {
	Parked    int
	Retention time.Duration
	Progress  int64
}

// Nodes are the Correlators of one test. Trips are parked at Home. Callbacks come to Other, which is Home itself
// where there is no other node.
type Nodes struct {
	Home, Other correlator.Correlator
}

// Start makes the Nodes of one test, ready for use, and has them ended when it is over.
type Start func(t *testing.T, o Options) Nodes

// Run runs the contract.
func Run(t *testing.T, start Start) {
	for _, part := range []map[string]func(*testing.T, Start){waiting(), claims(), attaching(), finals(), progressing(), following(), naming()} {
		for name, test := range part {
			t.Run(name, func(t *testing.T) { test(t, start) })
		}
	}
}

// waiting is the part of the contract that is about trips, their callbacks, and their records.
func waiting() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"delivers to its own trip":                    delivers,
		"repeats are settled":                         repeats,
		"bodies arrive as they are":                   bodies,
		"every disposition but gone is success":       dispositions,
		"a callback waits for done":                   waits,
		"context's end is unavailable":                contextEnds,
		"expires once, not early, and stays":          expires,
		"a closed trip is finished":                   closes,
		"a closed trip expires no more":               closedStaysQuiet,
		"a forgotten trip is gone":                    forgets,
		"another process's id is gone":                strangers,
		"an expired id is gone":                       expiredIDs,
		"parks as many as it may":                     admits,
		"an id is parked once":                        parksOnce,
		"drain waits for the last":                    drains,
		"drain's end expels the rest":                 expels,
		"is ready":                                    ready,
		"a record keeps what comes late":              keepsLate,
		"a record keeps the first final":              keepsFirst,
		"a record has finals of its own":              keepsCopies,
		"gone with a record saved meanwhile is kept":  savesMeanwhile,
		"a record outlives its trip":                  recordOutlivesClose,
		"no record is gone":                           noRecord,
		"nothing is saved without retention":          noRetention,
		"a complete record ends with the retention":   recordEnds,
		"a record can be kept for longer":             prolongs,
		"a mark is part of an id":                     marks,
		"a marked record waits":                       markedWait,
		"a record can be kept until its id expires":   outlasts,
		"many trips, many callbacks, each to its own": crowd,
		"who waits is known at home until the close":  knowsWaiters,
	}
}

// soon is an expiry and a deadline that no test reaches.
func soon() time.Time { return time.Now().Add(10 * time.Minute) }

func park(t *testing.T, n Nodes, r correlator.Receiver) correlator.ID {
	t.Helper()
	id := n.Home.NewID(soon())
	if err := n.Home.Park(id, r, soon()); err != nil {
		t.Fatalf("park: %v", err)
	}
	t.Cleanup(func() { n.Home.Close(id) })
	return id
}

func deliver(t *testing.T, to correlator.Correlator, id correlator.ID, cb correlator.Callback, want error) {
	t.Helper()
	if err := to.Deliver(t.Context(), id, cb); !errors.Is(err, want) {
		t.Fatalf("deliver: %v, want %v", err, want)
	}
}

// repeat delivers a callback of which something is known perhaps: its op may be final.
func repeat(t *testing.T, to correlator.Correlator, id correlator.ID, cb correlator.Callback) {
	t.Helper()
	if err := unlessSuperseded(to.Deliver(t.Context(), id, cb)); err != nil {
		t.Fatalf("deliver once more: %v", err)
	}
}

func unlessSuperseded(err error) error {
	if _, is := errors.AsType[*correlator.Superseded](err); is {
		return nil
	}
	return err
}

func delivers(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	one, two := Always(correlator.Written), Always(correlator.Written)
	first, second := park(t, n, one), park(t, n, two)
	deliver(t, n.Other, second, Final(1, `"b"`), nil)
	deliver(t, n.Other, first, correlator.Callback{Op: 0, Status: correlator.Answered, Body: []byte(`"a"`)}, nil)
	if cb := Next(t, one.Heard, "first"); cb.Op != 0 || cb.Status != correlator.Answered || string(cb.Body) != `"a"` {
		t.Errorf("first heard %+v", cb)
	}
	if cb := Next(t, two.Heard, "second"); cb.Op != 1 || cb.Status != correlator.Complete || string(cb.Body) != `"b"` {
		t.Errorf("second heard %+v", cb)
	}
	if len(one.Heard)+len(two.Heard) > 0 {
		t.Error("a callback was heard twice")
	}
}

func knowsWaiters(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Written)
	id := park(t, n, trip)
	if got := n.Home.Waiter(id); got != correlator.Receiver(trip) {
		t.Errorf("%v waits; want the trip that was parked", got)
	}
	if n.Other != n.Home {
		if got := n.Other.Waiter(id); got != nil {
			t.Errorf("%v waits at another node; want nobody", got)
		}
	}
	n.Home.Close(id)
	if got := n.Home.Waiter(id); got != nil {
		t.Errorf("%v waits after the close; want nobody", got)
	}
}

func repeats(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, d := range []correlator.Disposition{correlator.Written, correlator.Held} {
		trip := Once(d)
		id := park(t, n, trip)
		deliver(t, n.Other, id, Final(0, `{}`), nil)
		for range 3 {
			repeat(t, n.Home, id, Final(0, `{}`))
			repeat(t, n.Other, id, Final(0, `{}`))
		}
		Next(t, trip.Heard, "the first one")
	}
}

func bodies(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Written)
	id := park(t, n, trip)
	large := make([]byte, 3<<20)
	for i := range large {
		large[i] = byte(i * 7)
	}
	for op, body := range []string{"", " ", "\x00\r\n", `{"ї":"\ud800"}`, string(large[:4095]), string(large[:4096]), string(large[:4097]), string(large)} {
		deliver(t, n.Other, id, Final(op, body), nil)
		if cb := Next(t, trip.Heard, "body"); cb.Op != op || string(cb.Body) != body {
			t.Errorf("op %d: heard op %d and %d bytes, sent %d bytes", op, cb.Op, len(cb.Body), len(body))
		}
	}
}

func dispositions(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, d := range []correlator.Disposition{correlator.Written, correlator.Held, correlator.Repeated} {
		trip := Always(d)
		deliver(t, n.Other, park(t, n, trip), Final(0, `1`), nil)
		Next(t, trip.Heard, "callback")
	}
}

func waits(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	dones := make(chan func(correlator.Disposition), 1)
	trip := NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { dones <- done })
	id := park(t, n, trip)
	answer := make(chan error, 1)
	go func() { answer <- n.Home.Deliver(t.Context(), id, Final(0, `1`)) }()
	done := Next(t, dones, "callback")
	select {
	case err := <-answer:
		t.Fatalf("deliver returned %v before done", err)
	default:
	}
	done(correlator.Written)
	if err := Next(t, answer, "answer"); err != nil {
		t.Fatal(err)
	}
}

func contextEnds(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	dones := make(chan func(correlator.Disposition), 2)
	trip := NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { dones <- done })
	id := park(t, n, trip)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.Home.Deliver(ctx, id, Final(0, `1`)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("deliver: %v", err)
	}
	Next(t, dones, "done")(correlator.Written) // late, and must meet nobody else's callback

	other := Once(correlator.Written)
	deliver(t, n.Home, park(t, n, other), Final(0, `2`), nil)
}

func expires(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Written)
	id := n.Home.NewID(soon())
	deadline := time.Now().Add(150 * time.Millisecond)
	if err := n.Home.Park(id, trip, deadline); err != nil {
		t.Fatal(err)
	}
	defer n.Home.Close(id)
	if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrDeadline) {
		t.Errorf("expired with %v", err)
	}
	if early := time.Until(deadline); early > 0 {
		t.Errorf("%v early", early)
	}
	deliver(t, n.Other, id, Final(0, `1`), nil)
	Next(t, trip.Heard, "a callback after the deadline")
	if len(trip.Expired) > 0 {
		t.Error("expired twice")
	}
}

func closes(t *testing.T, start Start) {
	for _, retention := range []time.Duration{0, time.Hour} {
		n := start(t, Options{Retention: retention})
		trip := Always(correlator.Written)
		id := park(t, n, trip)
		n.Home.Close(id)
		n.Home.Close(id)
		deliver(t, n.Home, id, Final(0, `1`), nil)
		deliver(t, n.Other, id, Final(0, `1`), nil)
		if len(trip.Heard) > 0 {
			t.Error("a closed trip was called")
		}
	}
}

func closedStaysQuiet(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	quiet, last := Always(correlator.Written), Always(correlator.Written)
	id, guard := n.Home.NewID(soon()), n.Home.NewID(soon())
	if err := n.Home.Park(id, quiet, time.Now().Add(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n.Home.Close(id)
	if err := n.Home.Park(guard, last, time.Now().Add(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	defer n.Home.Close(guard)
	_ = Next(t, last.Expired, "the later one's expiry")
	if len(quiet.Expired) > 0 {
		t.Error("a closed trip expired")
	}
}

func forgets(t *testing.T, start Start) {
	n := start(t, Options{})
	trip := Always(correlator.Written)
	id := park(t, n, trip)
	n.Home.Forget(id)
	n.Home.Forget(id)
	deliver(t, n.Home, id, Final(0, `1`), correlator.ErrGone)
	Eventually(t, "gone on the other node", func() bool {
		return errors.Is(n.Other.Deliver(t.Context(), id, Final(0, `1`)), correlator.ErrGone)
	})
	if len(trip.Heard) > 0 {
		t.Error("a forgotten trip was called")
	}
}

func strangers(t *testing.T, start Start) {
	n := start(t, Options{})
	id := correlator.NewID(correlator.NewNodeID(), soon())
	Eventually(t, "gone", func() bool { // unavailable until it is sure that no such node lives
		err := n.Other.Deliver(t.Context(), id, Final(0, `1`))
		if err == nil {
			t.Fatal("delivered to nobody")
		}
		return errors.Is(err, correlator.ErrGone)
	})
}

func expiredIDs(t *testing.T, start Start) {
	for _, retention := range []time.Duration{0, time.Hour} {
		n := start(t, Options{Retention: retention})
		id := n.Home.NewID(time.Now().Add(-time.Second))
		deliver(t, n.Home, id, Final(0, `1`), correlator.ErrGone)
		deliver(t, n.Other, id, Final(0, `1`), correlator.ErrGone)
	}
}

func admits(t *testing.T, start Start) {
	n := start(t, Options{Parked: 2})
	first := park(t, n, Always(correlator.Written))
	park(t, n, Always(correlator.Written))
	id := n.Home.NewID(soon())
	if err := n.Home.Park(id, Always(correlator.Written), soon()); !errors.Is(err, correlator.ErrBusy) {
		t.Fatalf("third: %v", err)
	}
	n.Home.Close(first)
	park(t, n, Always(correlator.Written))
}

func parksOnce(t *testing.T, start Start) {
	n := start(t, Options{Parked: 2})
	trip := Always(correlator.Written)
	id := park(t, n, trip)
	if err := n.Home.Park(id, Always(correlator.Written), soon()); err == nil {
		t.Fatal("parked twice under one id")
	}
	deliver(t, n.Home, id, Final(0, `1`), nil)
	Next(t, trip.Heard, "callback")
	park(t, n, Always(correlator.Written)) // the refused one does not count
}

func drains(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Written)
	id := park(t, n, trip)
	drained := make(chan error, 1)
	go func() { drained <- n.Home.Drain(t.Context()) }()
	Eventually(t, "refuses", func() bool {
		late := n.Home.NewID(soon())
		err := n.Home.Park(late, trip, soon())
		n.Home.Close(late)
		return errors.Is(err, correlator.ErrDraining)
	})
	deliver(t, n.Other, id, Final(0, `1`), nil)
	Next(t, trip.Heard, "a callback while draining")
	if len(drained) > 0 {
		t.Fatal("drained with one parked")
	}
	n.Home.Close(id)
	if err := Next(t, drained, "drain"); err != nil {
		t.Fatal(err)
	}
}

func expels(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	var ids []correlator.ID
	var trips []*Trip
	for range 100 {
		trips = append(trips, Always(correlator.Written))
		ids = append(ids, park(t, n, trips[len(trips)-1]))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- n.Home.Drain(ctx) }()
	for i, trip := range trips {
		if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrDraining) {
			t.Fatalf("expired with %v", err)
		}
		if len(drained) > 0 {
			t.Fatal("drained with some parked")
		}
		n.Home.Close(ids[i])
	}
	if err := Next(t, drained, "drain"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
}

func ready(t *testing.T, start Start) {
	n := start(t, Options{})
	if err := errors.Join(n.Home.Ready(), n.Other.Ready()); err != nil {
		t.Error(err)
	}
}
