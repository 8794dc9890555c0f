package promises_test

import (
	"testing"
	"time"

	"syncgate/internal/promises"
)

func TestVisits(t *testing.T) {
	const result = `{"n":1}`
	begin := time.Now()
	at := func(began, ended, answered int) promises.Visit {
		v := promises.Visit{ID: "msg_1", UUID: "u", Data: result, Began: begin.Add(time.Duration(began) * time.Second), Answered: answered}
		if ended > 0 {
			v.Ended = begin.Add(time.Duration(ended) * time.Second)
		}
		return v
	}
	f := func(what string, accepted int, repeated, unsure, overlapping, mistaken bool, v ...promises.Visit) {
		t.Helper()
		all := promises.Visits(v)
		if all.Accepted() != accepted || (all.Repeated(true) != "") != repeated || (all.Repeated(false) != "") != unsure ||
			(all.Overlapping() != "") != overlapping || (all.Mistaken(result) != "") != mistaken {
			t.Errorf("%s: %d, %q, %q, %q, %q", what, all.Accepted(), all.Repeated(true), all.Repeated(false), all.Overlapping(), all.Mistaken(result))
		}
	}
	f("none", 0, false, false, false, false)
	f("one", 1, false, false, false, false, at(0, 1, 202))
	f("the second one", 1, false, false, false, false, at(0, 1, 500), at(2, 3, 200))
	f("cut, and again", 1, false, false, false, false, at(0, 1, 0), at(2, 3, 200))
	f("again after a 2xx", 2, true, false, false, false, at(0, 1, 200), at(2, 3, 200))
	f("refused after a 2xx", 1, true, false, false, false, at(0, 1, 200), at(2, 3, 500))
	f("two at once", 1, false, false, true, false, at(0, 4, 500), at(2, 3, 200))
	f("while one hangs", 1, false, false, true, false, at(0, 0, 0), at(2, 3, 200))
	other, wrong, alien := at(0, 1, 200), at(0, 1, 200), at(2, 3, 200)
	other.Data, wrong.Wrong, alien.UUID = `{"n":2}`, "no signature", "v"
	f("another's result", 1, false, false, false, true, other)
	f("a bad signature", 1, false, false, false, true, wrong)
	f("another UUID", 1, false, false, false, true, at(0, 1, 500), alien)
}
