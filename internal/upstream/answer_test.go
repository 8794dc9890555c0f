package upstream

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// reading is what became of an answer.
type reading struct {
	done   bool
	err    error
	status int
	keep   bool
	head   string
	body   string
	rest   string // what followed, without what came in later pieces
}

// read reads an answer that comes in pieces, as conn does, and whose connection then ends.
func read(pieces ...string) (r reading) {
	var a answer
	var b []byte
	for _, piece := range pieces {
		b = append(b, piece...)
		if r.err = a.parse(b); r.err != nil {
			return r
		}
		if a.stage == complete {
			break
		}
		b = a.compact(b)
	}
	if a.stage != complete {
		if r.err = a.ended(); r.err != nil {
			return r
		}
	}
	return reading{
		done: true, status: a.head.status, keep: a.keep,
		head: string(a.headOf(b)), body: string(a.bodyOf(b)), rest: string(b[a.next:]),
	}
}

// FuzzAnswer wants that an answer means the same however it is cut, and what net/http takes it for.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.0 200\r\nConnection: a, keep-alive\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nhe\r\n003\r\nllo\r\n0\r\nX: y\r\n\r\nHTTP/1.1",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello",
	} {
		f.Add([]byte(text), 3, 20)
	}
	f.Fuzz(func(t *testing.T, raw []byte, i, j int) {
		text := string(raw)
		whole := read(text)
		i, j = cutAt(i, len(text)), cutAt(j, len(text))
		if i > j {
			i, j = j, i
		}
		got := read(text[:i], text[i:j], text[j:])
		whole.rest, got.rest = "", ""
		if got != whole {
			t.Fatalf("cut at %d and %d: %+v; whole: %+v", i, j, got, whole)
		}
		if got = read(strings.Split(text, "")...); got != whole {
			t.Fatalf("in single bytes: %+v; whole: %+v", got, whole)
		}
		if whole.done && strings.HasPrefix(text, whole.head) { // net/http takes an interim answer for the answer
			compare(t, text, whole)
		}
	})
}

func cutAt(i, n int) int {
	if i < 0 {
		i = -(i + 1)
	}
	return i % (n + 1)
}

// compare reads the answer with net/http too.
func compare(t *testing.T, text string, want reading) {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatalf("net/http does not take what we take: %v: %q", err, text)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != want.body || resp.StatusCode != want.status {
		t.Fatalf("%q: net/http reads %d, %q, %v; we read %d, %q", text, resp.StatusCode, body, err, want.status, want.body)
	}
	if want.keep == resp.Close {
		t.Fatalf("%q: the connection is kept: %t; net/http closes it: %t", text, want.keep, resp.Close)
	}
	d := newHeadReader()
	if d.read([]byte(want.head)) && d.header.StatusCode() != want.status {
		t.Fatalf("%q: fasthttp reads %d; we read %d", text, d.header.StatusCode(), want.status)
	}
}
