package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/promises"
)

// verdict is what became of a trip.
type verdict string

// The first five are what may happen; the rest must not.
const (
	answered  verdict = "answered"   // by the reply to its only request
	recovered verdict = "recovered"  // by asking again with its key, or at its Location
	timedOut  verdict = "timed out"  // said so, and no result was acknowledged
	refused   verdict = "refused"    // 502, 503 or another refusal, and no result was acknowledged
	cut       verdict = "cut off"    // its connection broke or was left, it had no key, and nobody can name it
	lost      verdict = "LOST"       // a result was acknowledged, its client can ask for it, and cannot read it
	doubled   verdict = "DOUBLED"    // more than one task
	mistaken  verdict = "MISMATCHED" // somebody else's result
	repeated  verdict = "SENT AGAIN" // a notification was sent again, though its sender had heard a 2xx
	hung      verdict = "HUNG"       // no reply long after its timeout
)

// finding is a verdict with its reason.
type finding struct {
	verdict verdict
	why     string
}

// evidence is what the engine has seen.
type evidence struct {
	promises.Evidence
	packages map[string]int // by the ref of their first op
}

func gather(e *enginesim.Engine) evidence {
	tasks := e.Tasks()
	for i := range tasks {
		var data struct{ Nonce string }
		if tasks[i].Ref == "" && json.Unmarshal(tasks[i].Data, &data) == nil { // of a route
			tasks[i].Ref = data.Nonce
		}
	}
	v := evidence{promises.Gather(tasks), make(map[string]int)}
	for _, r := range e.Requests() {
		_, rest, _ := strings.Cut(string(r.Body), `"ref":"`)
		ref, _, _ := strings.Cut(rest, `"`)
		v.packages[ref]++
	}
	return v
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
	if v.Op(t.ref(0)).Tasks > 0 && t.key == "" && t.wasTurnedAway() {
		return finding{doubled, "it got Retry-After without a Location though it has a task"}
	}
	if wrong := t.heard.again(); wrong != "" {
		return finding{repeated, wrong}
	}
	if v.owes(t) && !read[0] {
		return finding{lost, "its client had a 202, and its receiver has not accepted the result"}
	}
	named := t.key != "" || t.location() != ""
	for i := range t.ops {
		o := v.Op(t.ref(i))
		if wrong := o.Doubled(); wrong != "" {
			return finding{doubled, fmt.Sprintf("op %d: %s", i, wrong)}
		}
		if wrong := o.Lost(); wrong != "" && named && !read[i] {
			return finding{lost, fmt.Sprintf("op %d: %s", i, wrong)}
		}
	}
	return finding{t.fate(), ""}
}

// owes reports whether the receiver of a trip has to have its result: its client had a 202, and the engine the task. A gateway that is killed between binding a key and asking
// the engine leaves a task that nobody makes: its receiver hears that it has failed when it expires.
func (v evidence) owes(t *trip) bool {
	return t.hook != "" && t.location() != "" && v.Op(t.ref(0)).Tasks > 0
}

// wasTurnedAway reports whether a reply said that nothing was forwarded.
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
		o := v.Op(t.ref(i))
		if !o.IsAcknowledged() { // the engine hears 200 after the client has its reply
			return 0
		}
		if o.Acknowledged.After(ready) {
			ready = o.Acknowledged
		}
	}
	return max(0, ended.Sub(ready))
}
