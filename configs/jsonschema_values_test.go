package configs_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"syncgate/configs"
)

// everything is a valid configuration that has an element of every list, and an engine of every kind.
const everything = `
engine: {headers: {Authorization: x}}
listen: {trusted_proxies: [10.0.0.0/8], proxy_protocol: [public]}
callback: {keys: [` + key32 + `], methods: [POST]}
forward_headers: [X-Shop]
cors: {origins: ["https://shop.example"]}
auth: {ops: ["create:task", "modify:task"], credentials: [{login: "1", secret: s3cret, secrets: [old]}]}
engines:
  - {name: flow, kind: http, url: "https://e/", method: POST, headers: {A: b}, callback_url: {header: X-Back}, accepted: [202], final: [200], result: data,
     status: {from: state, map: {done: complete}}, cancel: {method: POST, url: "https://e/cancel"}, secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}
  - {name: board, kind: metrici, url: "https://e/", body: form, node: "", auth: {user: u, password: p, password_file: ""}, task_timeout: PT2H, retention: 2h, allow_forever: false,
     token_attribute: t, parent_token_attribute: q, data_attribute: d, id_attribute: i, status_attribute: s, attribute_reference: r}
  - {name: ocean, kind: os1, url: "https://e/", headers: {X-COREOS-TID: t, X-COREOS-ACCESS: a}, os1: {callback_secret: s, callback_secret_file: "", signature: hmac-sha256}}
routes:
  - {name: transfer, path: /v1/transfers, conv_id: "1", login: "1", data: members, methods: [POST, PUT], forward_headers: [X-Shop], on_disconnect: keep,
     subscriptions: true, respond: {headers: [A, B, C]}}
  - {name: flow, path: /v1/flow, engine: flow, view: hal, states: {complete: 201}}
  - {name: ocean, path: /v1/ocean, engine: ocean, view: os1, os1: {event_type: E, service: S, members: {a: b}, signature: concat-sha256}}
access:
  - {name: shop, key: k, keys: [old], routes: [transfer, flow, ocean], origins: ["https://shop.example"], rate: 5, user: u, password: p}
waiters:
  - {name: payments, conv_id: "7", hashes: [0123456789abcdef0123456789abcdef01234567], retired_hashes: [1123456789abcdef0123456789abcdef01234567], logins: ["1"],
     path: order.id, timer: 10m, body: json, verify: {kind: hmac, secret: s, secrets: [t], secret_format: text, header: X-S, algorithm: sha256, encoding: hex}}
  - {name: hooks, conv_id: "8", timer: 10m, verify: {preset: github, secret: s}}
  - {name: basic, conv_id: "9", timer: 10m, verify: {kind: basic, user: u, password: p}}
  - {name: nets, conv_id: "10", timer: 10m, verify: {kind: networks, networks: [203.0.113.0/24]}}
notify: {signing_secrets: ["whsec_MDEyMzQ1Njc4OWFiY2RlZg=="], signing_secret: "whsec_MTEyMzQ1Njc4OWFiY2RlZg==", allow_networks: [10.1.0.0/16]}
tracing: {url: "http://127.0.0.1:4318", headers: {A: b}, attributes: {a: b}, into_task: true}
`

// tree reads everything anew.
func tree(t *testing.T, text string) (root map[string]any) {
	t.Helper()
	unmarshal(t, text, &root)
	return root
}

// place is a setting or a section: names and indices from the root.
type place []any

// String writes the key path.
func (p place) String() string {
	key := ""
	for _, step := range p {
		switch s := step.(type) {
		case int:
			key += fmt.Sprintf("[%d]", s)
		case string:
			key = strings.TrimPrefix(key+"."+s, ".")
		}
	}
	return key
}

// in gives what is there, with the sections on the way made where they are missing.
func (p place) in(root map[string]any) (holder any) {
	holder = root
	for i, step := range p[:len(p)-1] {
		switch h := holder.(type) {
		case map[string]any:
			name, _ := step.(string)
			if _, list := p[i+1].(int); h[name] == nil && !list {
				h[name] = map[string]any{}
			}
			holder = h[name]
		case []any:
			n, _ := step.(int)
			holder = h[n]
		}
	}
	return holder
}

// set puts a value there.
func (p place) set(root map[string]any, value any) {
	switch h := p.in(root).(type) {
	case map[string]any:
		name, _ := p[len(p)-1].(string)
		h[name] = value
	case []any:
		n, _ := p[len(p)-1].(int)
		h[n] = value
	default:
		panic(p.String() + " is in no list of everything: put an element there")
	}
}

// get gives what is there, nil for nothing.
func (p place) get(root map[string]any) any {
	switch h := p.in(root).(type) {
	case map[string]any:
		name, _ := p[len(p)-1].(string)
		return h[name]
	case []any:
		n, _ := p[len(p)-1].(int)
		return h[n]
	}
	return nil
}

// judgeWith validates a tree with another value at a place, and puts the old one back.
func judgeWith(t *testing.T, s *jsonschema.Schema, root map[string]any, p place, value any) error {
	t.Helper()
	before := p.get(root)
	p.set(root, value)
	err := judge(t, s, root)
	if p.set(root, before); before == nil {
		holder, _ := p.in(root).(map[string]any)
		name, _ := p[len(p)-1].(string)
		delete(holder, name)
	}
	return err
}

// distinct gives a place of each setting: where everything sets it, if it does.
func distinct(t *testing.T) []place {
	t.Helper()
	values, _ := all(t)
	root, chosen := tree(t, everything), make(map[string]place)
	for _, p := range values {
		key := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(p.String(), "[]")
		if before, there := chosen[key]; !there || before.get(root) == nil && p.get(root) != nil {
			chosen[key] = p
		}
	}
	return slices.Collect(maps.Values(chosen))
}

// places lists the single values and the sections of a tree.
func places(v any, at place, values, sections *[]place) {
	switch v := v.(type) {
	case map[string]any:
		*sections = append(*sections, at)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			places(v[name], append(slices.Clip(at), name), values, sections)
		}
	case []any:
		for i := range v {
			places(v[i], append(slices.Clip(at), i), values, sections)
		}
	default:
		*values = append(*values, at)
	}
}

// all gives every single value and every section that everything has, those with defaults too.
func all(t *testing.T) (values, sections []place) {
	t.Helper()
	c, _, err := load(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	dumped := dump(t, c)
	if err := judgeText(t, jsonSchema(t), dumped); err != nil {
		t.Errorf("what check prints: %v", err)
	}
	places(tree(t, dumped), nil, &values, &sections)
	return values, sections
}

// problemsAt gives what Load says of a key, and of all keys.
func problemsAt(t *testing.T, root map[string]any, key string) (at, every []string) {
	t.Helper()
	text, err := yaml.Dump(root)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "c.yaml", string(text))
	_, _, err = configs.Load("c.yaml", nil)
	found, _ := errors.AsType[configs.Problems](err)
	for _, p := range found {
		every = append(every, p.Key+": "+p.Text)
		if p.Key == key {
			at = append(at, p.Text)
		}
	}
	return at, every
}

// TestSchemaAgreesWithLoad puts all kinds of values into every setting. What the schema refuses Load refuses, and what Load refuses for its type the schema
// refuses.
func TestSchemaAgreesWithLoad(t *testing.T) {
	s := jsonSchema(t)
	places := distinct(t)
	root, refused := tree(t, everything), 0
	for _, value := range []any{"5x", "", -1, 0, 1.5, 2.0, true, "10s", "1KiB", nil, []any{}, map[string]any{}} {
		said := problemsWith(t, places, value)
		for _, p := range places {
			at := said[p.String()]
			switch err := judgeWith(t, s, root, p, value); {
			case err != nil:
				refused++
				if len(at) == 0 && len(problemsWith(t, []place{p}, value)) == 0 {
					t.Errorf("%s: %#v is refused by the schema alone: %v", p, value, err)
				}
			case slices.ContainsFunc(at, isOfType):
				t.Errorf("%s: %#v is refused by Load alone: %q", p, value, at)
			}
		}
	}
	if len(places) < 180 || refused < 800 {
		t.Errorf("only %d places, %d refused", len(places), refused)
	}
}

// problemsWith gives what Load says of everything with another value at some places, by key. A load takes long, and finds every problem.
func problemsWith(t *testing.T, at []place, value any) map[string][]string {
	t.Helper()
	root, said := tree(t, everything), make(map[string][]string)
	for _, p := range at {
		p.set(root, value)
	}
	_, every := problemsAt(t, root, "")
	for _, problem := range every {
		key, text, _ := strings.Cut(problem, ": ")
		said[key] = append(said[key], text)
	}
	return said
}

// isOfType reports whether a problem is about the type of a value.
func isOfType(text string) bool {
	return slices.ContainsFunc([]string{
		"must be true or false", "must be a whole number", "must be a number of bytes", "must be a duration with its unit", "must be a single value", "has no value", "must not be in quotes",
	}, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

// TestWords wants that the schema takes the words that Load names, and no others.
func TestWords(t *testing.T) {
	s := jsonSchema(t)
	root, settings := tree(t, everything), 0
	for _, p := range distinct(t) {
		if _, text := p.get(root).(string); !text && p.get(root) != nil {
			continue
		}
		wrong := tree(t, everything)
		p.set(wrong, "no-such-word")
		at, every := problemsAt(t, wrong, p.String())
		err := judgeWith(t, s, root, p, "no-such-word")
		if err != nil && len(every) == 0 {
			t.Errorf("%s: a word is refused by the schema alone: %v", p, err)
		}
		for _, text := range at {
			if list, ok := strings.CutPrefix(text, "must be one of: "); ok {
				settings++
				wantWords(t, s, p, strings.Split(list, ", "))
			}
		}
	}
	if settings < 22 {
		t.Errorf("only %d settings have words", settings)
	}
}

// wantWords wants that the schema takes these words at a place, and one that is empty at most.
func wantWords(t *testing.T, s *jsonschema.Schema, p place, words []string) {
	t.Helper()
	root := tree(t, everything)
	if judgeWith(t, s, root, p, "no-such-word") == nil {
		t.Errorf("%s takes any word", p)
	}
	if p[0] == "engines" && p[len(p)-1] == "kind" {
		return // the other keys depend on it: TestSchemaKnowsKinds has each
	}
	for _, word := range words {
		if err := judgeWith(t, s, root, p, strings.TrimSpace(word)); err != nil {
			t.Errorf("%s: %s is refused: %v", p, word, err)
		}
	}
	for _, word := range schemaWords(t, p) {
		if named := func(w string) bool { return strings.TrimSpace(w) == word }; word != "" && !slices.ContainsFunc(words, named) {
			t.Errorf("%s: the schema takes %s, which Load does not name: %q", p, word, words)
		}
	}
}

// schemaWords gives the words that the schema has at a place.
func schemaWords(t *testing.T, p place) (words []string) {
	t.Helper()
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var at map[string]any
	unmarshal(t, string(text), &at)
	for _, step := range p {
		if name, ok := step.(string); ok {
			at, _ = at["properties"].(map[string]any)
			at, _ = at[name].(map[string]any)
		} else {
			at, _ = at["items"].(map[string]any)
		}
	}
	either, _ := at["anyOf"].([]any)
	first, _ := either[0].(map[string]any)
	list, _ := first["enum"].([]any)
	for _, word := range list {
		words = append(words, fmt.Sprint(word))
	}
	return words
}

// TestSchemaTakesVariables puts a variable where anything stands.
func TestSchemaTakesVariables(t *testing.T) {
	s := jsonSchema(t)
	root := tree(t, everything)
	for _, p := range distinct(t) {
		for _, text := range []string{"${NAME}", "1${NAME}"} {
			if err := judgeWith(t, s, root, p, text); err != nil {
				t.Errorf("%s: %s is refused: %v", p, text, err)
			}
		}
		if err := judgeWith(t, s, root, p, "${1}"); err == nil && judgeWith(t, s, root, p, "x") != nil {
			t.Errorf("%s: takes what is no variable", p)
		}
	}
}

// TestSchemaRefusesKeys puts a key that there is not into every section, and something else in its place.
func TestSchemaRefusesKeys(t *testing.T) {
	s := jsonSchema(t)
	_, sections := all(t)
	n := 0
	for _, p := range sections {
		if last := p.String(); strings.HasSuffix(last, ".headers") || strings.HasSuffix(last, ".map") || strings.HasSuffix(last, ".members") || strings.HasSuffix(last, ".attributes") {
			continue // whose names the file chooses
		}
		n++
		root := tree(t, everything)
		if err := judgeWith(t, s, root, append(slices.Clip(p), "misspelt"), "1"); err == nil || !strings.Contains(err.Error(), "misspelt") {
			t.Errorf("%s: %v", p, err)
		}
		if len(p) > 0 && (judgeWith(t, s, root, p, "text") == nil || judgeWith(t, s, root, p, []any{"text"}) == nil) {
			t.Errorf("%s: a text or a list is not refused", p)
		}
	}
	if n < 50 {
		t.Errorf("only %d sections", n)
	}
}

// TestSchemaRefusesListsThatAreNone wants a list or names where one of them belongs.
func TestSchemaRefusesListsThatAreNone(t *testing.T) {
	s := jsonSchema(t)
	for _, text := range []string{
		"routes: x", "routes: {}", "routes: [x]", "routes: [null]", "access: 1", "engines: [[]]", "waiters: true", "callback: {keys: x}", "callback: {methods: {a: b}}",
		"engine: {headers: [a]}", "engine: {headers: {a: [b]}}", "auth: {ops: create}", "auth: {ops: [create]}", "notify: {signing_secrets: x}", "[]", "x",
		"routes: [{name: a, path: /a, states: {done: 200}}]", "routes: [{name: a, path: /a, states: {error: x}}]",
		"engines: [{name: a, kind: http, url: x, status: {map: {a: done}}}]", "waiters: [{name: a, conv_id: 1, timer: 1m, key: data}]",
	} {
		if judgeText(t, s, text) == nil {
			t.Errorf("%s is not refused", text)
		}
	}
}

// TestSchemaWantsWhatElementsNeed takes away one key of an element: schema and Load refuse what is left, or neither.
func TestSchemaWantsWhatElementsNeed(t *testing.T) {
	s := jsonSchema(t)
	t.Chdir(t.TempDir())
	n := 0
	for list, names := range map[string][]string{
		"engines": {"name", "kind", "url"}, "routes": {"name", "path"}, "access": {"name", "routes"}, "waiters": {"name", "conv_id", "timer"},
	} {
		for _, name := range names {
			root := tree(t, everything)
			element, _ := place{list, 0, name}.in(root).(map[string]any)
			delete(element, name)
			at, _ := problemsAt(t, root, list+"[0]."+name)
			if err := judge(t, s, root); err == nil || len(at) == 0 {
				t.Errorf("%s without %s: %v, %q", list, name, err, at)
			}
			n++
		}
	}
	root := tree(t, everything)
	place{"auth", "credentials", 0}.set(root, map[string]any{"secret": "x"})
	if at, every := problemsAt(t, root, "auth.credentials[0].login"); judge(t, s, root) == nil || len(every) == 0 {
		t.Errorf("a credential without a login: %q", at)
	}
}

// TestSchemaKnowsKinds gives an engine of each kind the keys of the others: the schema refuses what Load wants to have removed, and nothing else.
func TestSchemaKnowsKinds(t *testing.T) {
	s := jsonSchema(t)
	t.Chdir(t.TempDir())
	engines := map[string]string{
		"http":    "{name: e, kind: http, url: 'https://e/'}",
		"metrici": "{name: e, kind: metrici, url: 'https://e/'}",
		"os1":     "{name: e, kind: os1, url: 'https://e/', headers: {X-COREOS-TID: t, X-COREOS-ACCESS: a}}",
	}
	keys := map[string]any{ //nolint:gosec // these secrets are nobody's
		"callback_url": map[string]any{"header": "X-Back"}, "result": "data.items", "status": map[string]any{"from": "state"}, "accepted": []any{202}, "merge": true,
		"os1": map[string]any{"callback_secret": "s"}, "task_timeout": "PT2H", "retention": "2h", "allow_forever": true, "body": "json", "node": "1.2",
		"auth": map[string]any{"user": "u", "password": "p"}, "token_attribute": "a", "parent_token_attribute": "b", "data_attribute": "c", "id_attribute": "d",
		"status_attribute": "e", "attribute_reference": "f", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "proxy": "none", "timeout": "1s",
	}
	foreign := 0
	for kind, text := range engines {
		for key, value := range keys {
			root := tree(t, "engines: ["+text+"]")
			place{"engines", 0, key}.set(root, value)
			at, _ := problemsAt(t, root, "engines[0]."+key)
			remove := slices.ContainsFunc(at, func(text string) bool { return strings.HasSuffix(text, "remove it") })
			if err := judge(t, s, root); (err != nil) != remove {
				t.Errorf("%s of kind %s: %v, and Load says %q", key, kind, err, at)
			}
			if remove {
				foreign++
			}
		}
	}
	if foreign < 25 {
		t.Errorf("only %d keys are of other kinds", foreign)
	}
}
