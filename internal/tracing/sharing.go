package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// mostKnown is how many traces a node remembers of its own trips.
	mostKnown = 16_384
	// mostShared is how many traces wait to be written to Redis, and mostAsked how many callbacks for a trace.
	mostShared, mostAsked = 4096, 4096
	// togetherShared is how many are written, or asked for, in one exchange.
	togetherShared = 256
	// askEvery is between two questions for traces. One that is not there is asked for again, as its trip's home may still write.
	askEvery = 200 * time.Millisecond
	// mostAsking is how long a trace is asked for.
	mostAsking = 3 * time.Second
	// sharedTimeout bounds an exchange with Redis.
	sharedTimeout = time.Second
	// mostClosing bounds the end: a Redis that hangs must leave time for the collector.
	mostClosing = 2 * time.Second
	// keepAfter is how much longer than a callback is expected a trace is kept, and mostKept the longest that one is.
	keepAfter, mostKept = time.Minute, time.Hour
)

// route is where callbacks of a trip belong: below its exchange with the engine.
type route struct {
	trace   traceID
	forward spanID
}

// known is the traces of trips of this node: as many as came last.
type known struct {
	mu    sync.Mutex
	of    map[correlator.ID]route // guarded by mu
	order []correlator.ID         // guarded by mu: a ring of the ids in of
	next  int                     // guarded by mu: the oldest of order when that is full
}

func (k *known) add(id correlator.ID, r route) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil {
		k.of = make(map[correlator.ID]route)
	}
	if len(k.order) < mostKnown {
		k.order = append(k.order, id)
	} else {
		delete(k.of, k.order[k.next])
		k.order[k.next] = id
		k.next = (k.next + 1) % mostKnown
	}
	k.of[id] = r
}

func (k *known) get(id correlator.ID) (r route, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok = k.of[id]
	return r, ok
}

// sharing has the traces of trips in Redis, so that each node finds those of the others.
type sharing struct {
	client goredis.UniversalClient
	prefix string

	puts     chan put
	asks     chan *asking
	stopping chan struct{} // closed by close
	stopped  chan struct{} // closed by run
	cut      context.Context
	cutOff   context.CancelFunc

	asked []*asking // run's: what waits for its trace
}

// put is a trace that is to be written.
type put struct {
	id    correlator.ID
	route route
	until time.Time
}

// asking is a callback whose trace is to be found.
type asking struct {
	id    correlator.ID
	since time.Time
	found func(r route, ok bool) // called once, by run
}

func newSharing(client goredis.UniversalClient, prefix string) *sharing {
	s := &sharing{
		client: client, prefix: prefix + ":trace:1:",
		puts: make(chan put, mostShared), asks: make(chan *asking, mostAsked), stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.cut, s.cutOff = context.WithCancel(context.Background())
	go s.run()
	return s
}

// put has a trace written. It does not block: without room other nodes do not find the trace.
func (s *sharing) put(id correlator.ID, r route, until time.Time) {
	select {
	case s.puts <- put{id, r, until}:
	default:
	}
}

// ask has a trace looked for. False: there is no room.
func (s *sharing) ask(id correlator.ID, found func(r route, ok bool)) bool {
	select {
	case s.asks <- &asking{id, time.Now(), found}:
		return true
	default:
		return false
	}
}

// key names a trace. Who reads Redis learns no id of a trip from it.
func (s *sharing) key(id correlator.ID) string {
	sum := sha256.Sum256(id[:])
	return s.prefix + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (s *sharing) run() {
	defer close(s.stopped)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case p := <-s.puts:
			s.write(p)
		case <-tick.C:
			s.look(false)
		case <-s.stopping:
			for len(s.puts) > 0 && s.cut.Err() == nil {
				s.write(<-s.puts)
			}
			for len(s.asked)+len(s.asks) > 0 {
				s.look(true)
			}
			return
		}
	}
}

// write writes a trace, and those that wait behind it.
func (s *sharing) write(p put) {
	ctx, cancel := context.WithTimeout(s.cut, sharedTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	for n := 1; ; n++ {
		keep := min(time.Until(p.until)+keepAfter, mostKept)
		pipe.Set(ctx, s.key(p.id), string(p.route.trace[:])+string(p.route.forward[:]), max(keep, time.Second))
		if n == togetherShared || len(s.puts) == 0 { // run is the only reader
			break
		}
		p = <-s.puts
	}
	_, _ = pipe.Exec(ctx) // the correlator says when Redis is away
}

// look asks for the traces of callbacks. last: nobody asks again.
func (s *sharing) look(last bool) {
	for len(s.asked) < mostAsked && len(s.asks) > 0 {
		s.asked = append(s.asked, <-s.asks)
	}
	var left []*asking
	for rest := s.asked; len(rest) > 0; {
		n := min(len(rest), togetherShared)
		left = append(left, s.find(rest[:n], last)...)
		rest = rest[n:]
	}
	s.asked = left
}

// find asks for some traces. It gives what is to be asked for again.
func (s *sharing) find(some []*asking, last bool) (again []*asking) {
	ctx, cancel := context.WithTimeout(s.cut, sharedTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	replies := make([]*goredis.StringCmd, len(some))
	for i, a := range some {
		replies[i] = pipe.Get(ctx, s.key(a.id))
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	for i, a := range some {
		text, err := replies[i].Result()
		r, ok := parseRoute(text)
		switch {
		case err == nil && ok:
			a.found(r, true)
		case last || err == nil || time.Since(a.since) > mostAsking:
			a.found(route{}, false)
		default:
			again = append(again, a)
		}
	}
	return again
}

// parseRoute reads what is stored of a trace. Others may write to Redis: whatever they write, a span is in a wrong trace at worst.
func parseRoute(text string) (r route, ok bool) {
	if len(text) != len(r.trace)+len(r.forward) {
		return route{}, false
	}
	copy(r.trace[:], text)
	copy(r.forward[:], text[len(r.trace):])
	return r, r.trace != traceID{} && r.forward != spanID{}
}

// close writes what waits and finds what can be found at once, until ctx ends, and for mostClosing at most.
func (s *sharing) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mostClosing)
	defer cancel()
	close(s.stopping)
	select {
	case <-s.stopped:
	case <-ctx.Done():
		s.cutOff()
		<-s.stopped
	}
	s.cutOff()
}
