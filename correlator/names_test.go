package correlator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
)

func nameOf(i int) correlator.Name {
	return correlator.Name{Process: "1234", Key: "ref", Text: strconv.Itoa(i)}
}

func opOf(m *correlator.Memory, data string) correlator.Named {
	return correlator.Named{ID: m.NewID(time.Now().Add(time.Hour)), Data: []byte(data)}
}

func bind(t testing.TB, m *correlator.Memory, i int, to correlator.Named, d time.Duration, want error) {
	t.Helper()
	if err := m.Bind(context.Background(), nameOf(i), to, d); !errors.Is(err, want) {
		t.Fatalf("bind %d: %v, want %v", i, err, want)
	}
}

func finish(t testing.TB, m *correlator.Memory, i int, of correlator.Named) {
	t.Helper()
	if err := m.Finish(context.Background(), nameOf(i), of.ID, of.Op, true); err != nil {
		t.Fatal(err)
	}
}

// wantNames fails unless a Take of each name gives this error.
func wantNames(t testing.TB, m *correlator.Memory, want error, names ...int) {
	t.Helper()
	for _, i := range names {
		if _, err := m.Take(context.Background(), nameOf(i), time.Millisecond); !errors.Is(err, want) {
			t.Errorf("take %d: %v, want %v", i, err, want)
		}
	}
}

// wantKept fails unless there are so many names, of so many bytes beside what each costs.
func wantKept(t testing.TB, m *correlator.Memory, names int, bytes int64) {
	t.Helper()
	if n, size := m.Names(); n != names || size != bytes+int64(names)*correlator.NameCost {
		t.Errorf("%d names of %d bytes; want %d of %d", n, size, names, bytes+int64(names)*correlator.NameCost)
	}
}

// TestNamesLeave: what has passed is freed, though nobody asks for it, open or finished, and what was bound for longer is not.
func TestNamesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{})
		rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's choices
		const n = 3000
		left := make([]int, 0, n)
		for i := range n {
			op, d := opOf(m, "data"), time.Duration(rnd.Int64N(int64(2*time.Hour)))
			bind(t, m, i, op, d, nil)
			switch i % 4 {
			case 0:
				finish(t, m, i, op)
			case 1:
				bind(t, m, i, op, 4*time.Hour, nil)
				left = append(left, i)
			case 2:
				bind(t, m, i, op, d/2, nil)
			}
		}
		<-time.After(2*time.Hour + 2*time.Second)
		synctest.Wait()
		wantKept(t, m, len(left), int64(len(left)*len("data")))
		wantNames(t, m, nil, left...)
		<-time.After(2 * time.Hour)
		synctest.Wait()
		wantKept(t, m, 0, 0)
	})
}

// TestNamesPassInTime: also between two sweeps.
func TestNamesPassInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{})
		op := opOf(m, "")
		bind(t, m, 1, op, 10*time.Millisecond, nil)
		<-time.After(10*time.Millisecond - 1)
		wantNames(t, m, nil, 1)
		<-time.After(1)
		wantNames(t, m, correlator.ErrNameUnknown, 1)
		wantKept(t, m, 0, 0)
		bind(t, m, 2, op, 10*time.Millisecond, nil)
		<-time.After(10 * time.Millisecond)
		bind(t, m, 2, opOf(m, ""), time.Minute, nil)
		<-time.After(2 * time.Second) // the sweep of the first one
		wantNames(t, m, nil, 2)
	})
}

// TestFinishedNamesMakeRoom: the one that was finished first goes first, and none that is open goes.
func TestFinishedNamesMakeRoom(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	m.LimitNames(6, 1<<20)
	ops := make([]correlator.Named, 20)
	for i := range ops {
		ops[i] = opOf(m, "")
	}
	for i := range 6 {
		bind(t, m, i, ops[i], time.Hour, nil)
	}
	for range 2 {
		bind(t, m, 6, ops[6], time.Hour, correlator.ErrTooManyNames)
		bind(t, m, 6, ops[6], time.Hour, correlator.ErrUnavailable)
	}
	for _, i := range []int{4, 1, 3, 0} {
		finish(t, m, i, ops[i])
	}
	if err := m.Unbind(t.Context(), nameOf(3), ops[3].ID, 0); err != nil { // out of the middle
		t.Fatal(err)
	}
	bind(t, m, 0, ops[0], time.Hour, nil) // still finished
	bind(t, m, 3, ops[13], time.Hour, nil)
	bind(t, m, 7, ops[7], time.Hour, nil)
	wantNames(t, m, correlator.ErrNameUnknown, 4)
	wantNames(t, m, correlator.ErrNameFinished, 1, 0)
	bind(t, m, 1, ops[11], time.Hour, nil) // a finished name is replaced, and needs no room
	wantNames(t, m, correlator.ErrNameFinished, 0)
	bind(t, m, 8, ops[8], time.Hour, nil)
	wantNames(t, m, correlator.ErrNameUnknown, 0)
	bind(t, m, 9, ops[9], time.Hour, correlator.ErrTooManyNames)
	wantNames(t, m, nil, 1, 2, 3, 5, 7, 8)
	wantKept(t, m, 6, 0)
}

// TestFinishedNamesInAnyOrder: those that are forgotten meanwhile leave the others where they are.
func TestFinishedNamesInAnyOrder(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	const n = 8
	m.LimitNames(n, 1<<20)
	ops := make([]correlator.Named, n)
	for i := range ops {
		ops[i] = opOf(m, "")
		bind(t, m, i, ops[i], time.Hour, nil)
		finish(t, m, i, ops[i])
	}
	for _, i := range []int{1, 2, 4, 3, 7} {
		if err := m.Unbind(t.Context(), nameOf(i), ops[i].ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 { // as many as there is room for
		bind(t, m, 100+i, opOf(m, ""), time.Hour, nil)
	}
	for i, left := range [][]int{{0, 5, 6}, {5, 6}, {6}, {}} {
		wantNames(t, m, correlator.ErrNameFinished, left...)
		wantKept(t, m, n, 0)
		if i < 3 {
			bind(t, m, 200+i, opOf(m, ""), time.Hour, nil)
		}
	}
	bind(t, m, 300, opOf(m, ""), time.Hour, correlator.ErrTooManyNames)
}

// TestSweepIsLate: a name that is bound again when the sweep is about to drop it stays, and so does the next one of the same text.
func TestSweepIsLate(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	op, next := opOf(m, ""), opOf(m, "")
	bind(t, m, 1, op, time.Hour, nil)
	fire := m.FireName(nameOf(1))
	bind(t, m, 1, op, 2*time.Hour, nil)
	fire()
	wantKept(t, m, 1, 0)
	if err := m.Unbind(t.Context(), nameOf(1), op.ID, op.Op); err != nil {
		t.Fatal(err)
	}
	bind(t, m, 1, next, time.Hour, nil)
	fire()
	wantNames(t, m, nil, 1)
}

// TestNamesAreBoundedInBytes: what a name holds counts, until it is finished.
func TestNamesAreBoundedInBytes(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	m.LimitNames(1000, 10*correlator.NameCost+1000)
	data := strings.Repeat("x", 400)
	a, b, c := opOf(m, data), opOf(m, data), opOf(m, data)
	bind(t, m, 1, a, time.Hour, nil)
	bind(t, m, 2, b, time.Hour, nil)
	b.Data = []byte(strings.Repeat("y", 10*correlator.NameCost))
	bind(t, m, 2, b, time.Hour, correlator.ErrTooManyNames)
	if to, err := m.Take(t.Context(), nameOf(2), time.Minute); err != nil || string(to.Data) != data {
		t.Errorf("after a Bind that was refused: %.20s, %v", to.Data, err)
	}
	wantKept(t, m, 2, 800)
	c.Data = []byte(strings.Repeat("z", 10*correlator.NameCost))
	bind(t, m, 3, c, time.Hour, correlator.ErrTooManyNames)
	finish(t, m, 1, a)
	bind(t, m, 1, a, time.Hour, nil) // what nobody is given any more is not kept
	wantKept(t, m, 2, 400)
	bind(t, m, 3, c, time.Hour, correlator.ErrTooManyNames) // the finished one went for nothing: it would not have been enough
	wantKept(t, m, 1, 400)
	b.Data = nil
	b.Task = "1"
	bind(t, m, 2, b, time.Hour, nil)
	wantKept(t, m, 1, 1)
	bind(t, m, 3, c, time.Hour, nil)
	if err := m.Unbind(t.Context(), nameOf(3), c.ID, c.Op); err != nil {
		t.Fatal(err)
	}
	wantKept(t, m, 1, 1)
}

// TestNoNameNoGoroutine: who has no name pays for none, and after the end no goroutine begins.
func TestNoNameNoGoroutine(t *testing.T) {
	m := correlator.NewMemory(correlator.Config{})
	finish(t, m, 1, opOf(m, ""))
	wantNames(t, m, correlator.ErrNameUnknown, 1)
	if m.SweepsNames() {
		t.Error("a goroutine for no name")
	}
	if err := m.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	bind(t, m, 1, opOf(m, ""), time.Hour, nil)
	wantNames(t, m, nil, 1)
	if m.SweepsNames() {
		t.Error("a goroutine after the end")
	}
}

// TestBytesPerName: a name takes no more than it is counted with, and what has left takes nothing.
func TestBytesPerName(t *testing.T) {
	const n = 100_000
	m := newMemory(t, correlator.Config{})
	bind(t, m, -1, opOf(m, ""), time.Hour, nil) // the wheel
	before := heap()
	ops := make([]correlator.ID, n) // so that they can be finished; it is taken off
	for i := range ops {
		op := opOf(m, "")
		ops[i] = op.ID
		bind(t, m, i, op, time.Hour, nil)
	}
	each := (float64(heap()-before) - n*float64(len(ops[0]))) / n
	t.Logf("%d open names: %.0f bytes each, counted with %d", n, each, correlator.NameCost)
	if each > correlator.NameCost || each < correlator.NameCost/2 {
		t.Errorf("a name takes %.0f bytes, and is counted with %d", each, correlator.NameCost)
	}
	for i, id := range ops {
		if err := m.Unbind(t.Context(), nameOf(i), id, 0); err != nil {
			t.Fatal(err)
		}
	}
	wantKept(t, m, 1, 0)
	if after := float64(heap()) - float64(before) - n*float64(len(ops[0])); after > n*100 { // a map keeps its table
		t.Errorf("%.0f bytes are left of them", after)
	}
	runtime.KeepAlive(ops)
	runtime.KeepAlive(m)
}

// BenchmarkNames is what a name costs among 100,000 open ones.
func BenchmarkNames(b *testing.B) {
	const n = 100_000
	for _, data := range []int{0, 512} {
		b.Run(fmt.Sprintf("take/%d bytes", data), func(b *testing.B) {
			m := newMemory(b, correlator.Config{})
			op := opOf(m, strings.Repeat("x", data))
			names := make([]correlator.Name, n)
			for i := range names {
				names[i] = nameOf(i)
			}
			before := heap()
			for i := range n {
				bind(b, m, i, op, time.Hour, nil)
			}
			each := float64(heap()-before) / n
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := m.Take(context.Background(), names[i%n], time.Millisecond); err != nil && !errors.Is(err, correlator.ErrNameBusy) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(each, "B/name")
			runtime.KeepAlive(names)
		})
	}
}
