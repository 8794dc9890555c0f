package waiter_test

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect/waiter"
)

// hold begins a modify, and gives what will come of it.
func (b *bench) hold(ctx context.Context, m waiter.Modify) <-chan waiter.Outcome {
	done := make(chan waiter.Outcome, 1)
	p := b.process()
	go func() {
		o, _ := p.Modify(ctx, m)
		done <- o
	}()
	synctest.Wait()
	return done
}

func (b *bench) want(done <-chan waiter.Outcome, want waiter.Outcome) {
	b.t.Helper()
	if o := <-done; o != want {
		b.t.Errorf("%v; want %v", o, want)
	}
}

func TestEarlyCompletionsOfOneNameKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		var all []<-chan waiter.Outcome
		for i := range 3 {
			all = append(all, b.hold(t.Context(), waiter.Modify{Ref: "o-1", Data: []byte(`{"n":` + strconv.Itoa(i) + `}`)}))
		}
		<-time.After(time.Second)
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.want(all[0], waiter.Completed)
		b.want(all[1], waiter.Finished)
		b.want(all[2], waiter.Finished)
		b.got(op, `{"n":0}`)
	})
}

func TestAHeldModifyEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		ctx, cancel := context.WithCancel(t.Context())
		first := b.hold(ctx, waiter.Modify{Ref: "o-1", Data: []byte(`{"n":1}`)})
		second := b.hold(t.Context(), waiter.Modify{Ref: "o-1", Data: []byte(`{"n":2}`)})
		cancel()
		b.want(first, waiter.Unknown)
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.want(second, waiter.Completed)
		b.got(op, `{"n":2}`)
	})
}

func TestAHeldModifyThatIsOnItsWayIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		ctx, cancel := context.WithCancel(t.Context())
		held := b.hold(ctx, waiter.Modify{Ref: "o-1", Data: []byte(`{"n":1}`)})
		block := make(chan struct{})
		b.trips.set(func(x *trips) { x.block = block })
		op := newOp("o-1", `{}`)
		b.bind(op)
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(block)
		b.want(held, waiter.Completed)
		b.got(op, `{"n":1}`)
	})
}

func TestANameThatAnotherNodeBindsIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		other, err := waiter.New([]waiter.Config{config(none)}, waiter.Options{Names: b.names, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close(t.Context()) }()
		held := b.hold(t.Context(), waiter.Modify{Ref: "o-1", Data: []byte(`{"n":1}`)})
		<-time.After(4 * time.Second)
		op := newOp("o-1", `{}`)
		if err := other.Process([]byte("1234")).Bind(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		bound := time.Now()
		b.want(held, waiter.Completed)
		if took := time.Since(bound); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		b.got(op, `{"n":1}`)
	})
}

func TestWhatIsEarlyIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		data := append(append([]byte(`{"a":"`), bytes.Repeat([]byte{'x'}, 1<<20)...), `"}`...)
		var all []<-chan waiter.Outcome
		for i := range 15 {
			all = append(all, b.hold(t.Context(), waiter.Modify{Ref: strconv.Itoa(i), Data: data}))
		}
		b.modify(waiter.Modify{Ref: "15", Data: data}, waiter.Unavailable, "")
		for _, held := range all {
			b.want(held, waiter.Unknown)
		}
		b.want(b.hold(t.Context(), waiter.Modify{Ref: "15", Data: data}), waiter.Unknown) // there is room again
	})
}

func TestManyEarlyCompletionsAreTriedAFewAtATime(t *testing.T) {
	const ops, most = 100, 32
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		var all []<-chan waiter.Outcome
		for i := range ops {
			all = append(all, b.hold(t.Context(), waiter.Modify{Ref: strconv.Itoa(i), Data: []byte(`{}`)}))
		}
		block := make(chan struct{})
		b.trips.set(func(x *trips) { x.block = block })
		for i := range ops {
			b.bind(newOp(strconv.Itoa(i), `{}`))
		}
		synctest.Wait()
		if n := b.trips.inside(); n != most {
			t.Errorf("%d are tried; want %d", n, most)
		}
		close(block)
		for _, held := range all {
			b.want(held, waiter.Completed)
		}
	})
}

func TestCloseEndsWhatIsHeldAndWaitsForWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		held := b.hold(t.Context(), waiter.Modify{Ref: "o-1", Data: []byte(`{}`)})
		tried := b.hold(t.Context(), waiter.Modify{Ref: "o-2", Data: []byte(`{}`)})
		behind := b.hold(t.Context(), waiter.Modify{Ref: "o-2", Data: []byte(`{}`)})
		block := make(chan struct{})
		b.trips.set(func(x *trips) { x.block = block })
		op := newOp("o-2", `{}`)
		b.bind(op)
		synctest.Wait()
		var closing sync.WaitGroup
		closing.Go(func() {
			if err := b.table.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
		b.want(held, waiter.Unavailable)
		synctest.Wait()
		close(block)
		b.want(tried, waiter.Completed)
		b.want(behind, waiter.Unavailable)
		closing.Wait()
		b.want(b.hold(t.Context(), waiter.Modify{Ref: "o-3", Data: []byte(`{}`)}), waiter.Unavailable)
		b.got(op, `{}`)
	})
}

func TestACompletionBehindOneThatIsHeldLongerEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := func(login string, early time.Duration) waiter.Config {
			return config(func(c *waiter.Config) { none(c); c.Name, c.Logins, c.Early = login, []string{login}, early })
		}
		b := newBench(t, of("1", time.Minute), of("2", time.Second))
		long := b.hold(t.Context(), waiter.Modify{Login: "1", Ref: "o-1", Data: []byte(`{}`)})
		<-time.After(3 * time.Second)
		began := time.Now()
		b.want(b.hold(t.Context(), waiter.Modify{Login: "2", Ref: "o-1", Data: []byte(`{}`)}), waiter.Unknown)
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("it was held for %v", took)
		}
		b.want(long, waiter.Unknown)
	})
}

// A panic ends one attempt: the completion comes to nothing, and others go on.
func TestAnAttemptThatPanicsEndsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		first := b.hold(t.Context(), waiter.Modify{Ref: "o-1", Data: []byte(`{"n":1}`)})
		b.trips.set(func(x *trips) { x.panic = true })
		b.bind(newOp("o-1", `{}`))
		synctest.Wait()
		b.trips.set(func(x *trips) { x.panic = false })
		second := b.hold(t.Context(), waiter.Modify{Ref: "o-2", Data: []byte(`{"n":2}`)})
		op := newOp("o-2", `{}`)
		b.bind(op)
		b.want(second, waiter.Completed)
		b.got(op, `{"n":2}`)
		b.want(first, waiter.Busy) // the lease of what panicked has not passed
	})
}

// A delivery that could not be made is no completion: the name is open again, and the sender's repeat counts.
func TestADeliveryThatIsNotMadeCanBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.trips.set(func(x *trips) { x.err = correlator.ErrUnavailable })
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Unavailable, waiter.TaskID(op.ID, 0))
		b.trips.set(func(x *trips) { x.err = nil })
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(op.ID, 0))
	})
}
