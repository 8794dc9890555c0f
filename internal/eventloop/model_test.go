package eventloop_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// The model: slots whose Conn is attached again and again, to one connection after the other, so that names and the numbers of
// descriptors are used again at once. Loops, the timer, other goroutines and Idle own the connections and do what they like
// with them. Each side sends records of who it is and how many it has sent. The oracle: a connection has one owner at a time,
// an Owner of a turn that is over does nothing, each side reads what its other side has sent and nothing else, and reads it to
// the end, unless somebody has cut it off. As only Ready reads, an event that is lost stops a slot for good.

const recordSize = 8

// slot is one Conn, and the server's side of its connections.
type slot struct {
	eventloop.Conn
	m      *model
	owners atomic.Int32

	// Owned by the Owner of the Conn, and by drive between two connections.
	id     uint32
	in     []byte
	read   uint32 // records
	sent   uint32
	eof    bool
	killed bool // we have closed without having read all
	closed chan bool
}

type model struct {
	t       *testing.T
	g       *eventloop.Group
	tls     bool
	server  *tls.Config
	client  *tls.Config
	slots   []*slot
	acting  sync.WaitGroup // goroutines that own something
	stopped atomic.Bool
	ids     atomic.Uint32

	dice *dice

	mu    sync.Mutex
	stale []eventloop.Owner // whose turns are over
}

func (s *slot) HungUp()                   {}
func (s *slot) Expired(o eventloop.Owner) { s.act(o, false) }

func (s *slot) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	if ev&eventloop.Writable != 0 && s.m.dice.n(4) > 0 {
		_, _ = o.Flush()
	}
	s.act(o, true)
}

// act is what an owner does in a turn.
func (s *slot) act(o eventloop.Owner, reads bool) {
	if n := s.owners.Add(1); n != 1 {
		s.m.t.Errorf("a connection has %d owners", n)
	}
	s.goOn(o, reads)
}

// goOn does some things, and then ends the turn or has another goroutine go on.
func (s *slot) goOn(o eventloop.Owner, reads bool) {
	for range s.m.dice.n(4) {
		switch {
		case s.m.dice.n(3) == 0:
			s.write(o)
		case reads:
			s.readSome(o)
		default:
			_ = o.Look()
			_ = o.PeerGone()
		}
	}
	if s.m.dice.n(4) == 0 {
		s.m.acting.Go(func() {
			if s.m.dice.n(4) == 0 {
				<-s.m.dice.pause(2 * time.Millisecond)
			}
			s.goOn(o, reads)
		})
		return
	}
	s.end(o, reads)
}

// end ends the turn. Only who reads closes and attaches anew: both would bring back an event that was lost.
func (s *slot) end(o eventloop.Owner, reads bool) {
	if s.eof {
		_, _ = o.Flush()
	}
	kill := reads && s.m.dice.n(300) == 0
	switch {
	case s.eof && (o.Pending() == 0 || kill), kill:
		s.killed = kill
		s.close(o)
	case reads && !s.m.tls && o.Pending() == 0 && s.m.dice.n(100) == 0:
		s.reattach(o)
	default:
		deadline := never()
		if s.m.dice.n(4) == 0 {
			deadline = time.Now().Add(time.Duration(s.m.dice.n(300)) * time.Millisecond)
		}
		s.owners.Add(-1)
		o.Release(deadline)
		s.m.keep(o)
	}
}

func (s *slot) close(o eventloop.Owner) {
	closed := s.closed
	s.owners.Add(-1)
	if err := o.Close(); err != nil {
		s.m.t.Errorf("close: %v", err)
	}
	s.m.keep(o)
	close(closed)
}

func (s *slot) reattach(o eventloop.Owner) {
	nc, err := o.Detach()
	if err != nil {
		s.m.t.Errorf("detach: %v", err)
		return
	}
	s.m.keep(o)
	s.owners.Add(-1)
	if err := s.m.g.Attach(&s.Conn, s, nc, never()); err != nil {
		s.m.t.Errorf("attach again: %v", err)
	}
}

func (s *slot) write(o eventloop.Owner) {
	var p []byte
	for range s.m.dice.n(1 << s.m.dice.n(10)) {
		p = binary.BigEndian.AppendUint32(p, s.id)
		p = binary.BigEndian.AppendUint32(p, s.sent)
		s.sent++
	}
	if _, err := o.Write(p); err != nil {
		if errors.Is(err, eventloop.ErrNotOwner) {
			s.m.t.Error("the owner is said not to be it")
		}
		s.killed = true // the peer has cut it off
	}
}

func (s *slot) readSome(o eventloop.Owner) {
	p := make([]byte, 1+s.m.dice.n(1<<(1+s.m.dice.n(12))))
	n, err := o.Read(p)
	switch {
	case errors.Is(err, eventloop.ErrNotOwner):
		s.m.t.Error("the owner is said not to be it")
	case err != nil && !errors.Is(err, eventloop.ErrWouldBlock):
		s.eof = true
		s.killed = s.killed || err != io.EOF //nolint:errorlint // as it is
	}
	s.in = append(s.in, p[:n]...)
	for len(s.in) >= recordSize {
		id, seq := binary.BigEndian.Uint32(s.in), binary.BigEndian.Uint32(s.in[4:])
		if id != s.id || seq != s.read {
			s.m.t.Errorf("connection %d reads record %d of %d; want %d", s.id, seq, id, s.read)
		}
		s.read++
		s.in = s.in[recordSize:]
	}
}

// keep has somebody use an Owner later whose turn is over.
func (m *model) keep(o eventloop.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stale) < 200 {
		m.stale = append(m.stale, o)
		return
	}
	m.stale[m.dice.n(len(m.stale))] = o
}

// misuse uses Owners whose turns are over.
func (m *model) misuse() {
	m.mu.Lock()
	var o eventloop.Owner
	if len(m.stale) > 0 {
		o = m.stale[m.dice.n(len(m.stale))]
	}
	m.mu.Unlock()
	o.Release(time.Now())
	_, write := o.Write([]byte("a stale record"))
	_, read := o.Read(make([]byte, 10))
	for _, err := range []error{write, read, o.Close()} {
		if !errors.Is(err, eventloop.ErrNotOwner) {
			m.t.Errorf("an Owner whose turn is over gets %v", err)
		}
	}
}

// poke owns connections that are idle.
func (m *model) poke() {
	for !m.stopped.Load() {
		m.misuse()
		switch s := m.slots[m.dice.n(len(m.slots))]; m.dice.n(20) {
		case 0:
			m.g.Idle(func(o eventloop.Owner) bool {
				o.Conn()
				m.slotOf(o).act(o, false)
				return m.dice.n(4) > 0
			}, func(*eventloop.Conn) bool { return m.dice.n(4) == 0 })
		default:
			if o, ok := s.TryOwn(); ok {
				s.act(o, false)
			}
		}
		<-m.dice.pause(200 * time.Microsecond)
	}
}

func (m *model) slotOf(o eventloop.Owner) *slot {
	for _, s := range m.slots {
		if &s.Conn == o.Conn() {
			return s
		}
	}
	m.t.Error("a connection of nobody")
	return nil
}

// client is the other side of a connection.
type client struct {
	net.Conn
	m    *model
	id   uint32
	sent uint32 // records
	read uint32
	cut  bool // it has closed without a good-bye
	err  error
}

func (c *client) write() {
	total := c.m.dice.n(1 << c.m.dice.n(12))
	for c.sent < uint32(total) { //nolint:gosec // small
		var p []byte
		for range 1 + c.m.dice.n(1<<c.m.dice.n(9)) {
			p = binary.BigEndian.AppendUint32(p, c.id)
			p = binary.BigEndian.AppendUint32(p, c.sent)
			c.sent++
		}
		cut := c.m.dice.n(len(p))
		for _, part := range [][]byte{p[:cut], p[cut:]} {
			if _, err := c.Write(part); err != nil {
				c.err = err
				return
			}
			if c.m.dice.n(8) == 0 {
				<-c.m.dice.pause(3 * time.Millisecond)
			}
		}
	}
	if c.cut = c.m.dice.n(10) == 0; c.cut {
		_ = c.Close()
	} else if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		c.err = half.CloseWrite()
	}
}

func (c *client) receive() {
	p := make([]byte, 32<<10)
	var in []byte
	for {
		n, err := c.Read(p)
		in = append(in, p[:n]...)
		for len(in) >= recordSize {
			id, seq := binary.BigEndian.Uint32(in), binary.BigEndian.Uint32(in[4:])
			if id != c.id || seq != c.read {
				c.m.t.Errorf("client %d reads record %d of %d; want %d", c.id, seq, id, c.read)
				return
			}
			c.read++
			in = in[recordSize:]
		}
		if err != nil {
			return
		}
	}
}

// drive makes one connection of a slot after the other.
func (m *model) drive(s *slot, connections int) {
	l, err := m.g.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Error(err)
		return
	}
	defer func() { _ = l.Close() }()
	for range connections {
		if m.t.Failed() || !m.play(s, l) {
			return
		}
	}
}

// play makes one connection, and checks at its end what both sides have read.
func (m *model) play(s *slot, l *eventloop.Listener) bool {
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		m.t.Error(err)
		return false
	}
	defer func() { _ = raw.Close() }()
	a, err := l.Accept()
	if err != nil {
		m.t.Error(err)
		return false
	}
	c := &client{Conn: raw, m: m, id: m.ids.Add(1)}
	s.id, s.in, s.read, s.sent, s.eof, s.killed, s.closed = c.id, nil, 0, 0, false, false, make(chan bool)
	closed := s.closed
	if err := m.attach(s, a, c); err != nil {
		m.t.Error(err)
		return false
	}
	var running sync.WaitGroup
	running.Go(c.write)
	running.Go(c.receive)
	select {
	case <-closed:
	case <-time.After(patience):
		m.t.Errorf("connection %d is stuck: its client has sent %d records", c.id, c.sent)
		return false
	}
	if s.killed {
		_ = raw.Close()
	}
	running.Wait()
	switch {
	case s.killed || c.cut:
	case c.err != nil:
		m.t.Errorf("client %d: %v", c.id, c.err)
	case s.read != c.sent || c.read != s.sent:
		m.t.Errorf("connection %d has read %d of %d, its client %d of %d", c.id, s.read, c.sent, c.read, s.sent)
	}
	return true
}

// attach gives the server's side to the loops, in one way or another.
func (m *model) attach(s *slot, a *eventloop.Accepted, c *client) error {
	if !m.tls && m.dice.n(2) == 0 {
		return a.Attach(m.g, &s.Conn, s, never())
	}
	nc, err := a.NetConn()
	if err != nil {
		return err
	}
	if !m.tls {
		return m.g.Attach(&s.Conn, s, nc, never())
	}
	l := eventloop.NewLayer(nc)
	ours, peer := tls.Server(l, m.server), tls.Client(c.Conn, m.client)
	c.Conn = peer
	shaken := make(chan error, 1)
	go func() { shaken <- peer.Handshake() }()
	if err := errors.Join(ours.Handshake(), <-shaken); err != nil {
		return err
	}
	return m.g.AttachTLS(&s.Conn, s, l, ours, never())
}

func runModel(t *testing.T, secure bool, slots, connections int) {
	withOptions(t, eventloop.Options{Expiry: 100 * time.Millisecond}, func(t *testing.T, g *eventloop.Group) {
		m := &model{t: t, g: g, tls: secure, dice: newDice(t)}
		m.server, m.client = tlsConfigs(t)
		for range slots {
			m.slots = append(m.slots, &slot{m: m})
		}
		var pokers, drivers sync.WaitGroup
		for range 3 {
			pokers.Go(m.poke)
		}
		for _, s := range m.slots {
			drivers.Go(func() { m.drive(s, connections) })
		}
		drivers.Wait()
		m.stopped.Store(true)
		pokers.Wait()
		m.acting.Wait()
		t.Logf("%d connections", g.Entered())
		if n := g.Len(); n > 0 {
			t.Errorf("%d are still attached", n)
		}
	})
}

func TestModel(t *testing.T) { runModel(t, false, 12, 40) }

func TestModelTLS(t *testing.T) { runModel(t, true, 6, 15) }
