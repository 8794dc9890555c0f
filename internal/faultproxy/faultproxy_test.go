package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is how long nothing must come before the tests believe that nothing does.
const quiet = 100 * time.Millisecond

// echo is a server that sends back what it hears, until the end of the test.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// start makes a proxy to an echo.
func start(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start("tcp", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// client is a connection through the proxy.
type client struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func dial(t *testing.T, p *faultproxy.Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, t: t, lines: bufio.NewReader(c)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hears(line string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := c.lines.ReadString('\n'); err != nil || got != line+"\r\n" {
		c.t.Fatalf("heard %q, %v; want %q", got, err, line)
	}
}

func (c *client) hearsNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(quiet))
	if b, err := c.lines.ReadByte(); err == nil || !isTimeout(err) {
		c.t.Fatalf("heard %q, %v", b, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestPasses(t *testing.T) {
	p := start(t)
	a, b := dial(t, p), dial(t, p)
	a.say("a")
	b.say("b")
	a.hears("a")
	b.hears("b")
	if n := p.Open(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestCut(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.say("a")
	c.hears("a")
	if n := p.Cut(); n != 1 {
		t.Errorf("cut %d", n)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	again := dial(t, p)
	again.say("b")
	again.hears("b")
}

func TestStall(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	p.Stall()
	p.Stall()
	c.say("a")
	late := dial(t, p)
	late.say("b")
	c.hearsNothing()
	late.hearsNothing()
	p.Flow()
	p.Flow()
	c.hears("a")
	late.hears("b")
}

func TestDeafen(t *testing.T) {
	p := start(t)
	deaf, other := dial(t, p), dial(t, p)
	deaf.say("*2\r\n$9\r\nSUBSCRIBE")
	deaf.hears("*2")
	other.say("a")
	other.hears("a")
	if n := p.Deafen(); n != 1 {
		t.Errorf("deafened %d", n)
	}
	deaf.hears("$9") // they came before
	deaf.hears("SUBSCRIBE")
	deaf.say("x")
	deaf.hearsNothing()
	other.say("b")
	other.hears("b")
	later := dial(t, p)
	later.say("*2\r\n$9\r\nSUBSCRIBE")
	later.hears("*2")
}
