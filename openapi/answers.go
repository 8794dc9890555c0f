package openapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	typeJSON    = "application/json"
	typeHAL     = "application/hal+json"
	typeProblem = "application/problem+json"
	typeEvents  = "text/event-stream"
	typeAny     = "*/*"
)

// answers are those of one operation, by status: three digits, 4XX, or default.
type answers map[string]*answer

type answer struct {
	text    []string
	headers *yaml.Node
	content *yaml.Node
}

// media is a form of an answer's body.
type media struct {
	name   string
	schema *yaml.Node
}

// add says what an answer with a status can be. Where there is one with the status already, both can come.
func (a answers) add(status, text string, headers *yaml.Node, content ...media) {
	one := a[status]
	if one == nil {
		one = &answer{headers: headers, content: object()}
		a[status] = one
	} else {
		one.headers = either(one.headers, headers)
	}
	if !slices.Contains(one.text, text) {
		one.text = append(one.text, text)
	}
	for _, m := range content {
		if before := member(one.content, m.name); before != nil && m.name != typeAny {
			set(one.content, m.name, object("schema", object("anyOf", list(member(before, "schema"), m.schema))))
			continue
		}
		set(one.content, m.name, object("schema", m.schema))
	}
}

// either gives the headers of an answer that can be one of two: those that only one of them has need not be there.
func either(a, b *yaml.Node) *yaml.Node {
	all := object()
	for _, of := range []*yaml.Node{a, b} {
		for i := 0; i+1 < len(of.Content); i += 2 {
			name, n := of.Content[i].Value, of.Content[i+1]
			if member(a, name) == nil || member(b, name) == nil || member(member(a, name), "$ref").Value != member(member(b, name), "$ref").Value {
				n = object("schema", object("type", "string"))
			}
			set(all, name, n)
		}
	}
	return all
}

// node writes the answers, in the order of their statuses.
func (a answers) node() *yaml.Node {
	all := object()
	statuses := make([]string, 0, len(a))
	for status := range a {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses) // default comes last
	for _, status := range statuses {
		one := a[status]
		n := object("description", strings.Join(one.text, " "))
		if len(one.headers.Content) > 0 {
			set(n, "headers", one.headers)
		}
		if len(one.content.Content) > 0 {
			set(n, "content", one.content)
		}
		set(all, status, n)
	}
	return all
}

// headers makes the headers of an answer: names and the parts that describe them take turns.
func (b *builder) headers(pairs ...string) *yaml.Node {
	n := object("X-Request-Id", b.part("headers", "RequestId"), "Cache-Control", b.part("headers", "CacheControl"), "Vary", b.part("headers", "Vary"))
	return b.with(n, pairs...)
}

// with adds headers.
func (b *builder) with(n *yaml.Node, pairs ...string) *yaml.Node {
	all := object()
	all.Content = slices.Clone(n.Content)
	for i := 0; i+1 < len(pairs); i += 2 {
		set(all, pairs[i], b.part("headers", pairs[i+1]))
	}
	return all
}

// refusal is an answer of the gateway that a request can get. Its types are those of problems, as docs/errors has them.
type refusal struct {
	status int
	text   string
	types  []string
}

// refusals are all that there are.
func refusals() []refusal {
	return []refusal{
		{http.StatusBadRequest, "The body is not acceptable, the Idempotency-Key is none, or the request is malformed.", []string{"body", "idempotency-key", "malformed"}},
		{http.StatusUnauthorized, "The credential is missing or wrong.", []string{"unauthorized"}},
		{http.StatusForbidden, "The caller may not do this, a page of this origin may not, or the receiver or the subscription is not accepted.", []string{"forbidden", "origin", "subscription"}},
		{http.StatusNotFound, "There is none, or it is another caller's.", []string{"not-found"}},
		{http.StatusNotAcceptable, "Accept allows no form that there is.", []string{"not-acceptable"}},
		{http.StatusRequestTimeout, "The request has not come in time. The connection is closed.", []string{"too-slow"}},
		{http.StatusConflict, "The task is cancelled, or was over already.", []string{"cancelled", "task-over"}},
		{http.StatusGone, "The result was delivered and not kept, has expired, or had to make room.", []string{"gone"}},
		{http.StatusRequestEntityTooLarge, "The body is too large. The connection is closed.", []string{"body-too-large"}},
		{http.StatusUnsupportedMediaType, "The body has a Content-Encoding.", []string{"content-encoding"}},
		{http.StatusUnprocessableEntity, "The body does not fulfil the schema, the Idempotency-Key was used with another request, or the status is not one that can be given.", []string{"idempotency-key", "schema", "unknown-status"}},
		{http.StatusTooManyRequests, "A limit is reached. Nothing was forwarded.", []string{"too-many-requests"}},
		{http.StatusRequestHeaderFieldsTooLarge, "The head of the request has more than 16 KiB. The connection is closed.", []string{"head-too-large"}},
		{http.StatusInternalServerError, "An internal error, of which the gateway's log has more.", []string{"internal"}},
		{http.StatusBadGateway, "The engine cannot be reached, its answer is not usable, or it reports that the task has failed.", []string{"bad-gateway", "engine-error"}},
		{http.StatusServiceUnavailable, "The node has no room, is shutting down, or cannot reach its store.", []string{"draining", "engine-busy", "overloaded", "unavailable"}},
		{http.StatusGatewayTimeout, "The result has not come in time.", []string{"timeout"}},
	}
}

// refuse adds refusals that are problems. headers are those of answers to what has come as far as a task; further are forms that the same statuses can
// have beside.
func (b *builder) refuse(a answers, headers *yaml.Node, further []media, statuses ...int) {
	for _, r := range refusals() {
		if !slices.Contains(statuses, r.status) {
			continue
		}
		h := b.refusalHeaders(headers, r.status, further)
		a.add(strconv.Itoa(r.status), r.text, h, append([]media{{typeProblem, b.problem(r)}}, further...)...)
	}
}

// refusalHeaders gives the headers of refusals with a status. Where an engine can refuse with the same status, its own need not be there.
func (b *builder) refusalHeaders(headers *yaml.Node, status int, further []media) *yaml.Node {
	base := b.headers()
	for _, name := range rateLimits() {
		if n := member(headers, name); n != nil && status == http.StatusTooManyRequests {
			set(base, name, n)
		}
	}
	switch {
	case status == http.StatusUnauthorized && len(further) > 0:
		return b.with(base, "WWW-Authenticate", "EngineAuthenticate")
	case status == http.StatusUnauthorized:
		return b.with(base, "WWW-Authenticate", "Authenticate")
	case status == http.StatusTooManyRequests:
		return b.with(base, "Retry-After", "MayRetryAfter")
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway:
		return b.with(headers, "Retry-After", "MayRetryAfter")
	case status == http.StatusConflict, status == http.StatusGatewayTimeout:
		return headers
	case len(further) > 0:
		return b.with(base, "Retry-After", "MayRetryAfter") // the engine's
	}
	return base
}

func rateLimits() []string {
	return []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
}

// problem gives the schema of a problem of certain types.
func (b *builder) problem(r refusal) *yaml.Node {
	types := make([]string, len(r.types))
	for i, t := range r.types {
		types[i] = "/errors/" + t
	}
	return b.own("schemas", "Problem"+strconv.Itoa(r.status), object(
		"description", r.text,
		"allOf", list(b.part("schemas", "Problem"), object("properties", object("type", object("enum", types)))),
	))
}
