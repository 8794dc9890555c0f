package openapi

import (
	"net/http"
	"slices"

	"go.yaml.in/yaml/v4"

	"syncgate/dialect/metrici"
	"syncgate/dialect/rest"
)

// tasks describes the task resource. Tasks of routes that are signed have paths with a signature behind them.
func (b *builder) tasks() {
	var plain, signed []*rest.RouteConfig
	for i := range b.Config.Routes {
		if r := &b.Config.Routes[i]; r.Auth == rest.AuthCorezoid {
			signed = append(signed, r)
		} else {
			plain = append(plain, r)
		}
	}
	if len(plain) > 0 {
		b.taskPaths("", taskWriter{builder: b, routes: plain})
	}
	if len(signed) > 0 {
		b.taskPaths("/{login}/{time}/{signature}", taskWriter{b, signed, true, "Signed"})
	}
}

// taskPaths describes the paths of a task, with tail behind each.
func (b *builder) taskPaths(tail string, t taskWriter) {
	task := "/tasks/{id}"
	b.operation(task+tail, http.MethodGet, t.read())
	b.operation(task+tail, http.MethodPut, t.cancel("cancelTaskByPut", "Cancel the task, as DELETE does", true))
	b.operation(task+tail, http.MethodDelete, t.cancel("cancelTask", "Cancel the task", false))
	b.operation(task+"/status"+tail, http.MethodGet, t.status())
	b.operation(task+"/result"+tail, http.MethodGet, t.result())
	b.operation(task+"/events"+tail, http.MethodGet, t.events())
}

// taskWriter describes operations of the task resource.
type taskWriter struct {
	*builder
	routes []*rest.RouteConfig // whose tasks they are
	signed bool
	suffix string // of operationId
}

// operation makes one.
func (t *taskWriter) operation(id, summary, text string, body *yaml.Node, a answers, events bool, shared ...string) *yaml.Node {
	parameters := list(t.part("parameters", "TaskId"))
	if t.signed {
		shared = append([]string{"Login", "Time", "Signature"}, shared...)
	}
	for _, name := range append(shared, "RequestId") {
		parameters.Content = append(parameters.Content, t.part("parameters", name))
	}
	op := object("operationId", id+t.suffix, "tags", []string{tagTasks}, "summary", summary)
	if text != "" {
		set(op, "description", text)
	}
	set(op, "parameters", parameters)
	set(op, "requestBody", body)
	set(op, "responses", a.node())
	set(op, "security", t.taskSecurity(events))
	return op
}

// taskSecurity is that of all routes together: whose a task is decides.
func (t *taskWriter) taskSecurity(events bool) *yaml.Node {
	all := list()
	if t.signed {
		return all
	}
	var names []string
	open := false
	for _, r := range t.routes {
		open = open || r.Auth == rest.AuthNone
		names = append(names, schemesOf(r)...)
	}
	if events {
		names = append(names, "eventsToken")
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t.part("securitySchemes", name)
		all.Content = append(all.Content, object(name, list()))
	}
	if open {
		all.Content = append(all.Content, object())
	}
	return all
}

// anyView reports whether tasks of some route can be shown so.
func (t *taskWriter) anyView(views ...string) bool {
	return slices.ContainsFunc(t.routes, func(r *rest.RouteConfig) bool { return slices.Contains(views, r.View) })
}

// refusedReads are the statuses of the gateway's refusals to those who ask about a task.
func (t *taskWriter) refusedReads(further ...int) []int {
	all := append(further,
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusInternalServerError, http.StatusServiceUnavailable)
	isForPages := func(a rest.AccessConfig) bool { return len(a.Origins) > 0 }
	if t.Config.CORS.Enforce || !t.signed && slices.ContainsFunc(t.Config.Access, isForPages) {
		all = append(all, http.StatusForbidden)
	}
	return all
}

// ends are the statuses of the replies of tasks that have no result.
func (t *taskWriter) ends() []int {
	all := []int{http.StatusConflict, http.StatusBadGateway}
	if slices.ContainsFunc(t.routes, func(r *rest.RouteConfig) bool { return t.kindOf(r) == metrici.Kind }) {
		all = append(all, http.StatusGatewayTimeout)
	}
	return all
}

const taskText = "What the client of the route would have got: the status, headers and body of its reply."

// replies adds what a task that is over is shown as: its own reply.
func (t *taskWriter) replies(a answers, headers *yaml.Node, statuses []int) {
	a.add("200", taskText, headers, anything()...)
	a.add("default", taskText, headers, anything()...)
	further := append([]media{}, anything()...)
	t.refuse(a, headers, further, statuses...)
}

// runs adds what a task that runs is shown as.
func (t *taskWriter) runs(a answers, headers *yaml.Node) {
	later := t.with(headers, "Location", "TaskLocation", "Operation-Location", "OperationLocation", "Retry-After", "RetryAfter")
	a.add("202", "It runs.", later, media{typeJSON, t.part("schemas", "RunningTask")})
}

func (t *taskWriter) read() *yaml.Node {
	a, headers := make(answers), t.headers("Preference-Applied", "PreferenceApplied")
	own := t.with(headers)
	for _, r := range t.routes {
		own = t.resultHeaders(r, own)
	}
	statuses := t.refusedReads(append(t.ends(), http.StatusTooManyRequests)...)
	if t.anyView(rest.ViewHAL) {
		statuses = append(statuses, http.StatusNotAcceptable)
	}
	t.replies(a, own, statuses)
	if t.anyView(rest.ViewPlain, rest.ViewAuto, rest.ViewOS1) {
		t.runs(a, headers)
	}
	if t.anyView(rest.ViewAuto, rest.ViewHAL) {
		a.add("200", "In hal+json: it runs. A failure is a problem, with 200 or, where the route says problem-status, with its own status.", t.with(headers, "Retry-After", "RetryAfter"),
			media{typeHAL, t.part("schemas", "HALTask")}, media{typeProblem, t.part("schemas", "Problem")})
		a.add("303", "In hal+json: it has succeeded, and the result is there.", t.with(headers, "Location", "ResultLocation"), media{typeHAL, t.part("schemas", "HALTask")})
	}
	a.add("303", "A client that was sent here is sent on, where it waits again.", t.with(headers, "Location", "ResultLocation", "Operation-Location", "OperationLocation"))
	a.add("200", "With Accept: text/event-stream, its events: "+eventsText, t.with(headers, "X-Accel-Buffering", "Buffering"), media{typeEvents, object("type", "string")})
	a.add("204", "With Last-Event-ID: end, and Accept: text/event-stream: there are no more events.", headers)
	return t.operation("readTask", "The task, or its result", "", nil, a, false, "PreferWait", "Hop", "HopWait", "LastEventId")
}

func (t *taskWriter) cancel(id, summary string, body bool) *yaml.Node {
	a, headers := make(answers), t.headers()
	forms := []media{{typeJSON, t.part("schemas", "RunningTask")}}
	if t.anyView(rest.ViewAuto, rest.ViewHAL) {
		forms = append(forms, media{typeHAL, t.part("schemas", "HALTask")})
	}
	a.add("202", "It is cancelled. Its client hears 409, and the engine is asked to stop if the configuration says how.",
		t.with(headers, "Location", "TaskLocation", "Operation-Location", "OperationLocation"), forms...)
	var further []media
	if t.anyView(rest.ViewOS1) {
		further = []media{{typeJSON, t.part("schemas", "CoreosError")}}
	}
	statuses := t.refusedReads()
	if body {
		statuses = append(statuses, http.StatusUnprocessableEntity)
	}
	t.refuse(a, headers, nil, statuses...)
	t.refuse(a, headers, further, http.StatusConflict)
	var request *yaml.Node
	if body {
		request = object("required", true, "content", object(typeJSON, object("schema", t.part("schemas", "CancelTask"))))
	}
	return t.operation(id, summary, "", request, a, false)
}

func (t *taskWriter) status() *yaml.Node {
	a, headers := make(answers), t.headers("Preference-Applied", "PreferenceApplied", "Retry-After", "MayRetryAfter")
	a.add("200", "The status. While the task runs there is Retry-After.", headers, media{typeJSON, t.part("schemas", "TaskStatus")})
	t.refuse(a, headers, nil, t.refusedReads()...)
	return t.operation("readTaskStatus", "The status of the task", "It is 200 whatever has become of the task.", nil, a, false, "PreferWait")
}

func (t *taskWriter) result() *yaml.Node {
	a, headers := make(answers), t.headers("Preference-Applied", "PreferenceApplied")
	own := t.with(headers)
	for _, r := range t.routes {
		own = t.resultHeaders(r, own)
	}
	t.replies(a, own, t.refusedReads(t.ends()...))
	t.runs(a, headers)
	return t.operation("readTaskResult", "The result of the task", "", nil, a, false, "PreferWait")
}

func (t *taskWriter) events() *yaml.Node {
	a, headers := make(answers), t.headers("Preference-Applied", "PreferenceApplied")
	a.add("200", eventsText, t.with(headers, "X-Accel-Buffering", "Buffering"), media{typeEvents, object("type", "string")})
	a.add("204", "The client has the last event: Last-Event-ID was end.", headers)
	t.refuse(a, headers, nil, t.refusedReads(http.StatusTooManyRequests)...)
	return t.operation("followTask", "The events of the task", "A browser's EventSource opens the URL in the member `stream` of the task.", nil, a, true, "PreferWait", "LastEventId", "LastEventIdQuery")
}
