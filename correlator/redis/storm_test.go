package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// stormTrip is a trip of some ops. It replies when all are final, and then closes.
type stormTrip struct {
	home *redis.Correlator
	id   correlator.ID
	ops  []string // what each is to hear

	mu      sync.Mutex
	heard   map[int]bool
	wrong   int
	replied chan struct{} // closed with the reply
}

func (s *stormTrip) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	d := correlator.Held
	s.mu.Lock()
	if string(cb.Body) != s.ops[cb.Op] {
		s.wrong++
	}
	switch {
	case s.heard[cb.Op]:
		d = correlator.Repeated
	case len(s.heard) == len(s.ops)-1:
		d = correlator.Written
		close(s.replied)
		s.home.Close(s.id)
	}
	s.heard[cb.Op] = true
	s.mu.Unlock()
	done(d)
}

func (s *stormTrip) Expire(error) {}

// TestStorm has callbacks, some of them repeated, come to either node while connections break. Every trip hears all of
// its own and nothing else, whatever was answered to the engine is true, and nothing stays in Redis.
func TestStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's choices
	s := redistest.Start(t)
	nodes := []*redis.Correlator{start(t, config(s.URL())), start(t, config(s.URL()))}

	trips := make([]*stormTrip, 2000)
	for i := range trips {
		trips[i] = parkStormy(t, nodes[i%2], 1+rnd.IntN(3), 1+rnd.IntN(9000))
	}
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() { breakConnections(s, stop) })

	var all sync.WaitGroup
	turns := make(chan struct{}, 24)
	for i := range 3 * len(trips) * 3 / 2 { // every op once, then some again
		trip, op := trips[i%len(trips)], i/len(trips)%3
		if op >= len(trip.ops) {
			continue
		}
		to := nodes[rnd.IntN(2)]
		turns <- struct{}{}
		all.Go(func() {
			engine(t, to, trip.id, correlatortest.Final(op, trip.ops[op]))
			<-turns
		})
	}
	all.Wait()
	close(stop)
	faults.Wait()
	for i, trip := range trips {
		correlatortest.Next(t, trip.replied, fmt.Sprintf("reply of trip %d", i))
		if trip.wrong > 0 {
			t.Errorf("trip %d heard %d callbacks that are not its own", i, trip.wrong)
		}
	}
	for _, c := range nodes {
		if c.Len() != 0 {
			t.Errorf("%d trips left", c.Len())
		}
	}
	awaitKeys(t, s, 0)
}

// parkStormy parks a trip of some ops, whose results have about so many bytes.
func parkStormy(t *testing.T, home *redis.Correlator, ops, size int) *stormTrip {
	t.Helper()
	s := &stormTrip{home: home, id: home.NewID(soon()), heard: make(map[int]bool), replied: make(chan struct{})}
	for op := range ops {
		s.ops = append(s.ops, fmt.Sprintf(`{"nonce":"%v-%d","pad":"%0*d"}`, s.id, op, size, 0))
	}
	if err := home.Park(s.id, s, soon()); err != nil {
		t.Fatal(err)
	}
	return s
}

// engine delivers a callback as engines do: once more after a 503.
func engine(t *testing.T, to *redis.Correlator, id correlator.ID, cb correlator.Callback) {
	for range 100 {
		err := to.Deliver(context.Background(), id, cb)
		if isSettled(err) {
			return
		}
		if !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("deliver: %v", err)
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Error("deliver: unavailable for 2s")
}

// breakConnections kills the nodes' connections until stop.
func breakConnections(s *redistest.Server, stop <-chan struct{}) {
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.Do("CLIENT", "KILL", "TYPE", []string{"pubsub", "normal"}[i%2])
		}
	}
}
