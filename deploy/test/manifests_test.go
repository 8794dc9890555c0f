package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	manifestsDir = "../kubernetes"
	head         = `# Made by the chart deploy/helm/syncgate, with the values of deploy/helm/kubernetes.yaml. docs/kubernetes.md says how to use it.
# After a change there: cd deploy/test && UPDATE=1 go test -run TestManifests .
`
)

// manifests are the rendering with the values of leastFile, less the labels that are about Helm, and the checksum, which would be wrong after a change.
func manifests(t *testing.T) map[string]string {
	t.Helper()
	helms := regexp.MustCompile(`(?m)^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n`)
	checksum := regexp.MustCompile(`(?m)^ +annotations:\n +#.*\n +checksum/configuration: .*\n`)
	files := make(map[string]string)
	for name, text := range mustRender(t) {
		if name != "NOTES.txt" {
			text = checksum.ReplaceAllString(helms.ReplaceAllString(text, ""), "")
			files[name] = head + strings.TrimSpace(text) + "\n"
		}
	}
	return files
}

// TestManifests wants that deploy/kubernetes is what the chart makes. With UPDATE=1 it writes that.
func TestManifests(t *testing.T) {
	want := manifests(t)
	if os.Getenv("UPDATE") != "" {
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(manifestsDir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(manifestsDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	got := make(rendering)
	for _, file := range files {
		got[filepath.Base(file)] = read(t, file)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("deploy/kubernetes has %v", names)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("deploy/kubernetes/%s is not what the chart makes: run UPDATE=1 go test -run TestManifests .", name)
		}
	}
	wantFit(t, decode(t, got))
}

// documentedBlocks gives the blocks of docs/kubernetes.md that are marked as of a kind, by their name.
func documentedBlocks(t *testing.T, kind string) map[string]string {
	t.Helper()
	blocks := make(map[string]string)
	marked := regexp.MustCompile("(?ms)^<!-- test: " + kind + " ?(\\w*) -->\n```yaml\n(.*?)^```$")
	for _, m := range marked.FindAllStringSubmatch(read(t, repository+"docs/kubernetes.md"), -1) {
		blocks["document "+m[1]] = m[2]
	}
	return blocks
}

// documentedValues gives the values in docs/kubernetes.md.
func documentedValues(t *testing.T) map[string]string {
	t.Helper()
	blocks := documentedBlocks(t, "values")
	if n := strings.Count(read(t, repository+"docs/kubernetes.md"), "```yaml"); len(blocks) < 10 || len(blocks) != n-1 {
		t.Fatalf("docs/kubernetes.md has %d blocks of YAML, and %d are marked as values with names of their own", n, len(blocks))
	}
	return blocks
}

// TestFirstValues wants that the first values of the document are enough by themselves.
func TestFirstValues(t *testing.T) {
	out, err := render(load(t), lay(t, documentedValues(t)["document first"]))
	if err != nil {
		t.Fatal(err)
	}
	wantFit(t, decode(t, out))
}

// TestAdapterRule wants a rule for the metric that the autoscaler asks for, in the form that prometheus-adapter reads
// (its pkg/config, DiscoveryRule).
func TestAdapterRule(t *testing.T) {
	type resource struct {
		Resource string `json:"resource"`
	}
	var config struct {
		Rules []struct {
			SeriesQuery string `json:"seriesQuery"`
			Resources   struct {
				Overrides map[string]resource `json:"overrides"`
			} `json:"resources"`
			Name struct {
				Matches string `json:"matches"`
				As      string `json:"as"`
			} `json:"name"`
			MetricsQuery string `json:"metricsQuery"`
		} `json:"rules"`
	}
	if err := yaml.UnmarshalStrict([]byte(documentedBlocks(t, "adapter")["document "]), &config); err != nil {
		t.Fatal(err)
	}
	rule := config.Rules[0]
	if !regexp.MustCompile(rule.Name.Matches).MatchString("syncgate_parked_clients") || rule.Name.As != "syncgate_parked_clients" {
		t.Errorf("the rule has %+v", rule.Name)
	}
	if !strings.HasPrefix(rule.SeriesQuery, "syncgate_parked_clients{") || rule.Resources.Overrides["pod"].Resource != "pod" {
		t.Errorf("the rule has %+v", rule)
	}
}
