package correlatortest

import (
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// naming is the part of the contract that is about names of ops.
func naming() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"a name gives its op to the one who takes it": takesName,
		"a name that nobody has is unknown":           unknownName,
		"many take a name and one gets it":            takeRace,
		"take and finish leave one taker at most":     takeFinishRace,
		"a lease ends, and not early":                 leaseEnds,
		"what is not final is open again":             opensAgain,
		"a finished name stays finished":              staysFinished,
		"an op is bound again":                        bindsAgain,
		"an op that is bound again stays taken":       staysTaken,
		"a name has one op":                           hasOneOp,
		"a finished name is replaced":                 replacesFinished,
		"many bind a name and one has it":             bindRace,
		"an unbound name is unknown":                  unbinds,
		"only the op's own name ends":                 endsItsOwn,
		"names that look alike are apart":             namesAreApart,
		"names pass":                                  namesPass,
		"what a name holds arrives as it is":          holdsAsItIs,
		"what is too large is no name":                namesAreBounded,
		"a name is not the caller's memory":           copiesNames,
	}
}

const leased = time.Minute // longer than any test

func namer(t testing.TB, c correlator.Correlator) correlator.Namer {
	t.Helper()
	n, ok := c.(correlator.Namer)
	if !ok {
		t.Fatalf("%T has no names", c)
	}
	return n
}

// newName makes a name that no other test has.
func newName() correlator.Name {
	return correlator.Name{Process: "1234", Key: "ref", Text: rand.Text()}
}

// newOp makes an op of a new trip.
func newOp(c correlator.Correlator) correlator.Named {
	return correlator.Named{ID: c.NewID(soon()), Op: 3, Task: "5f3e", Data: []byte(`{"sum":1}`)}
}

func bindName(t testing.TB, c correlator.Correlator, n correlator.Name, to correlator.Named, want error) {
	t.Helper()
	if err := namer(t, c).Bind(t.Context(), n, to, 10*time.Minute); !errors.Is(err, want) {
		t.Fatalf("bind: %v, want %v", err, want)
	}
}

func takeName(t testing.TB, c correlator.Correlator, n correlator.Name, want error) correlator.Named {
	t.Helper()
	to, err := namer(t, c).Take(t.Context(), n, leased)
	if !errors.Is(err, want) {
		t.Fatalf("take: %v, want %v", err, want)
	}
	return to
}

// wantTaken fails unless a name can be taken, and gives that op.
func wantTaken(t testing.TB, c correlator.Correlator, n correlator.Name, want correlator.Named) {
	t.Helper()
	if got := takeName(t, c, n, nil); got.ID != want.ID || got.Op != want.Op || got.Task != want.Task || string(got.Data) != string(want.Data) {
		t.Errorf("took %v, op %d, task %.40q, data %.40q; want %v, op %d, task %.40q, data %.40q",
			got.ID, got.Op, got.Task, got.Data, want.ID, want.Op, want.Task, want.Data)
	}
}

func finishName(t testing.TB, c correlator.Correlator, n correlator.Name, of correlator.Named, final bool) {
	t.Helper()
	if err := namer(t, c).Finish(t.Context(), n, of.ID, of.Op, final); err != nil {
		t.Fatalf("finish: %v", err)
	}
}

func unbindName(t testing.TB, c correlator.Correlator, n correlator.Name, of correlator.Named) {
	t.Helper()
	if err := namer(t, c).Unbind(t.Context(), n, of.ID, of.Op); err != nil {
		t.Fatalf("unbind: %v", err)
	}
}

func takesName(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	wantTaken(t, c.Other, n, op)
	takeName(t, c.Home, n, correlator.ErrNameBusy)
	takeName(t, c.Other, n, correlator.ErrNameBusy)
	finishName(t, c.Other, n, op, true)
	takeName(t, c.Home, n, correlator.ErrNameFinished)
	takeName(t, c.Other, n, correlator.ErrNameFinished)
}

func unknownName(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	for range 2 {
		takeName(t, c.Other, n, correlator.ErrNameUnknown)
		finishName(t, c.Other, n, op, true)
		finishName(t, c.Other, n, op, false)
	}
	bindName(t, c.Home, n, op, nil)
	wantTaken(t, c.Other, n, op)
}

func takeRace(t *testing.T, start Start) {
	c := start(t, Options{})
	for range 20 {
		n, op := newName(), newOp(c.Home)
		bindName(t, c.Home, n, op, nil)
		var all sync.WaitGroup
		var got, busy atomic.Int32
		for i := range 50 {
			node := namer(t, []correlator.Correlator{c.Home, c.Other}[i%2])
			all.Go(func() {
				switch to, err := node.Take(t.Context(), n, leased); {
				case err == nil && to.ID == op.ID:
					got.Add(1)
				case errors.Is(err, correlator.ErrNameBusy):
					busy.Add(1)
				default:
					t.Errorf("take: %v, %v", to.ID, err)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 || busy.Load() != 49 {
			t.Fatalf("%d got the name, %d heard that it is busy", got.Load(), busy.Load())
		}
	}
}

// takeFinishRace has some take a name and give it back again and again, while others repeat what does not matter: no two have it at the same time.
func takeFinishRace(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op, stranger := newName(), newOp(c.Home), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	end := time.Now().Add(300 * time.Millisecond)
	var all sync.WaitGroup
	var holders, turns atomic.Int32
	for i := range 8 {
		node := namer(t, []correlator.Correlator{c.Home, c.Other}[i%2])
		all.Go(func() {
			for time.Now().Before(end) {
				takeTurn(t, node, n, op, &holders, &turns)
			}
		})
		if i > 1 {
			continue
		}
		all.Go(func() {
			for time.Now().Before(end) {
				err := errors.Join(node.Bind(t.Context(), n, op, time.Minute), node.Finish(t.Context(), n, stranger.ID, stranger.Op, true))
				if err != nil {
					t.Errorf("what does not matter: %v", err)
				}
			}
		})
	}
	all.Wait()
	if turns.Load() < 10 {
		t.Errorf("the name was taken %d times", turns.Load())
	}
	wantTaken(t, c.Other, n, op)
}

// takeTurn takes a name, if nobody else has it, and gives it back.
func takeTurn(t *testing.T, node correlator.Namer, n correlator.Name, op correlator.Named, holders, turns *atomic.Int32) {
	_, err := node.Take(t.Context(), n, leased)
	if errors.Is(err, correlator.ErrNameBusy) {
		return
	}
	if err != nil {
		t.Errorf("take: %v", err)
		return
	}
	if now := holders.Add(1); now != 1 {
		t.Errorf("%d have the name", now)
	}
	turns.Add(1)
	holders.Add(-1)
	if err := node.Finish(t.Context(), n, op.ID, op.Op, false); err != nil {
		t.Errorf("finish: %v", err)
	}
}

func leaseEnds(t *testing.T, start Start) {
	const lease = 200 * time.Millisecond
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	began := time.Now()
	if _, err := namer(t, c.Home).Take(t.Context(), n, lease); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "somebody else gets the name", func() bool {
		_, err := namer(t, c.Other).Take(t.Context(), n, leased)
		if err != nil && !errors.Is(err, correlator.ErrNameBusy) {
			t.Fatalf("take: %v", err)
		}
		return err == nil
	})
	if took := time.Since(began); took < lease-5*time.Millisecond { // a server counts in milliseconds
		t.Errorf("a lease of %v has ended after %v", lease, took)
	}
	takeName(t, c.Home, n, correlator.ErrNameBusy)
	finishName(t, c.Other, n, op, true)
	takeName(t, c.Home, n, correlator.ErrNameFinished)
}

func opensAgain(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	for range 3 {
		wantTaken(t, c.Other, n, op)
		finishName(t, c.Other, n, op, false)
	}
	bindName(t, c.Home, n, newOp(c.Home), correlator.ErrNameTaken)
}

func staysFinished(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	finishName(t, c.Other, n, op, true) // without a Take: it became final in another way
	for _, again := range []func(){
		func() { finishName(t, c.Home, n, op, true) },
		func() { finishName(t, c.Other, n, op, false) },
		func() { bindName(t, c.Home, n, op, nil) },
	} {
		again()
		takeName(t, c.Other, n, correlator.ErrNameFinished)
	}
}

func bindsAgain(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	for _, to := range []struct{ task, data string }{{"", ""}, {"later", ""}, {"later", `{"more":2}`}, {"", "x"}} {
		op.Task, op.Data = to.task, []byte(to.data)
		bindName(t, c.Other, n, op, nil)
		wantTaken(t, c.Home, n, op)
		finishName(t, c.Home, n, op, false)
	}
}

func staysTaken(t *testing.T, start Start) {
	const lease = 300 * time.Millisecond
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	began := time.Now()
	if _, err := namer(t, c.Other).Take(t.Context(), n, lease); err != nil {
		t.Fatal(err)
	}
	op.Task = "later"
	for _, d := range []time.Duration{time.Hour, time.Minute} {
		if err := namer(t, c.Home).Bind(t.Context(), n, op, d); err != nil {
			t.Fatal(err)
		}
		_, err := namer(t, c.Home).Take(t.Context(), n, time.Millisecond)
		if time.Since(began) < lease-5*time.Millisecond && !errors.Is(err, correlator.ErrNameBusy) {
			t.Fatalf("bound again for %v: take: %v", d, err)
		}
	}
	Eventually(t, "the lease ends", func() bool {
		to, err := namer(t, c.Home).Take(t.Context(), n, leased)
		return err == nil && to.Task == "later"
	})
}
