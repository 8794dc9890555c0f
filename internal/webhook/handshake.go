package webhook

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
	"syncgate/signer"
)

// Answer is what a sender hears that registers a URL.
type Answer struct {
	Status int
	Text   string // of the body; what is echoed

	origin, rate string // of CloudEvents; empty: it is another handshake
}

// mostEcho bounds what is echoed, in bytes.
const mostEcho = 1024

// Write puts the answer into a response. It is plain text, and browsers are not to guess at another type: what is echoed came from outside.
func (a *Answer) Write(dst *fasthttp.Response) {
	dst.SetStatusCode(a.Status)
	dst.Header.SetContentType("text/plain; charset=utf-8")
	dst.Header.Set("X-Content-Type-Options", "nosniff")
	dst.SetBodyString(a.Text)
	if a.origin != "" {
		dst.Header.Set("Allow", "POST")
		dst.Header.Set("WebHook-Allowed-Origin", a.origin)
		dst.Header.Set("WebHook-Allowed-Rate", a.rate)
	}
}

func refused() *Answer { return &Answer{Status: fasthttp.StatusBadRequest} }

// BeforeVerify answers the handshakes that no sender signs; nil: the request is none. They are
//
//	GET ?hub.mode=subscribe&hub.challenge=C    C comes back. hub.verify_token must be token where that is not empty, else 403
//	                                           (developers.facebook.com/docs/graph-api/webhooks/getting-started; WebSub, 5.3)
//	OPTIONS with WebHook-Request-Origin        WebHook-Allowed-Origin is that, WebHook-Allowed-Rate what WebHook-Request-Rate asks for, or *
//	                                           (CloudEvents, HTTP 1.1 Web Hooks for Event Delivery, 4)
//	HEAD                                       200: there is such a URL. Else Mandrill signs its next test with a key of its own
//	                                           (mandrill.zendesk.com/hc/en-us/articles/360038740014)
//
// What cannot be echoed hears 400: it is longer than 1024 bytes, has control characters, or is no domain.
func BeforeVerify(req *fasthttp.Request, token signer.Secret) *Answer {
	switch {
	case req.Header.IsGet():
		return subscription(queryOf(req), token)
	case req.Header.IsOptions():
		return permission(&req.Header)
	case req.Header.IsHead():
		return &Answer{Status: fasthttp.StatusOK}
	default:
		return nil
	}
}

// subscription answers the handshake of a hub.
func subscription(query []byte, token signer.Secret) *Answer {
	if !bytes.Contains(query, []byte("hub")) {
		return nil
	}
	fields, err := fieldsOf(nil, query)
	if err != nil {
		return refused()
	}
	mode, _ := only(fields, "hub.mode")
	challenge, ok := only(fields, "hub.challenge")
	if mode != "subscribe" || challenge == "" && !ok {
		return nil
	}
	got, _ := only(fields, "hub.verify_token")
	if token != "" && !same(got, string(token)) {
		return &Answer{Status: fasthttp.StatusForbidden}
	}
	return echo(challenge, ok)
}

// echo answers with a text, which is UTF-8, if it can be echoed.
func echo(text string, ok bool) *Answer {
	if !ok || text == "" || len(text) > mostEcho || strings.ContainsFunc(text, unicode.IsControl) {
		return refused()
	}
	return &Answer{Status: fasthttp.StatusOK, Text: text}
}

// permission answers the handshake of CloudEvents.
func permission(h *fasthttp.RequestHeader) *Answer {
	const origin, rate = "WebHook-Request-Origin", "WebHook-Request-Rate"
	origins := h.PeekAll(origin) // until the next PeekAll, which uses the same memory
	if len(origins) == 0 {
		return nil
	}
	a := &Answer{Status: fasthttp.StatusOK, origin: string(origins[0]), rate: "*"}
	if len(origins) > 1 || !isDomain(a.origin) {
		return refused()
	}
	rates := h.PeekAll(rate)
	if len(rates) > 1 {
		return refused()
	}
	if len(rates) == 1 {
		a.rate = string(rates[0])
		if n, err := strconv.ParseUint(a.rate, 10, 31); (err != nil || n == 0) && a.rate != "*" {
			return refused()
		}
	}
	return a
}

// isDomain reports whether a text can be a domain name.
func isDomain(s string) bool {
	const most = 253 // bytes (RFC 1035, 2.3.4, less what a text has not)
	for _, c := range []byte(s) {
		lower := c | 0x20
		if (c < '0' || c > '9') && (lower < 'a' || lower > 'z') && c != '.' && c != '-' && c != '_' && c != '*' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// AfterVerify answers the handshake that a sender signs; nil: the request is none. It is a POST of JSON, {"type":"url_verification","challenge":C}, and
// C comes back (docs.slack.dev/reference/events/url_verification). What cannot be echoed hears 400, as before verification.
func AfterVerify(req *fasthttp.Request) *Answer {
	if !req.Header.IsPost() || !bytes.Contains(req.Body(), []byte("url_verification")) || !httpfield.IsJSON(req.Header.ContentType()) {
		return nil
	}
	typ, challenge := "type", "challenge"
	if text, _ := (Path{[]step{{name: &typ}}}).Of(req.Body()); text != "url_verification" {
		return nil
	}
	return echo(Path{[]step{{name: &challenge}}}.Of(req.Body()))
}
