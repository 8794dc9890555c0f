package configs_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"syncgate/configs"
)

func TestReferenceEqualsDefaults(t *testing.T) {
	got := mustLoad(t, configs.Reference())
	// An empty list and none are the same to every reader of the configuration.
	if a, b := dump(t, got), dump(t, configs.Default()); a != b {
		t.Errorf("reference.yaml is\n%s\nthe defaults are\n%s", a, b)
	}
}

func TestReferenceNamesEveryKey(t *testing.T) {
	var reference, defaults map[string]any
	unmarshal(t, configs.Reference(), &reference)
	unmarshal(t, dump(t, configs.Default()), &defaults)
	same(t, "", reference, defaults)
}

// same reports keys that only one of the trees has.
func same(t *testing.T, at string, a, b map[string]any) {
	t.Helper()
	for k, v := range a {
		w, ok := b[k]
		if !ok {
			t.Errorf("%s%s is in reference.yaml only", at, k)
		}
		inner, _ := v.(map[string]any)
		other, _ := w.(map[string]any)
		same(t, at+k+".", inner, other)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			t.Errorf("%s%s is missing in reference.yaml", at, k)
		}
	}
}

// TestReferenceExample takes the example out of its comment: it names every key of a credential, and it works.
func TestReferenceExample(t *testing.T) {
	commented := regexp.MustCompile(`(?m)^  #   (- login: .*\n(?:  #     .*\n)+)  credentials: \[\]`)
	m := commented.FindStringSubmatch(configs.Reference())
	if m == nil {
		t.Fatal("no example above credentials: []")
	}
	example := "auth:\n  credentials:\n    " + strings.ReplaceAll(m[1], "  #   ", "    ")
	c := mustLoad(t, example, "COREZOID_SECRET=s3cret")
	if got := c.Signer().Credentials[0]; got.Login != "12345" || string(got.Secret) != "s3cret" {
		t.Errorf("%q", got.Login)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[configs.Credential]()) {
		if name := f.Tag.Get("yaml"); name != "" && !strings.Contains(example, name+": ") {
			t.Errorf("the example does not name %s", name)
		}
	}
}

// TestEveryKeyHasAComment wants the why: each key or its whole section is explained.
func TestEveryKeyHasAComment(t *testing.T) {
	before := "#"
	for line := range strings.Lines(configs.Reference()) {
		key := regexp.MustCompile(`^  +(\w+):`).FindStringSubmatch(line)
		if key != nil && !strings.HasPrefix(strings.TrimSpace(before), "#") && key[1] != "api_version" && key[1] != "redis" && key[1] != "password" && key[1] != "sentinel_password" {
			t.Errorf("%s has no comment", key[1])
		}
		before = line
	}
}

func TestVariablesAreDistinct(t *testing.T) {
	var tree map[string]any
	unmarshal(t, configs.Reference(), &tree)
	seen := make(map[string]string)
	var visit func(at string, v any)
	visit = func(at string, v any) {
		section, ok := v.(map[string]any)
		for k, inner := range section {
			visit(strings.TrimPrefix(at+"."+k, "."), inner)
		}
		if name := configs.Variable(at); !ok && seen[name] != "" {
			t.Errorf("%s is the variable of %s and %s", name, at, seen[name])
		} else if !ok {
			seen[name] = at
		}
	}
	visit("", tree)
	if seen["SYNCGATE_CORRELATOR_REDIS_URL"] != "correlator.redis.url" {
		t.Errorf("%v", seen)
	}
}

func dump(t *testing.T, c *configs.Config) string {
	t.Helper()
	out, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := yaml.Load([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}
