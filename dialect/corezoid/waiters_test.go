package corezoid_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/waiter"
	"syncgate/internal/wiretest"
)

// noted notes what a call's ops are given.
type noted struct {
	mu  sync.Mutex
	got []correlator.Callback
}

func (n *noted) Go(f func()) { go f() }

func (n *noted) Deliver(_ context.Context, to correlator.Token, cb correlator.Callback) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	cb.Op = to.Op
	n.got = append(n.got, cb)
	return nil
}

func (n *noted) all() []correlator.Callback {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.got
}

// waiterOf is a waiter of a process.
func waiterOf(process, engine string, change ...func(*waiter.Config)) waiter.Config {
	c := waiter.Config{}
	c.SetDefaults()
	c.Name, c.ConvID, c.Engine, c.Timer = "w"+process, process, engine, time.Minute
	for _, f := range change {
		f(&c)
	}
	return c
}

// waiting gives d waiters: those of process 1 forward, those of 2 and 3 do not.
func waiting(t testing.TB, d *corezoid.Dialect) (*noted, *correlator.Memory) {
	t.Helper()
	memory, to := correlator.NewMemory(correlator.Config{Parked: 1000}), new(noted)
	table, err := waiter.New([]waiter.Config{
		waiterOf("1", waiter.EngineForward, func(c *waiter.Config) { c.Logins = []string{login} }),
		waiterOf("2", waiter.EngineNone),
		waiterOf("3", waiter.EngineNone, func(c *waiter.Config) {
			c.Key, c.Timer, c.Logins = "data.order.no", 30*time.Second, []string{"somebody"}
		}),
		waiterOf("12345678901234567890123", waiter.EngineNone),
	}, waiter.Options{Names: memory, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	table.Connect(to)
	d.SetWaiters(table, to)
	t.Cleanup(func() {
		_ = table.Close(context.Background())
		_ = memory.Shutdown(context.Background())
	})
	return to, memory
}

// Which ops of a package are for no engine, which are refused, and what the engine gets, its tokens written as forwarded does.
func TestAcceptWithWaiters(t *testing.T) {
	d := newDialect(t)
	waiting(t, d)
	const other = `{"type":"create","obj":"task","id":9,"conv_id":7,"data":{"x":1}}`
	for _, f := range []struct{ op, kind, engine string }{
		{`{"type":"create","obj":"task","id":1,"conv_id":1,"ref":"a","data":{}}`, "forwarded", ``},
		{`{"type":"create","obj":"task","id":1,"conv_id":"1","data":{}}`, "forwarded", ``}, // the engine gives its task an id
		{`{"type":"create","obj":"task","id":1,"conv_id":2,"ref":"a","data":{}}`, "local", ``},
		{`{"data":{"__callback_url":1},"type":"create","obj":"task","ref":17,"conv_id":"\u0032"}`, "local", ``},
		{`{"type":"create","obj":"task","conv_id":12345678901234567890123,"ref":1e400}`, "local", ``},
		{`{"type":"create","obj":"task","id":1,"conv_id":12345678901234567890124,"ref":1}`, "forwarded", ``},
		{`{"type":"create","obj":"task","id":1,"conv_id":2.0,"ref":1}`, "forwarded", ``},
		{`{"type":"create","obj":"task","id":1,"obj_alias":"2","ref":1}`, "forwarded", ``}, // is no conv_id
		{`{"type":"create","obj":"task","obj_alias":"x","conv_id":2,"ref":1}`, "local", ``},
		{`{"type":"create","obj":"task","conv_id":2,"obj_alias":"x","ref":1}`, "local", ``},
		{`{"type":"create","obj":"task","conv_id":2,"ref":null}`, "ref must be", ``},
		{`{"type":"create","obj":"task","conv_id":2,"ref":""}`, "ref must be", ``},
		{`{"type":"create","obj":"task","conv_id":2,"ref":{}}`, "ref must be", ``},
		{`{"type":"create","obj":"task","conv_id":2}`, "ref must be", ``},
		{`{"type":"create","obj":"task","conv_id":3,"ref":1}`, "data.order.no must be", ``},
		{`{"type":"create","obj":"task","conv_id":3,"data":{"order":{"no":7}}}`, "local", ``},
		{`{"type":"modify","obj":"task","conv_id":2,"ref":"a","data":{}}`, "local", ``},
		{`{"type":"modify","obj":"task","conv_id":2,"obj_id":"a"}`, "local", ``},
		{`{"type":"modify","obj":"task","conv_id":2,"ref":null,"obj_id":5,"data":[ ]}`, "local", ``},
		{`{"type":"modify","obj":"task","conv_id":2,"ref":null,"obj_id":""}`, "ref or obj_id must be", ``},
		{`{"type":"modify","obj":"task","conv_id":2,"ref":1,"data":"x"}`, "data must be an object", ``},
		{`{"type":"modify","obj":"task","conv_id":3,"ref":1,"data":{}}`, "This login may not", ``},
		{`{"type":"modify","obj":"task","id":1,"conv_id":1,"ref":"a","data":{"__callback_url":1,"a":1}}`, "forwarded", `{"type":"modify","obj":"task","id":1,"conv_id":1,"ref":"a","data":{"a":1}}`},
		{`{"type":"modify","obj":"task","id":1,"conv_id":1,"ref":"a","data": "__callback_url" }`, "forwarded", `{"type":"modify","obj":"task","id":1,"conv_id":1,"ref":"a","data": "__callback_url" }`},
		{`{"type":"delete","obj":"task","conv_id":2,"ref":1}`, "Operation is not allowed", ``},
	} {
		for _, pack := range []string{`{"ops":[OP]}`, `{"ops":OP}`, `{"ops":[OP,` + other + `]}`, `{"a":1,"ops":[` + other + ` , OP],"b":2}`, `{"ops":[` + other + `,OP,` + other + `]}`} {
			wantOp(t, d, pack, f.op, f.kind, f.engine)
		}
	}
}

// wantOp wants that the op OP of a package is local, forwarded, or refused with these words, and that the others go on as they would without it.
func wantOp(t *testing.T, d *corezoid.Dialect, pack, text, kind, engine string) {
	t.Helper()
	c := mustAccept(t, d, strings.Replace(pack, "OP", text, 1))
	op := &c.Ops[strings.Count(strings.Split(pack, "OP")[0], `"create"`)]
	local, goesOn := kind == "local", kind == "forwarded"
	if op.Local != local || goesOn != (op.Match != "") || (op.Refused == "") != (local || goesOn) || local && c.Names == nil || op.Refused != "" && c.Names != nil {
		t.Errorf("%s: %+v", text, op)
	}
	if !local && !goesOn && !strings.Contains(op.Refused, kind) {
		t.Errorf("%s is refused: %s, want %s", text, op.Refused, kind)
	}
	if goesOn {
		if got := forwarded(t, d, c); !strings.Contains(got, engine) {
			t.Errorf("%s goes on as %s", text, got)
		}
		return
	}
	if len(c.Ops) == 1 {
		if c.Body != nil || c.Slots != nil {
			t.Errorf("%s goes on as %s", text, c.Body)
		}
		return
	}
	rest := strings.NewReplacer(",OP", "", "OP,", "", " , OP", "", "OP", "").Replace(pack)
	if got, want := forwarded(t, d, c), forwarded(t, d, mustAccept(t, d, rest)); got != want {
		t.Errorf("%s in %s: got\n%s\nwant\n%s", text, pack, got, want)
	}
}

// A wait ends with the longest timer where no engine gets an op, and callbacks are accepted for as long.
func TestWaitsOfWaiters(t *testing.T) {
	d := newDialect(t)
	waiting(t, d)
	create := func(process, ref string) string {
		return `{"type":"create","obj":"task","conv_id":` + process + `,"ref":"` + ref + `","data":{"order":{"no":"` + ref + `"}}}`
	}
	for ops, want := range map[string][2]time.Duration{
		create("7", "a"): {100 * time.Second, 0},
		create("1", "a"): {100 * time.Second, time.Minute},
		create("2", "a"): {time.Minute, time.Minute},
		create("3", "a"): {30 * time.Second, 30 * time.Second},
		create("3", "a") + "," + create("2", "b"):                          {time.Minute, time.Minute},
		create("2", "b") + "," + create("3", "a"):                          {time.Minute, time.Minute},
		create("3", "a") + "," + create("7", "b"):                          {100 * time.Second, 30 * time.Second},
		create("3", "a") + `,{"type":"x","obj":"y"}`:                       {30 * time.Second, 30 * time.Second},
		`{"type":"modify","obj":"task","conv_id":2,"ref":"a"}`:             {100 * time.Second, 0},
		create("1", "a") + "," + create("2", "b"):                          {100 * time.Second, time.Minute},
		create("3", "a") + "," + strings.Repeat(" ", 3) + create("2", "a"): {time.Minute, time.Minute},
	} {
		c := mustAccept(t, d, `{"timeout":100,"ops":[`+ops+`]}`)
		if c.Terms != nil && c.Terms.Ends != (c.Wait == want[1]) { // no engine has a task
			t.Errorf("%s: ends after its timer: %v", ops, c.Terms.Ends)
		}
		if c.Wait != want[0] || lasts(c) != want[1] || !c.TimeoutGiven {
			t.Errorf("%s: waits %v, lasts %v, want %v", ops, c.Wait, lasts(c), want)
		}
	}
	if c := mustAccept(t, d, `{"timeout":10,"ops":[`+create("2", "a")+`]}`); c.Wait != 10*time.Second {
		t.Errorf("waits %v", c.Wait)
	}
}

// What has no waiter costs what it costs without any.
func TestAllocationsBesideWaiters(t *testing.T) {
	d := newDialect(t)
	waiting(t, d)
	create := wiretest.Received(t, "POST", path(login, "1700000000", secret, typical), typical)
	if got := testing.AllocsPerRun(500, func() { _, _ = d.Accept(create, dialect.Route{}, now) }); got > 3 && !raced {
		t.Errorf("Accept allocates %v times", got)
	}
	if c := mustAccept(t, d, typical); c.Names != nil {
		t.Error("a call without waiters has names")
	}
	d.SetWaiters(nil, nil)
	if c := mustAccept(t, d, `{"ops":[{"type":"create","obj":"task","conv_id":2,"ref":1}]}`); c.Names != nil || c.Ops[0].Local {
		t.Errorf("without waiters: %+v", c.Ops)
	}
}

// The literal callback of version 1 is the personal URL of a waiter.
func TestPersonalURLIsNoCreate(t *testing.T) {
	d := newDialect(t)
	for p, create := range map[string]bool{
		"/api/1/json/callback/0123/4567": false, "/api/2/json/callback/0123/4567": true, "/api/1/json/callback2/0123/4567": true, "/api/1/json/Callback/0123/4567": true,
	} {
		if r, ok := d.Route([]byte(p)); ok != create || create && r.Kind != dialect.Create {
			t.Errorf("%s: %+v", p, r)
		}
	}
}

// In a mixed package an op that no engine gets ends with its timer, and its names with the trip.
func TestTimerEndsAnOp(t *testing.T) {
	const pack = `{"timeout":100,"ops":[{"type":"create","obj":"task","conv_id":7,"data":{}},{"id":"x","type":"create","obj":"task","conv_id":3,"data":{"order":{"no":1}}},{"type":"create","obj":"task","conv_id":2,"ref":"r"},{"type":"create","obj":"task","conv_id":1,"ref":"forwarded"}]}`
	begin := func(t *testing.T) (c *dialect.Call, to *noted) {
		d := newDialect(t)
		to, memory := waiting(t, d)
		c = mustAccept(t, d, pack)
		id := memory.NewID(time.Now().Add(time.Hour))
		if finals, err := c.Names.Bind(t.Context(), id, id.Expiry(), c); err != nil || len(finals) != 0 {
			t.Fatal(finals, err)
		}
		<-time.After(29 * time.Second)
		if got := to.all(); len(got) != 0 {
			t.Errorf("after 29 s: %v", got)
		}
		return c, to
	}
	synctest.Test(t, func(t *testing.T) {
		c, to := begin(t)
		<-time.After(2 * time.Second)
		const out = `{"proc":"error","id":"x","description":"Timeout for create task"}`
		if got := to.all(); len(got) != 1 || got[0].Op != 1 || got[0].Status != correlator.Answered || string(got[0].Body) != out {
			t.Errorf("after 31 s: %v", got)
		}
		<-time.After(time.Minute)
		if got := to.all(); len(got) != 2 || got[1].Op != 2 {
			t.Errorf("after 91 s: %v", got)
		}
		c.Names.Ended(t.Context(), make([]correlator.Status, 4), false)
	})
	synctest.Test(t, func(t *testing.T) {
		c, to := begin(t)
		c.Names.Ended(t.Context(), make([]correlator.Status, 4), false)
		<-time.After(2 * time.Minute)
		if got := to.all(); len(got) != 0 {
			t.Errorf("after the end: %v", got)
		}
	})
}

// lasts gives how long the engine may take.
func lasts(c *dialect.Call) time.Duration {
	if c.Terms == nil {
		return 0
	}
	return c.Terms.Lasts
}
