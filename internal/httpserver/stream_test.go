package httpserver

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/tlstest"
)

// TestStreamWays has streams on every kind of connection, with another request behind each.
func TestStreamWays(t *testing.T) {
	server, client := tlstest.New(t, 1, time.Now().Add(time.Hour)).Configs()
	whole := func(s string) []string { return []string{s} }
	large := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + strings.Repeat("x", 3000000)
	ways := []struct {
		name   string
		cfg    ListenConfig
		parts  []string
		body   int
		remote string
	}{
		{name: "plain", parts: whole(streamRequest)},
		{name: "in pieces", parts: strings.SplitAfter(streamRequest, "")},
		{name: "large body", parts: whole(large), body: 3000000},
		{name: "TLS", cfg: ListenConfig{TLS: server}, parts: whole(streamRequest)},
		{name: "TLS, large body", cfg: ListenConfig{TLS: server}, parts: whole(large), body: 3000000},
		{name: "PROXY", cfg: ListenConfig{Proxied: always}, parts: whole("PROXY TCP4 192.0.2.7 192.0.2.8 7 8\r\n" + streamRequest), remote: "192.0.2.7:7"},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, Config{}, way.cfg)
			if way.cfg.TLS != nil {
				r.client = client
			}
			p := r.dial()
			go func() {
				for _, part := range way.parts {
					_, _ = io.WriteString(p, part)
				}
			}()
			s := r.next()
			if s.body != way.body || way.remote != "" && s.RemoteAddr().String() != way.remote {
				t.Errorf("the request has %d bytes and comes from %v", s.body, s.RemoteAddr())
			}
			useStream(p, s)
			p.plain()
			p.write(streamRequest)
			useStream(p, r.next())
			p.plain()
		})
	}
}

// useStream has a whole stream on a connection.
func useStream(p *peer, s *suspension) {
	t := p.t
	t.Helper()
	if !s.Begin(newAnswer("first.")) {
		t.Fatal("it has not begun")
	}
	resp := p.head("GET")
	if h := resp.Header; len(resp.TransferEncoding) != 1 || resp.TransferEncoding[0] != "chunked" || resp.ContentLength != -1 || h.Get("Date") == "" ||
		h.Get("Content-Type") != "text/event-stream" || resp.Close {
		t.Errorf("the head is %+v", resp)
	}
	if got := p.read(resp.Body, 6); got != "first." {
		t.Errorf("the first piece is %q", got)
	}
	for i := range 100 {
		piece := "piece " + strconv.Itoa(i)
		if !s.Send([]byte(piece)) || !s.Send(nil) {
			t.Fatal("the stream has ended")
		}
		if got := p.read(resp.Body, len(piece)); got != piece {
			t.Fatalf("a piece is %q, want %q", got, piece)
		}
	}
	if n := s.written.Load() + s.unwritten.Load() + s.gone.Load(); n != 0 {
		t.Errorf("the Waiter heard %d times in the middle of the stream", n)
	}
	s.End()
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("the end is %q, %v", rest, err)
	}
	s.heard(t, true)
}

func TestStreamPipelined(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	plain := "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"
	p.write(streamRequest + plain + streamRequest + plain)
	first := r.next()
	go p.write(strings.Repeat(plain, 1000)) // while the stream is open
	useStream(p, first)
	p.isPlain()
	useStream(p, r.next())
	for range 1001 {
		p.isPlain()
	}
}

// TestStreamHTTP10 has bodies that end with their connection, also where the client has sent more, which must not destroy what is on its way.
func TestStreamHTTP10(t *testing.T) {
	for _, tt := range []struct{ behind, later string }{
		{"", ""},
		{"GET /plain HTTP/1.0\r\n\r\n", ""},
		{"", "GET /plain HTTP/1.0\r\n\r\n"},
	} {
		r := newRig(t, Config{}, ListenConfig{})
		p := r.dial()
		p.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + tt.behind)
		s := r.next()
		if !s.Begin(newAnswer("first.")) {
			t.Fatal("the stream has not begun")
		}
		p.write(tt.later)
		eventually(t, "unread bytes", func() bool { return tt.later == "" || s.c.o.Look()&eventloop.Readable != 0 })
		sent := "first."
		for range 100 {
			if sent += filling; !s.Send([]byte(filling)) {
				t.Fatal("the stream has ended")
			}
		}
		s.End()
		resp := p.head("GET")
		body, err := io.ReadAll(resp.Body)
		if string(body) != sent || err != nil || len(resp.TransferEncoding) > 0 || resp.ContentLength != -1 || !resp.Close {
			t.Errorf("%+v: %d bytes, %v, %+v", tt, len(body), err, resp)
		}
		s.heard(t, true)
	}
}

// TestStreamBodiless has answers without a body: the exchange is over with the head.
func TestStreamBodiless(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
	}{{"HEAD", 200}, {"GET", 204}, {"GET", 304}} {
		r := newRig(t, Config{}, ListenConfig{})
		p := r.dial()
		p.write(tt.method + " / HTTP/1.1\r\nHost: x\r\n\r\n")
		s := r.next()
		resp := newAnswer("no body")
		resp.SetStatusCode(tt.status)
		if !s.Begin(resp) || s.Send([]byte("piece")) {
			t.Errorf("%s, %d: it has not begun, or is not over", tt.method, tt.status)
		}
		s.End()
		if got := p.head(tt.method); got.StatusCode != tt.status || got.Header.Get("Content-Length") != "" || got.Close {
			t.Errorf("%s, %d: the head is %+v", tt.method, tt.status, got)
		}
		s.heard(t, true)
		p.plain()
	}
}

// TestStreamCloses has streams behind which the connection ends, as one of the two has said.
func TestStreamCloses(t *testing.T) {
	for _, said := range []string{"client", "server"} {
		r := newRig(t, Config{}, ListenConfig{})
		p := r.dial()
		resp := newAnswer("")
		if said == "client" {
			p.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		} else {
			p.write(streamRequest)
			resp.SetConnectionClose()
		}
		s := r.next()
		if !s.Begin(resp) || !s.Send([]byte("piece")) {
			t.Fatal("the stream has ended")
		}
		s.End()
		got := p.head("GET")
		if body, err := io.ReadAll(got.Body); string(body) != "piece" || err != nil || !got.Close {
			t.Errorf("by the %s: %q, %v, %+v", said, body, err, got)
		}
		p.ends("")
		s.heard(t, true)
	}
}

// TestStreamMisuse calls what must do nothing.
func TestStreamMisuse(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	p.write(streamRequest)
	s := r.next()
	if s.Send([]byte("early")) || s.Send(nil) {
		t.Error("a piece was sent before Begin")
	}
	s.End()
	if !s.Begin(newAnswer("")) || s.Begin(newAnswer("twice")) {
		t.Error("a stream begins once")
	}
	s.Reply(newAnswer("reply"))
	s.Send([]byte("piece"))
	s.End()
	s.End()
	s.Abort()
	if s.Begin(newAnswer("late")) || s.Send([]byte("late")) || s.Send(nil) {
		t.Error("something was sent behind the end")
	}
	if body, err := io.ReadAll(p.head("GET").Body); string(body) != "piece" || err != nil {
		t.Errorf("the body is %q, %v", body, err)
	}
	p.write(streamRequest)
	next := r.next()
	if s.Begin(newAnswer("old")) || s.Send([]byte("old")) {
		t.Error("the exchange before is not over")
	}
	next.Begin(newAnswer(""))
	s.Send([]byte("old"))
	s.End()
	s.Abort()
	next.Send([]byte("new"))
	next.End()
	if body, err := io.ReadAll(p.head("GET").Body); string(body) != "new" || err != nil {
		t.Errorf("the next body is %q, %v", body, err)
	}
	s.heard(t, true)
	next.heard(t, true)
}

// TestStreamBehindReply begins a stream where the exchange is over.
func TestStreamBehindReply(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	p.write(streamRequest)
	s := r.next()
	s.Reply(newAnswer("reply"))
	if s.Begin(newAnswer("late")) {
		t.Error("a stream begins behind a reply")
	}
	if body, err := io.ReadAll(p.head("GET").Body); string(body) != "reply" || err != nil {
		t.Errorf("the reply is %q, %v", body, err)
	}
	s.heard(t, true)
}

func TestStreamAborted(t *testing.T) {
	for _, full := range []bool{false, true} {
		r := newRig(t, Config{}, ListenConfig{})
		_, s, body := r.open()
		s.Send([]byte("piece"))
		if full {
			s.fill(t)
		}
		s.Abort()
		if s.Send([]byte("late")) {
			t.Error("a piece was sent behind the end")
		}
		got, err := io.ReadAll(body)
		if !strings.HasPrefix(string(got), "piece") || err == nil {
			t.Errorf("the client does not see that the body is cut: %v", err)
		}
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
		if s.gone.Load()+s.written.Load()+s.unwritten.Load() > 0 {
			t.Error("the Waiter was called")
		}
	}
}

// TestStreamPanic has a Handler that panics when its stream has begun.
func TestStreamPanic(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	p.write("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, err := io.ReadAll(p.head("GET").Body); string(got) != "piece" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client reads %q, %v", got, err)
	}
}

// TestStreamHangUp has clients that close or reset their side of an open stream, with unsent bytes and without.
func TestStreamHangUp(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, reset := range []bool{false, true} {
			hangUp(t, full, reset)
		}
	}
}

func hangUp(t *testing.T, full, reset bool) {
	t.Helper()
	r := newRig(t, Config{}, ListenConfig{})
	p, s, _ := r.open()
	if full {
		s.fill(t)
	}
	tcp, _ := p.Conn.(*net.TCPConn)
	if reset {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	} else {
		_ = tcp.CloseWrite()
	}
	eventually(t, "gone", func() bool { return s.gone.Load() > 0 })
	if !reset {
		if s.written.Load()+s.unwritten.Load() > 0 || !s.Send([]byte("half closed")) {
			t.Errorf("a FIN has ended the stream")
		}
		go func() { _, _ = io.Copy(io.Discard, tcp) }()
	}
	s.Send([]byte("piece"))
	s.End()
	s.heard(t, false) // as with a Reply
	eventually(t, "closed", func() bool { return r.s.Open() == 0 })
}

// TestStreamSlowHangUp has a client that closes its side of an open stream, and then reads nothing: ClientGone is called once.
func TestStreamSlowHangUp(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p, s, _ := r.open()
	tcp, _ := p.Conn.(*net.TCPConn)
	_ = tcp.CloseWrite()
	eventually(t, "gone", func() bool { return s.gone.Load() > 0 })
	for s.Send([]byte(filling)) {
	}
	s.heard(t, false)
	if s.gone.Load() != 1 {
		t.Errorf("ClientGone was called %d times", s.gone.Load())
	}
}

// TestStreamHangUpBefore has a client that is gone when its stream begins.
func TestStreamHangUpBefore(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	p.write(streamRequest)
	s := r.next()
	tcp, _ := p.Conn.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
	eventually(t, "gone", func() bool { return s.gone.Load() > 0 })
	if s.Begin(newAnswer("piece")) && s.Send([]byte("piece")) {
		t.Error("a piece was sent to a socket that was reset")
	}
	s.heard(t, false)
	eventually(t, "closed", func() bool { return r.s.Open() == 0 })
}
