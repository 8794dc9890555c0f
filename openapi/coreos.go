package openapi

import (
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"syncgate/dialect/rest"
)

// coreosBody gives the schema of a body in the words of OS1. data is that of the configuration, which is of the whole body without callback; nil: none.
func (b *builder) coreosBody(r *rest.RouteConfig, data *yaml.Node) *yaml.Node {
	callback := object("type", "object", "properties", object("callback", b.part("schemas", "CoreosCallback")))
	if name := r.OS1.Batch; name != "" {
		element := object(
			"type", "object",
			"required", []string{"refID"},
			"properties", object("refID", object("type", []string{"string", "number"}, "description", "No other element has it.")),
		)
		set(member(callback, "properties"), name, object("type", "array", "minItems", 1, "maxItems", b.Config.Limits.Ops, "items", element))
		set(callback, "required", []string{name})
		set(callback, "additionalProperties", false)
		return callback
	}
	if data == nil || !isOpen(b.used["schemas/"+nameOf(data)]) {
		return callback
	}
	return object("allOf", list(data, callback))
}

// coreosAnswers adds the answers of a route in the words of OS1 that are no refusals.
func (b *builder) coreosAnswers(a answers, r *rest.RouteConfig, headers, later *yaml.Node) {
	result := b.part("schemas", "CoreosResult")
	if r.OS1.Batch != "" {
		result = object("allOf", list(result, object("properties", object("data", b.part("schemas", "CoreosBatchOutcome")))))
	}
	a.add("200", "The result.", headers, media{typeJSON, result})
	a.add("202", "The engine has the task, or may have it. Its result is sent to the URL of callback, and can be asked for at Location.", later, media{typeJSON, b.part("schemas", "CoreosAccepted")})
	b.refused(a, "The engine has refused the request, with its status.", media{typeJSON, b.part("schemas", "CoreosError")})
}

// coreosRefusals adds refusals in the words of OS1.
func (b *builder) coreosRefusals(a answers, headers *yaml.Node, statuses []int) {
	form := media{typeJSON, b.part("schemas", "CoreosError")}
	for _, r := range refusals() {
		if slices.Contains(statuses, r.status) {
			a.add(strconv.Itoa(r.status), r.text, b.refusalHeaders(headers, r.status, anything()), form)
		}
	}
}

// coreosCallbacks describes what the URL gets that a request has named.
func (b *builder) coreosCallbacks(r *rest.RouteConfig) *yaml.Node {
	own := object(
		"eventType", object("const", r.OS1.EventType),
		"service", object("const", r.OS1.Service),
	)
	required := list()
	for _, name := range slices.Sorted(maps.Keys(r.OS1.Members)) {
		set(own, name, object("const", r.OS1.Members[name]))
		required.Content = append(required.Content, toNode(name))
	}
	whole := list(b.part("schemas", "CoreosNotification"), object("properties", own, "required", required))
	if r.OS1.Batch != "" {
		whole.Content = append(whole.Content, b.part("schemas", "CoreosBatchOutcome"))
	}
	schema := object("allOf", whole)
	signature := "X-COREOS-HMAC-SIGNATURE is the hex HMAC-SHA256 of the body."
	if r.OS1.Signature == "concat-sha256" {
		signature = "X-COREOS-HMAC-SIGNATURE is the hex SHA-256 of the body with the secret behind it."
	}
	op := object(
		"summary", "The result of a task",
		"description", "It is sent again, for a day where the operator says nothing else, until the receiver answers with a 2xx, 403 or 410. "+signature,
		"parameters", list(b.part("parameters", "WebhookId"), b.part("parameters", "WebhookTimestamp"), b.part("parameters", "WebhookSignature"), b.part("parameters", "CoreosSignature")),
		"requestBody", object("required", true, "content", object(typeJSON, object("schema", schema))),
		"responses", receiverAnswers(),
	)
	return object("callback", object("{$request.body#/callback/url}", object("post", op)))
}
