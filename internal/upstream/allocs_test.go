package upstream_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// lean is a Call that allocates nothing.
type lean struct {
	request []byte
	status  int
	done    chan struct{}
}

func (l *lean) AppendRequest(dst []byte, _ time.Time) ([]byte, error) {
	return append(dst, l.request...), nil
}

func (l *lean) Answered(status int, header *fasthttp.ResponseHeader, body []byte) bool {
	if l.status = status; string(body) != "hello" || len(header.Peek("Retry-After")) == 0 {
		l.status = 0
	}
	return true
}
func (l *lean) Failed(error, bool)             { l.status = 0 }
func (l *lean) Queued(bool) bool               { return true }
func (l *lean) Finished(time.Duration, string) { l.done <- struct{}{} }

// An exchange on a connection that was kept allocates nothing, whether its answer comes whole, in pieces or in chunks.
func TestAllocations(t *testing.T) {
	f := func(name string, pieces ...string) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, saysLeanly(pieces))
			exchange := exchanger(start(t, e))
			for range 100 {
				exchange()
			}
			if got := testing.AllocsPerRun(1000, exchange); got != 0 && !raced {
				t.Errorf("%v allocations an exchange", got)
			}
			e.wantConnections(1)
		})
	}
	const head = ok1 + "Content-Type: application/json\r\nRetry-After: 1\r\nServer: test\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
	f("whole", head+"Content-Length: 5\r\n\r\nhello")
	f("in pieces", head+"Content-Length: 5\r\n\r\n", "hello")
	f("in chunks", head+"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
}

// exchanger gives what makes an exchange and waits for its end.
func exchanger(c *client) func() {
	call := &lean{request: []byte("POST / HTTP/1.1\r\nHost: engine\r\nContent-Length: 2\r\n\r\n{}"), done: make(chan struct{}, 1)}
	return func() {
		c.Do(call)
		<-call.done
		if call.status != 200 {
			c.t.Errorf("status %d", call.status)
		}
	}
}

// saysLeanly answers each request in pieces, and allocates nothing.
func saysLeanly(pieces []string) func(*peer) {
	out := make([][]byte, len(pieces))
	for i, piece := range pieces {
		out[i] = []byte(piece)
	}
	return func(p *peer) {
		in := make([]byte, 4<<10)
		for _, err := p.Read(in); err == nil; _, err = p.Read(in) {
			for i := range out {
				if i > 0 {
					pause()
				}
				_, _ = p.Write(out[i])
			}
		}
	}
}

// pause lets what was written become a segment of its own. It allocates nothing, as a timer would.
func pause() {
	for began := time.Now(); time.Since(began) < 200*time.Microsecond; {
		runtime.Gosched()
	}
}
