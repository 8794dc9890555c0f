package upstream_test

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

// example is an answer and what it means, however it is cut.
type example struct {
	name  string
	bytes string
	ends  bool   // the engine closes the connection behind it
	body  string // with status, where there is no error
	err   error
	keeps bool // the connection carries another exchange

	status int // 0: 200
}

const (
	ok1  = "HTTP/1.1 200 OK\r\n"
	ok0  = "HTTP/1.0 200 OK\r\n"
	five = "Content-Length: 5\r\n"
	long = "X: 0123456789012345678901234567890123456789\r\n"
)

func examples() []example {
	return slices.Concat(sizedAnswers(), chunkedAnswers(), interimAnswers(), lastAnswers(), badHeads(), badFraming(), shortAnswers())
}

// chunks is the field of an answer in chunks.
const chunks = "Transfer-Encoding: chunked\r\n"

func good(name, text, body string) example {
	return example{name: name, bytes: text, body: body, keeps: true}
}

func last(name, text string) example { return example{name: name, bytes: text, body: "hello"} }

func ending(name, text, body string) example {
	return example{name: name, bytes: text, body: body, ends: true}
}

func bad(name, text string) example {
	return example{name: name, bytes: text, err: upstream.ErrMalformed}
}

func short(name, text string) example {
	return example{name: name, bytes: text, ends: true, err: io.ErrUnexpectedEOF}
}

func status(code int, e example) example {
	e.status = code
	return e
}

// sizedAnswers have a length, or no body.
func sizedAnswers() []example {
	return []example{
		good("with a length", ok1+five+"\r\nhello", "hello"),
		good("without a body", ok1+"Content-Length: 0\r\n\r\n", ""),
		good("leading zeros", ok1+"Content-Length: 0005\r\n\r\nhello", "hello"),
		good("no blank around the value", ok1+"content-LENGTH:5\r\n\r\nhello", "hello"),
		good("tabs around the value", ok1+"Content-Length:\t 5 \t\r\n\r\nhello", "hello"),
		good("bytes above 127 in a value", ok1+"X: \xfcber\r\n"+five+"\r\nhello", "hello"),
		good("an empty value", ok1+"X:\r\n"+five+"\r\nhello", "hello"),
		good("no reason", "HTTP/1.1 200 \r\n"+five+"\r\nhello", "hello"),
		good("no blank before the reason", "HTTP/1.1 200\r\n"+five+"\r\nhello", "hello"),
		status(404, good("a status of 404", "HTTP/1.1 404 Not Found\r\n"+five+"\r\nhello", "hello")),
		status(999, good("a status of 999", "HTTP/1.1 999 Odd\r\n"+five+"\r\nhello", "hello")),
		status(204, good("204", "HTTP/1.1 204 No Content\r\n\r\n", "")),
		status(304, good("304 with the length of what it stands for", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "")),
	}
}

// chunkedAnswers come in chunks.
func chunkedAnswers() []example {
	return []example{
		good("chunked", ok1+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
		good("several chunks", ok1+chunks+"\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
		good("no bytes in chunks", ok1+chunks+"\r\n0\r\n\r\n", ""),
		good("chunk sizes with zeros and capitals", ok1+"transfer-encoding: CHUNKED\r\n\r\n000A\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n", "01234567890123456789a"),
		good("extensions of chunks", ok1+chunks+"\r\n5;a=b;c=\"d;e\" ; f\r\nhello\r\n0 ;x\r\n\r\n", "hello"),
		good("trailers", ok1+chunks+"\r\n5\r\nhello\r\n0\r\nX: 1\r\nContent-Length: 7\r\n\r\n", "hello"),
		good("line ends in a chunk", ok1+chunks+"\r\n6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r"),
	}
}

// interimAnswers come before the answer.
func interimAnswers() []example {
	return []example{
		good("after an interim answer", "HTTP/1.1 100 Continue\r\n\r\n"+ok1+five+"\r\nhello", "hello"),
		good("after interim answers with fields", "HTTP/1.1 102 Processing\r\nContent-Length: 9\r\nConnection: close\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n"+ok1+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
		bad("interim answers without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9)),
		bad("a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
	}
}

// lastAnswers, and some that are not, are the last of their connection.
func lastAnswers() []example {
	return []example{
		ending("up to the end", ok1+"\r\nhello", "hello"),
		ending("up to the end, empty", ok1+"\r\n", ""),
		ending("up to the end, old", ok0+"Connection: keep-alive\r\n\r\nhello", "hello"),
		last("old", ok0+five+"\r\nhello"),
		good("old, and kept", ok0+"Connection: Keep-Alive\r\n"+five+"\r\nhello", "hello"),
		last("old, kept and closed", ok0+"Connection: keep-alive\r\nConnection: close\r\n"+five+"\r\nhello"),

		last("Connection: close", ok1+"Connection: close\r\n"+five+"\r\nhello"),
		last("Connection: Close", ok1+"connection:Close\r\n"+five+"\r\nhello"),
		last("a list of options", ok1+"Connection: keep-alive ,\tCLOSE , x\r\n"+five+"\r\nhello"),
		last("lines of options", ok1+"Connection: close\r\n"+five+"Connection: keep-alive\r\n\r\nhello"),
		last("lines of options, the other way round", ok1+"Connection: x, keep-alive\r\n"+five+"Connection:,close,\r\n\r\nhello"),
		good("an option that begins with close", ok1+"Connection: closed, x-close\r\nX: close\r\n"+five+"\r\nhello", "hello"),
		good("close in other fields", ok1+"Keep-Alive: close\r\nProxy-Connection: close\r\n"+five+"\r\nhello", "hello"),
		last("chunked and closed", ok1+"Connection: close\r\n"+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n"),
	}
}

// badHeads are no heads of HTTP/1.1.
func badHeads() []example {
	return []example{
		bad("not HTTP", "hello\r\n\r\n"),
		bad("an empty line", "\r\n"+ok1+five+"\r\nhello"),
		bad("another version", "HTTP/2.0 200 OK\r\n"+five+"\r\nhello"),
		bad("a later version", "HTTP/1.2 200 OK\r\n"+five+"\r\nhello"),
		bad("a version in lower case", "http/1.1 200 OK\r\n"+five+"\r\nhello"),
		bad("a status of two digits", "HTTP/1.1 20 OK\r\n"+five+"\r\nhello"),
		bad("a status of four digits", "HTTP/1.1 2000 OK\r\n"+five+"\r\nhello"),
		bad("a status below 100", "HTTP/1.1 099 OK\r\n"+five+"\r\nhello"),
		bad("a status with a sign", "HTTP/1.1 +20 OK\r\n"+five+"\r\nhello"),
		bad("two blanks", "HTTP/1.1  200 OK\r\n"+five+"\r\nhello"),
		bad("a control character in the reason", "HTTP/1.1 200 O\x01K\r\n"+five+"\r\nhello"),
		bad("lone line feeds", "HTTP/1.1 200 OK\n"+five+"\r\nhello"),
		bad("a lone line feed before the body", ok1+five+"\nhello"),
		bad("a lone CR", ok1+"X: a\rb\r\n"+five+"\r\nhello"),
		bad("a folded line", ok1+"X: a\r\n b\r\n"+five+"\r\nhello"),
		bad("a field without a colon", ok1+"X\r\n"+five+"\r\nhello"),
		bad("a field without a name", ok1+": x\r\n"+five+"\r\nhello"),
		bad("a blank before the colon", ok1+"Content-Length : 5\r\n\r\nhello"),
		bad("a blank in a name", ok1+"Content Length: 5\r\n\r\nhello"),
		bad("a zero byte in a value", ok1+"X: a\x00b\r\n"+five+"\r\nhello"),
	}
}

// badFraming has no end that everybody would agree on.
func badFraming() []example {
	return []example{
		bad("a length with a sign", ok1+"Content-Length: +5\r\n\r\nhello"),
		bad("a negative length", ok1+"Content-Length: -5\r\n\r\nhello"),
		bad("a length with a blank", ok1+"Content-Length: 5 5\r\n\r\nhello"),
		bad("a list of lengths", ok1+"Content-Length: 5, 5\r\n\r\nhello"),
		bad("an empty length", ok1+"Content-Length:\r\n\r\nhello"),
		bad("a hexadecimal length", ok1+"Content-Length: 0x5\r\n\r\nhello"),
		bad("two lengths", ok1+five+five+"\r\nhello"),
		bad("a length and chunks", ok1+five+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n"),
		bad("chunks and a length", ok1+chunks+five+"\r\n5\r\nhello\r\n0\r\n\r\n"),
		bad("another encoding", ok1+"Transfer-Encoding: gzip\r\n\r\nhello"),
		bad("an encoding below chunks", ok1+"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
		bad("chunks of chunks", ok1+chunks+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n"),
		bad("identity", ok1+"Transfer-Encoding: identity\r\n\r\nhello"),
		bad("chunks of an old server", ok0+chunks+"\r\n5\r\nhello\r\n0\r\n\r\n"),
		bad("a chunk without a size", ok1+chunks+"\r\n\r\nhello\r\n0\r\n\r\n"),
		bad("an empty chunk size", ok1+chunks+"\r\n\r\n\r\n"),
		bad("an extension without a chunk size", ok1+chunks+"\r\n;a=b\r\n\r\n"),
		bad("a chunk size that is none", ok1+chunks+"\r\nzz\r\n"),
		bad("a chunk size with a sign", ok1+chunks+"\r\n+5\r\nhello\r\n0\r\n\r\n"),
		bad("a chunk size in another notation", ok1+chunks+"\r\n0x5\r\nhello\r\n0\r\n\r\n"),
		bad("a blank before a chunk size", ok1+chunks+"\r\n 5\r\nhello\r\n0\r\n\r\n"),
		bad("a blank behind a chunk size", ok1+chunks+"\r\n5 \r\nhello\r\n0\r\n\r\n"),
		bad("a lone line feed behind a chunk size", ok1+chunks+"\r\n5\nhello\r\n0\r\n\r\n"),
		bad("a control character in an extension", ok1+chunks+"\r\n5;a\x02\r\nhello\r\n0\r\n\r\n"),
		bad("a chunk that is too long", ok1+chunks+"\r\n4\r\nhello\r\n0\r\n\r\n"),
		bad("bytes behind a chunk", ok1+chunks+"\r\n5\r\nhelloXX0\r\n\r\n"),
		bad("a lone line feed behind a chunk", ok1+chunks+"\r\n5\r\nhello\n0\r\n\r\n"),
		bad("a lone line feed at the end", ok1+chunks+"\r\n5\r\nhello\r\n0\r\n\n"),
		bad("a trailer that is none", ok1+chunks+"\r\n5\r\nhello\r\n0\r\nX\r\n\r\n"),
		bad("a trailer with a blank in its name", ok1+chunks+"\r\n5\r\nhello\r\n0\r\nX y: 1\r\n\r\n"),
	}
}

// shortAnswers end before they are complete.
func shortAnswers() []example {
	return []example{
		short("nothing", ""),
		short("half a head", ok1+"Content-Le"),
		short("a head without its end", ok1+five),
		short("half a body", ok1+five+"\r\nhe"),
		short("half a chunk", ok1+chunks+"\r\n5\r\nhe"),
		short("chunks without the last", ok1+chunks+"\r\n5\r\nhello\r\n"),
		short("chunks without the last line", ok1+chunks+"\r\n5\r\nhello\r\n0\r\n"),
		short("only an interim answer", "HTTP/1.1 100 Continue\r\n\r\n"),
	}
}

// Every answer means the same wherever it is cut, over TCP and over TLS.
func TestAnswers(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			checkExample(t, e, newEngine, 1)
		})
	}
}

func TestAnswersOverTLS(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			every := 1
			if !e.keeps {
				every = 5 // each answer costs a handshake
			}
			checkExample(t, e, newTLSEngine, every)
		})
	}
}

// checkExample has the answer sent whole, cut at every byte, or at every so many, and in single bytes.
func checkExample(t *testing.T, want example, engine engines, every int) {
	var conns sync.Map // which connection a request came on, by its body
	e := engine(t, func(p *peer) {
		for a, ok := p.ask(); ok; a, ok = p.ask() {
			conns.Store(a.body, p.n)
			p.sayAsAsked(want.bytes, a)
			if want.ends {
				return
			}
		}
	})
	c := start(t, e)
	cuts := []string{"bytewise"}
	for i := len(want.bytes); i >= 0; i -= every {
		cuts = append(cuts, strconv.Itoa(i))
	}
	for _, cut := range cuts {
		first, second := cut+" first", cut+" second"
		checkAnswer(t, want, c.ask(first))
		checkAnswer(t, want, c.ask(second))
		before, _ := conns.Load(first)
		if now, _ := conns.Load(second); (before == now) != want.keeps {
			t.Errorf("the connection was kept: %t", before == now)
		}
		if t.Failed() {
			t.Fatalf("%q cut at %s", want.bytes, cut)
		}
	}
}

// sayAsAsked writes a text cut where the request says.
func (p *peer) sayAsAsked(text string, a asked) {
	at, _, _ := strings.Cut(a.body, " ")
	if cut, err := strconv.Atoi(at); err == nil {
		p.sayCut(text, cut)
	} else {
		p.sayBytewise(text)
	}
}

// sayCut writes a text in two segments.
func (p *peer) sayCut(text string, at int) {
	p.say(text[:at])
	if at < len(text) {
		<-time.After(time.Millisecond)
		p.say(text[at:])
	}
}

func (p *peer) sayBytewise(text string) {
	for i := range len(text) {
		p.say(text[i : i+1])
		<-time.After(100 * time.Microsecond)
	}
}

func checkAnswer(t *testing.T, want example, got *call) {
	t.Helper()
	if want.err != nil {
		if !errors.Is(got.err, want.err) || !got.sent || got.code != "incomplete" || got.status != 0 {
			t.Errorf("status %d, error %v, sent %t, code %q; want %v", got.status, got.err, got.sent, got.code, want.err)
		}
		if got.err != nil && strings.Contains(got.err.Error(), "hello") {
			t.Errorf("the error has bytes of the answer: %v", got.err)
		}
		if got.err != nil && strings.HasSuffix(got.err.Error(), "malformed: the head") {
			t.Error("only fasthttp refuses it")
		}
		return
	}
	status := want.status
	if status == 0 {
		status = 200
	}
	if got.err != nil || got.status != status || got.answer != want.body || got.code != strconv.Itoa(status) {
		t.Errorf("status %d, body %q, code %q, error %v; want %d, %q", got.status, got.answer, got.code, got.err, status, want.body)
	}
}

// The fields of an answer are there under their usual names; those of interim answers and trailers are not.
func TestFields(t *testing.T) {
	e := newEngine(t, func(p *peer) {
		p.ask()
		p.say("HTTP/1.1 103 Early\r\nLink: early\r\n\r\n" + ok1 + "retry-AFTER: 7\r\nwww-authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n")
		p.hears()
	})
	got := start(t, e).ask("x")
	if got.header["Retry-After"] != "7" || got.header["Www-Authenticate"] != "Basic" {
		t.Errorf("%v", got.header)
	}
	for _, name := range []string{"Link", "X-Late"} {
		if v, ok := got.header[name]; ok {
			t.Errorf("%s: %s is a field of the answer", name, v)
		}
	}
}

// What is too large is refused, what just fits is not. Both may come in any pieces.
func TestBounds(t *testing.T) {
	const most = 16 << 20
	f := func(name, head, body, tail string, want error) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, func(p *peer) {
				p.ask()
				p.say(head)
				p.say(body)
				p.say(tail)
				if !strings.HasPrefix(name, "to the end") {
					p.hears()
				}
			})
			got := start(t, e).ask("x")
			if !errors.Is(got.err, want) {
				t.Errorf("%v; want %v", got.err, want)
			}
			if want == nil && got.answer != body {
				t.Errorf("%d bytes arrived; want %d", len(got.answer), len(body))
			}
		})
	}
	large := strings.Repeat("0123456789abcdef", most/16)
	const chunks = ok1 + chunks + "\r\n"
	f("length", ok1+"Content-Length: 16777216\r\n\r\n", large, "", nil)
	f("length, one more", ok1+"Content-Length: 16777217\r\n\r\n", large, "x", upstream.ErrTooLarge)
	f("length that overflows", ok1+"Content-Length: 18446744073709551621\r\n\r\n", "", "", upstream.ErrTooLarge)
	f("chunk", chunks+"1000000\r\n", large, "\r\n0\r\n\r\n", nil)
	f("chunk, one more", chunks+"1000000\r\n", large, "\r\n1\r\n", upstream.ErrTooLarge)
	f("chunk that overflows", chunks+"10000000000000005\r\n", "", "", upstream.ErrTooLarge)
	f("to the end", ok1+"\r\n", large, "", nil)
	f("to the end, one more", ok1+"\r\n", large, "x", upstream.ErrTooLarge)
	rest := "\r\n" + five + "\r\n"
	room := strings.Repeat("x", 16<<10-len(ok1)-len("X: ")-len(rest))
	f("head", ok1+"X: "+room+rest, "hello", "", nil)
	f("head, one more", ok1+"X: x"+room+rest, "hello", "", upstream.ErrMalformed)
	f("head without end", ok1, strings.Repeat(long, 1000), "", upstream.ErrMalformed)
	f("line without end", ok1+"X: ", strings.Repeat("x", 1<<20), "", upstream.ErrMalformed)
	f("extension", chunks+"5;"+strings.Repeat("x", 1<<10-4)+"\r\n", "hello", "\r\n0\r\n\r\n", nil)
	f("extension, one more", chunks+"5;"+strings.Repeat("x", 1<<10-3)+"\r\n", "hello", "\r\n0\r\n\r\n", upstream.ErrMalformed)
	f("trailers without end", chunks+"5\r\n", "hello", "\r\n0\r\n"+strings.Repeat(long, 1000), upstream.ErrMalformed)
}

// Where there is no epoll the same holds.
func TestAnswersOnOtherSystems(t *testing.T) {
	for _, text := range []string{ok1 + five + "\r\nhello", ok1 + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		e := newEngine(t, func(p *peer) {
			for i := 0; ; i++ {
				if _, ok := p.ask(); !ok {
					return
				}
				p.sayCut(text, i%len(text))
			}
		})
		c := start(t, e, func(c *upstream.Config, o *upstream.Options, l *eventloop.Options) { portable(c, o, l) })
		for range 100 {
			wantAnswer(t, c.ask("x"), "hello")
		}
		e.wantConnections(1)
	}
}
