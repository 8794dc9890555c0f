package enginesim

import (
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// hangTime bounds AckHang; a gateway gives up long before.
	hangTime = 10 * time.Minute
	// pieces is how many parts AckSlow makes of an answer, slowTime how long they take together if AckDelay is 0.
	pieces   = 10
	slowTime = time.Second
)

// page is a complete HTTP answer.
type page struct {
	status            int
	contentType, body string
}

// page gives the HTTP answer that stands in for the good one, if the Ack has one.
func (a Ack) page() (page, bool) {
	p, ok := map[Ack]page{
		AckFormatError: {fasthttp.StatusOK, typeJSON, `{"request_proc":"format_error","ops":[]}`},
		AckHTTP400:     {fasthttp.StatusBadRequest, typeJSON, packageError("Incorrect body")},
		AckHTTP500:     {fasthttp.StatusInternalServerError, typeText, "Internal Server Error"},
		AckHTML502:     {fasthttp.StatusBadGateway, typeHTML, "<html><body><h1>502 Bad Gateway</h1></body></html>"},
		AckHTML200:     {fasthttp.StatusOK, typeHTML, "<html><body>Please log in</body></html>"},
		AckEmpty:       {fasthttp.StatusOK, typeJSON, ""},
		AckRedirect:    {fasthttp.StatusFound, typeHTML, ""},
	}[a]
	return p, ok
}

// acknowledge writes the engine's own answer, or what the Ack makes of it.
func (e *Engine) acknowledge(ctx *fasthttp.RequestCtx, ack Ack, delay time.Duration, outcomes []outcome) {
	if ack != AckSlow {
		e.pause(delay)
	}
	if ack == AckOK || ack == AckObject || ack == AckReversed {
		ctx.SetContentType(typeJSON)
		ctx.Response.SetBodyRaw(appendAnswer(make([]byte, 0, 128*len(outcomes)), ack, outcomes))
		return
	}
	if p, ok := ack.page(); ok {
		if ack == AckRedirect {
			ctx.Response.Header.Set("Location", e.URL()+"/login")
		}
		reply(ctx, p.status, p.contentType, p.body)
		return
	}
	e.spoil(ctx.Conn(), ack, delay, appendAnswer(nil, ack, outcomes))
}

// spoil answers with bytes of its own and closes the connection, so that fasthttp's answer goes nowhere.
func (e *Engine) spoil(conn net.Conn, ack Ack, delay time.Duration, body []byte) {
	defer func() { _ = conn.Close() }()
	switch tcp, ok := conn.(*net.TCPConn); {
	case ack == AckHang: // until the gateway gives up or Close closes the connection
		_ = conn.SetReadDeadline(time.Now().Add(hangTime))
		_, _ = io.Copy(io.Discard, conn)
	case ack == AckReset && ok:
		_ = tcp.SetLinger(0)
	case ack == AckSlow:
		if delay == 0 {
			delay = slowTime
		}
		e.dribble(conn, ack.bytes(body), delay)
	default:
		_, _ = conn.Write(ack.bytes(body))
	}
}

// bytes is what goes over the connection in place of a good answer with that body.
func (a Ack) bytes(body []byte) []byte {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	closes := ""
	if a == AckSlow { // it is about slowness alone: AckClose is about a close that a create may run into
		closes = "Connection: close\r\n"
	}
	whole := fmt.Appendf(nil, head+closes+"Content-Length: %d\r\n\r\n%s", len(body), body)
	if a == AckTruncated {
		return whole[:len(whole)-len(body)/2]
	}
	if a == AckBadChunks {
		return fmt.Appendf(nil, head+"Transfer-Encoding: chunked\r\n\r\nzz\r\n%s\r\n0\r\n\r\n", body)
	}
	if a == AckNotHTTP {
		return []byte("SSH-2.0-OpenSSH_9.2\r\n")
	}
	return whole
}

func (e *Engine) dribble(conn net.Conn, b []byte, over time.Duration) {
	for part := range slices.Chunk(b, len(b)/pieces+1) {
		e.pause(over / pieces)
		if _, err := conn.Write(part); err != nil {
			return
		}
	}
}

// appendAnswer writes the vendor's good answer.
func appendAnswer(dst []byte, ack Ack, outcomes []outcome) []byte {
	asObject := ack == AckObject && len(outcomes) == 1 && !outcomes[0].silent
	dst = append(dst, `{"request_proc":"ok","ops":`...)
	if !asObject {
		dst = append(dst, '[')
	}
	first := true
	for i := range outcomes {
		o := &outcomes[i]
		if ack == AckReversed {
			o = &outcomes[len(outcomes)-1-i]
		}
		if o.silent {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = o.append(dst)
	}
	if !asObject {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (o *outcome) append(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendOr(dst, o.op.id, `""`)
	dst = append(dst, `,"proc":`...)
	dst = appendString(dst, o.proc)
	if o.proc != "ok" {
		dst = append(dst, `,"description":`...)
		return append(appendString(dst, o.description), '}')
	}
	dst = append(dst, `,"obj":"task","ref":`...)
	dst = appendOr(dst, o.op.ref, "null")
	dst = append(dst, `,"obj_id":`...)
	dst = appendOr(dst, []byte(o.objID), "null")
	return append(dst, '}')
}

func appendOr(dst, value []byte, otherwise string) []byte {
	if len(value) == 0 {
		return append(dst, otherwise...)
	}
	return append(dst, value...)
}

func packageError(description string) string {
	return `{"request_proc":"error","ops":[{"proc":"error","description":` + string(appendString(nil, description)) + `}]}`
}

func reply(ctx *fasthttp.RequestCtx, status int, contentType, body string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType(contentType)
	ctx.SetBodyString(body)
}
