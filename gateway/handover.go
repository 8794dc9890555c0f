package gateway

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/cors"
)

// A client need not wait for its result: it is handed over to a task that the client can ask for, on any node, as soon as the engine
// has taken it. Such a trip is claimed before it is forwarded, under a key of its own where the client named none: from then on there is a
// record of it, which the reply promises, and to which progress is added.

// streamBegin is how long a stream waits for the engine to take the task.
const streamBegin = time.Second

// modeOf is what the client of a call waits for.
func modeOf(c *dialect.Call) dialect.Mode {
	if c.Options == nil {
		return dialect.Hold
	}
	return c.Options.Mode
}

// handsOver reports whether the client is to be answered when the engine has taken the task.
func (t *trip) handsOver() bool {
	return t.kind == creates && t.call != nil && modeOf(t.call) != dialect.Hold
}

// ownKey is the key of a trip whose client named none. No client can send it.
func ownKey(id correlator.ID) string { return "\x00" + string(id[:]) }

// keyed reports whether the client named a key.
func (t *trip) keyed() bool { return t.key != "" && t.key[0] != 0 }

// waitEnds gives when the client of a call is answered at the latest. To hand over, the engine has to answer: that takes as long as a
// connection to it and its answer may.
func (t *trip) waitEnds() time.Time {
	switch modeOf(t.call) {
	case dialect.HandOver:
		return t.accepted.Add(2 * t.g.engines[t.engine].cfg.Timeout)
	case dialect.Stream:
		return t.accepted.Add(min(streamBegin, t.call.Wait))
	case dialect.Hold:
	}
	return t.waitLimit()
}

// waitLimit gives when the client is answered at the latest that waits for the result, or for events.
func (t *trip) waitLimit() time.Time {
	if terms := termsOf(t.call); terms.Ends {
		return t.accepted.Add(min(t.call.Wait, terms.Lasts))
	}
	return t.accepted.Add(t.call.Wait)
}

// handOver answers the client of a task that the engine has taken, or may have taken, if it is one that waits for that.
func (t *trip) handOver() {
	if t.handsOver() {
		t.failed(dialect.ErrHandedOver)
	}
}

// ends is why the wait of a trip ends: the client of a task that is handed over hears that, and nothing of deadlines and results.
func (t *trip) ends(why error) error {
	if t.handsOver() && t.whole == nil && (why == nil || why == correlator.ErrDeadline) { //nolint:errorlint // the table's own
		return dialect.ErrHandedOver
	}
	return why
}

// reported takes what the engine says of its progress: the wait ends, or goes on for as long as the route lets the engine say nothing.
func (t *trip) reported(cb correlator.Callback) {
	t.noteReport()
	o := t.call.Options
	if o != nil && o.FirstReport && !t.handsOver() {
		t.decideBy(func() {
			o.Reported = &cb
			t.decide(dialect.ErrReported)
		}, false)
		return
	}
	if o == nil || o.Idle <= 0 || t.handsOver() {
		return
	}
	t.mu.Lock()
	waits := t.phase == parked && t.inTable && !t.joined
	t.mu.Unlock()
	if !waits {
		return
	}
	until := time.Now().Add(o.Idle)
	if end := t.waitLimit(); end.Before(until) {
		until = end
	}
	t.g.correlator.Extend(t.id, until)
}

// streams reports whether the client of a decided trip is to hear events now.
func (t *trip) streams() bool {
	return t.kind == creates && t.call != nil && modeOf(t.call) == dialect.Stream && errors.Is(t.why, dialect.ErrHandedOver)
}

// stream gives the client of a task that the engine has taken to a stream. The trip ends here. It asks the store.
func (t *trip) stream() {
	t.status = fasthttp.StatusOK
	places := t.leave
	t.leave = nil
	s := t.newStream()
	s.places = places
	t.keep()
	t.end(correlator.Gone)
	t.observe(true)
	s.begin(cors.Page{Origin: t.origin, Listed: t.listed, Routed: t.dialect > 0}, t.waitLimit())
}

// follow gives a client that comes back for the events of a task to a stream.
func (t *trip) follow() {
	places, err := t.g.admitStream(t.call.Login, t.accepted)
	if err != nil {
		t.refuse(err)
		return
	}
	s := t.newStream()
	s.places = places
	s.begin(cors.Page{Origin: t.origin, Listed: t.listed, Routed: t.dialect > 0}, t.accepted.Add(t.task.Wait))
}

// forsakeTask cancels a task of so many ops that its client has left. Nobody hears whether the store answers.
func (g *Gateway) forsakeTask(id correlator.ID, ops int) {
	_, _ = g.cancelOps(id, make([]correlator.Callback, ops))
}
