// Package wiretest has what tests of dialects share: requests as they come from the wire, bodies that cost much, and a log to look at.
package wiretest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"
)

// Received gives a request as it is read from the wire. header are further lines, "Name: value".
func Received(t testing.TB, method, uri, body string, header ...string) *fasthttp.Request {
	t.Helper()
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gw.example.com\r\nContent-Length: %d\r\n%s\r\n\r\n", method, uri, len(body), strings.Join(header, "\r\n"))
	if len(header) == 0 {
		raw = strings.TrimSuffix(raw, "\r\n")
	}
	req := new(fasthttp.Request)
	if err := req.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	req.SetBodyString(body) // not parsed, whatever its type: the server reads it so too
	return req
}

// Long gives a body of about n bytes: item after item, between open and shut.
func Long(n int, open, shut string, item func(b *strings.Builder, i int)) string {
	var b strings.Builder
	b.WriteString(open)
	for i := 0; b.Len() < n-len(shut); i++ {
		item(&b, i)
	}
	b.WriteString(shut)
	return b.String()
}

// Each is an item of Long that is always the same.
func Each(s string) func(*strings.Builder, int) {
	return func(b *strings.Builder, _ int) { b.WriteString(s) }
}

// Numbered is an item of Long: s with the number of the item in the place of every #.
func Numbered(s string) func(*strings.Builder, int) {
	parts := strings.Split(s, "#")
	return func(b *strings.Builder, i int) {
		number := strconv.FormatInt(int64(i), 36)
		b.WriteString(parts[0])
		for _, part := range parts[1:] {
			b.WriteString(number)
			b.WriteString(part)
		}
	}
}

// Depth gives how deeply objects and arrays of a JSON text are nested, up to its first error.
func Depth(text string) (most int) {
	dec := json.NewDecoder(strings.NewReader(text))
	n := 0
	for {
		token, err := dec.Token()
		if err != nil {
			return most
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			n++
			most = max(most, n)
		case json.Delim('}'), json.Delim(']'):
			n--
		}
	}
}

// Log keeps what is logged. It is safe for concurrent use. The zero Log is ready.
type Log struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// String gives all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
