package whereabouts_test

import (
	"strconv"
	"time"

	"syncgate/correlator"
	"syncgate/internal/whereabouts"
)

// ops are the ops of a trip.
type ops []whereabouts.OpFacts

func (o ops) OpFacts(i int) whereabouts.OpFacts { return o[i] }

// waits is a trip that waits.
type waits struct {
	whereabouts.Facts
	ops
}

// table is what waits.
type table []*waits

func (t table) each(visit func(f *whereabouts.Facts, ops whereabouts.Ops) (goOn bool)) {
	f := new(whereabouts.Facts) // which is good until visit returns
	for _, w := range t {
		*f = w.Facts
		if !visit(f, w) {
			return
		}
	}
}

// waiting makes a trip of one op that has waited for a time.
func waiting(name, route, login string, now time.Time, age time.Duration) *waits {
	accepted := now.Add(-age)
	return &waits{
		whereabouts.Facts{
			ID: idOf(name), RequestID: name, Login: login, Route: route, Engine: "worker", Accepted: accepted, Waits: true, Read: true, Ops: 1, Wait: time.Minute,
			Forwarded: accepted.UnixNano() + int64(time.Millisecond), EngineTime: int64(10 * time.Millisecond), EngineStatus: 200,
		},
		ops{{Process: []byte("12"), Ref: []byte(`"ref of ` + name + `"`)}},
	}
}

// idOf gives an id whose text begins with that of others only by chance.
func idOf(name string) (id correlator.ID) {
	copy(id[:], name+"............................")
	return id
}

// over makes a trip of one op that took a time and ended so long ago. The engine took engine of it.
func over(name, route, login, outcome string, now time.Time, ago, took, engine time.Duration) whereabouts.Facts {
	f := waiting(name, route, login, now, ago+took).Facts
	f.Waits, f.Outcome, f.Took, f.EngineTime, f.Status, f.Written = false, outcome, took, int64(engine), 200, true
	return f
}

// remember adds trips of one op.
func remember(l *whereabouts.List, all ...whereabouts.Facts) {
	for i := range all {
		l.Add(&all[i], &whereabouts.OpFacts{Process: []byte("12"), Ref: []byte(strconv.Quote("ref of " + all[i].RequestID)), Final: true})
	}
}
