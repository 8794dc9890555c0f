package gateway

import (
	"crypto/x509"
	"fmt"
	"time"
	"unsafe"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/whereabouts"
)

// Leaks says what is still held when nothing should be: bytes of bodies, and connections.
func (g *Gateway) Leaks() (bytes, open int64) {
	return g.requestBodies.Used() + g.callbackBodies.Used(), g.server.Open()
}

// Outcomes gives every way in which a create may end.
func Outcomes() []string { return outcomes() }

// SizeOfWaiting gives the bytes of a trip that waits.
func SizeOfWaiting() uintptr { return unsafe.Sizeof(trip{}) }

// SetHook has hook called at the points that Parts names, and at those of upstream.Options.Hook.
func (p *Parts) SetHook(hook func(point string)) { p.hook = hook }

// TrustEngine has certificates of the engine accepted that roots have signed.
func (p *Parts) TrustEngine(roots *x509.CertPool) { p.engineRoots = roots }

// Forsake cancels a task of so many ops as if its client had left its stream.
func (g *Gateway) Forsake(id correlator.ID, ops int) { g.forsakeTask(id, ops) }

// IDs gives the ids of the trips that have a name.
func (g *Gateway) IDs(name string) []correlator.ID {
	ids, _ := g.recent.IDs(whereabouts.Question{Text: []byte(name)}, g.eachWaiting)
	return ids
}

// Reasons gives every reason of a refusal.
func Reasons() (names []string) {
	for _, row := range reasons() {
		names = append(names, string(row.reason))
	}
	return names
}

// Crowd parks so many trips whose clients are nowhere, of 20 routes and 10 logins, and gives what ends them.
func (g *Gateway) Crowd(n int) (end func()) {
	now := time.Now()
	var all []*trip
	for i := range n {
		t := &trip{
			g: g, id: g.correlator.NewID(now.Add(time.Hour)), requestID: fmt.Sprintf("crowd-%d", i), accepted: now.Add(-time.Duration(i*7919%n) * time.Millisecond),
			deadline: now.Add(time.Hour), finals: make([]correlator.Callback, 1), open: 1,
			call: &dialect.Call{
				Login: fmt.Sprintf("login-%d", i%10), Wait: time.Hour, Options: &dialect.Options{Route: fmt.Sprintf("route-%d", i%20)},
				Ops: []dialect.Op{{Create: true, Process: []byte("12"), Ref: fmt.Appendf(nil, `"ref-%d"`, i)}},
			},
		}
		t.forwarded.Store(t.accepted.UnixNano())
		t.engineStatus = 200
		t.engineTime.Store(int64(time.Millisecond))
		t.begin(true)
		if err := g.correlator.Park(t.id, t, t.deadline); err != nil {
			panic(err)
		}
		all = append(all, t)
	}
	return func() {
		for _, t := range all {
			t.end(correlator.Gone)
		}
	}
}

// Remember fills the list of trips that are over with as many, which have ended within the last minute.
func (g *Gateway) Remember(n int) {
	now := time.Now()
	for i := range n {
		took := time.Duration(i%997) * time.Millisecond
		f := whereabouts.Facts{
			ID: g.correlator.NewID(now.Add(time.Hour)), RequestID: fmt.Sprintf("over-%d", i), Login: fmt.Sprintf("login-%d", i%10), Route: fmt.Sprintf("route-%d", i%20), Engine: "corezoid",
			Accepted: now.Add(-time.Duration(n-i)*time.Millisecond - took), Read: true, Ops: 1, Wait: time.Minute, Forwarded: now.UnixNano(), EngineTime: int64(i%101+1) * int64(time.Millisecond),
			EngineStatus: 200, Outcome: outcomes()[i%len(outcomes())], Status: 200, Took: took, Written: true,
		}
		g.recent.Add(&f, &whereabouts.OpFacts{Process: []byte("12"), Ref: fmt.Appendf(nil, `"ref-%d"`, i), Final: true})
	}
}
