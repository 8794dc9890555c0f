package gateway_test

import (
	"net"
	"testing"
)

// exchanger sends one request over a kept connection and reads its answer, without memory of its own.
func exchanger(tb testing.TB, c net.Conn) func() {
	request, answer := []byte(healthRequest), make([]byte, 4<<10)
	return func() {
		if _, err := c.Write(request); err != nil {
			tb.Fatal(err)
		}
		if n, err := c.Read(answer); err != nil || n == 0 {
			tb.Fatal(n, err)
		}
	}
}

// What a connection does for each request (reading ahead, deadlines, waiting for the next one) allocates nothing of its own.
func TestConnectionAllocations(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	exchange := exchanger(t, n.dial())
	const most = 6 // those that there are, of routing and of the answer, are 5
	if got := testing.AllocsPerRun(500, exchange); got > most && !raced {
		t.Errorf("%v allocations a request; at most %d", got, most)
	}
}
