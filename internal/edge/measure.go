package edge

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"syncgate/internal/probe"
)

// Plan says what is to be measured.
type Plan struct {
	Longest time.Duration // a client may wait for so long; at most probe.MaxWait
	Body    int64         // bytes that a request may have; 0: not tried
	Streams bool          // clients hear streams of events
}

// Held is what became of a probe that was held.
type Held struct {
	Wait  time.Duration // that it asked for
	ID    probe.ID
	Heard Heard
}

// Answered reports whether the gateway itself has answered in time.
func (p *Held) Answered() bool { return p.Heard.Proven }

// Results are what was measured.
type Results struct {
	Held   []Held // by Wait
	Stream Heard  // of a few seconds
	Beat   Heard  // of Longest, with an event as seldom as heartbeats; zero: not tried
	Body   Heard
	Aborts Abort
	// HalfClosed says that a client which closes its side while it waits still gets its answer.
	HalfClosed bool
}

// Abort is what gateways see of a client that leaves.
type Abort uint8

const (
	// AbortUnknown says that the node could not be asked, or that the probe was not held.
	AbortUnknown Abort = iota
	// AbortHeard says that the gateway has heard of it within hearTime.
	AbortHeard
	// AbortHidden says that it has not.
	AbortHidden
)

const (
	// streamTime is how long the stream lasts that shows whether events are kept back.
	streamTime = 3 * time.Second
	// hearTime is how long a gateway may take to hear that a client has left.
	hearTime = 4 * time.Second
	// halfTime is how long a client waits that has closed its side.
	halfTime = time.Second
	// mostWaits is how many probes are held for different times.
	mostWaits = 10
)

// Waits gives for how long probes are held, so that a time-out that cuts several of them differs from an accident that cuts one. The last two are
// longest.
func Waits(longest time.Duration) (all []time.Duration) {
	for _, s := range []int{1, 2, 5, 10, 15, 20, 25, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 400, 500} {
		if d := time.Duration(s) * time.Second; d < longest {
			all = append(all, d)
		}
	}
	for len(all) >= mostWaits { // every second one, but for the first and the longest ones
		all = slices.DeleteFunc(all, func(d time.Duration) bool {
			i := slices.Index(all, d)
			return i > 0 && i%2 == 1 && i < len(all)-1
		})
	}
	return append(all, longest, longest)
}

// Measure sends all probes of a plan at once, and returns when the last one has ended: after Longest, or after all that wait for longer have been cut.
func (w *Way) Measure(ctx context.Context, p Plan) (r Results) {
	var group sync.WaitGroup
	waits := Waits(p.Longest)
	r.Held = make([]Held, len(waits))
	for i, wait := range waits {
		group.Go(func() {
			a := New(probe.Hold, wait)
			r.Held[i] = Held{Wait: wait, ID: a.ID, Heard: w.Send(ctx, a)}
		})
	}
	if p.Streams {
		group.Go(func() { r.Beat = w.Send(ctx, New(probe.Beat, p.Longest)) })
	}
	group.Go(func() { r.Stream = w.Send(ctx, New(probe.Stream, streamTime)) })
	group.Go(func() { r.Aborts = w.abort(ctx) })
	group.Go(func() { r.HalfClosed = w.halfClose(ctx) })
	if p.Body > 0 {
		group.Go(func() {
			a := New(probe.Say, 0)
			a.Body = p.Body
			r.Body = w.Send(ctx, a)
		})
	}
	group.Wait()
	return r
}

// Refused reports whether the gateway has not held each probe.
func (r *Results) Refused() bool {
	return r.Stream.Refused() || r.Beat.Refused() || slices.ContainsFunc(r.Held, func(h Held) bool { return h.Heard.Refused() })
}

// Tried is the longest wait that ended with the answer of the gateway; 0: none did.
func (r *Results) Tried() (longest time.Duration) {
	for i := range r.Held {
		if h := &r.Held[i]; h.Answered() {
			longest = max(longest, h.Wait)
		}
	}
	return longest
}

// cuts gives the probes that were cut, those that lasted longest at the end.
func (r *Results) cuts() (all []*Held) {
	for i := range r.Held {
		if h := &r.Held[i]; !h.Answered() && !h.Heard.Refused() {
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, func(a, b *Held) int { return cmp.Compare(a.Heard.Took, b.Heard.Took) })
	return all
}

// LastCut gives the probe that lasted longest of those that were cut; nil: none was.
func (r *Results) LastCut() *Held {
	all := r.cuts()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Cut is when connections that wait are cut.
type Cut struct {
	After  time.Duration // whole seconds
	By     Proxy
	Status int  // what the client gets; 0: the end of its connection
	Steady bool // all that wait for longer are cut then: it is a time-out
	Of     int  // how many probes were cut
}

// sameCut is how far two cuts of one time-out may be apart.
const sameCut = 1500 * time.Millisecond

// Cut says when connections that wait are cut; false: none was.
func (r *Results) Cut() (c Cut, cut bool) {
	all := r.cuts()
	if len(all) == 0 {
		return c, false
	}
	first := all[0]
	at := first.Heard.Took
	c = Cut{After: at.Round(time.Second), By: first.Heard.Proxy(), Status: first.Heard.Status, Steady: true}
	for i := range r.Held {
		h := &r.Held[i]
		longer := h.Wait > at+sameCut
		switch {
		case h.Heard.Refused():
		case !h.Answered():
			c.Of++
			c.Steady = c.Steady && h.Heard.Took < at+max(sameCut, at/20)
		case longer:
			c.Steady = false
		}
	}
	return c, true
}

// Lag is how late the latest event of the stream came: all but the time on the way was spent in a proxy.
func (r *Results) Lag() (most time.Duration) {
	for i, at := range r.Stream.Events {
		most = max(most, at-time.Duration(i)*time.Second) // they are sent each second
	}
	return most
}

// Keeps reports whether a proxy keeps events back.
func (r *Results) Keeps() bool { return r.Lag() > streamTime/2 }

// seenBy asks several times what became of a probe, and gives the answers of each node. A balancer may have sent it to another node than the one that
// answers now.
func (w *Way) seenBy(ctx context.Context, id probe.ID, tries int) map[string]probe.Answer {
	nodes := make(map[string]probe.Answer)
	for range tries {
		a := New(probe.Seen, 0)
		a.ID = id
		if h := w.Send(ctx, a); h.Proven {
			nodes[h.Answer.Node] = h.Answer
		}
	}
	return nodes
}

// Times is how often the gateways had a probe, as far as they can be asked by these ways. More than once: a proxy has sent it again.
func Times(ctx context.Context, id probe.ID, ways ...*Way) (n int) {
	const tries = 6
	nodes := make(map[string]probe.Answer)
	for _, w := range ways {
		maps.Copy(nodes, w.seenBy(ctx, id, tries))
	}
	for _, a := range nodes {
		n += a.Times
	}
	return n
}

// abort leaves while a probe is held, and sees whether the gateway hears of it.
func (w *Way) abort(ctx context.Context) Abort {
	const after = 300 * time.Millisecond // longer than a gateway takes a close for the end of the request
	a := New(probe.Hold, hearTime+dialTimeout)
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	w.exchange(leaving, a, func(net.Conn) { time.AfterFunc(after, leave) })
	end, tick := time.After(hearTime), time.NewTicker(hearTime/8)
	defer tick.Stop()
	held := false
	for {
		for _, seen := range w.seenBy(ctx, a.ID, 3) {
			if seen.Left {
				return AbortHeard
			}
			held = held || seen.Held > 0
		}
		select {
		case <-ctx.Done():
			return AbortUnknown
		case <-end:
			if held {
				return AbortHidden
			}
			return AbortUnknown
		case <-tick.C:
		}
	}
}

// halfClose closes the sending side while a probe is held.
func (w *Way) halfClose(ctx context.Context) (answered bool) {
	h := w.exchange(ctx, New(probe.Hold, halfTime), func(c net.Conn) {
		if l, ok := c.(line); ok {
			if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite() // an error is a connection that has ended
			}
		}
	})
	return h.Proven
}
