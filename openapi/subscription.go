package openapi

import (
	"net/http"
	"slices"

	"go.yaml.in/yaml/v4"

	"syncgate/dialect/rest"
)

// subscribe describes how subscriptions of a route are made.
func (b *builder) subscribe(r *rest.RouteConfig, path []*yaml.Node) *yaml.Node {
	a, headers := make(answers), b.callHeaders(r)
	a.add("201", "The subscription. With `once` the task is made too.",
		b.with(headers, "Location", "SubscriptionLocation"), media{typeHAL, b.part("schemas", "Subscription")})
	b.refused(a, "The engine has refused the task: its status, its body and its Content-Type. There is no subscription.", anything()...)
	statuses := slices.DeleteFunc(b.callStatuses(r), func(status int) bool { return status == http.StatusConflict || status == http.StatusGatewayTimeout })
	b.refuse(a, headers, anything(), statuses...)
	b.forwarded(a)
	schema := b.part("schemas", "Subscriber")
	if data := b.bodyOf(r); data != nil && isOpen(b.used["schemas/"+nameOf(data)]) {
		continuous := object("allOf", list(b.part("schemas", "Subscriber"), object("required", []string{"mode"}, "properties", object("mode", object("const", "continuous")))))
		schema = object("anyOf", list(b.beside(data, "Subscriber"), continuous))
	}
	return object(
		"operationId", "subscribe_"+r.Name,
		"tags", []string{r.Name},
		"summary", "Subscribe to results of "+r.Name,
		"description", "The members of the body beside those of the subscription are the data of a task, which is made at once, unless mode is continuous.",
		"parameters", b.parameters(r, path, "IdempotencyKey"),
		"requestBody", object("required", true, "content", object(typeJSON, object("schema", schema))),
		"responses", a.node(),
		"callbacks", b.notifications(),
		"security", b.security(r),
	)
}

// subscription describes what can be done with one.
func (b *builder) subscription(r *rest.RouteConfig, method string, path []*yaml.Node) *yaml.Node {
	a, headers := make(answers), b.headers()
	statuses := []int{
		http.StatusBadRequest, http.StatusForbidden, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge,
		http.StatusInternalServerError, http.StatusServiceUnavailable,
	}
	if r.Auth != rest.AuthNone {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	if r.View == rest.ViewHAL {
		statuses = append(statuses, http.StatusNotAcceptable)
	}
	form := media{typeHAL, b.part("schemas", "Subscription")}
	op := object("operationId", "readSubscription_"+r.Name, "tags", []string{r.Name}, "summary", "A subscription to results of "+r.Name)
	if method == http.MethodGet {
		a.add("200", "The subscription, and its last attempt. One that has ended is shown for 7 days.", headers, form)
		statuses = append(statuses, http.StatusNotFound)
		if b.isPublic(r) {
			statuses = slices.DeleteFunc(statuses, func(status int) bool { return status == http.StatusForbidden })
		}
	} else {
		op = object("operationId", "cancelSubscription_"+r.Name, "tags", []string{r.Name}, "summary", "Cancel a subscription to results of "+r.Name,
			"description", "The body can be empty. A task that was made with the subscription goes on.")
		a.add("202", "It is cancelled.", headers, form)
		statuses = append(statuses, http.StatusUnprocessableEntity)
	}
	b.refuse(a, headers, nil, statuses...)
	set(op, "parameters", b.subscriptionParameters(r, path))
	if method == http.MethodPut {
		set(op, "requestBody", object("content", object(typeJSON, object("schema", b.part("schemas", "CancelSubscription")))))
	}
	set(op, "responses", a.node())
	set(op, "security", b.security(r))
	return op
}

// isPublic reports whether nobody is refused whose request is right.
func (b *builder) isPublic(r *rest.RouteConfig) bool {
	return (r.Auth == rest.AuthNone || r.Auth == rest.AuthCorezoid) && !b.Config.CORS.Enforce
}

// subscriptionParameters describes the UUID as such.
func (b *builder) subscriptionParameters(r *rest.RouteConfig, path []*yaml.Node) *yaml.Node {
	path = slices.Clone(path)
	at := len(path) - 1
	if r.Auth == rest.AuthCorezoid {
		at -= signatureParts
	}
	if member(path[at], "name").Value == "uuid" { // else the route has a parameter of that name itself
		path[at] = b.part("parameters", "SubscriptionId")
	}
	return b.parameters(&rest.RouteConfig{Auth: r.Auth}, path)
}

// notifications describes what the receiver gets that a request has named.
func (b *builder) notifications() *yaml.Node {
	op := object(
		"summary", "The result of a task",
		"description", "It is sent again, for a day where the operator says nothing else, until the receiver answers with a 2xx, 403 or 410. Several can come at once, and in any order.",
		"parameters", list(b.part("parameters", "WebhookId"), b.part("parameters", "WebhookTimestamp"), b.part("parameters", "WebhookSignature")),
		"requestBody", object("required", true, "content", object(typeHAL, object("schema", b.part("schemas", "Notification")))),
		"responses", receiverAnswers(),
	)
	return object("notification", object("{$request.body#/callbackUrl}", object("post", op)))
}

// receiverAnswers describes what a receiver can answer.
func receiverAnswers() *yaml.Node {
	a := make(answers)
	none := object()
	later := object("Retry-After", object("description", "The next attempt comes then.", "schema", object("type", "string")))
	a.add("2XX", "The receiver has it. It does not come again.", none)
	a.add("403", "The receiver does not accept it. It does not come again.", none)
	a.add("410", "The receiver is gone. It does not come again, and the subscription ends.", none)
	a.add("429", "It comes again.", later)
	a.add("503", "It comes again.", later)
	a.add("default", "It comes again. A redirect is not followed.", none)
	return a.node()
}
