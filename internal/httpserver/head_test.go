package httpserver

import (
	"strings"
	"testing"
)

const start = "POST /a?b HTTP/1.1\r\n"

// scanned gives the head and the problem of raw, which comes in two parts.
func scanned(raw string, cut int) (h head, done bool, problem string) {
	h = newHead()
	for _, end := range [...]int{cut, len(raw)} {
		if done, problem = h.scan([]byte(raw[:end])); done || problem != "" {
			break
		}
	}
	return h, done, problem
}

// bad wants raw refused, whole and cut at every byte, with the same words.
func bad(t *testing.T, raw, want string) {
	t.Helper()
	for cut := 0; cut <= len(raw); cut++ {
		if _, _, problem := scanned(raw, cut); !strings.Contains(problem, want) || problem == "" {
			t.Errorf("%q cut at %d: %q; want %q", raw, cut, problem, want)
			return
		}
	}
}

// good wants raw read, whole and cut at every byte, with the same result.
func good(t *testing.T, raw string, check func(h head) bool) {
	t.Helper()
	for cut := 0; cut <= len(raw); cut++ {
		h, done, problem := scanned(raw, cut)
		if !done || problem != "" || h.size != len(raw) || check != nil && !check(h) {
			t.Errorf("%q cut at %d: done %v, problem %q, %+v", raw, cut, done, problem, h)
			return
		}
	}
}

func TestRequestLine(t *testing.T) {
	f := func(line, want string) { t.Helper(); bad(t, line+"\r\nHost: a\r\n\r\n", want) }
	f("POST  /a HTTP/1.1", "not method, target and version")
	f("POST /a", "not method, target and version")
	f("POST", "not method, target and version")
	f(" POST /a HTTP/1.1", "not a token")
	f("PO:ST /a HTTP/1.1", "not a token")
	f("POST /a b HTTP/1.1", "version")
	f("POST /a HTTP/1.1 ", "version")
	f("POST /a HTTP/1.2", "version")
	f("POST /a http/1.1", "version")
	f("POST /a HTTP/2.0", "version")
	f("POST\t/a HTTP/1.1", "not method, target and version")
	f("POST /\ta HTTP/1.1", "blank")
	f("POST /a\x00 HTTP/1.1", "control")
	f("POST /a\x7f HTTP/1.1", "control")
	f("\x16\x03\x01", "control")
	bad(t, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "CRLF")
	bad(t, "GET / HTTP/1.1\nHost: a\r\n\r\n", "CRLF")
	good(t, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", nil)
	good(t, "GET /\xc3\xa9 HTTP/1.0\r\n\r\n", func(h head) bool { return h.http0 && h.length < 0 })
}

func TestHeaderLines(t *testing.T) {
	f := func(line, want string) { t.Helper(); bad(t, start+"Host: a\r\n"+line+"\r\n\r\n", want) }
	f("X : a", "not a token")
	f("X\t: a", "not a token")
	f("X Y: a", "not a token")
	f("X(: a", "not a token")
	f("\xd0\xa5: a", "not a token")
	f(": a", "not a token")
	f("garbage", "no colon")
	f(" X: a", "folded")
	f("\tX: a", "folded")
	f("X: a\r\n b", "folded")
	f("X: a\rb", "control")
	f("X: a\x00", "control")
	f("X: a\x7f", "control")
	f("X: a\nY: b", "CRLF")
	f("Content-Length: 1\r\nContent-Length: 1", "twice")
	for _, n := range []string{"", "+1", "-1", "1 1", "1,1", "1, 1", "0x1", "1.0", "1e2", `"1"`, "１", "18446744073709551617", "9223372036854775808", "00000000000000000001"} {
		f("Content-Length: "+n, "not a length")
	}
	for _, c := range []string{"identity", "gzip", "gzip, chunked", "chunked, chunked", "xchunked", "chunked;x", "", "chunked\r\nTransfer-Encoding: chunked"} {
		f("Transfer-Encoding: "+c, "not chunked")
	}
	f("Content-Length: 1\r\nTransfer-Encoding: chunked", "both")
	f("Transfer-Encoding: chunked\r\nContent-Length: 0", "both")
	bad(t, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0")
	with := func(line string, check func(h head) bool) {
		t.Helper()
		good(t, start+"Host: a\r\n"+line+"\r\n\r\n", check)
	}
	with("Content-Length: 9223372036854775807", func(h head) bool { return h.length == 1<<63-1 })
	with("content-length:\t7 ", func(h head) bool { return h.length == 7 })
	with("Transfer-Encoding: Chunked", func(h head) bool { return h.chunked })
	with("X: \xd0\xa5\t\xff", nil)
	with("X:", nil)
	for _, line := range []string{"Connection: close", "connection: Close", "Connection: keep-alive, CLOSE", "Connection: close, keep-alive", "Connection: x\r\nConnection:close", "Connection: close\r\nConnection: keep-alive"} {
		with(line, func(h head) bool { return h.closes })
	}
	with("Connection: closed, x", func(h head) bool { return !h.closes })
	with("Expect: 100-Continue", func(h head) bool { return h.expects })
	with("Expect: 200-ok", func(h head) bool { return !h.expects })
	good(t, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nConnection: Keep-Alive\r\n\r\n", func(h head) bool { return !h.expects && h.stays })
}

func TestHost(t *testing.T) {
	refused := func(host string) { t.Helper(); bad(t, start+"Host: "+host+"\r\n\r\n", "Host is not a host and a port") }
	for _, h := range []string{"", "a/b", "a b", "a@b", "a#b", "a?b", "a:", "a:x", "a:65536", "a:+1", "a:-1", ":80", "[::1", "::1]", "[::1]x", "[::g]", "[1.2.3.4]", "a,b:x", "a\\b", "a|b", "a^b", "<a>", "é", "a:1:2", "http://a"} {
		if h != "a:" { // an empty port is none (RFC 3986, 3.2.3)
			refused(h)
		}
	}
	for _, h := range []string{"a", "a.b-c_d~", "1.2.3.4:80", "[::1]", "[::1]:443", "a:", "xn--80ak6aa92e.com:8080", "a%20b", "a,b"} {
		good(t, start+"Host: "+h+"\r\n\r\n", nil)
	}
	bad(t, start+"\r\n", "Host is missing")
	bad(t, start+"Host: a\r\nHost: a\r\n\r\n", "twice")
	bad(t, "POST / HTTP/1.0\r\nHost: a/b\r\n\r\n", "Host is not")
	f := func(target, host string, fine bool) {
		t.Helper()
		raw := "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		if fine {
			good(t, raw, nil)
		} else {
			bad(t, raw, "not that of the request target")
		}
	}
	f("http://a/b", "a", true)
	f("http://A:80/b", "a:80", true)
	f("http://a", "a", true)
	f("http://a?b", "a", true)
	f("http://a/b", "c", false)
	f("http://a@b/", "b", false)
	f("http:///b", "b", false)
	f("https://a:1/b", "a:2", false)
	f("*", "a", true)
	f("a:443", "a", true)
}

func TestTokenBytes(t *testing.T) {
	for c := range 256 {
		want := c < 128 && strings.ContainsRune("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", rune(c))
		if got := isTokenByte(byte(c)); got != want {
			t.Errorf("isTokenByte(%#x) = %v", c, got)
		}
	}
}

func TestField(t *testing.T) {
	raw := []byte("GET / HTTP/1.1\r\nX : \x00\r\norigin:\thttps://a \r\nHost")
	if got := string(field(raw, "origin")); got != "https://a" {
		t.Errorf("%q", got)
	}
	if got := field(raw, "cookie"); got != nil {
		t.Errorf("%q", got)
	}
}
