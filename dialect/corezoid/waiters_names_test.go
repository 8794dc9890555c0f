package corezoid_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/waiter"
)

// boundPack gives the call of a package whose names are bound.
func boundPack(t *testing.T, accept func(body string) *dialect.Call, memory *correlator.Memory, ops ...string) (c *dialect.Call) {
	t.Helper()
	c = accept(`{"timeout":10,"ops":[` + strings.Join(ops, ",") + `]}`)
	id := memory.NewID(time.Now().Add(time.Hour))
	if finals, err := c.Names.Bind(t.Context(), id, id.Expiry(), c); err != nil || len(finals) != 0 {
		t.Fatal(finals, err)
	}
	return c
}

// wantName wants that an op of a trip has a name, or an error that says that nobody has.
func wantName(t *testing.T, memory *correlator.Memory, key, text string, op int, is error) {
	t.Helper()
	n := correlator.Name{Process: "1", Key: key, Text: text}
	to, err := memory.Take(t.Context(), n, time.Second)
	if !errors.Is(err, is) || err == nil && to.Op != op {
		t.Errorf("%s %s: op %d, %v; want op %d, %v", key, text, to.Op, err, op, is)
	}
	if err == nil {
		_ = memory.Finish(t.Context(), n, to.ID, to.Op, false)
	}
}

// The engine's ids of tasks are names of their own ops. A task that was not made gives its names back, also when its client has left by then.
func TestNamesAfterTheEnginesAnswer(t *testing.T) {
	const a, b = `{"type":"create","obj":"task","conv_id":1,"ref":"a"}`, `{"type":"create","obj":"task","conv_id":1,"ref":"b"}`
	begin := func(t *testing.T) (c *dialect.Call, memory *correlator.Memory) {
		d := newDialect(t)
		_, memory = waiting(t, d)
		c = boundPack(t, func(body string) *dialect.Call { return mustAccept(t, d, body) }, memory, a, b)
		wantName(t, memory, waiter.KeyRef, "b", 1, nil)
		return c, memory
	}
	open := make([]correlator.Status, 2)
	synctest.Test(t, func(t *testing.T) {
		c, memory := begin(t)
		c.Names.Acked(t.Context(), c, &dialect.Ack{Tasks: []dialect.EngineTask{dialect.NewEngineTask([]byte("e1")), dialect.NewEngineTask([]byte("e2"))}})
		wantName(t, memory, waiter.KeyTask, "e1", 0, nil)
		wantName(t, memory, waiter.KeyTask, "e2", 1, nil)
		c.Names.Ended(t.Context(), []correlator.Status{correlator.Complete, correlator.Failed}, false)
		wantName(t, memory, waiter.KeyRef, "a", 0, correlator.ErrNameFinished)
		wantName(t, memory, waiter.KeyRef, "b", 0, correlator.ErrNameUnknown) // it made no task: its name is free
		wantName(t, memory, waiter.KeyTask, "e2", 0, correlator.ErrNameUnknown)
	})
	for name, says := range map[string]*dialect.Ack{
		"the package": {Package: []byte(`{}`), Refused: true},
		"both":        {Finals: []correlator.Callback{{Op: 0, Status: correlator.Answered, Body: []byte(`{"proc":"error"}`)}, {Op: 1, Status: correlator.Answered}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, memory := begin(t)
				c.Names.Ended(t.Context(), open, true)
				wantName(t, memory, waiter.KeyRef, "a", 0, nil) // its result can still come
				c.Names.Acked(t.Context(), c, says)
				wantName(t, memory, waiter.KeyRef, "a", 0, correlator.ErrNameUnknown)
				wantName(t, memory, waiter.KeyRef, "b", 0, correlator.ErrNameUnknown)
			})
		})
	}
}

// An answer for a trip that cannot be reached is not tried any more when the trip has ended.
func TestAnswersOfATripThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialect(t)
		memory, to := correlator.NewMemory(correlator.Config{Parked: 10}), &away{times: 1000}
		table, err := waiter.New([]waiter.Config{waiterOf("2", waiter.EngineNone, func(c *waiter.Config) { c.Early = 0 })}, waiter.Options{Names: memory, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		d.SetWaiters(table, to)
		table.Connect(to)
		c := boundPack(t, func(body string) *dialect.Call { return mustAccept(t, d, body) }, memory, `{"type":"modify","obj":"task","conv_id":2,"ref":"a"}`)
		<-time.After(time.Second)
		if d.Modifies() != 1 {
			t.Errorf("%d wait", d.Modifies())
		}
		c.Names.Ended(t.Context(), make([]correlator.Status, 1), false)
		synctest.Wait()
		if d.Modifies() != 0 {
			t.Errorf("%d wait after the end", d.Modifies())
		}
		_ = table.Close(t.Context())
		_ = memory.Shutdown(t.Context())
	})
}

// eager runs at once what would have a goroutine.
type eager struct{ noted }

func (*eager) Go(f func()) { f() }

// A modify completes the create of its own package, in either order, also where nothing is held: creates get their names before it begins.
func TestCreatesAreNamedBeforeModifiesBegin(t *testing.T) {
	const create, modify = `{"type":"create","obj":"task","conv_id":2,"ref":"a"}`, `{"type":"modify","obj":"task","conv_id":2,"ref":"a","data":{"x":1}}`
	for at, ops := range [][]string{{create, modify}, {modify, create}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDialect(t)
			memory, to := correlator.NewMemory(correlator.Config{Parked: 10}), new(eager)
			table, err := waiter.New([]waiter.Config{waiterOf("2", waiter.EngineNone, func(c *waiter.Config) { c.Early = 0 })}, waiter.Options{Names: memory, Log: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			d.SetWaiters(table, to)
			table.Connect(to)
			c := boundPack(t, func(body string) *dialect.Call { return mustAccept(t, d, body) }, memory, ops...)
			got := to.all()
			if len(got) != 2 || got[0].Op != at || got[0].Status != correlator.Complete || !strings.Contains(string(got[1].Body), `"proc":"ok"`) {
				t.Errorf("%s: %v", ops, got)
			}
			c.Names.Ended(t.Context(), make([]correlator.Status, 2), false)
			_ = table.Close(t.Context())
			_ = memory.Shutdown(t.Context())
		})
	}
}

// taken gives the bodies that have come since it was called last.
func (n *noted) taken() (bodies string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, cb := range n.got {
		bodies += string(cb.Body)
	}
	n.got = nil
	return bodies
}

// A process may have several waiters: a modify is served by the one with its key that its login may use.
func TestWaiterOfAModify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, to := correlator.NewMemory(correlator.Config{Parked: 10}), new(noted)
		one := func(name, key string, merge bool, logins ...string) waiter.Config {
			return waiterOf("2", waiter.EngineNone, func(c *waiter.Config) { c.Name, c.Key, c.Merge, c.Logins, c.Early = name, key, merge, logins, 0 })
		}
		table, err := waiter.New([]waiter.Config{
			one("first", "data.no", false, "a"), one("second", "data.id", false, "b", "c"), one("refs", "ref", true, "b"),
		}, waiter.Options{Names: memory, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		table.Connect(to)
		p := table.Process([]byte("2"))
		for login, want := range map[string]string{"a": `{"x":2}`, "b": `{"no":1,"x":2}`, "c": `{"x":2}`, "d": ""} {
			op := waiter.Op{ID: memory.NewID(time.Now().Add(time.Hour)), Ref: login, Data: []byte(`{"no":1}`)}
			if err := p.Bind(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			if may := p.MayModify(login); may != (want != "") {
				t.Errorf("%s may modify: %v", login, may)
			}
			_, _ = p.Modify(context.Background(), waiter.Modify{Login: login, Ref: login, Data: []byte(`{"x":2}`)})
			if got := to.taken(); got != want {
				t.Errorf("%s: the op has %q, want %q", login, got, want)
			}
			p.Ended(t.Context(), op, true, false)
		}
		_ = table.Close(t.Context())
		_ = memory.Shutdown(t.Context())
	})
}
