package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/gateway"
)

// holder is a dialect that keeps clients waiting, and says how their waits end.
type holder struct {
	*namingDialect
	ended chan error // of ctx, when a wait ends
}

func (h *holder) Route(path []byte) (dialect.Route, bool) {
	if kind, ok := strings.CutPrefix(string(path), "/hold/"); ok {
		return dialect.Route{Kind: dialect.Resource, Methods: []string{"POST"}, Wait: time.Minute, Watched: kind != "unwatched"}, true
	}
	return h.namingDialect.Route(path)
}

// Resource waits for a second, or streams until its client leaves, it fails or it ends.
func (h *holder) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (string, error) {
	switch path := string(req.Header.RequestURI()); path {
	case "/hold/stream", "/hold/failing", "/hold/panicking", "/hold/leaving":
		dst.SetBodyString("first,")
		send, ok := at.Stream(dst)
		if !ok {
			return "", nil
		}
		if _, twice := at.Stream(dst); twice {
			return "", errors.New("a stream has begun twice")
		}
		send([]byte("second"))
		switch path {
		case "/hold/failing":
			return "", errors.New("it fails")
		case "/hold/panicking":
			panic(path)
		case "/hold/leaving":
			<-ctx.Done()
			h.ended <- ctx.Err()
		}
		return "", nil
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	h.ended <- ctx.Err()
	dst.SetBodyString("an answer")
	return "", nil
}

func startHolder(t *testing.T) (*node, *holder) {
	t.Helper()
	h := &holder{ended: make(chan error, 1)}
	names := newNamer()
	return startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) {
		names.serve(p)
		h.namingDialect = p.Dialect.(*namingDialect)
		p.Dialect = h
	}), h
}

const rawHeld = " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// A watched route hears of a client that leaves, if only by half, and such a client gets no answer. Another route answers whoever is there.
func TestAWatchedResource(t *testing.T) {
	n, h := startHolder(t)
	closed := func(c net.Conn) { _ = c.Close() }
	half := func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }
	for _, c := range []struct {
		path  string
		leave func(net.Conn)
		hears bool
		heard string // by the client
	}{
		{"/hold/watched", func(net.Conn) {}, false, "an answer"},
		{"/hold/watched", closed, true, ""},
		{"/hold/watched", half, true, ""},
		{"/hold/unwatched", half, false, "an answer"},
	} {
		conn := n.dial()
		_, _ = io.WriteString(conn, "POST "+c.path+rawHeld)
		c.leave(conn)
		if err := <-h.ended; (err != nil) != c.hears {
			t.Errorf("%s: its context ends with %v", c.path, err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		said, err := io.ReadAll(conn)
		if isTimeout(err) || !strings.HasSuffix(string(said), c.heard) || c.heard == "" && len(said) > 0 {
			t.Errorf("%s: the client hears %q, %v", c.path, said, err)
		}
	}
}

// A stream of a resource ends as Resource does: whole, or cut where it fails.
func TestAStreamOfAResource(t *testing.T) {
	n, h := startHolder(t)
	for path, whole := range map[string]bool{"stream": true, "failing": false, "panicking": false} {
		r, err := http.Post(n.url+"/hold/"+path, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if string(said) != "first,second" || (err == nil) != whole || r.Header.Get("X-Request-Id") == "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %q, %v, %v", path, said, err, r.Header)
		}
	}
	conn := n.dial()
	_, _ = io.WriteString(conn, "POST /hold/leaving"+rawHeld)
	if _, err := io.ReadAtLeast(conn, make([]byte, 4<<10), 100); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := <-h.ended; err == nil {
		t.Error("the context of a stream has not ended")
	}
}
