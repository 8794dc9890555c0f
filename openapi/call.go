package openapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"syncgate/dialect"
	"syncgate/dialect/metrici"
	"syncgate/dialect/rest"
)

// call describes a route itself.
func (b *builder) call(r *rest.RouteConfig, method string, path []*yaml.Node) *yaml.Node {
	op := object(
		"operationId", strings.ToLower(method)+"_"+r.Name,
		"tags", []string{r.Name},
		"summary", r.Name,
		"description", b.words(r),
		"parameters", b.parameters(r, path, "Prefer", "IdempotencyKey"),
	)
	if body := b.body(r, method); body != nil {
		set(op, "requestBody", body)
	}
	set(op, "responses", b.callAnswers(r).node())
	switch {
	case r.View == rest.ViewOS1:
		set(op, "callbacks", b.coreosCallbacks(r))
	case r.Subscriptions:
		set(op, "callbacks", b.notifications())
	}
	set(op, "security", b.security(r))
	return op
}

// parameters gives those of an operation of a route. shared names those of the library.
func (b *builder) parameters(r *rest.RouteConfig, path []*yaml.Node, shared ...string) *yaml.Node {
	all := list()
	if r.Auth == rest.AuthCorezoid {
		path = b.signed(path)
	}
	all.Content = append(all.Content, path...)
	if r.View == rest.ViewOS1 {
		shared = append([]string{"CoreosRequestId", "CoreosTenant", "CoreosAccess", "CoreosUserInfo", "CoreosCallbackSecret"}, shared...)
	}
	for _, name := range append(shared, "RequestId") {
		all.Content = append(all.Content, b.part("parameters", name))
	}
	return all
}

// security says how a caller of a route proves who it is. A signature stands in the path.
func (b *builder) security(r *rest.RouteConfig) *yaml.Node {
	all := list()
	for _, name := range schemesOf(r) {
		b.part("securitySchemes", name)
		all.Content = append(all.Content, object(name, list()))
	}
	return all
}

func schemesOf(r *rest.RouteConfig) []string {
	switch {
	case r.Auth == rest.AuthBasic:
		return []string{"basic"}
	case r.Auth == rest.AuthKey && r.View == rest.ViewOS1:
		return []string{"bearer", "apiKey", "coreosAccess"}
	case r.Auth == rest.AuthKey:
		return []string{"bearer", "apiKey"}
	}
	return nil
}

// isForbidding reports whether there is somebody whom a route answers 403: a caller of other routes, a page, or who names a receiver.
func (b *builder) isForbidding(r *rest.RouteConfig) bool {
	return r.Auth == rest.AuthKey || r.Auth == rest.AuthBasic || r.Subscriptions || r.View == rest.ViewOS1 || b.Config.CORS.Enforce
}

// callStatuses are those of the gateway's refusals to a request that makes a task.
func (b *builder) callStatuses(r *rest.RouteConfig) []int {
	all := []int{
		http.StatusBadRequest, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable,
	}
	if b.timesOut(r) {
		all = append(all, http.StatusGatewayTimeout)
	}
	if r.Auth != rest.AuthNone {
		all = append(all, http.StatusUnauthorized)
	}
	if b.isForbidding(r) {
		all = append(all, http.StatusForbidden)
	}
	if r.View == rest.ViewHAL {
		all = append(all, http.StatusNotAcceptable)
	}
	return all
}

// timesOut reports whether the wait for a result can end with 504: the configuration says so, the engine has no more time, or nothing can be kept, as the
// store has gone meanwhile. Tasks whose results are sent to somebody are kept from their beginning.
func (b *builder) timesOut(r *rest.RouteConfig) bool {
	return r.AtWaitEnd == rest.EndTimeout || !r.Subscriptions || b.kindOf(r) == metrici.Kind
}

// kindOf gives the kind of a route's engine.
func (b *builder) kindOf(r *rest.RouteConfig) string {
	for i := range b.Config.Engines {
		if e := &b.Config.Engines[i]; e.Name == r.Engine {
			return e.Kind
		}
	}
	return dialect.DefaultEngine
}

// callHeaders are those that each answer to a call can have.
func (b *builder) callHeaders(r *rest.RouteConfig) *yaml.Node {
	h := b.headers("Location", "KeptLocation", "Operation-Location", "KeptOperationLocation", "Preference-Applied", "PreferenceApplied")
	rated := func(a rest.AccessConfig) bool { return a.Rate > 0 && slices.Contains(a.Routes, r.Name) }
	if r.Limits.Rate > 0 || b.Config.Limits.RatePerLogin > 0 || slices.ContainsFunc(b.Config.Access, rated) {
		h = b.with(h, "RateLimit-Limit", "RateLimitLimit", "RateLimit-Remaining", "RateLimitRemaining", "RateLimit-Reset", "RateLimitReset")
	}
	return h
}

// anything is a body of which nothing is known.
func anything() []media { return []media{{typeJSON, object()}, {typeAny, object()}} }

func (b *builder) callAnswers(r *rest.RouteConfig) answers {
	a, headers := make(answers), b.callHeaders(r)
	later := b.with(headers, "Location", "TaskLocation", "Operation-Location", "OperationLocation", "Retry-After", "RetryAfter")
	var further []media
	if r.View == rest.ViewOS1 {
		b.coreosAnswers(a, r, headers, b.with(later, "Link", "MonitorLink"))
	} else {
		b.results(a, r, headers)
		b.accepted(a, r, later)
		further = anything() // what the engine says
	}
	a.add("200", "With Accept: text/event-stream, the events of the task: "+eventsText, b.with(headers, "X-Accel-Buffering", "Buffering"), media{typeEvents, object("type", "string")})
	a.add("303", "The wait has ended, at_wait_end or the client's Prefer is redirect: the client waits on there, with GET.",
		b.with(headers, "Location", "ResultLocation", "Operation-Location", "OperationLocation"))
	if r.View == rest.ViewOS1 {
		b.coreosRefusals(a, headers, b.callStatuses(r))
	} else {
		b.refuse(a, headers, further, b.callStatuses(r)...)
	}
	b.forwarded(a)
	return a
}

// forwarded adds what every answer to a create says that is an error of the gateway or the engine.
func (b *builder) forwarded(a answers) {
	for status, one := range a {
		if status[0] == '5' {
			one.headers = b.with(one.headers, "X-Syncgate-Forwarded", "Forwarded")
		}
	}
}

const eventsText = "`accepted` with id and location, `progress` for each report of the engine, and at the end one of `result`, `error`, `cancelled`, or `timeout`, after which the task goes on. " +
	"The last one but `timeout` has the id `end`."

// accepted adds the answer of a client that does not wait on.
func (b *builder) accepted(a answers, r *rest.RouteConfig, headers *yaml.Node) {
	var forms []media
	if r.View != rest.ViewHAL {
		forms = append(forms, media{typeJSON, b.part("schemas", "RunningTask")})
	}
	if r.View != rest.ViewPlain || r.Subscriptions {
		forms = append(forms, media{typeHAL, b.part("schemas", "HALTask")})
	}
	a.add("202", "The engine has the task, or may have it. Ask for the result at Location.", headers, forms...)
}

// results adds what can become of a task.
func (b *builder) results(a answers, r *rest.RouteConfig, headers *yaml.Node) {
	result := b.resultHeaders(r, headers)
	a.add(b.state(r, "complete", http.StatusOK), "The result, as the engine has sent it, with its Content-Type.", result, anything()...)
	failure := append([]media{{typeProblem, b.part("schemas", "Problem")}}, anything()...)
	for _, of := range []struct {
		state, text string
		absent      int
	}{
		{"error", "The engine reports that the task has failed: its JSON, or a problem.", http.StatusBadGateway},
		{"cancel", "The task is cancelled.", http.StatusConflict},
		{"timeout", "The engine has not finished the task in the time that it had.", http.StatusGatewayTimeout},
	} {
		if status := b.state(r, of.state, of.absent); status != strconv.Itoa(of.absent) {
			a.add(status, of.text, headers, failure...)
		}
	}
	if _, reports := r.States["active"]; reports {
		for _, state := range []string{"start", "progress"} {
			a.add(b.state(r, state, http.StatusOK), "What the engine has reported so far. The task goes on.", b.with(headers, "Retry-After", "MayRetryAfter"), media{typeJSON, object()})
		}
	}
	b.refused(a, "The engine has refused the request: its status, its body and its Content-Type.", anything()...)
	if r.Respond.StatusHeader != "" {
		unknown := b.with(result, "X-Syncgate-Forwarded", "MayForwarded")
		a.add("default", "The result, with the status of 200 to 599 that the engine has given it in the header "+r.Respond.StatusHeader+" of its callback.", unknown, anything()...)
	}
}

// refused adds the answer of an engine that takes no task.
func (b *builder) refused(a answers, text string, forms ...media) {
	a.add("4XX", text, b.headers("WWW-Authenticate", "EngineAuthenticate", "Retry-After", "MayRetryAfter"), forms...)
}

// resultHeaders adds those of a callback that the client gets.
func (b *builder) resultHeaders(r *rest.RouteConfig, headers *yaml.Node) *yaml.Node {
	all := b.with(headers)
	for _, name := range r.Respond.Headers {
		known := []string{"content-type", "cache-control"}
		if !slices.Contains(known, strings.ToLower(name)) {
			set(all, http.CanonicalHeaderKey(name), object("description", "The engine's own.", "schema", object("type", "string")))
		}
	}
	return all
}

// state gives the status of a reply by how far the task is.
func (b *builder) state(r *rest.RouteConfig, name string, absent int) string {
	group := "error"
	switch name {
	case "start", "progress":
		group = "active"
	case "complete":
		group = ""
	}
	return strconv.Itoa(cmp.Or(r.States[name], r.States[group], absent))
}
