package correlatortest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

func hasOneOp(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	sameTrip := op
	sameTrip.Op++
	for _, other := range []correlator.Named{newOp(c.Other), newOp(c.Home), sameTrip} {
		bindName(t, c.Other, n, other, correlator.ErrNameTaken)
		bindName(t, c.Home, n, other, correlator.ErrNameTaken)
	}
	wantTaken(t, c.Other, n, op)
	bindName(t, c.Other, n, newOp(c.Other), correlator.ErrNameTaken) // also while it is being completed
}

func replacesFinished(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op, next := newName(), newOp(c.Home), newOp(c.Other)
	bindName(t, c.Home, n, op, nil)
	wantTaken(t, c.Other, n, op)
	finishName(t, c.Other, n, op, true)
	next.Task, next.Data = "", nil
	bindName(t, c.Other, n, next, nil)
	finishName(t, c.Home, n, op, true) // once more, much later
	unbindName(t, c.Home, n, op)
	bindName(t, c.Home, n, op, correlator.ErrNameTaken)
	wantTaken(t, c.Home, n, next)
}

func bindRace(t *testing.T, start Start) {
	c := start(t, Options{})
	for range 20 {
		n := newName()
		var all sync.WaitGroup
		var won atomic.Pointer[correlator.Named]
		for i := range 16 {
			node := []correlator.Correlator{c.Home, c.Other}[i%2]
			op := newOp(node)
			all.Go(func() {
				switch err := namer(t, node).Bind(t.Context(), n, op, time.Minute); {
				case err == nil && won.Swap(&op) != nil:
					t.Error("two have the name")
				case err != nil && !errors.Is(err, correlator.ErrNameTaken):
					t.Errorf("bind: %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() == nil {
			t.Fatal("nobody has the name")
		}
		wantTaken(t, c.Other, n, *won.Load())
	}
}

func unbinds(t *testing.T, start Start) {
	c := start(t, Options{})
	for _, taken := range []bool{false, true} {
		n, op, next := newName(), newOp(c.Home), newOp(c.Other)
		bindName(t, c.Home, n, op, nil)
		if taken {
			wantTaken(t, c.Other, n, op)
		}
		for range 2 {
			unbindName(t, c.Home, n, op)
			takeName(t, c.Other, n, correlator.ErrNameUnknown)
		}
		bindName(t, c.Other, n, next, nil)
		unbindName(t, c.Home, n, op)
		wantTaken(t, c.Home, n, next)
	}
}

func endsItsOwn(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	bindName(t, c.Home, n, op, nil)
	wantTaken(t, c.Other, n, op)
	trip, other := newOp(c.Home), op
	other.Op++
	far, below := op, op
	far.Op, below.Op = op.Op+1<<16, op.Op-1<<16
	for _, wrong := range []correlator.Named{trip, other, far, below} {
		finishName(t, c.Home, n, wrong, true)
		finishName(t, c.Other, n, wrong, false)
		unbindName(t, c.Home, n, wrong)
		takeName(t, c.Home, n, correlator.ErrNameBusy)
	}
	finishName(t, c.Home, n, op, false)
	wantTaken(t, c.Home, n, op)
}

// alike are names that something could take for one another.
func alike() []correlator.Name {
	long := strings.Repeat("x", 64<<10)
	names := []correlator.Name{
		{Process: "a", Key: "bc", Text: "d"},
		{Process: "ab", Key: "c", Text: "d"},
		{Process: "a", Key: "b", Text: "cd"},
		{Process: "", Key: "", Text: "abcd"},
		{Process: "abcd", Key: "", Text: ""},
		{Process: "1", Key: "ref", Text: "1"},
		{Process: "2", Key: "ref", Text: "1"},
		{Process: "1", Key: "task_id", Text: "1"},
		{Process: "1", Key: "data.id", Text: "1"},
		{Process: "1\x00ref", Key: "", Text: "1"},
		{Process: "1", Key: "ref\x001", Text: ""},
	}
	for _, text := range []string{
		"17", "017", "17.0", "1.7e1", "+17", " 17", "17 ", "17\n", "17\x00", "\x0017", `"17"`, "１７", "0x11",
		"\u00e9", "e\u0301", "\u0456", "i", "\ufeff17", "\xff", "\xfe", "\xed\xa0\x80", "\ufffd", "{17}", "17}:name", ":", "*", "a:b",
		"18446744073709551616", "18446744073709551617", "9007199254740992", "9007199254740993",
		long, long + "x", long[:len(long)-1], "y" + long[1:], long[1:] + "y",
	} {
		names = append(names, correlator.Name{Process: "1234", Key: "ref", Text: text})
	}
	return names
}

func namesAreApart(t *testing.T, start Start) {
	c := start(t, Options{})
	names := alike()
	ops := make([]correlator.Named, len(names))
	for i, n := range names {
		ops[i] = newOp(c.Home)
		bindName(t, c.Home, n, ops[i], nil)
	}
	for i, n := range slices.Backward(names) {
		wantTaken(t, c.Other, n, ops[i])
	}
	for i, n := range names {
		finishName(t, c.Other, n, ops[i], i%2 == 0)
	}
	for i, n := range names {
		if i%2 == 0 {
			takeName(t, c.Home, n, correlator.ErrNameFinished)
		} else {
			wantTaken(t, c.Home, n, ops[i])
		}
	}
}

func namesPass(t *testing.T, start Start) {
	const d = 200 * time.Millisecond
	c := start(t, Options{})
	began := time.Now()
	open, finished, longer, shorter := newName(), newName(), newName(), newName()
	op := newOp(c.Home)
	for _, n := range []correlator.Name{open, finished, longer} {
		if err := namer(t, c.Home).Bind(t.Context(), n, op, d); err != nil {
			t.Fatal(err)
		}
	}
	finishName(t, c.Home, finished, op, true)
	bindName(t, c.Home, longer, op, nil)
	bindName(t, c.Home, shorter, op, nil)
	if err := namer(t, c.Other).Bind(t.Context(), shorter, op, 0); err != nil {
		t.Fatal(err)
	}
	for _, n := range []correlator.Name{open, finished, shorter} {
		Eventually(t, "a name passes", func() bool {
			_, err := namer(t, c.Other).Take(t.Context(), n, time.Millisecond)
			if n != shorter && time.Since(began) < d-5*time.Millisecond && errors.Is(err, correlator.ErrNameUnknown) {
				t.Fatalf("passed %v after it was bound for %v", time.Since(began), d)
			}
			return errors.Is(err, correlator.ErrNameUnknown)
		})
		bindName(t, c.Other, n, newOp(c.Other), nil)
	}
	wantTaken(t, c.Other, longer, op)
}

func holdsAsItIs(t *testing.T, start Start) {
	c := start(t, Options{})
	large := make([]byte, correlator.MaxNameData)
	for i := range large {
		large[i] = byte(i * 7)
	}
	for _, data := range [][]byte{nil, []byte(" "), []byte("\x00\r\n"), []byte(`{"ї":"\ud800"}`), large[:64], large[:65], large} {
		for _, task := range []string{"", "\x00", "5f3e", strings.Repeat("t", 65), strings.Repeat("t", correlator.MaxNameTask)} {
			n, op := newName(), newOp(c.Home)
			op.Task, op.Data = task, data
			bindName(t, c.Home, n, op, nil)
			wantTaken(t, c.Other, n, op)
		}
	}
	n, op := newName(), newOp(c.Home)
	op.Op = 1<<16 - 1
	bindName(t, c.Home, n, op, nil)
	wantTaken(t, c.Other, n, op)
}

func namesAreBounded(t *testing.T, start Start) {
	c := start(t, Options{})
	n := newName()
	for _, change := range []func(*correlator.Named){
		func(op *correlator.Named) { op.Op = -1 },
		func(op *correlator.Named) { op.Op = 1 << 16 },
		func(op *correlator.Named) { op.Task = strings.Repeat("t", correlator.MaxNameTask+1) },
		func(op *correlator.Named) { op.Data = make([]byte, correlator.MaxNameData+1) },
	} {
		op := newOp(c.Home)
		change(&op)
		if err := namer(t, c.Home).Bind(t.Context(), n, op, time.Minute); err == nil || errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("op %d, task of %d, data of %d bytes: %v", op.Op, len(op.Task), len(op.Data), err)
		}
		takeName(t, c.Other, n, correlator.ErrNameUnknown)
	}
}

func copiesNames(t *testing.T, start Start) {
	c := start(t, Options{})
	n, op := newName(), newOp(c.Home)
	data := bytes.Clone(op.Data)
	given := op
	given.Data = data
	bindName(t, c.Home, n, given, nil)
	clear(data)
	wantTaken(t, c.Other, n, op)
}
