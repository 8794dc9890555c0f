package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// pair gives two ends of a connection of our own kind.
func pair(t testing.TB) (one, other net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	one, err = dial(time.Second, nil)(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if other, err = ln.Accept(); err == nil {
		other, err = quiet(other)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, is := one.(*conn); !is {
		t.Fatalf("dial gives a %T", one)
	}
	t.Cleanup(func() { _ = one.Close(); _ = other.Close() })
	return one, other
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (one, other net.Conn, stop func(), err error) {
		one, other = pair(t)
		return one, other, func() { _ = one.Close(); _ = other.Close() }, nil
	})
}

func TestConnErrors(t *testing.T) {
	one, other := pair(t)
	if err := one.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := one.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read until a deadline: %d, %v", n, err)
	}
	much := make([]byte, 32<<20) // which takes a while
	if err := one.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := one.Write(much); n == 0 || n == 32<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write 32 MiB until a deadline to one who does not read: %d, %v", n, err)
	}
	if err := other.Close(); err != nil { // unread bytes make it a reset
		t.Fatal(err)
	}
	if err := one.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := one.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read from a connection that was reset: %d, %v", n, err)
	}
	if n, err := one.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a connection that was reset: %d, %v", n, err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from a closed connection: %v", err)
	}
}

// go-redis looks at a connection before it uses that, and must see one that the server has closed.
func TestConnIsLookedAt(t *testing.T) {
	one, other := pair(t)
	looks := func() (some bool) {
		t.Helper()
		raw, err := one.(syscall.Conn).SyscallConn()
		if err == nil {
			err = raw.Read(func(uintptr) bool {
				some = true
				return true
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return some
	}
	if looks() {
		t.Error("there is something to read already")
	}
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(one, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if looks() {
		t.Error("there is something to read once more")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); !looks(); {
		if time.Now().After(end) {
			t.Fatal("it is not seen that the other end has been closed")
		}
	}
}

// message sends one byte from one end to the other, and has one end looked at as go-redis does.
func message(t testing.TB, one, other net.Conn) func() {
	said, heard := []byte("x"), make([]byte, 1)
	return func() {
		if _, err := one.Write(said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(other, heard); err != nil {
			t.Fatal(err)
		}
		raw, err := one.(syscall.Conn).SyscallConn()
		if err == nil {
			err = raw.Read(func(uintptr) bool { return true })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestConnAllocates(t *testing.T) {
	one, other := pair(t)
	if got := testing.AllocsPerRun(100, message(t, one, other)); got != 0 {
		t.Errorf("a message takes %v allocations", got)
	}
}

func BenchmarkConn(b *testing.B) {
	one, other := pair(b)
	next := message(b, one, other)
	b.ReportAllocs()
	for b.Loop() {
		next()
	}
}
