package waiter_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect/waiter"
)

// bench is a Table with what is around it.
type bench struct {
	t     *testing.T
	table *waiter.Table
	names *names
	trips *trips
}

func config(change func(*waiter.Config)) waiter.Config {
	var c waiter.Config
	c.SetDefaults()
	c.Name, c.ConvID, c.Timer = "payments", "1234", 10*time.Minute
	if change != nil {
		change(&c)
	}
	return c
}

func newBench(t *testing.T, all ...waiter.Config) *bench {
	t.Helper()
	b := &bench{t: t, names: newNames(t), trips: newTrips()}
	var err error
	if b.table, err = waiter.New(all, waiter.Options{Names: b.names, Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	b.table.Connect(b.trips)
	t.Cleanup(func() {
		if err := b.table.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) process() *waiter.Process {
	b.t.Helper()
	p := b.table.Process([]byte("1234"))
	if p == nil {
		b.t.Fatal("the process has no waiters")
	}
	return p
}

func newOp(ref, data string) waiter.Op {
	return waiter.Op{ID: correlator.NewID(correlator.NodeID{1}, time.Now().Add(time.Hour)), Ref: ref, Data: []byte(data)}
}

func (b *bench) bind(op waiter.Op) {
	b.t.Helper()
	if err := b.process().Bind(b.t.Context(), op); err != nil {
		b.t.Fatal(err)
	}
}

// modify wants an outcome of a modify.
func (b *bench) modify(m waiter.Modify, want waiter.Outcome, wantTask string) {
	b.t.Helper()
	if m.Data == nil {
		m.Data = []byte(`{"paid":true}`)
	}
	if o, task := b.process().Modify(b.t.Context(), m); o != want || task != wantTask {
		b.t.Errorf("modify %+v: %v %q; want %v %q", m, o, task, want, wantTask)
	}
}

func (b *bench) got(op waiter.Op, want ...string) {
	b.t.Helper()
	if got := b.trips.of(op.ID); !slices.Equal(got, want) {
		b.t.Errorf("the op got %q; want %q", got, want)
	}
}

func none(c *waiter.Config) { c.Engine = waiter.EngineNone }

func TestAnOpIsCompletedByItsRefOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		op := newOp("o-1", `{"a":1,"paid":false}`)
		b.bind(op)
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(op.ID, 0))
		b.got(op, `{"a":1,"paid":true}`)
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Finished, "")
		b.process().Ended(t.Context(), op, true, false)
		b.modify(waiter.Modify{Task: waiter.TaskID(op.ID, 0)}, waiter.Finished, "")
		b.got(op, `{"a":1,"paid":true}`)

		<-time.After(10 * time.Minute) // the timer
		began := time.Now()
		b.modify(waiter.Modify{Ref: "o-1"}, waiter.Unknown, "")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the modify was held for %v; want 10s", took)
		}
	})
}

func TestAnOpIsCompletedByItsOwnTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *waiter.Config) { none(c); c.Merge = false }))
		op := newOp("", `{"a":1}`)
		op.Ref, op.Index = "x", 3
		b.bind(op)
		b.modify(waiter.Modify{Task: waiter.TaskID(op.ID, 3)}, waiter.Completed, waiter.TaskID(op.ID, 3))
		b.got(op, `{"paid":true}`)
	})
}

func TestAMemberOfDataIsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *waiter.Config) { none(c); c.Key = "data.order.no" }))
		p := b.process()
		for data, named := range map[string]bool{
			`{"order":{"no":"17"}}`: true, `{"order":{"no":17}}`: true, `{"order":{"no":null}}`: false, `{"order":{"no":""}}`: false,
			`{"order":{"no":{}}}`: false, `{"order":{}}`: false, `{}`: false,
		} {
			if missing := p.Missing(newOp("r", data)); (missing == "") != named {
				t.Errorf("%s: %q; named: %v", data, missing, named)
			}
		}
		first := newOp("", `{"order":{"no":12345678901234567890}}`)
		b.bind(first)
		if err := p.Bind(t.Context(), newOp("", `{"order":{"no":"12345678901234567890"}}`)); !errors.Is(err, correlator.ErrNameTaken) {
			t.Errorf("the number as a text: %v; want ErrNameTaken", err)
		}
		b.bind(newOp("", `{"order":{"no":12345678901234567891}}`))
	})
}

func TestARefusedBindBindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *waiter.Config) { none(c); c.Key, c.Early = "data.no", 0 }))
		first, second := newOp("a", `{"no":1}`), newOp("b", `{"no":1}`)
		b.bind(first)
		if err := b.process().Bind(t.Context(), second); !errors.Is(err, correlator.ErrNameTaken) {
			t.Fatalf("%v; want ErrNameTaken", err)
		}
		b.modify(waiter.Modify{Ref: "b"}, waiter.Unknown, "")
		b.process().Ended(t.Context(), second, true, false) // changes nothing
		b.modify(waiter.Modify{Ref: "a"}, waiter.Completed, waiter.TaskID(first.ID, 0))
	})
}

func TestTheEnginesTaskIsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(nil))
		op := newOp("", `{"a":1}`)
		b.bind(op)
		b.process().Modified(waiter.Modify{Task: "e7", Data: []byte(`{"b":2}`)}) // overtakes the engine's answer
		synctest.Wait()
		b.got(op)
		b.process().Acked(t.Context(), op, "e7")
		synctest.Wait()
		b.got(op, `{"a":1,"b":2}`)
	})
}

func TestAModifyOfTheEngineIsKeptOnlyWhileACreateAwaitsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(nil))
		b.process().Modified(waiter.Modify{Ref: "o-1", Data: []byte(`{"b":2}`)})
		synctest.Wait()
		op := newOp("o-1", `{}`)
		b.bind(op)
		b.process().Acked(t.Context(), op, "")
		<-time.After(time.Second)
		b.got(op)

		awaited := newOp("o-2", `{}`)
		b.bind(awaited)
		b.process().Modified(waiter.Modify{Ref: "o-3", Data: []byte(`{"b":3}`)})
		<-time.After(time.Second)
		late := newOp("o-3", `{}`)
		b.bind(late)
		synctest.Wait()
		b.got(late, `{"b":3}`)
		b.process().Ended(t.Context(), awaited, false, false)
		b.process().Ended(t.Context(), late, true, false)

		b.process().Modified(waiter.Modify{Ref: "o-4", Data: []byte(`{"b":4}`)})
		synctest.Wait()
		last := newOp("o-4", `{}`)
		b.bind(last)
		<-time.After(time.Second)
		b.got(last)
	})
}

func TestAHeldModifyCompletesTheOpThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(none))
		op := newOp("o-1", `{"a":1}`)
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.modify(waiter.Modify{Ref: "o-1"}, waiter.Completed, waiter.TaskID(op.ID, 0))
		}()
		<-time.After(3 * time.Second)
		b.bind(op)
		<-done
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the modify was held for %v; want 3s", took)
		}
		b.got(op, `{"a":1,"paid":true}`)
	})
}
