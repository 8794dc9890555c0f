package rest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/internal/httpfield"
)

// asked is the request for the engine. It points into the client's.
func (r *route) asked(req *fasthttp.Request, login string, path []byte, params []dialect.Param) *dialect.Asked {
	h := &req.Header
	a := &dialect.Asked{
		Method: string(h.Method()), Path: path, Params: params, ContentType: h.ContentType(), Body: req.Body(),
		Process: r.ConvID, Signer: r.Login, Data: r.Data, Traceparent: string(h.Peek("Traceparent")),
	}
	if a.Method == fasthttp.MethodHead { // it wants the head of what GET gives
		a.Method = fasthttp.MethodGet
	}
	if _, query, ok := bytes.Cut(h.RequestURI(), []byte("?")); ok {
		a.Query = query
	}
	if a.Signer == "" && r.corezoid {
		a.Signer = login
	}
	if len(r.forwarded) > 0 || r.Data == DataRequest || r.Data == DataBoth {
		a.Headers = publicHeaders(h)
		for _, p := range a.Headers {
			if slices.Contains(r.forwarded, strings.ToLower(p.Name)) {
				a.Forwarded = append(a.Forwarded, p)
			}
		}
	}
	return a
}

// publicHeaders gives the headers of a request without those that authenticate its sender, and those that are about the connection or the
// message. Lines of one name are joined, as RFC 9110 (5.3) allows.
func publicHeaders(h *fasthttp.RequestHeader) (all []dialect.Param) {
	private := connectionHeaders(h)
	for name, value := range h.All() {
		lower := strings.ToLower(string(name))
		if isCredential(lower) || isOurs(lower) || slices.Contains(private, lower) {
			continue
		}
		if i := slices.IndexFunc(all, func(p dialect.Param) bool { return strings.EqualFold(p.Name, lower) }); i >= 0 {
			all[i].Value += ", " + string(value)
		} else {
			all = append(all, dialect.Param{Name: string(name), Value: string(value)})
		}
	}
	return all
}

// connectionHeaders gives those that Connection names.
func connectionHeaders(h *fasthttp.RequestHeader) (names []string) {
	for _, line := range h.PeekAll(fasthttp.HeaderConnection) {
		for name := range strings.SplitSeq(string(line), ",") {
			names = append(names, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	return names
}

// isCredential reports whether a header authenticates who sends it. name is in lower case.
func isCredential(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "x-api-key", "x-syncgate-login", "x-syncgate-time", "x-syncgate-signature":
		return true
	}
	return os1.IsCredential(name)
}

// isOurs reports whether a header is about one connection, or set anew with each message.
func isOurs(name string) bool { return name == "date" || httpfield.IsOfConnection(name) }

// lowerEqual reports whether a name is one that is in lower case.
func lowerEqual(name, lower string) bool { return strings.EqualFold(name, lower) }
