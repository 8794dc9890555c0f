package eventloop_test

import (
	"runtime"
	"testing"

	"syncgate/internal/eventloop"
)

// TestTLSHasNoGoroutines: connections with TLS that idle have no goroutines, and little memory, which is printed.
func TestTLSHasNoGoroutines(t *testing.T) {
	if emulates() {
		t.Log("emulated sockets have a goroutine each")
		return
	}
	const connections = 200
	g := newGroup(t, eventloop.Options{})
	server, client := tlsConfigs(t)
	before := runtime.NumGoroutine()
	all := make([]secured, connections)
	h := new(handler)
	for i := range all {
		all[i] = tlsPair(t, g, h, server, client, true)
		if _, err := all[i].peer.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what they have sent is read", func() bool {
		idle := 0
		for i := range all {
			if o, ok := all[i].c.TryOwn(); ok {
				if o.Look() == 0 {
					idle++
				}
				o.Release(never())
			}
		}
		return idle == connections
	})
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines for %d connections", n, connections)
	}
	idle := heap()
	for i := range all {
		o, ok := all[i].c.TryOwn()
		if !ok {
			t.Fatal("not idle")
		}
		_ = o.Close()
		all[i].c = nil
	}
	bytes := (int64(idle) - int64(heap())) / connections
	t.Logf("%d bytes for a connection with TLS that idles", bytes)
	if bytes > 12<<10 {
		t.Error("more than 12 KiB")
	}
	runtime.KeepAlive(all)
}

// heap is how many bytes are reachable, more or less.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
