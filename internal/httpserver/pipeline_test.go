package httpserver

import (
	"strings"
	"testing"
)

// TestPipelinedBehindFullSocket has a peer that sends many requests before it reads: an answer that its socket does not take at once does not
// lose the requests behind it.
func TestPipelinedBehindFullSocket(t *testing.T) {
	const requests = 2000
	r := newRig(t, Config{}, ListenConfig{})
	p := r.dial()
	p.plain()
	p.shrink()
	go p.write(strings.Repeat("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", requests))
	for range requests {
		p.isPlain()
	}
}
