package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"syncgate/openapi"
)

// spec is a description that what goes over the wire is held against: each answer has to be one that the description has, with its status, headers and
// body, and in the end each status of the description has to have come.
type spec struct {
	t    *testing.T
	root part

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by pointer
	seen     map[string]bool               // "POST /path 200", with the path and the status as the description has them
}

// part is an object of the description, and where it is.
type part struct {
	s       *spec
	pointer string
	object  map[string]any // nil: it is not there
}

func newSpec(t *testing.T, text []byte) *spec {
	t.Helper()
	d, err := openapi.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = d.JSON(); err != nil {
		t.Fatal(err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{t: t, compiler: jsonschema.NewCompiler(), schemas: make(map[string]*jsonschema.Schema), seen: make(map[string]bool)}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource("urn:description", root); err != nil {
		t.Fatal(err)
	}
	s.root = part{s, "", root.(map[string]any)}
	return s
}

// in gives a part of a part. References are followed.
func (p part) in(names ...string) part {
	for _, name := range names {
		object, _ := p.object[name].(map[string]any)
		p = part{p.s, p.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name), object}
		if ref, ok := object["$ref"].(string); ok {
			parts := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
			p = p.s.root.in(parts...)
		}
	}
	return p
}

func (p part) text(name string) string {
	text, _ := p.object[name].(string)
	return text
}

// parameters gives those of an operation or a path.
func (p part) parameters() (all []part) {
	items, _ := p.object["parameters"].([]any)
	for i, item := range items {
		object, _ := item.(map[string]any)
		holder := part{p.s, p.pointer + "/parameters", map[string]any{strconv.Itoa(i): object}}
		all = append(all, holder.in(strconv.Itoa(i)))
	}
	return all
}

// wrong says what is wrong with a value by the schema of a part.
func (p part) wrong(value any) error {
	at := p.in("schema")
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	compiled := p.s.schemas[at.pointer]
	if compiled == nil {
		var err error
		if compiled, err = p.s.compiler.Compile("urn:description#" + (&url.URL{Fragment: at.pointer}).EscapedFragment()); err != nil {
			return err
		}
		p.s.schemas[at.pointer] = compiled
	}
	return compiled.Validate(value)
}

// exchange is a request and its answer.
type exchange struct {
	method, target string
	header         http.Header
	body           string
	answer         answer
}

// path finds the path of the description that a target is for, the one with the most literal segments. Its parameters have their values.
func (s *spec) path(target string) (path string, parameters map[string]string) {
	raw, _, _ := strings.Cut(target, "?")
	parts, best := strings.Split(raw, "/"), -1
	for name := range s.root.in("paths").object {
		found, literal, names := true, 0, make(map[string]string)
		pattern := strings.Split(name, "/")
		if len(pattern) != len(parts) {
			continue
		}
		for i, p := range pattern {
			switch {
			case strings.HasPrefix(p, "{"):
				names[strings.Trim(p, "{}")], _ = url.PathUnescape(parts[i])
				found = found && parts[i] != ""
			case p == parts[i]:
				literal++
			default:
				found = false
			}
		}
		if found && literal > best {
			path, parameters, best = name, names, literal
		}
	}
	return path, parameters
}

// operation gives that of a path.
func (s *spec) operation(method, path string) part {
	return s.root.in("paths", path, strings.ToLower(method))
}

// check holds an exchange against the description. A request that was answered well has to be one that the description has.
func (s *spec) check(e exchange) {
	s.t.Helper()
	path, inPath := s.path(e.target)
	op := s.operation(e.method, path)
	if op.object == nil {
		s.t.Errorf("%s %s is answered with %d, and the description does not have it", e.method, e.target, e.answer.status)
		return
	}
	name := e.method + " " + path
	s.checkAnswer(name, op, e.answer)
	if e.answer.status < 400 {
		for _, wrong := range op.wrongRequest(slices.Concat(s.root.in("paths", path).parameters(), op.parameters()), inPath, e) {
			s.t.Errorf("%s is answered with %d, and the description does not have the request: %s", name, e.answer.status, wrong)
		}
	}
}

// checkAnswer holds an answer against an operation.
func (s *spec) checkAnswer(name string, op part, a answer) {
	s.t.Helper()
	status := strconv.Itoa(a.status)
	for _, general := range []string{status, status[:1] + "XX", "default"} {
		one := op.in("responses", general)
		if one.object == nil {
			continue
		}
		s.mu.Lock()
		s.seen[name+" "+general] = true
		s.mu.Unlock()
		wrong := one.wrongHeaders(a.header)
		if a.status/100 != 3 || a.body != "" { // a redirect need not have one
			wrong = append(wrong, one.wrongBody(a.header.Get("Content-Type"), a.body)...)
		}
		for _, what := range wrong {
			s.t.Errorf("%s, %d: %s\n%v\n%.300s", name, a.status, what, a.header, a.body)
		}
		return
	}
	s.t.Errorf("%s is answered with %d, which the description does not have: %v %s", name, a.status, a.header, a.body)
}

// everywhere are headers of HTTP itself.
func everywhere() []string {
	return []string{"Date", "Content-Length", "Content-Type", "Connection", "Server", "Transfer-Encoding", "Allow"}
}

// wrongHeaders says which headers of an answer are missing, not known, or not as they should be. Those of CORS stand in words.
func (p part) wrongHeaders(h http.Header) (wrong []string) {
	known := make(map[string]bool)
	for _, name := range everywhere() {
		known[name] = true
	}
	for name := range p.in("headers").object {
		known[http.CanonicalHeaderKey(name)] = true
		of, value := p.in("headers", name), h.Get(name)
		switch {
		case value != "":
			if err := of.wrong(value); err != nil {
				wrong = append(wrong, fmt.Sprintf("the header %s: %v", name, err))
			}
		case of.object["required"] == true:
			wrong = append(wrong, "the header "+name+" is missing")
		}
	}
	for name := range h {
		if !known[name] && !strings.HasPrefix(name, "Access-Control-") {
			wrong = append(wrong, "the description does not have the header "+name)
		}
	}
	return wrong
}

// wrongBody says what is wrong with the body of a request or an answer.
func (p part) wrongBody(kind, body string) (wrong []string) {
	content := p.in("content")
	kind, _, _ = strings.Cut(kind, ";")
	switch {
	case content.object == nil && body == "":
		return nil
	case content.object == nil:
		return []string{"the description has no body"}
	}
	media := content.in(kind)
	if media.object == nil {
		media = content.in("*/*")
	}
	if media.object == nil {
		return []string{"the description does not have the Content-Type " + kind}
	}
	if media.in("schema").object == nil {
		return nil
	}
	value, err := valueOf(kind, body)
	if err != nil {
		return []string{err.Error()}
	}
	if err := media.wrong(value); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// valueOf reads a body as its Content-Type says.
func valueOf(kind, body string) (value any, err error) {
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return jsonschema.UnmarshalJSON(strings.NewReader(body))
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(body)
		fields := make(map[string]any)
		for name := range form {
			fields[name] = form.Get(name)
		}
		return fields, err
	}
	return body, nil
}

// wrongRequest says what of a request to an operation the description does not have.
func (p part) wrongRequest(parameters []part, inPath map[string]string, e exchange) (wrong []string) {
	_, query, _ := strings.Cut(e.target, "?")
	asked, _ := url.ParseQuery(query)
	for _, of := range parameters {
		name, value, given := of.text("name"), "", false
		switch of.text("in") {
		case "path":
			value, given = inPath[name]
		case "query":
			value, given = asked.Get(name), asked.Has(name)
		default:
			value = e.header.Get(name)
			given = value != ""
		}
		if !given {
			if of.object["required"] == true {
				wrong = append(wrong, of.text("in")+" "+name+" is missing")
			}
			continue
		}
		if err := of.wrong(typed(of.in("schema"), value)); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s %s: %v", of.text("in"), name, err))
		}
	}
	body := p.in("requestBody")
	switch {
	case body.object == nil && e.body != "":
		return append(wrong, "it has a body")
	case body.object == nil:
		return wrong
	case e.body == "" && body.object["required"] == true:
		return append(wrong, "it has no body")
	case e.body == "":
		return wrong
	}
	return append(wrong, body.wrongBody(e.header.Get("Content-Type"), e.body)...)
}

// typed reads a parameter as its schema wants it.
func typed(schema part, text string) any {
	if kind := schema.text("type"); kind == "integer" || kind == "number" {
		return json.Number(text)
	}
	return text
}

// refusesBody reports whether the description does not have a body.
func (s *spec) refusesBody(method, target, body string) bool {
	path, _ := s.path(target)
	return len(s.operation(method, path).in("requestBody").wrongBody("application/json", body)) > 0
}

// operations gives the operations of the description, as "POST /path".
func (s *spec) operations() (all []string) {
	for path := range s.root.in("paths").object {
		for _, method := range s.methodsOf(path) {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

func (s *spec) methodsOf(path string) (all []string) {
	for name := range s.root.in("paths", path).object {
		if name != "parameters" {
			all = append(all, strings.ToUpper(name))
		}
	}
	return all
}

// complete wants that each answer of the description has come, but those with these statuses, which nobody can provoke.
func (s *spec) complete(never ...string) {
	s.t.Helper()
	for _, name := range s.operations() {
		method, path, _ := strings.Cut(name, " ")
		s.wantSeen(name, s.operation(method, path), never)
	}
}

func (s *spec) wantSeen(name string, op part, never []string) {
	s.t.Helper()
	for _, status := range slices.Sorted(maps.Keys(op.in("responses").object)) {
		s.mu.Lock()
		seen := s.seen[name+" "+status]
		s.mu.Unlock()
		if !seen && !slices.Contains(never, status) {
			s.t.Errorf("%s: the description has the answer %s, which has not come", name, status)
		}
	}
}

// methods wants that a path answers with the methods that the description has for it, and no others.
func (s *spec) methods(c *client, target string) {
	s.t.Helper()
	path, _ := s.path(target)
	want, options := s.methodsOf(path), 405
	if slices.Contains(want, "GET") {
		want = append(want, "HEAD")
	}
	if path != "/healthz" && path != "/readyz" {
		want, options = append(want, "OPTIONS"), 204
	}
	slices.Sort(want)
	for method, status := range map[string]int{"OPTIONS": options, "TRACE": 405} {
		a := c.ask(s.t, method, target, "")
		got := strings.Split(strings.ReplaceAll(a.header.Get("Allow"), " ", ""), ",")
		slices.Sort(got)
		if a.status != status || !slices.Equal(got, want) {
			s.t.Errorf("%s of %s: %d, Allow: %v; the description has %v", method, target, a.status, got, want)
		}
	}
}

// sent sends a request and holds the exchange against the description.
func (s *spec) sent(c *client, method, target, body string, headers ...string) answer {
	s.t.Helper()
	header := make(http.Header)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		header.Set(name, value)
	}
	if body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequest(method, c.url+target, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return answer{}
	}
	req.Header = header.Clone()
	r, err := c.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, target, err)
		return answer{}
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, target, err)
	}
	a := answer{r.StatusCode, r.Header, string(b), r.Close}
	s.check(exchange{method, target, header, body, a})
	return a
}

// wants is sent, and wants a status.
func (s *spec) wants(status int, c *client, method, target, body string, headers ...string) answer {
	s.t.Helper()
	a := s.sent(c, method, target, body, headers...)
	if a.status != status {
		s.t.Errorf("%s %s %s: %d %s, want %d", method, target, body, a.status, a.body, status)
	}
	return a
}
