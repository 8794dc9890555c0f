package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"syncgate/internal/enginesim"
)

// verdict is what became of a trip.
type verdict string

// The first five are what may happen; the rest must not.
const (
	answered  verdict = "answered"   // by the reply to its only request
	recovered verdict = "recovered"  // by asking again with its key, or by looking where it was told to
	timedOut  verdict = "timed out"  // said so, and no result was acknowledged
	refused   verdict = "refused"    // 502, 503 or another refusal, and no result was acknowledged
	cut       verdict = "cut off"    // its connection broke or was left, it had no key, and nobody can name it
	lost      verdict = "LOST"       // a result was acknowledged, its client can ask for it, and cannot read it
	doubled   verdict = "DOUBLED"    // more than one task
	mistaken  verdict = "MISMATCHED" // somebody else's result
	hung      verdict = "HUNG"       // no reply long after its timeout
)

// finding is a verdict with its reason.
type finding struct {
	verdict verdict
	why     string
}

// evidence is what the engine has seen.
type evidence struct {
	tasks    map[string][]enginesim.Task // by ref
	packages map[string]int              // by the ref of their first op
}

func gather(e *enginesim.Engine) evidence {
	v := evidence{tasks: make(map[string][]enginesim.Task), packages: make(map[string]int)}
	for _, task := range e.Tasks() {
		ref := strings.Trim(task.Ref, `"`)
		v.tasks[ref] = append(v.tasks[ref], task)
	}
	for _, r := range e.Requests() {
		_, rest, _ := strings.Cut(string(r.Body), `"ref":"`)
		ref, _, _ := strings.Cut(rest, `"`)
		v.packages[ref]++
	}
	return v
}

// op is what the engine has seen of one op.
type opEvidence struct {
	tasks        int
	acknowledged time.Time // when it first heard 200; zero: never
	rejected     bool      // it heard that it need not send the result again
}

func (v evidence) op(ref string) (o opEvidence) {
	o.tasks = len(v.tasks[ref])
	for _, task := range v.tasks[ref] {
		for _, a := range task.Heard {
			switch {
			case a.Status == 200 && (o.acknowledged.IsZero() || a.At.Before(o.acknowledged)):
				o.acknowledged = a.At
			case a.Status >= 400 && a.Status < 500:
				o.rejected = true
			}
		}
	}
	return o
}

// judge compares what a client has seen with what the engine has.
func (v evidence) judge(t *trip) finding {
	read, wrong := t.read()
	if wrong != "" {
		return finding{mistaken, wrong}
	}
	if n := v.packages[t.ref(0)]; n > 1 && t.key == "" {
		return finding{doubled, fmt.Sprintf("its package was sent %d times", n)}
	}
	if n := v.op(t.ref(0)).tasks; n > 0 && t.key == "" && t.wasTurnedAway() {
		return finding{doubled, "it was told to try again though it has a task"}
	}
	named := t.key != "" || t.location() != ""
	for i := range t.ops {
		o := v.op(t.ref(i))
		switch {
		case o.tasks > 1:
			return finding{doubled, fmt.Sprintf("op %d has %d tasks", i, o.tasks)}
		case read[i] || !named:
		case !o.acknowledged.IsZero():
			return finding{lost, fmt.Sprintf("op %d was acknowledged at %s and cannot be read", i, o.acknowledged.Format(clock))}
		case o.rejected:
			return finding{lost, fmt.Sprintf("the engine was told to give op %d up", i)}
		}
	}
	return finding{t.fate(), ""}
}

// wasTurnedAway reports whether the client was told that nothing was forwarded.
func (t *trip) wasTurnedAway() bool {
	return slices.ContainsFunc(t.asked, func(x exchange) bool { return x.status >= 400 && x.retryAfter && x.location == "" })
}

const clock = "15:04:05.000"

// fate tells what became of a trip with which nothing is wrong.
func (t *trip) fate() verdict {
	for i, x := range t.asked {
		if t.answered(x) {
			if i == 0 {
				return answered
			}
			return recovered
		}
	}
	last := t.asked[len(t.asked)-1]
	switch {
	case last.status == 0 && !last.left && last.ended.Sub(last.began) > t.timeout:
		return hung
	case slices.ContainsFunc(t.asked, func(x exchange) bool { return strings.Contains(x.body, "Timeout for create task") }):
		return timedOut
	case slices.ContainsFunc(t.asked, func(x exchange) bool { return x.status != 0 }):
		return refused
	default:
		return cut
	}
}

// lag is how long after its last result was acknowledged, or the fault was over, the client of an answered trip was
// answered: how late it was by the product's doing.
func (v evidence) lag(t *trip, over time.Time) time.Duration {
	ended, ready := t.asked[0].ended, over
	for i := range t.ops {
		o := v.op(t.ref(i))
		if o.acknowledged.IsZero() { // the engine hears 200 after the client has its reply
			return 0
		}
		if o.acknowledged.After(ready) {
			ready = o.acknowledged
		}
	}
	return max(0, ended.Sub(ready))
}
