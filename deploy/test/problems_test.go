package deploy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// TestProblems wants an error that says what to do, for values that do not fit together: those of testdata/problems.yaml.
func TestProblems(t *testing.T) {
	var groups map[string][]struct {
		Want   string         `json:"want"`
		Values map[string]any `json:"values"`
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, "testdata/problems.yaml")), &groups); err != nil {
		t.Fatal(err)
	}
	for name, problems := range groups {
		t.Run(name, func(t *testing.T) {
			if len(problems) < 10 {
				t.Errorf("there are only %d problems", len(problems))
			}
			for _, p := range problems {
				_, err := render(load(t), chartutil.MergeTables(p.Values, values(t)))
				if err == nil || p.Want == "" || !strings.Contains(err.Error(), p.Want) {
					t.Errorf("%v: the error is %v, want %q", p.Values, err, p.Want)
				}
			}
		})
	}
	if len(groups) != 4 {
		t.Errorf("there are %d groups", len(groups))
	}
}

// TestNoValues wants that the chart's defaults alone are refused with what is missing first.
func TestNoValues(t *testing.T) {
	if _, err := render(load(t), nil); err == nil || !strings.Contains(err.Error(), "configuration.callback.base_url is missing") {
		t.Errorf("the error is %v", err)
	}
}

// TestEverySecretIsRefused takes every key from the schema of the configuration that has a second one with _file, which a secret has, and wants
// that no value of it gets into a ConfigMap.
func TestEverySecretIsRefused(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, repository+"configs/schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	paths := secretPaths(schema, nil)
	if len(paths) < 15 {
		t.Fatalf("there are only %d secrets: %v", len(paths), paths)
	}
	for _, path := range paths {
		var value any = "abcdefgh"
		for _, key := range slices.Backward(path) {
			switch key {
			case "[]":
				value = []any{value}
			default:
				value = map[string]any{key: value}
			}
		}
		all := chartutil.MergeTables(map[string]any{"configuration": value}, values(t))
		at := strings.ReplaceAll(strings.Join(path, "."), ".[]", "[0]")
		if _, err := render(load(t), all); err == nil || !strings.Contains(err.Error(), "configuration."+at+" has a secret") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// secretPaths gives the paths of the keys below a section that hold secrets; [] stands for an element of a list.
func secretPaths(section any, path []string) (paths [][]string) {
	if items := at(section, "items"); items != nil {
		return secretPaths(items, append(path, "[]"))
	}
	properties, _ := at(section, "properties").(map[string]any)
	for name, p := range properties {
		below := append(slices.Clone(path), name)
		paths = append(paths, secretPaths(p, below)...)
		if properties[name+"_file"] == nil || strings.HasSuffix(name, "cert") {
			continue
		}
		if list := at(p, "items"); list != nil || name == "keys" {
			below = append(below, "[]")
		}
		paths = append(paths, below)
	}
	return paths
}

// TestLinksThatAreNone wants a clear error where a checkout has texts in place of links, as on Windows.
func TestLinksThatAreNone(t *testing.T) {
	for values, want := range map[string]string{
		"prometheusRule: {enabled: true}": "files/alerts.yaml of the chart has no alerts",
		"dashboards: {enabled: true}":     "files/dashboards/login.json of the chart is no dashboard",
	} {
		c := load(t)
		for _, f := range c.Files {
			f.Data = []byte("../../../somewhere/else")
		}
		_, err := render(c, lay(t, read(t, leastFile), values))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", values, err)
		}
	}
}
