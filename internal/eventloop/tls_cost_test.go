package eventloop_test

import (
	"runtime"
	"testing"

	"syncgate/internal/eventloop"
)

// TestTLSHasNoGoroutines: connections with TLS that idle have no goroutines, and little memory, which is printed.
func TestTLSHasNoGoroutines(t *testing.T) {
	const connections = 200
	g := newGroup(t, eventloop.Options{})
	server, client := tlsConfigs(t)
	before := runtime.NumGoroutine()
	all := make([]secured, connections)
	for i := range all {
		all[i] = tlsPair(t, g, new(handler), server, client, true)
		if _, err := all[i].peer.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what they have sent is read", func() bool { return idleOf(all) == connections })
	if n := runtime.NumGoroutine() - before; n > 10 && !emulates() {
		t.Errorf("%d goroutines for %d connections", n, connections)
	}
	idle := heap()
	for i := range all {
		shut(t, all[i].c)
		all[i].c, all[i].ours, all[i].layer = nil, nil, nil
	}
	bytes := (int64(idle) - int64(heap())) / connections //nolint:gosec // far less
	t.Logf("%d bytes for a connection with TLS that idles", bytes)
	if bytes < 1<<10 || bytes > 12<<10 && !emulates() {
		t.Error("want some, and at most 12 KiB")
	}
	runtime.KeepAlive(all)
}

// idleOf is how many are idle and have nothing to read.
func idleOf(all []secured) (n int) {
	for i := range all {
		o, ok := all[i].c.TryOwn()
		if ok && o.Look() == 0 {
			n++
		}
		o.Release(never())
	}
	return n
}

// heap is how many bytes are reachable, more or less.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
