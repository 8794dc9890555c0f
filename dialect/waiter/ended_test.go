package waiter_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/waiter"
)

func atOnce(c *waiter.Config) { none(c); c.Early = 0 }

func TestWhatBecomesOfTheNamesOfAnOpThatHasEnded(t *testing.T) {
	f := func(final, kept bool, want waiter.Outcome) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, config(atOnce))
			op := newOp("o-1", `{}`)
			b.bind(op)
			b.process().Ended(t.Context(), op, final, kept)
			task := ""
			if want == waiter.Completed {
				task = waiter.TaskID(op.ID, 0)
			}
			b.modify(waiter.Modify{Ref: "o-1"}, want, task)
		})
	}
	f(true, false, waiter.Finished)
	f(true, true, waiter.Finished)
	f(false, true, waiter.Completed)
	f(false, false, waiter.Unknown)
}

func TestAnOpWhoseNamesAreFinishedCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(atOnce))
		first, second := newOp("o-1", `{}`), newOp("o-1", `{}`)
		b.bind(first)
		if err := b.process().Bind(t.Context(), second); !errors.Is(err, correlator.ErrNameTaken) {
			t.Fatalf("while the first is open: %v", err)
		}
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(first.ID, 0))
		b.bind(second)
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(second.ID, 0))
		b.got(second, `{"paid":true}`)
	})
}

func TestAnAnswerOfTheEngineAfterTheWaitNamesTheTask(t *testing.T) {
	f := func(late time.Duration, want ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, config(nil))
			op := newOp("", `{"a":1}`)
			b.bind(op)
			b.process().Ended(t.Context(), op, false, true)
			<-time.After(late)
			op.Data = nil // nobody keeps it for us
			b.process().Acked(t.Context(), op, "e7")
			b.process().Modified(waiter.Modify{Task: "e7", Data: []byte(`{"b":2}`)})
			synctest.Wait()
			b.got(op, want...)
		})
	}
	f(30*time.Second, `{"a":1,"b":2}`)
	f(2 * time.Minute)
}

func TestTheNamesOfAnOpLiveAsLongAsTheTimerSinceItsCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *waiter.Config) { c.Timer = time.Minute }))
		op := newOp("o-1", `{}`)
		b.bind(op)
		<-time.After(50 * time.Second)
		b.process().Acked(t.Context(), op, "e7")
		<-time.After(11 * time.Second)
		b.process().Modified(waiter.Modify{Ref: "o-1", Data: []byte(`{"b":2}`)})
		b.process().Modified(waiter.Modify{Task: "e7", Data: []byte(`{"b":2}`)})
		synctest.Wait()
		b.got(op)
	})
}

func TestACompletionThatFailsLeavesTheNameOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(atOnce))
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.trips.set(func(x *trips) { x.err = correlator.ErrUnavailable })
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Unavailable, waiter.TaskID(op.ID, 0))
		b.trips.set(func(x *trips) { x.err = correlator.ErrGone })
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Finished, waiter.TaskID(op.ID, 0))
		b.trips.set(func(x *trips) { x.err = nil })
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Finished, "")

		b.names.down.Store(true)
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Unavailable, "")
		if err := b.process().Bind(t.Context(), newOp("o-2", `{}`)); !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable", err)
		}
	})
}

func TestTheFirstOfTwoCompletionsWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		op := newOp("o-1", `{}`)
		b.bind(op)
		block := make(chan struct{})
		b.trips.set(func(x *trips) { x.block = block })
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.modify(waiter.Modify{Ref: "o-1", Data: []byte(`{"first":1}`)}, waiter.Completed, waiter.TaskID(op.ID, 0))
		}()
		synctest.Wait()
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Busy, "")
		close(block)
		<-done
		b.got(op, `{"first":1}`)
	})
}

func TestAnOpWhoseTripIsFinalIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		op := newOp("o-1", `{}`)
		b.bind(op)
		if err := b.trips.Deliver(t.Context(), correlator.Token{Trip: op.ID}, correlator.Callback{Status: correlator.Complete, Body: []byte(`"by its token"`)}); err != nil {
			t.Fatal(err)
		}
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Finished, waiter.TaskID(op.ID, 0))
		b.got(op, `"by its token"`)
	})
}

func TestAReloadLeavesTheNamesOfOps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(atOnce))
		before := b.process()
		op := newOp("o-1", `{}`)
		b.bind(op)
		if err := b.table.Set([]waiter.Config{config(func(c *waiter.Config) { atOnce(c); c.Name, c.Key = "next", "data.no" })}); err != nil {
			t.Fatal(err)
		}
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(op.ID, 0))
		before.Ended(t.Context(), op, true, false)
		if err := b.table.Set([]waiter.Config{{Name: "bad"}}); err == nil {
			t.Error("a bad configuration is taken")
		}
		if b.process().Missing(newOp("o-2", `{"no":1}`)) != "" {
			t.Error("a bad configuration has changed something")
		}
		if err := b.table.Set(nil); err != nil || b.table.Process([]byte("1234")) != nil {
			t.Errorf("%v; the process has waiters without any", err)
		}
	})
}

func TestACompletionByRefGivesTheEnginesTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(nil))
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.process().Acked(t.Context(), op, "e7")
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, "e7")
		b.got(op, `{"paid":true}`)
	})
}
