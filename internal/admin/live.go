package admin

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpserver"
)

const (
	// livePath is where viewers hear how the node is, as server-sent events.
	livePath    = "/api/live"
	eventStream = "text/event-stream"
	// liveEvery is how often they hear.
	liveEvery = time.Second
	// MostViewers is how many hear at once.
	MostViewers = 16
)

// live has those who hear each second how the node is. One goroutine computes it for all of them. It runs while there is somebody, and until close.
type live struct {
	// Set by newLive, read-only afterwards.
	compute func() []byte // gives the events of now
	run     func(f func())
	every   time.Duration
	stop    chan struct{} // closed by close

	mu      sync.Mutex       // guards what follows; no exchange is called with it held, as that may call back
	viewers map[*viewer]bool // true: it has begun
	running bool             // the goroutine is
	last    []byte           // what was computed last while it runs
	closed  bool
}

// viewer is one of them: the Waiter of its exchange.
type viewer struct {
	live     *live
	exchange httpserver.Exchange
}

func newLive(compute func() []byte, run func(f func()), every time.Duration) *live {
	return &live{compute: compute, run: run, every: every, stop: make(chan struct{}), viewers: make(map[*viewer]bool)}
}

// events gives the events of now.
func (h *Handler) events() []byte {
	now := time.Now()
	return appendEvent(appendEvent(nil, "status", h.status(now)), "summary", h.summary(now, defaultWindow))
}

// appendEvent appends an event whose data are JSON, in one line.
func appendEvent(dst []byte, name string, data any) []byte {
	body, err := json.Marshal(data)
	if err != nil {
		return dst // it holds nothing that has no JSON form
	}
	dst = append(append(dst, "event: "...), name...)
	dst = append(append(dst, "\ndata: "...), body...)
	return append(dst, "\n\n"...)
}

// serveLive answers GET /api/live. False: it is refused.
func (h *Handler) serveLive(ctx *fasthttp.RequestCtx, x httpserver.Exchange) (begun bool) {
	if _, ok := h.parametersOf(ctx); !ok {
		return false
	}
	v := &viewer{h.live, x}
	last, ok := h.live.join(v)
	if !ok {
		ctx.Error("Unavailable: as many hear already as can, or the node ends: try again later", fasthttp.StatusServiceUnavailable)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "5")
		return false
	}
	ctx.SetContentType(eventStream)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set("X-Accel-Buffering", "no") // nginx would collect events
	ctx.SetBody(append([]byte("retry: 2000\n\n"), last...))
	if gone := x.SetWaiter(v); gone || !x.Begin(&ctx.Response) {
		v.ClientGone()
		return true
	}
	h.live.open(v)
	return true
}

// join takes a place for a viewer, and gives what was computed last; nil: nothing lately. False: there is no place.
func (l *live) join(v *viewer) (last []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.viewers) >= MostViewers {
		return nil, false
	}
	l.viewers[v] = false
	return l.last, true
}

// open has a viewer that has begun hear what is computed from now on, unless it has left already.
func (l *live) open(v *viewer) {
	l.mu.Lock()
	_, there := l.viewers[v]
	if there {
		l.viewers[v] = true
	}
	starts := there && !l.running && !l.closed
	l.running = l.running || starts
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		v.exchange.End()
	case starts:
		l.run(l.loop)
	}
}

// leave gives back the place of a viewer.
func (l *live) leave(v *viewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, v)
}

// ClientGone ends the stream of a viewer that has left, or is too slow.
func (v *viewer) ClientGone() {
	v.live.leave(v)
	v.exchange.Abort()
}

// Replied says that the last byte is written, or the connection lost.
func (v *viewer) Replied(bool) { v.live.leave(v) }

// loop sends what it computes, until nobody hears it. A panic ends all streams: their clients come back.
func (l *live) loop() {
	ended := false
	defer func() {
		if !ended {
			l.abort()
		}
	}()
	ticks := time.NewTicker(l.every)
	defer ticks.Stop()
	for {
		l.send(l.compute())
		select {
		case <-ticks.C:
		case <-l.stop:
		}
		if ended = l.ends(); ended {
			return
		}
	}
}

// ends reports whether nobody hears any more, and says so.
func (l *live) ends() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.viewers) > 0 && !l.closed {
		return false
	}
	l.running, l.last = false, nil
	return true
}

// send sends events to all. It waits for nobody: a viewer that is too slow is closed.
func (l *live) send(events []byte) {
	l.mu.Lock()
	l.last = events
	all := l.begun()
	l.mu.Unlock()
	for _, v := range all {
		v.exchange.Send(events) // of a viewer that is lost, ClientGone comes
	}
}

// begun gives the viewers that have begun. Called with mu held.
func (l *live) begun() (all []*viewer) {
	for v, begun := range l.viewers {
		if begun {
			all = append(all, v)
		}
	}
	return all
}

// abort closes the connections of all, as nothing more can be computed for now.
func (l *live) abort() {
	l.mu.Lock()
	all := l.begun()
	l.running, l.last = false, nil
	l.mu.Unlock()
	for _, v := range all {
		v.ClientGone()
	}
}

// close ends the streams of all. Nobody can join any more.
func (l *live) close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	all := l.begun()
	l.mu.Unlock()
	if !first {
		return
	}
	close(l.stop)
	for _, v := range all {
		v.exchange.End()
	}
}
