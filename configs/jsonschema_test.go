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
		if name == "../docs/kubernetes.md" {
			continue // its blocks are values of the chart, which the tests in deploy/test render
		}
		for i, m := range block.FindAllStringSubmatch(read(t, name), -1) {
			text := m[1] + m[2]
			if regexp.MustCompile(`(?m)^(scrape_configs|apiVersion):`).MatchString(text) {
				continue // of Prometheus or Kubernetes
			}
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

// explained is what the schema says of a setting.
type explained struct {
	description    string
	must, defaults bool // an element must have it; it has a default
}

// explanations gives what the schema says of each setting below a section, by key path with [] for the elements of a list.
func explanations(section any, key string, all map[string]explained) {
	s, _ := section.(map[string]any)
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for name, v := range properties {
		p, _ := v.(map[string]any)
		at := strings.TrimPrefix(key+"."+name, ".")
		explanations(p["items"], at+"[]", all)
		explanations(p, at, all)
		if p["properties"] == nil {
			said, _ := p["description"].(string)
			_, defaults := p["default"]
			all[at] = explained{said, slices.Contains(required, any(name)), defaults}
		}
	}
}

// TestSchemaExplains wants a description of every setting, the one that reference.yaml has, and a default of each but those that an element must have, or whose
// default depends on the kind of the engine.
func TestSchemaExplains(t *testing.T) {
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]explained)
	explanations(root, "", all)
	for key, is := range all {
		if is.description == "" {
			t.Errorf("%s has no description: write a comment in reference.yaml", key)
		}
		ofKind := strings.HasPrefix(key, "engines[].") && strings.Count(key, ".") == 1
		if is.defaults == (is.must || ofKind) {
			t.Errorf("%s: default %t, required %t", key, is.defaults, is.must)
		}
	}
	if len(all) < 180 {
		t.Errorf("only %d settings", len(all))
	}
	for key, want := range map[string]string{
		"log.level":                "debug, info, warn or error. info is one line a trip.",
		"engine.api_version":       "/api/{api_version}/json/{login}/{time}/{signature} is put behind.",
		"routes[].wait.max":        "what Prefer: wait may ask for; more is capped",
		"engines[].accepted":       "statuses that say: I will call back",
		"engines[].cancel.url":     "asked when a task is cancelled: {task} is its id, {accepted.job.id} a member of the engine's answer",
		"listen.tls.key_file":      all["listen.tls.cert_file"].description,
		"access":                   "Who may call routes. None. At most 10,000, with 100 keys each.",
		"auth.credentials[].login": "as it stands in the path of a request",
	} {
		if got := all[key].description; got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
}

// TestSchemaDefaults wants the defaults that the gateway has, as a file has them, and those of engines by their kind.
func TestSchemaDefaults(t *testing.T) {
	text, err := configs.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	find := func(path string) (found any) {
		found = root
		for step := range strings.SplitSeq(path, "/") {
			switch v := found.(type) {
			case map[string]any:
				found = v[step]
			case []any:
				found = v[int(step[0]-'0')]
			}
		}
		return found
	}
	for path, want := range map[string]string{
		"timeouts/properties/default/default":                                        `"1m"`,
		"limits/properties/body/default":                                             `"1MiB"`,
		"limits/properties/ops/default":                                              `100`,
		"admin/properties/actions/default":                                           `false`,
		"auth/properties/ops/default":                                                `["create:task","modify:task"]`,
		"routes/items/properties/wait/properties/max/default":                        `"2m"`,
		"waiters/items/properties/merge/default":                                     `true`,
		"engines/items/allOf/0/if/properties/kind/const":                             `"http"`,
		"engines/items/allOf/0/then/properties/accepted/default":                     `[200,201,202,204]`,
		"engines/items/allOf/0/then/properties/merge/default":                        `false`,
		"engines/items/allOf/1/if/properties/kind/const":                             `"metrici"`,
		"engines/items/allOf/1/then/properties/merge/default":                        `true`,
		"engines/items/allOf/1/then/properties/token_attribute/default":              `"callbackToken"`,
		"engines/items/allOf/2/if/properties/kind/const":                             `"os1"`,
		"engines/items/allOf/2/then/properties/accepted/default":                     `[202]`,
		"engines/items/allOf/2/then/properties/callback_url/properties/header/const": `""`,
	} {
		got, err := json.Marshal(find("properties/" + path))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
}
