package rest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/rest"
)

func schemaFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func withSchema(file string) func(*rest.RouteConfig) {
	return func(r *rest.RouteConfig) { r.Schema = file }
}

func TestSchema(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a", withSchema(schemaFile(t, `{
		"type": "object", "required": ["amount"], "additionalProperties": false,
		"properties": {
			"amount": {"type": "number", "minimum": 0, "maximum": 100}, "name": {"type": "string", "maxLength": 3, "minLength": 1, "pattern": "^[a-z]*$"},
			"kind": {"enum": ["x"]}, "a/b~c": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, "odd": {"not": {}}}}`)))}))
	f := func(body string, want ...string) {
		t.Helper()
		_, fault := accept(t, d, "POST /a", body)
		if fault == nil {
			if len(want) > 0 {
				t.Errorf("%s is accepted", body)
			}
			return
		}
		var got []string
		for _, d := range fault.Details {
			got = append(got, d.Pointer+" "+d.Text)
		}
		slices.Sort(got)
		if fault.Status != 422 || !slices.Equal(got, want) {
			t.Errorf("%s: %d %q", body, fault.Status, got)
		}
	}
	f(`{"amount":1,"name":"abc","kind":"x","a/b~c":[1]}`)
	f("", " must have the member amount")
	f(`{}`, " must have the member amount")
	f(`[]`, " must be of type object")
	f(`{"amount":"1"}`, "/amount must be of type number")
	f(`{"amount":-1,"name":"ABCD","kind":1,"a/b~c":["x",1,2]}`, "/amount must be at least 0", "/a~1b~0c must have at most 2 elements", "/a~1b~0c/0 must be of type integer",
		"/kind must be one of the values that the schema names", "/name must have at most 3 characters", "/name must match the pattern ^[a-z]*$")
	f(`{"amount":101,"name":"","a/b~c":[],"more":1}`, " has a member that is not known", "/amount must be at most 100", "/a~1b~0c must have at least 1 elements", "/name must have at least 1 characters")
	f(`{"amount":1,"odd":1}`, "/odd must fulfil the schema")
	for _, body := range []string{`{"amount":1,"amount":"x"}`, `{"amount":1`, `{"amount":1,"name":"\ud800"}`} {
		if _, fault := accept(t, d, "POST /a", body); fault == nil || fault.Status != 400 {
			t.Errorf("%s: %v", body, fault)
		}
	}
	dst := new(fasthttp.Response)
	_, fault := accept(t, d, "POST /a", `{"amount":"1"}`)
	d.Refuse(dst, fault, "rq1")
	if p := isProblem(t, dst, 422, "schema"); fmt.Sprint(p["errors"]) != "[map[detail:must be of type number pointer:/amount]]" {
		t.Error(p)
	}
}

// TestSchemaCostsLittle: numbers that arithmetic without limits would work on for minutes are refused, and a body with many problems is
// answered with some of them.
func TestSchemaCostsLittle(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a", withSchema(schemaFile(t, `{"items":{"type":"integer","multipleOf":7}}`)))}))
	start := time.Now()
	for _, number := range []string{"1e999999", "1E-999999", "1e99999999999999999999", strings.Repeat("9", 1000), "0." + strings.Repeat("1", 1000)} {
		if _, fault := accept(t, d, "POST /a", "["+strings.Repeat(number+",", 1000)+"1]"); fault == nil || fault.Status != 422 || len(fault.Details) != 1 {
			t.Errorf("%.10s: %v", number, fault)
		}
	}
	if _, fault := accept(t, d, "POST /a", "["+strings.Repeat("1.5,", 10000)+"7e400]"); fault == nil || len(fault.Details) != 20 {
		t.Errorf("%v", fault)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

func TestProblemsOfASchema(t *testing.T) {
	f := func(want, text string) {
		t.Helper()
		got := problemsOf(config([]rest.RouteConfig{route("a", "/a", withSchema(schemaFile(t, text)))}))
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, "routes[0].schema: "+want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", text, got)
		}
	}
	f("", `{}`)
	f("", `true`)
	f("", `{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}`)
	f("", `{"$id":"https://example.com/a","$ref":"b","$defs":{"b":{"$id":"https://example.com/b"}}}`)
	f("", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`)
	f("the file is not JSON", `hunter2`)
	f("the file is not JSON", ``)
	f("the file is not a JSON Schema", `{"type":"hunter2"}`)
	f("the file is not a JSON Schema", `{"pattern":"(?=hunter2)"}`)
	f("the file is not a JSON Schema", `{"$ref":"#/hunter2"}`)
	f("the schema refers to another document", `{"$ref":"https://example.com/hunter2"}`)
	f("the schema refers to another document", `{"$ref":"http://localhost:1/hunter2"}`)
	f("the schema refers to another document", `{"$ref":"file:///etc/passwd"}`)
	f("the schema refers to another document", `{"$ref":"other.json"}`)
	f("the schema refers to another document", `{"$schema":"https://example.com/hunter2"}`)
	f("the file has 1048577 bytes", `"`+strings.Repeat("x", 1<<20-1)+`"`)
}

// TestSchemaIsLoadedOnce: a file that changes counts with the next configuration.
func TestSchemaIsLoadedOnce(t *testing.T) {
	file := schemaFile(t, `{"required":["a"]}`)
	cfg := config([]rest.RouteConfig{route("a", "/a", withSchema(file))})
	d := newDialect(t, cfg)
	if err := os.WriteFile(file, []byte(`{"required":["b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, d, "POST /a", `{"a":1}`)
	if err := d.Set(cfg); err != nil {
		t.Fatal(err)
	}
	if _, f := accept(t, d, "POST /a", `{"a":1}`); f == nil || f.Reason != dialect.BadBody {
		t.Error(f)
	}
}
