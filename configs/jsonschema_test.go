package configs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"syncgate/configs"
)

// jsonSchema compiles the schema of the configuration. It asks nobody.
func jsonSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(configs.SchemaID, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(configs.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge validates what has come of YAML.
func judge(t *testing.T, s *jsonschema.Schema, tree any) error {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func judgeText(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var documents []any
	if err := yaml.Load([]byte(text), &documents, yaml.WithAllDocuments()); err != nil || len(documents) > 1 {
		t.Fatalf("%d documents, %v\n%s", len(documents), err, text)
	}
	if len(documents) == 0 { // comments alone
		documents = []any{nil}
	}
	return judge(t, s, documents[0])
}

// TestSchemaFileIsGenerated holds configs/schema.json against the generator.
func TestSchemaFileIsGenerated(t *testing.T) {
	want, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("schema.json"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("configs/schema.json is not what the generator writes (%v). Write it anew: go run ./cmd/syncgate schema > configs/schema.json", err)
	}
}

// TestSchemaIsValid wants a schema that says what it is, and that is valid itself: against the meta-schema of its draft, which is compiled with it.
func TestSchemaIsValid(t *testing.T) {
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" || root["$id"] != "urn:syncgate:configuration" {
		t.Errorf("%v %v", root["$schema"], root["$id"])
	}
	if s := jsonSchema(t); s.DraftVersion != 2020 {
		t.Errorf("draft %d", s.DraftVersion)
	}
}

// TestSchemaTakesFiles validates every configuration that somebody may begin with: the reference, the examples, the files for containers and systemd, and the
// blocks of the documents.
func TestSchemaTakesFiles(t *testing.T) {
	s := jsonSchema(t)
	files := map[string]string{"reference": configs.Reference(), "comments alone": "# none\n", "sections without keys": "listen:\nroutes:\nengine: {headers: }\n"}
	for _, pattern := range []string{"examples/*.yaml", "compose/*.yaml", "../deploy/systemd/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: none, %v", pattern, err)
		}
		for _, name := range names {
			files[name] = read(t, name)
		}
	}
	blocks := 0
	for name, text := range documentBlocks(t) {
		files[name] = text
		blocks++
	}
	if blocks < 15 {
		t.Errorf("only %d blocks in the documents", blocks)
	}
	for name, text := range files {
		if err := judgeText(t, s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// documentBlocks gives the blocks of the documents that are configurations, by document and number: those in YAML, and files that a shell writes.
func documentBlocks(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var names []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md", "../clients/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, more...)
	}
	block := regexp.MustCompile("(?ms)^```ya?ml[^\n]*\n(.*?)^```|^cat > \\S+\\.yaml <<'END'\n(.*?)^END$")
	for _, name := range names {
		for i, m := range block.FindAllStringSubmatch(read(t, name), -1) {
			text := m[1] + m[2]
			if item := regexp.MustCompile(`(?m)^ *- `).FindStringIndex(text); item != nil && !regexp.MustCompile(`(?m)^\w+:`).MatchString(text) {
				text = "waiters:\n" + text // some elements of the list
			}
			all[name+" "+string(rune('A'+i))] = text
		}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExamplesNameTheSchema wants a line for editors in every example, with a path that leads to the schema.
func TestExamplesNameTheSchema(t *testing.T) {
	names, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	for _, name := range names {
		first, _, _ := strings.Cut(read(t, name), "\n")
		path, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
		if !ok {
			t.Errorf("%s begins with %q", name, first)
		} else if at := filepath.Join(filepath.Dir(name), path); at != "schema.json" {
			t.Errorf("%s names %s", name, at)
		}
	}
}

// TestSchemaExplains wants a description of every setting, the one that reference.yaml has, and a default of each but those that an element must have.
func TestSchemaExplains(t *testing.T) {
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	settings := 0
	property := func(key string) map[string]any {
		p := root
		for name := range strings.SplitSeq(key, ".") {
			name, list := strings.CutSuffix(name, "[]")
			p, _ = p["properties"].(map[string]any)[name].(map[string]any)
			if list {
				p, _ = p["items"].(map[string]any)
			}
		}
		return p
	}
	var visit func(key string, section map[string]any)
	visit = func(key string, section map[string]any) {
		required, _ := section["required"].([]any)
		properties, _ := section["properties"].(map[string]any)
		for name, v := range properties {
			p, _ := v.(map[string]any)
			at := strings.TrimPrefix(key+"."+name, ".")
			inner, _ := p["items"].(map[string]any)
			visit(at+"[]", inner)
			if p["properties"] != nil {
				visit(at, p)
				continue
			}
			settings++
			if said, _ := p["description"].(string); said == "" {
				t.Errorf("%s has no description: write a comment in reference.yaml", at)
			}
			_, there := p["default"]
			if must := slices.Contains(required, any(name)); there == must && key != "engines[]" {
				t.Errorf("%s: default %t, required %t", at, there, must)
			}
		}
	}
	visit("", root)
	if settings < 180 {
		t.Errorf("only %d settings", settings)
	}
	for key, want := range map[string]string{
		"log.level":                "debug, info, warn or error. info is one line a trip.",
		"engine.api_version":       "/api/{api_version}/json/{login}/{time}/{signature} is put behind.",
		"routes[].wait.max":        "what Prefer: wait may ask for; more is capped",
		"engines[].accepted":       "statuses that say: I will call back",
		"listen.tls.key_file":      "Certificate and key (PEM) of public and callback; both empty is plain HTTP, for a balancer that ends TLS. The files are read again every 10 s and at SIGHUP: a renewed certificate needs no restart, and one that is broken is logged and not used.",
		"access":                   "Who may call routes. None. At most 10,000, with 100 keys each.",
		"engines[].cancel":         "asked when a task is cancelled: {task} is its id, {accepted.job.id} a member of the engine's answer",
		"auth.credentials[].login": "as it stands in the path of a request",
	} {
		if got := property(key)["description"]; got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
}
