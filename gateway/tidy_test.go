package gateway_test

import (
	"bufio"
	"runtime"
	"testing"
	"time"
)

func forcedCollections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

// Memory is given back when a burst of clients is over, once, and not for a few.
func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	before := forcedCollections()
	burst := func(clients int) {
		for range clients {
			c := n.dial()
			healthy(t, c, bufio.NewReaderSize(c, 512))
		}
	}
	burst(200)
	<-time.After(3 * time.Second)
	if got := forcedCollections(); got != before {
		t.Errorf("%d collections for 200 clients; want none", got-before)
	}
	burst(1000)
	waitFor(t, func() bool { return forcedCollections() == before+2 })
	<-time.After(2 * time.Second)
	if got := forcedCollections(); got != before+2 {
		t.Errorf("%d collections; want 2", got-before)
	}
}
