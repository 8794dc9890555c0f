package corezoid_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/waiter"
)

// The engine's answer is about the ops that it got, by id and by position, and what it refuses as a whole are these.
func TestAckBesideLocalOps(t *testing.T) {
	d := newDialect(t)
	waiting(t, d)
	const local = `{"id":1,"type":"create","obj":"task","conv_id":2,"ref":"a"}`
	first := `{"type":"modify","obj":"task","id":7,"ref":"x","conv_id":9},`
	for _, f := range []struct {
		ops, says string
		finals    []string // by op; empty: none
	}{
		{local + "," + first[:len(first)-1], `{"ops":[{"id":7,"proc":"ok","n":1}]}`, []string{"", `{"id":7,"proc":"ok","n":1,"ref":"x"}`}},
		{local + "," + first[:len(first)-1], `{"ops":[{"proc":"ok","n":1}]}`, []string{"", `{"proc":"ok","n":1,"id":7,"ref":"x"}`}},
		{first + local + "," + first[:len(first)-1], `{"ops":[{"proc":"ok","n":1},{"proc":"ok","n":2}]}`, []string{`{"proc":"ok","n":1,"id":7,"ref":"x"}`, "", `{"proc":"ok","n":2,"id":7,"ref":"x"}`}},
		{local + "," + first + first[:len(first)-1], `{"ops":[{"id":7,"proc":"ok","n":1},{"id":7,"proc":"ok","n":2}]}`, []string{"", `{"id":7,"proc":"ok","n":1,"ref":"x"}`, `{"id":7,"proc":"ok","n":2,"ref":"x"}`}},
		{local + "," + first[:len(first)-1], `{"request_proc":"error","ops":[{"description":"no way"}]}`, []string{"", `{"proc":"error","id":7,"ref":"x","description":"no way"}`}},
		{local + "," + first[:len(first)-1], `{"request_proc":"error","ops":[]}`, []string{"", `{"proc":"error","id":7,"ref":"x","description":"Bad gateway"}`}},
	} {
		c := mustAccept(t, d, `{"ops":[`+f.ops+`]}`)
		ack, err := d.Ack(c, 200, nil, []byte(f.says))
		got := make([]string, len(c.Ops))
		for _, final := range ack.Finals {
			got[final.Op] = string(final.Body)
		}
		if err != nil || ack.Package != nil || !slices.Equal(got, f.finals) {
			t.Errorf("%s: %v %q %s, want %q", f.says, err, got, ack.Package, f.finals)
		}
	}
	c := mustAccept(t, d, `{"ops":[`+local+`,`+first[:len(first)-1]+`]}`)
	for _, foreign := range []string{`{"ops":[{"id":1,"proc":"ok"}]}`, `{"ops":[{"proc":"ok"},{"proc":"ok"}]}`} { // as for an op that was not sent
		if ack, err := d.Ack(c, 200, nil, []byte(foreign)); err == nil {
			t.Errorf("%s is taken: %+v", foreign, ack)
		}
	}
	if ack, err := d.Ack(c, 401, nil, []byte(`{"request_proc":"error","ops":[]}`)); err != nil || ack.Package != nil || len(ack.Finals) != 1 || !ack.Refused {
		t.Errorf("%+v %v", ack, err)
	}
}

// A modify that waits ends with its trip, and there are not more than may wait.
func TestModifiesThatWaitAreBounded(t *testing.T) {
	const pack = `{"ops":[{"type":"modify","obj":"task","conv_id":2,"ref":"a"},{"id":2,"type":"modify","obj":"task","conv_id":2,"ref":"b"}]}`
	synctest.Test(t, func(t *testing.T) {
		d := newDialect(t)
		to, memory := waiting(t, d)
		c := mustAccept(t, d, pack)
		id := memory.NewID(time.Now().Add(time.Hour))
		began := time.Now()
		if finals, err := c.Names.Bind(t.Context(), id, id.Expiry(), c); err != nil || len(finals) != 0 {
			t.Fatal(finals, err)
		}
		synctest.Wait()
		if d.Modifies() != 2 || len(to.all()) != 0 {
			t.Errorf("%d wait, %v", d.Modifies(), to.all())
		}
		c.Names.Ended(t.Context(), make([]correlator.Status, 2), true)
		synctest.Wait()
		if d.Modifies() != 0 || len(to.all()) != 2 || time.Since(began) != 0 { // its record has the answers
			t.Errorf("%d wait, %v", d.Modifies(), to.all())
		}

		c = mustAccept(t, d, pack)
		d.FillModifies()
		full := d.Modifies()
		finals, err := c.Names.Bind(t.Context(), id, id.Expiry(), c)
		if err != nil || len(finals) != 2 || string(finals[1].Body) != `{"proc":"error","id":2,"ref":"b","description":"The task cannot be reached right now, or too much waits for tasks that have not come: try again later"}` {
			t.Errorf("%v %v", finals, err)
		}
		if d.Modifies() != full { // what is refused takes no place
			t.Errorf("%d wait, and %d did", d.Modifies(), full)
		}
		c.Names.Ended(t.Context(), make([]correlator.Status, 2), false)
	})
}

// away is a trip that cannot be reached at first.
type away struct {
	noted
	times int
}

func (a *away) Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error {
	if a.times--; a.times >= 0 {
		return correlator.ErrUnavailable
	}
	return a.noted.Deliver(ctx, to, cb)
}

// An answer for a trip that cannot be reached is tried again, for a while.
func TestAnswersAreTriedAgain(t *testing.T) {
	for times, want := range map[int]int{0: 1, 3: 1, 1000: 0} {
		synctest.Test(t, func(t *testing.T) {
			d := newDialect(t)
			memory, to := correlator.NewMemory(correlator.Config{Parked: 10}), &away{times: times}
			table, err := waiter.New([]waiter.Config{waiterOf("2", waiter.EngineNone, func(c *waiter.Config) { c.Early = 0 })}, waiter.Options{Names: memory, Log: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			d.SetWaiters(table, to)
			table.Connect(to)
			c := mustAccept(t, d, `{"ops":[{"type":"modify","obj":"task","conv_id":2,"ref":"a"}]}`)
			id := memory.NewID(time.Now().Add(time.Hour))
			if _, err := c.Names.Bind(t.Context(), id, id.Expiry(), c); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			if got := to.all(); len(got) != want || d.Modifies() != 0 {
				t.Errorf("%d times away: %v, %d wait", times, got, d.Modifies())
			}
			c.Names.Ended(t.Context(), make([]correlator.Status, 1), false)
			_ = table.Close(t.Context())
			_ = memory.Shutdown(t.Context())
		})
	}
}

// An answer that does not say ok completes nothing, whatever else it says.
func TestOnlyOKCompletes(t *testing.T) {
	for answer, want := range map[string]bool{
		`{"proc":"ok"}`: true, `{"proc":"error"}`: false, `{}`: false, `{"proc":1}`: false, `{"proc":"error","proc":"ok"}`: true, `{"proc":"ok","proc":"error"}`: false,
		`[{"proc":"ok"}]`: false, `{"a":{"proc":"ok"}}`: false, `{"\u0070roc":"o\u006b"}`: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDialect(t)
			to, memory := waiting(t, d)
			create := mustAccept(t, d, `{"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"a"}]}`)
			id := memory.NewID(time.Now().Add(time.Hour))
			if _, err := create.Names.Bind(t.Context(), id, id.Expiry(), create); err != nil {
				t.Fatal(err)
			}
			c := mustAccept(t, d, `{"ops":[{"type":"modify","obj":"task","conv_id":1,"ref":"a","data":{"x":1}}]}`)
			mine := memory.NewID(time.Now().Add(time.Hour))
			if _, err := c.Names.Bind(t.Context(), mine, mine.Expiry(), c); err != nil {
				t.Fatal(err)
			}
			c.Names.Acked(t.Context(), c, &dialect.Ack{Finals: []correlator.Callback{{Status: correlator.Answered, Body: []byte(answer)}}})
			synctest.Wait()
			if got := to.all(); (len(got) == 1) != want {
				t.Errorf("%s: %v", answer, got)
			}
			create.Names.Ended(t.Context(), make([]correlator.Status, 1), false)
			c.Names.Ended(t.Context(), make([]correlator.Status, 1), false)
		})
	}
}
