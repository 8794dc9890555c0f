package eventloop_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"syncgate/internal/eventloop"
)

// TestSocketOptions: accepted sockets have the options that package net gives its own.
func TestSocketOptions(t *testing.T) {
	g := newGroup(t, eventloop.Options{})
	l, err := g.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	theirs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	for _, ln := range []net.Addr{l.Addr(), theirs.Addr()} {
		peer, err := net.Dial("tcp", ln.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want, err := theirs.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = want.Close() }()
	c := new(eventloop.Conn)
	if err := a.Attach(g, c, new(handler), never()); err != nil {
		t.Fatal(err)
	}
	o, _ := c.TryOwn()
	defer func() { _ = o.Close() }()
	raw, err := want.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		for name, o := range map[string][2]int{
			"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY},
			"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
			"TCP_KEEPIDLE":  {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
			"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
			"TCP_KEEPCNT":   {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
		} {
			net, _ := unix.GetsockoptInt(int(fd), o[0], o[1])
			if ours, err := unix.GetsockoptInt(eventloop.FD(c), o[0], o[1]); ours != net || net == 0 || err != nil {
				t.Errorf("%s is %d, %v; package net has %d", name, ours, err, net)
			}
		}
	})
}
