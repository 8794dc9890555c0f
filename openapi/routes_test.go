package openapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"syncgate/configs"
	"syncgate/openapi"
)

// loaded reads a configuration.
func loaded(t *testing.T, text string) *configs.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := configs.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// described describes the routes of a configuration, and wants that the description is one of OpenAPI. Schemas are those of bodies, by the names of routes.
func described(t *testing.T, text string, schemas map[string]string) (*openapi3.T, string) {
	t.Helper()
	in := openapi.Input{Schemas: make(map[string][]byte)}
	for name, schema := range schemas {
		in.Schemas[name] = []byte(schema)
		file := filepath.Join(t.TempDir(), "s.json")
		if err := os.WriteFile(file, []byte(schema), 0o600); err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "SCHEMA", file)
	}
	in.Config = loaded(t, text)
	d, err := openapi.Routes(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return valid(t, out), string(out)
}

const (
	basis = `
callback: {keys: ["0123456789abcdef0123456789abcdef"]}
auth: {credentials: [{login: "12345", secret: "hunter2"}]}
engines:
  - {name: flow, kind: http, url: "https://flow.internal/x", status: {from: state}, secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", headers: {Authorization: "Bearer hunter3"}}
  - {name: box, kind: os1, url: "https://box.internal/x", headers: {X-COREOS-TID: t, X-COREOS-ACCESS: hunter4}, os1: {callback_secret: hunter5}}
  - {name: work, kind: metrici, url: "https://work.internal/x"}
  - {name: deep, kind: http, url: "https://deep.internal/x", method: PUT, callback_url: {member: a.b.c}, final: [200]}
`
	anybody = "access: [{name: shop, key: hunter6, user: u, password: hunter7, routes: [%]}]\n"
)

func route(fields string) string { return basis + "routes:\n  - {" + fields + "}\n" }

// example describes the routes of example.yaml.
func example(t *testing.T) *openapi.Document {
	t.Helper()
	c, _, err := configs.Load("example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	in := openapi.Input{Config: c, Schemas: make(map[string][]byte)}
	for i := range c.Routes {
		if file := c.Routes[i].Schema; file != "" {
			if in.Schemas[c.Routes[i].Name], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	d, err := openapi.Routes(in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFileIsCurrent holds openapi/routes.yaml against the generator.
func TestFileIsCurrent(t *testing.T) {
	want, err := example(t).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("routes.yaml"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("openapi/routes.yaml is not what the generator writes (%v). Write it anew, in openapi: go run ../cmd/syncgate openapi --config example.yaml > routes.yaml", err)
	}
}

// TestJSONSaysTheSame reads what is written in both forms: what the generator has made, and what was read.
func TestJSONSaysTheSame(t *testing.T) {
	parsed := func(text []byte) *openapi.Document {
		d, err := openapi.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, d := range map[string]*openapi.Document{"routes": example(t), "corezoid": parsed(openapi.Corezoid()), "admin": parsed(openapi.Admin())} {
		text, err := d.YAML()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		asJSON, err := d.JSON()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var a, b any
		one, two := valid(t, text), valid(t, asJSON)
		first, _ := one.MarshalJSON()
		second, _ := two.MarshalJSON()
		if json.Unmarshal(first, &a) != nil || json.Unmarshal(second, &b) != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: JSON and YAML do not say the same", name)
		}
	}
}

func TestNoRoutes(t *testing.T) {
	if _, err := openapi.Routes(openapi.Input{Config: loaded(t, basis)}); !errors.Is(err, openapi.ErrNoRoutes) {
		t.Error(err)
	}
}

// TestEveryKindOfRoute describes routes of all settings that change a description. Each description is a valid one, and shows no secret and no engine's address.
func TestEveryKindOfRoute(t *testing.T) {
	for _, fields := range []string{
		`name: a, path: "/v1/{x}/{y}", engine: flow, auth: none, methods: [GET, POST, PUT, PATCH, DELETE]`,
		`name: a, path: /v1/a, engine: flow, auth: basic, view: plain, subscriptions: true`,
		`name: a, path: /v1/a, conv_id: 1, login: "12345", auth: none, data: raw, respond: {status_header: ""}`,
		`name: a, path: "/v1/{login}/{time}", engine: flow, auth: corezoid, subscriptions: true`,
		`name: a, path: "/v1/{uuid}", engine: flow, auth: none, subscriptions: true, view: hal`,
		`name: a, path: /v1/a, engine: box, auth: none, view: os1, os1: {event_type: E, service: S, batch: items}`,
		`name: a, path: /v1/a, engine: work, auth: key, idle: 5s`,
		`name: a, path: /v1/a, engine: deep, auth: key, on_disconnect: cancel, limits: {rate: 0.5, parked: 7}`,
		`name: a, path: /v1/a, engine: flow, auth: none, states: {complete: 201, error: 422, cancel: 410, timeout: 408, active: 202, start: 203}`,
		`name: a.b-c_d, path: "/v1/caf%C3%A9/{x}", engine: flow, auth: none, wait: {default: 0s}`,
	} {
		text := route(fields)
		if !strings.Contains(fields, "auth: none") && !strings.Contains(fields, "auth: corezoid") {
			text += strings.ReplaceAll(anybody, "%", "a")
		}
		_, out := described(t, text, nil)
		for _, secret := range []string{"hunter", "whsec_MDEy", "internal/", "0123456789abcdef"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s: the description has %s", fields, secret)
			}
		}
	}
}

// TestPathsOfOneShape: a description has a path once, whatever the names of its parameters are, and has no parameter twice.
func TestPathsOfOneShape(t *testing.T) {
	d, _ := described(t, basis+`
routes:
  - {name: read, path: "/v1/{id}", methods: [GET], engine: flow, auth: none}
  - {name: write, path: "/v1/{key}", engine: flow, auth: none}
  - {name: signed, path: "/v1/{login}/x", engine: flow, auth: corezoid}
`, nil)
	item := d.Paths.Value("/v1/{id}")
	if item == nil || item.Get == nil || item.Post == nil || d.Paths.Value("/v1/{key}") != nil || item.Post.Parameters[0].Value.Name != "id" {
		t.Errorf("the paths are %v", d.Paths.Keys())
	}
	if d.Paths.Value("/v1/{login}/x/{login_}/{time}/{signature}") == nil {
		t.Errorf("the paths are %v", d.Paths.Keys())
	}
}

// TestForClients: a description for everybody says nothing of engines.
func TestForClients(t *testing.T) {
	c := loaded(t, route(`name: a, path: /v1/a, engine: flow, auth: none`))
	for _, forClients := range []bool{false, true} {
		d, err := openapi.Routes(openapi.Input{Config: c, ForClients: forClients, Title: "Ours", Version: "2026-11"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if got := valid(t, out); strings.Contains(string(out), "flow") == forClients || got.Info.Title != "Ours" || got.Info.Version != "2026-11" {
			t.Errorf("for clients %v:\n%s", forClients, out)
		}
	}
}

// TestProblemTypes: the types of problems in descriptions are those of docs/errors.
func TestProblemTypes(t *testing.T) {
	text, err := os.ReadFile("routes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	for _, m := range regexp.MustCompile(`/errors/([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
		described[m[1]] = true
	}
	pages, err := filepath.Glob("../docs/errors/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name != "README" && name != "method" && !described[name] { // whose request no description has
			t.Errorf("no description has the type %s", name)
		}
		delete(described, name)
	}
	if len(described) > 0 {
		t.Errorf("docs/errors has no page of %v", described)
	}
}

// TestBodySchemas: a schema that was a document of its own means the same as a part of the description.
func TestBodySchemas(t *testing.T) {
	for _, of := range []struct {
		schema, good, bad string
		keeps             string // what the description still has of it
	}{
		{`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","required":["n"]}}}`, `{"n":1}`, `{}`, ""},
		{`{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"integer"}}}`, `{"next":{"n":1}}`, `{"next":{"n":"x"}}`, ""},
		{`{"properties":{"n":{"$ref":"#num"}},"$defs":{"a/b~c":{"$anchor":"num","type":"integer"}}}`, `{"n":1}`, `{"n":"x"}`, ""},
		{`{"$id":"https://a.example/s","properties":{"n":{"$ref":"https://a.example/s#/$defs/a"}},"$defs":{"a":{"type":"integer"}}}`, `{"n":1}`, `{"n":"x"}`, ""},
		{`{"properties":{"$ref":{"type":"string"}},"enum":[{"$ref":"#/x"}]}`, `{"$ref":"#/x"}`, `{"$ref":"#/y"}`, `'#/x'`},
		{`{"maximum":1e2,"type":["number","object"],"multipleOf":0.5}`, `99.5`, `100.1`, "1e2"},
		{`{"type":"object","type":"string"}`, `"x"`, `{}`, ""},
		{`false`, ``, `{}`, ""},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"integer"}},"properties":{"n":{"$ref":"#/definitions/a"}}}`, `{"n":1}`, `{"n":"x"}`, "draft-07"},
		{`{"properties":{"p":{"pattern":"^\\x21-é \"'$","description":"a: b # c\nd"}}}`, ``, ``, ""},
	} {
		d, out := described(t, route(`name: a_b, path: /v1/ab, engine: flow, auth: none, schema: "SCHEMA"}
  - {name: a, path: /v1/a, engine: flow, auth: none, schema: "SCHEMA"`), map[string]string{"a": of.schema, "a_b": of.schema})
		if !strings.Contains(out, of.keeps) {
			t.Errorf("%s: the description has no %s:\n%s", of.schema, of.keeps, out)
		}
		s := d.Paths.Value("/v1/a").Post.RequestBody.Value.Content["application/json"].Schema.Value
		for body, good := range map[string]bool{of.good: true, of.bad: false} {
			var value any
			if body == "" {
				continue
			}
			if err := json.Unmarshal([]byte(body), &value); err != nil {
				t.Fatal(err)
			}
			if err := s.VisitJSON(value, openapi3.EnableJSONSchema2020()); (err == nil) != good {
				t.Errorf("%s: %s: %v", of.schema, body, err)
			}
		}
	}
}

// TestBodiesWithReceivers: members of the gateway's stand beside those of a schema that lets them.
func TestBodiesWithReceivers(t *testing.T) {
	for schema, together := range map[string]bool{
		`{"type":"object","required":["n"]}`: true, `{"type":"object","additionalProperties":false}`: false, `{"$ref":"#/$defs/a","$defs":{"a":{}}}`: false,
	} {
		d, _ := described(t, route(`name: a, path: /v1/a, engine: flow, auth: none, subscriptions: true, schema: "SCHEMA"`), map[string]string{"a": schema})
		any := d.Paths.Value("/v1/a").Post.RequestBody.Value.Content["application/json"].Schema.Value.AnyOf
		if len(any) != 2 || (len(any[1].Value.AllOf) == 2) != together {
			t.Errorf("%s: %v", schema, any)
		}
	}
}

// TestSecurity: a route says how its callers prove who they are.
func TestSecurity(t *testing.T) {
	for auth, want := range map[string]string{"key": "apiKey bearer", "basic": "basic", "none": "", "corezoid": ""} {
		text := route(`name: a, path: /v1/a, engine: flow, auth: ` + auth)
		if auth == "key" || auth == "basic" {
			text += strings.ReplaceAll(anybody, "%", "a")
		}
		d, _ := described(t, text, nil)
		for path, item := range d.Paths.Map() {
			if item.Post == nil {
				continue
			}
			if got := schemes(item.Post); got != want {
				t.Errorf("%s with %s: %s", path, auth, got)
			}
		}
	}
}

// schemes names the security schemes of an operation.
func schemes(op *openapi3.Operation) string {
	var names []string
	for _, one := range *op.Security {
		for name := range one {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
