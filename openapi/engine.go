package openapi

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"syncgate/configs"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
)

// engines describes what the engines of routes get, and what they call with the result. The gateway sends the first, and serves the second.
func (b *builder) engines() {
	names := []string{}
	for i := range b.Config.Routes {
		if name := b.Config.Routes[i].Engine; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if name == dialect.DefaultEngine {
			b.hook(name, "post", b.corezoidEngine())
			continue
		}
		i := slices.IndexFunc(b.Config.Engines, func(e configs.OtherEngine) bool { return e.Name == name })
		e := &b.Config.Engines[i]
		if e.Kind == metrici.Kind {
			b.hook(name, "post", metriciEngine(name))
			continue
		}
		filled := e.HTTP().Filled()
		b.hook(name, strings.ToLower(filled.Method), b.httpEngine(e, filled))
	}
}

// hook adds the request that an engine gets.
func (b *builder) hook(engine, method string, op *yaml.Node) {
	set(b.hooks, "engine_"+engine, object(method, op))
}

// taken describes how an engine answers a task.
func taken(accepted, final []int) *yaml.Node {
	a := make(answers)
	for _, status := range accepted {
		if !slices.Contains(final, status) {
			a.add(strconv.Itoa(status), "It has the task, and will call.", object())
		}
	}
	for _, status := range final {
		a.add(strconv.Itoa(status), "This is the result already. Nothing is called.", object(), media{typeAny, object()})
	}
	a.add("4XX", "It refuses the task. The client gets the status and the body.", object(), media{typeAny, object()})
	a.add("default", "The client gets 502.", object())
	return a.node()
}

// callbackWords say what the URL of a task's callback is.
const callbackWords = "The URL to call with the result. It is good for this one task."

// httpEngine describes what an engine in plain HTTP gets, and calls.
func (b *builder) httpEngine(e *configs.OtherEngine, c httpengine.Config) *yaml.Node {
	op := object("operationId", "engine_"+c.Name, "tags", []string{tagEngines}, "summary", "A task for the engine "+c.Name,
		"description", "The gateway sends this for each task. The body is that of the client's request.")
	parameters, expression, body := list(), "", object()
	switch at := c.CallbackURL; {
	case at.Member != "": // of kind os1 too
		names := strings.Split(at.Member, ".")
		expression, body = "{$request.body#", nested(names)
		for _, name := range names {
			expression += "/" + escaped(name)
		}
		expression += "}"
	case at.Query != "":
		expression = "{$request.query." + at.Query + "}"
		parameters.Content = append(parameters.Content, callbackParameter(at.Query, "query"))
	default:
		expression = "{$request.header." + at.Header + "}"
		parameters.Content = append(parameters.Content, callbackParameter(at.Header, "header"))
	}
	if c.Secret != "" {
		for _, name := range []string{"WebhookId", "WebhookTimestamp", "WebhookSignature"} {
			parameters.Content = append(parameters.Content, b.part("parameters", name))
		}
	}
	if len(parameters.Content) > 0 {
		set(op, "parameters", parameters)
	}
	if c.Method != http.MethodGet && c.Method != http.MethodDelete {
		content := object(typeJSON, object("schema", body))
		if c.CallbackURL.Member == "" {
			set(content, typeAny, object("schema", object()))
		}
		set(op, "requestBody", object("content", content))
	}
	set(op, "responses", taken(c.Accepted, c.Final))
	set(op, "callbacks", object("result", object(expression, object("post", b.result(e.OS1.CallbackSecret != "", engineWords(c))))))
	return op
}

func callbackParameter(name, in string) *yaml.Node {
	return object("name", name, "in", in, "required", true, "description", callbackWords, "schema", object("type", "string", "format", "uri"))
}

// nested gives the schema of an object with the callback URL in a member of a member.
func nested(names []string) *yaml.Node {
	n := object("type", "string", "format", "uri", "description", callbackWords)
	for _, name := range slices.Backward(names) {
		n = object("type", "object", "required", []string{name}, "properties", object(name, n))
	}
	return n
}

// engineWords say how an engine reports.
func engineWords(c httpengine.Config) string {
	text := "The result, as clients get it, with any Content-Type."
	if c.Result != "" {
		text = "JSON, in which the member " + c.Result + " is the result."
	}
	if c.Status.From == "" {
		return text + " X-Callback-Status can say that it is progress, a failure or a cancellation."
	}
	text += " Its member " + c.Status.From + " says how far the task is"
	if len(c.Status.Map) == 0 {
		return text + ": start, progress, complete, cancel or error."
	}
	var words []string
	for _, word := range slices.Sorted(maps.Keys(c.Status.Map)) {
		words = append(words, word+" is "+c.Status.Map[word])
	}
	return text + ": " + strings.Join(words, ", ") + "."
}

// result describes the callback of an engine: the gateway serves it.
func (b *builder) result(signed bool, words string) *yaml.Node {
	a := make(answers)
	headers := object("Cache-Control", b.part("headers", "NoStore"))
	nothing := media{typeJSON, b.part("schemas", "Empty")}
	a.add("200", "The result is with the client or kept, or the report is noted. Also where the task was over before: X-Callback-Status says how.",
		b.with(headers, "X-Callback-Status", "EarlierStatus"), nothing)
	for _, of := range []struct {
		status int
		text   string
	}{
		{http.StatusBadRequest, "The body is not acceptable, or its status is unknown. The client waits on, and the engine can call again."},
		{http.StatusUnauthorized, "The signature is missing or wrong."},
		{http.StatusNotFound, "It is not a URL of this gateway."},
		{http.StatusRequestTimeout, "The request has not come in time."},
		{http.StatusGone, "It is too late, and nothing is kept."},
		{http.StatusRequestEntityTooLarge, "The body has more than " + strconv.FormatInt(int64(b.Config.Limits.CallbackBody), 10) + " bytes. The client waits on."},
		{http.StatusUnsupportedMediaType, "The body has a Content-Encoding. The client waits on."},
		{http.StatusRequestHeaderFieldsTooLarge, "The head of the request has more than 16 KiB."},
		{http.StatusInternalServerError, "An internal error."},
		{http.StatusServiceUnavailable, "It cannot be handed on now: call again."},
	} {
		h := headers
		switch of.status {
		case http.StatusUnauthorized:
			if !signed {
				continue
			}
			h = b.with(h, "WWW-Authenticate", "Authenticate")
		case http.StatusServiceUnavailable:
			h = b.with(h, "Retry-After", "RetryAfter")
		}
		a.add(strconv.Itoa(of.status), of.text, h, nothing)
	}
	parameters := list(b.part("parameters", "CallbackStatus"), b.part("parameters", "CallbackStatusQuery"))
	if signed {
		parameters.Content = append(parameters.Content, b.part("parameters", "CoreosSignature"))
	}
	methods := "POST, PUT and PATCH mean the same."
	if all := b.Config.Callback.Methods; len(all) > 0 {
		methods = "The methods are " + strings.Join(all, ", ") + "."
	}
	return object(
		"summary", "The engine reports",
		"description", words+" "+methods,
		"parameters", parameters,
		"requestBody", object("content", object(typeJSON, object("schema", object()), typeAny, object("schema", object()))),
		"responses", a.node(),
		"security", list(),
	)
}

// corezoidEngine describes what Corezoid gets of routes, and what its process calls.
func (b *builder) corezoidEngine() *yaml.Node {
	op := object("operationId", "engine_"+dialect.DefaultEngine, "tags", []string{tagEngines}, "summary", "A package for Corezoid",
		"description", "The gateway sends this for each task, signed as Corezoid's API wants it. The answer is Corezoid's own.",
		"requestBody", object("content", object(typeJSON, object("schema", b.part("schemas", "CorezoidPackage")))))
	set(op, "responses", object("200", object("description", "Corezoid's own answer."), "default", object("description", "The client gets 502.")))
	result := b.result(false, "The result. A body in Corezoid's own format, of which the first operation has the type data, gives extra of this operation; a form or XML becomes JSON.")
	answer := member(member(result, "responses"), "200")
	set(answer, "content", object(typeJSON, object("schema", object(
		"description", "Empty, or in Corezoid's format where the body was in it.",
		"type", "object", "properties", object("request_proc", object("const", "ok"), "ops", object("type", "array")), "additionalProperties", false))))
	set(op, "callbacks", object("result", object("{$request.body#/ops/0/data/__callback_url}", object("post", result))))
	return op
}

// metriciEngine describes a worker of Metrici's callback service in words: it gets a token and no URL.
func metriciEngine(name string) *yaml.Node {
	return object("operationId", "engine_"+name, "tags", []string{tagEngines}, "summary", "A task for the worker "+name,
		"description", "The message of Metrici's callback step. The worker reports with the token in it, as docs/dialects/metrici.md says: there is no URL that a description could name.",
		"requestBody", object("content", object(typeAny, object("schema", object()))),
		"responses", object("default", object("description", "As docs/dialects/metrici.md says.")))
}
