package gateway_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// strict are requests that RFC 9110 and RFC 9112 forbid, and that a lenient server reads in its own way.
func (f *forge) strict() []attack {
	body := create(`{}`)
	length := "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	path := f.signed(body)
	raw := func(name, why, send string) attack {
		return attack{name, why, send + f.inner, refused(400, "Incorrect").close()}
	}
	host := func(name, why, host string) attack {
		return raw(name, why, "POST "+path+" HTTP/1.1\r\nHost: "+host+length)
	}
	chunks := func(name, why, coding string) attack {
		return raw(name, why, "POST "+path+" HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"+strconv.FormatInt(int64(len(body)), 16)+coding)
	}
	last := "\r\n" + body + "\r\n0"
	return []attack{
		host("host with a slash", "a path to some (RFC 9110, 7.2)", "a/b"), host("host with a blank", "two hosts to some", "a b"),
		host("host with a user", "the host is behind it to some", "a@b"), host("host with a fragment", "it ends there to some", "a#b"),
		host("host with a query", "likewise", "a?b"), host("port with letters", "no port", "a:b"), host("port too large", "it wraps", "a:65617"),
		host("port below zero", "no port", "a:-1"), host("an open bracket", "no address", "[::1"), host("no address in brackets", "likewise", "[a]"),
		host("text behind brackets", "likewise", "[::1]a"), host("only a port", "no host", ":80"), host("backslash", "a slash to some", `a\b`),
		raw("another host than the target's", "the proxy saw one, we the other (RFC 9112, 3.2.2)", "POST http://evil"+path+" HTTP/1.1\r\nHost: gateway"+length),
		raw("a user in the target", "likewise", "POST http://gateway@evil"+path+" HTTP/1.1\r\nHost: evil"+length),
		raw("no host in the target", "likewise", "POST http://"+path+" HTTP/1.1\r\nHost: gateway"+length),
		{"an absolute target without path", "its path is empty, whatever the query looks like", request("POST", "http://gateway?"+path, body), refused(404, "Not found")},
		chunks("bare LF behind the last chunk", "the end to some", last+"\n\n"), chunks("bare LF behind the trailers", "likewise", last+"\r\n\n"),
		chunks("blank before a trailer's colon", "another trailer to some", last+"\r\nX : y\r\n\r\n"), chunks("folded trailer", "likewise", last+"\r\nX: y\r\n z\r\n\r\n"),
		chunks("folded first trailer", "likewise", last+"\r\n X: y\r\n\r\n"), chunks("bare LF in a trailer", "likewise", last+"\r\nX: y\nZ: z\r\n\r\n"),
		chunks("control character in a trailer", "no text", last+"\r\nX: y\x01\r\n\r\n"), chunks("a host behind the body", "a header after the fact", last+"\r\nHost: evil\r\n\r\n"),
		chunks("control character in an extension", "a terminal obeys it", ";x=\x1b"+last+"\r\n\r\n"), chunks("a long extension", "it is read and dropped: bytes for nothing", ";"+strings.Repeat("x", 8000)+last+"\r\n\r\n"),
		raw("chunks in HTTP/1.0", "it has none (RFC 9112, 6.1)", "POST "+path+" HTTP/1.0\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"+inChunks(body)),
		{"a second encoding", "each line counts", post(path, body, "Content-Encoding: identity", "Content-Encoding: gzip"), refused(415, "Content-Encoding is not supported")},
		{"an address as host", "it is none", "POST " + path + " HTTP/1.1\r\nHost: [::1]:80" + length, trip()},
		{"an empty port", "it is none (RFC 3986, 3.2.3)", "POST " + path + " HTTP/1.1\r\nHost: gateway:" + length, trip()},
		{"a shop's broken request", "its page may read why", "POST " + path + " HTTP/1.1\r\nHost: gateway\r\nOrigin: " + shop + "\r\nX : y" + length, refused(400, "Incorrect").with("Access-Control-Allow-Origin", shop).close()},
		{
			"a shop's large header", "likewise", request("POST", path, body, "Origin: "+shop, "X: "+strings.Repeat("x", 20_000)),
			refused(431, "Headers are larger than").with("Access-Control-Allow-Origin", shop).close(),
		},
	}
}

// TestAttacksCut sends each attack on the framing in two parts, cut at every byte, and wants the answer that it gets in one.
func TestAttacksCut(t *testing.T) {
	f := besiege(t)
	defer f.lift()
	all := f.attacks()
	var wait sync.WaitGroup
	const clients = 16
	jobs := make(chan func(), clients)
	for range clients {
		wait.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	before := f.reached.Load()
	for _, theme := range []string{"lengths", "codings", "chunks", "heads", "versions", "smuggling", "strict"} {
		for _, a := range all[theme] {
			if a.want.trips == 0 && len(a.send) <= 4000 { // trips are counted; what is long is cut by its sender anyway
				f.cutEverywhere(t, theme, a, jobs)
			}
		}
	}
	close(jobs)
	wait.Wait()
	if n := f.reached.Load() - before; n != 0 {
		t.Errorf("%d creates have reached the engine", n)
	}
	want(t, f.n.callback(f.token, `{"answer":42}`), 200, `{}`) // not one of them has used it up
	want(t, got(t, f.parked), 200, accepted)
}

// cutEverywhere has an attack tried at every cut.
func (f *forge) cutEverywhere(t *testing.T, theme string, a attack, jobs chan<- func()) {
	var failed atomic.Bool // once is enough
	for at := 1; at < len(a.send); at++ {
		jobs <- func() {
			if problem := f.tryCut(a, at); problem != "" && !failed.Swap(true) {
				t.Errorf("%s/%s cut at %d: %s\n%.300q", theme, a.name, at, problem, a.send)
			}
		}
	}
}

// tryCut sends an attack in two parts, and says what is wrong with the answer.
func (f *forge) tryCut(a attack, at int) (problem string) {
	c, err := net.Dial("tcp", f.n.PublicAddr().String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	_, _ = io.WriteString(c, a.send[:at])
	<-time.After(200 * time.Microsecond)
	_, _ = io.WriteString(c, a.send[at:])
	head := fmt.Sprintf("HTTP/1.1 %d ", a.want.status)
	got := make([]byte, len(head))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != head {
		return fmt.Sprintf("%q, %v; want %d", got, err, a.want.status)
	}
	if !a.want.closed {
		return ""
	}
	if rest, err := io.ReadAll(c); err != nil || strings.Contains(string(rest), "HTTP/1.1 ") {
		return fmt.Sprintf("not closed behind the answer: %v, %.300q", err, rest)
	}
	return ""
}
