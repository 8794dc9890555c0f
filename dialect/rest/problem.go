package rest

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// vary is what answers about routes and tasks depend on, beside the URL.
const vary = "Prefer, Accept"

// problemPath is what the types of problems begin with. They are names, and need not be fetched: the pages are docs/errors/NAME.md.
const problemPath = "/errors/"

// kindOf is the type of a problem, with its title.
type kindOf struct{ name, title string }

// problem is what a client hears of an error (RFC 9457).
type problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance,omitempty"` // the id of the request
	Errors   []inputProblem `json:"errors,omitempty"`
}

type inputProblem struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// problemOfTask makes a problem of the type of that name.
func problemOfTask(name string, status int, detail, requestID string) problem {
	if detail == "" { // which every problem has
		detail = title(name)
	}
	return problem{Type: problemPath + name, Title: title(name), Status: status, Detail: detail, Instance: requestID}
}

func (p *problem) encode() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("a problem cannot be written: %v", err)) // it holds texts and numbers
	}
	return b
}

func (p *problem) write(dst *fasthttp.Response) {
	dst.SetStatusCode(p.Status)
	dst.Header.SetContentType(typeProblem)
	dst.SetBody(p.encode())
}

// name gives that of its type.
func (p *problem) name() string { return strings.TrimPrefix(p.Type, problemPath) }

// Refuse words a fault as a problem.
func (*Dialect) Refuse(dst *fasthttp.Response, f *dialect.Fault, requestID string) {
	p := problemOfTask(typeOf(f), f.Status, f.Text, requestID)
	for _, d := range f.Details {
		p.Errors = append(p.Errors, inputProblem{d.Pointer, d.Text})
	}
	p.write(dst)
	dst.Header.Set("Vary", vary)
	setRateLimit(dst, f.RateLimit)
}

// kinds are the types of problems, each with what it says in a few words.
func kinds() []kindOf {
	return []kindOf{
		{"body", "The body is not acceptable"},
		{"schema", "The body does not fulfil the schema"},
		{"content-encoding", "The body is encoded"},
		{"body-too-large", "The body is too large"},
		{"head-too-large", "The headers are too large"},
		{"malformed", "The request is malformed"},
		{"too-slow", "The request took too long to arrive"},
		{"idempotency-key", "The Idempotency-Key cannot be used"},
		{"unauthorized", "The credential is missing or wrong"},
		{"forbidden", "The caller may not do this"},
		{"subscription", "The subscription is not accepted"},
		{"origin", "The origin is not allowed"},
		{"not-found", "There is no such resource"},
		{"method", "The method is not allowed"},
		{"not-acceptable", "No acceptable form"},
		{"gone", "The task is gone"},
		{"too-many-requests", "Too many requests"},
		{"overloaded", "The gateway is overloaded"},
		{"unavailable", "The gateway cannot reach a part of itself"},
		{"draining", "The node is shutting down"},
		{"engine-busy", "The engine is busy"},
		{"bad-gateway", "The engine cannot be used"},
		{"engine-error", "The engine reports an error"},
		{"timeout", "The result has not come in time"},
		{"cancelled", "The task is cancelled"},
		{"task-over", "The task is over"},
		{"unknown-status", "The status is not one that a task can be given"},
		{"internal", "An internal error"},
	}
}

// title gives that of a type.
func title(name string) string {
	for _, k := range kinds() {
		if k.name == name {
			return k.title
		}
	}
	return ""
}

// typeOf gives the type of the problem of a fault.
func typeOf(f *dialect.Fault) string {
	if name, ok := byReason(f); ok {
		return name
	}
	switch f.Status {
	case fasthttp.StatusBadRequest:
		return "body"
	case fasthttp.StatusUnauthorized:
		return "unauthorized"
	case fasthttp.StatusForbidden:
		return "forbidden"
	case fasthttp.StatusNotFound:
		return "not-found"
	case fasthttp.StatusMethodNotAllowed:
		return "method"
	case fasthttp.StatusNotAcceptable:
		return "not-acceptable"
	case fasthttp.StatusRequestTimeout:
		return "too-slow"
	case fasthttp.StatusConflict:
		return "task-over"
	case fasthttp.StatusGone:
		return "gone"
	case fasthttp.StatusRequestEntityTooLarge:
		return "body-too-large"
	case fasthttp.StatusUnsupportedMediaType:
		return "content-encoding"
	case fasthttp.StatusUnprocessableEntity:
		return "schema"
	case fasthttp.StatusTooManyRequests:
		return "too-many-requests"
	case fasthttp.StatusRequestHeaderFieldsTooLarge:
		return "head-too-large"
	case fasthttp.StatusBadGateway:
		return "bad-gateway"
	case fasthttp.StatusServiceUnavailable:
		return "overloaded"
	case fasthttp.StatusGatewayTimeout:
		return "timeout"
	}
	return "internal"
}

// byReason gives the type where the status does not tell.
func byReason(f *dialect.Fault) (name string, ok bool) {
	switch f.Reason {
	case dialect.BadRequest:
		return "malformed", true
	case dialect.BadKey:
		return "idempotency-key", true
	case dialect.BadSubscription:
		return "subscription", true
	case dialect.BadOrigin:
		return "origin", true
	case dialect.Draining:
		return "draining", true
	case dialect.CorrelatorDown:
		return "unavailable", true
	case dialect.EngineBusy:
		return "engine-busy", true
	case dialect.BadStatus:
		return "unknown-status", true
	default:
		return "", false
	}
}
