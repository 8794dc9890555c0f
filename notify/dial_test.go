package notify_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syncgate/notify"
)

// names is a server of names that a test fills: each lookup of a name takes its next list of addresses, and the last one for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   map[string]int
}

// resolver serves names on a port of 127.0.0.1 until the end of the test.
func resolver(t *testing.T, answers map[string][][]string) *net.Resolver {
	t.Helper()
	n := &names{answers: answers, asked: make(map[string]int)}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { n.serve(c) })
	t.Cleanup(func() {
		_ = c.Close()
		served.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

func (n *names) serve(c net.PacketConn) {
	room := make([]byte, 512)
	for {
		size, from, err := c.ReadFrom(room)
		if err != nil {
			return
		}
		if answer, err := n.answer(room[:size]); err == nil {
			_, _ = c.WriteTo(answer, from)
		}
	}
}

// answer gives the addresses of the family that is asked for. A pair of questions, for A and AAAA, is one lookup.
func (n *names) answer(packet []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	n.mu.Lock()
	lists := n.answers[q.Name.String()]
	at := n.asked[q.Name.String()+q.Type.String()]
	n.asked[q.Name.String()+q.Type.String()]++
	n.mu.Unlock()
	m.Response, m.Additionals = true, nil
	if len(lists) == 0 {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	for _, text := range lists[min(at, len(lists)-1)] {
		ip, head := netip.MustParseAddr(text), dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
		switch {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	return m.Pack()
}

// TestNamesAreJudgedWhenDialled has names resolve to addresses that are not public, while a server listens at the loopback ones.
func TestNamesAreJudgedWhenDialled(t *testing.T) {
	l, port := listen(t)
	defer func() { _ = l.Close() }()
	r := resolver(t, map[string][][]string{
		"loopback.example.":   {{"127.0.0.1"}},
		"loopback6.example.":  {{"::1"}},
		"both.example.":       {{"127.0.0.1", "::1"}},
		"many.example.":       {{"10.0.0.1", "169.254.169.254", "100.64.0.1", "127.0.0.1"}},
		"mapped.example.":     {{"::ffff:127.0.0.1"}},
		"translated.example.": {{"64:ff9b::7f00:1"}},
		"metadata.example.":   {{"169.254.169.254"}},
		"shared.example.":     {{"100.64.0.1"}},
		"azure.example.":      {{"168.63.129.16"}},
		"zero.example.":       {{"0.0.0.0"}},
		"zero6.example.":      {{"::"}},
	})
	g := guard(t, notify.GuardConfig{Resolver: r})
	hosts := []string{
		"loopback", "loopback6", "both", "many", "mapped", "translated", "metadata", "shared", "azure", "zero", "zero6",
	}
	for _, host := range hosts {
		if err := g.Check("https://" + host + ".example:" + port + "/"); err != nil {
			t.Errorf("%s: a name is judged when it is dialled, and not at once: %v", host, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		c, err := g.DialContext(ctx, "tcp", net.JoinHostPort(host+".example", port))
		cancel()
		if r := new(notify.RefusedError); !errors.As(err, &r) {
			t.Errorf("%s: %v, %v", host, c, err)
		}
	}
	for _, address := range []string{"127.0.0.1:" + port, "127.1:" + port, "2130706433:" + port, "[::ffff:127.0.0.1]:" + port} {
		if c, err := g.DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s: connected to %v", address, c.RemoteAddr())
		}
	}
}

// TestASecondResolution has a name that is allowed the first time and not the second.
func TestASecondResolution(t *testing.T) {
	l, port := listen(t)
	defer func() { _ = l.Close() }()
	r := resolver(t, map[string][][]string{"turns.example.": {{"127.0.0.1"}, {"10.0.0.1"}}, "mixed.example.": {{"10.0.0.1", "127.0.0.1"}}})
	g := guard(t, notify.GuardConfig{Resolver: r, AllowNetworks: networks("127.0.0.0/8")})
	c, err := g.DialContext(t.Context(), "tcp", "turns.example:"+port)
	if err != nil {
		t.Fatalf("the first time: %v", err)
	}
	_ = c.Close()
	_, err = g.DialContext(t.Context(), "tcp", "turns.example:"+port)
	if r := new(notify.RefusedError); !errors.As(err, &r) {
		t.Errorf("the second time: %v", err)
	}
	c, err = g.DialContext(t.Context(), "tcp", "mixed.example:"+port)
	if err != nil {
		t.Fatalf("an address that is allowed behind one that is not: %v", err)
	}
	if c.RemoteAddr().String() != "127.0.0.1:"+port {
		t.Errorf("connected to %v", c.RemoteAddr())
	}
	_ = c.Close()
	_, err = g.DialContext(t.Context(), "tcp", "127.0.0.1:25")
	if r := new(notify.RefusedError); !errors.As(err, &r) {
		t.Errorf("a port of another service: %v", err)
	}
}

// listen opens a port of 127.0.0.1.
func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return l, port
}
