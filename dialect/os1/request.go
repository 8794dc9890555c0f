package os1

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// Headers of requests and of callbacks.
const (
	HeaderRequestID      = "X-COREOS-REQUEST-ID"
	HeaderTenant         = "X-COREOS-TID"
	HeaderAccess         = "X-COREOS-ACCESS"          // a token
	HeaderUserInfo       = "X-COREOS-USERINFO"        // optional
	HeaderOriginToken    = "X-COREOS-ORIGIN-TOKEN"    //nolint:gosec // a name. Optional, a token
	HeaderCallbackSecret = "X-COREOS-CALLBACK-SECRET" //nolint:gosec // a name. Optional, signs callbacks
	HeaderSignature      = "X-COREOS-HMAC-SIGNATURE"  // of callbacks
)

// Bounds of a request, in bytes.
const (
	MostHeader  = 256 // the request's id, and the tenant's
	MostSecret  = 1 << 10
	MostURL     = 2 << 10
	MostMeta    = 8 << 10
	MostEcho    = 8 << 10 // of a body that is shown again
	mostEchoURI = 2 << 10 // of a path, and of a query
)

// callbackMember is the member of a request's body that says where the result is sent.
const callbackMember = "callback"

// EventsURL is what stands in the place of a URL when the caller's own stream of events is to get the callback.
const EventsURL = "{{SSE_CALLBACK}}"

// Request is what a request says beside its data. It points into the request.
type Request struct {
	ID       string
	Tenant   string
	Access   []byte // who asks, in OS1's own words
	Secret   []byte // signs the callback; nil: none came. It must be sealed before it is stored
	Callback Callback
	Body     []byte // for the engine: without the member callback

	query, body, contentType []byte // as they came; body is nil where it is not to be shown
}

// Callback says where a result is sent. The zero Callback: nowhere, the client waits.
type Callback struct {
	URL    string // absolute, http or https; nothing else of it was checked
	Events bool   // the caller's stream of events gets it; URL is empty
	Meta   []byte // one JSON value as it was sent; nil: none came
}

// Asked reports whether the client wants a callback.
func (c *Callback) Asked() bool { return c.URL != "" || c.Events }

// IsCredential reports whether a header of OS1 is a secret or authenticates its sender: it must not go to an engine. name is in lower case.
func IsCredential(name string) bool {
	switch name {
	case "x-coreos-access", "x-coreos-auth", "x-coreos-origin-token", "x-coreos-callback-secret":
		return true
	}
	return false
}

// Read reads what OS1 adds to a request. A fault has status 400. What was read before it is given beside it, so that an error can show the request.
func Read(req *fasthttp.Request) (r Request, fault *dialect.Fault) {
	h := &req.Header
	if _, query, ok := bytes.Cut(h.RequestURI(), []byte{'?'}); ok {
		r.query = query
	}
	r.Body, r.contentType = req.Body(), h.ContentType()
	if fault = r.readHeaders(h); fault != nil {
		return r, fault
	}
	if fault = r.readBody(); fault == nil {
		r.body = req.Body()
	}
	return r, fault
}

// readHeaders reads all of them, so that a client hears at once what is missing.
func (r *Request) readHeaders(h *fasthttp.RequestHeader) *dialect.Fault {
	var problems []dialect.Detail
	read := func(name string, required bool, most int) []byte {
		switch all := h.PeekAll(name); {
		case len(all) > 1:
			problems = append(problems, dialect.Detail{Text: "The header " + name + " stands there more than once"})
		case len(all) == 1 && len(all[0]) > most:
			problems = append(problems, dialect.Detail{Text: fmt.Sprintf("The header %s has more than %d bytes", name, most)})
		case len(all) == 1 && len(all[0]) > 0:
			return all[0]
		case required:
			problems = append(problems, dialect.Detail{Text: "The header " + name + " is missing"})
		}
		return nil
	}
	plain := func(name string) string {
		value := read(name, true, MostHeader)
		if bytes.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			problems = append(problems, dialect.Detail{Text: "The header " + name + " must have ASCII characters alone"})
		}
		return string(value)
	}
	r.ID, r.Tenant = plain(HeaderRequestID), plain(HeaderTenant)
	r.Access = read(HeaderAccess, true, len(h.Header()))
	r.Secret = read(HeaderCallbackSecret, false, MostSecret)
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, len(problems))
	for i := range problems {
		texts[i] = problems[i].Text
	}
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadRequest, Text: strings.Join(texts, ". "), Details: problems}
}

// readBody takes the member callback out of the body, whatever its Content-Type says. What is no JSON has none.
func (r *Request) readBody() *dialect.Fault {
	var reader splice.Reader
	var edits splice.Edits
	problem := r.walk(&reader, &edits)
	switch {
	case problem == nil:
	case problem.Pointer != "":
		return badCallback(*problem)
	case httpfield.IsJSON(r.contentType) && len(r.Body) > 0:
		return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + problem.Text}
	default:
		return nil
	}
	if edits.Mark() > 0 {
		r.Body, _ = edits.Apply(make([]byte, 0, len(r.Body)), r.Body, nil)
	}
	return nil
}

func badCallback(d dialect.Detail) *dialect.Fault {
	return &dialect.Fault{
		Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect callback: " + d.Text, Details: []dialect.Detail{d},
	}
}

// walk reads the body, and records the cut of its callback. A problem without a pointer is one of the JSON itself.
func (r *Request) walk(reader *splice.Reader, edits *splice.Edits) *dialect.Detail {
	if err := reader.Reset(r.Body); err != nil {
		return &dialect.Detail{Text: err.Error()}
	}
	if reader.Peek() == splice.Object {
		if problem := r.members(reader, edits); problem != nil {
			return problem
		}
	} else if _, err := reader.Value(); err != nil {
		return &dialect.Detail{Text: err.Error()}
	}
	if err := reader.Close(); err != nil {
		return &dialect.Detail{Text: err.Error()}
	}
	return nil
}

// members reads those of the body's object.
func (r *Request) members(reader *splice.Reader, edits *splice.Edits) *dialect.Detail {
	open, _ := reader.Enter() // an object comes next
	items := splice.NewItems(edits, open)
	for seen := false; ; {
		m, more, err := reader.Member()
		if err == nil && !more {
			items.Close()
			return nil
		}
		value, err := reader.Value() // which repeats an error
		if err != nil {
			return &dialect.Detail{Text: err.Error()}
		}
		item := splice.Span{Start: m.Start, End: value.End}
		if string(m.Name) != callbackMember {
			items.Keep(item)
			continue
		}
		if seen {
			return callbackDetail("", "it stands there more than once")
		}
		if problem := r.Callback.read(reader.Again(value), value); problem != nil {
			return problem
		}
		items.Cut(item)
		seen = true
	}
}

func callbackDetail(member, text string) *dialect.Detail {
	pointer := "/" + callbackMember
	if member != "" {
		pointer += "/" + member
	}
	return &dialect.Detail{Pointer: pointer, Text: text}
}

// read reads the value of the member, which was walked.
func (c *Callback) read(again splice.Reader, value splice.Span) *dialect.Detail {
	switch again.Peek() {
	case splice.Null:
		return nil
	case splice.String:
		return c.setURL(again.Text(value), "")
	case splice.Object:
		return c.readObject(&again)
	default:
		return callbackDetail("", "it must be a URL, or an object with url and meta")
	}
}

func (c *Callback) readObject(r *splice.Reader) *dialect.Detail {
	_, _ = r.Enter() // none of these fails: the text was walked
	seen := make(map[string]bool, 2)
	for {
		m, more, _ := r.Member()
		if !more {
			break
		}
		name, is := string(m.Name), r.Peek()
		value, _ := r.Value()
		switch {
		case name != "url" && name != "meta":
			return callbackDetail("", "it has a member that is neither url nor meta")
		case seen[name]:
			return callbackDetail(name, "it stands there more than once")
		case name == "meta" && len(r.Raw(value)) > MostMeta:
			return callbackDetail(name, fmt.Sprintf("it has more than %d bytes", MostMeta))
		case name == "meta":
			c.Meta = r.Raw(value)
		case is != splice.String:
			return callbackDetail(name, "it must be a string")
		default:
			if problem := c.setURL(r.Text(value), name); problem != nil {
				return problem
			}
		}
		seen[name] = true
	}
	if !seen["url"] {
		return callbackDetail("url", "it is missing")
	}
	return nil
}

func (c *Callback) setURL(text []byte, member string) *dialect.Detail {
	if string(text) == EventsURL {
		c.Events = true
		return nil
	}
	if len(text) > MostURL {
		return callbackDetail(member, fmt.Sprintf("the URL has more than %d bytes", MostURL))
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return callbackDetail(member, "the URL must be absolute, as in https://shop.example.com/callbacks")
	}
	c.URL = string(text)
	return nil
}
