package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	strict "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is one of Kubernetes.
type object struct {
	api, kind string
	meta      meta.ObjectMeta
	plain     map[string]any // as it stands in the text
	typed     any            // a pointer to the type of Kubernetes
}

func (o object) String() string { return o.kind + " " + o.meta.Name }

// newTyped gives an empty object of a kind.
func newTyped(api, kind string) any {
	switch api + " " + kind {
	case "v1 ConfigMap":
		return new(core.ConfigMap)
	case "v1 Service":
		return new(core.Service)
	case "v1 ServiceAccount":
		return new(core.ServiceAccount)
	case "apps/v1 Deployment":
		return new(apps.Deployment)
	case "networking.k8s.io/v1 Ingress":
		return new(networking.Ingress)
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networking.NetworkPolicy)
	case "policy/v1 PodDisruptionBudget":
		return new(policy.PodDisruptionBudget)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return new(autoscaling.HorizontalPodAutoscaler)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoring.ServiceMonitor)
	case "monitoring.coreos.com/v1 PrometheusRule":
		return new(monitoring.PrometheusRule)
	default:
		return nil
	}
}

// decode reads the objects of a rendering: no field is unknown or stands twice, and what Kubernetes 1.27 wants is there.
func decode(t *testing.T, r rendering) (objects []object) {
	t.Helper()
	schemas := kubernetes(t)
	seen := make(map[string]bool)
	for name, text := range r {
		if name == "NOTES.txt" {
			continue
		}
		for _, document := range documents(text) {
			o := decodeOne(t, name, document)
			schemas.judge(t, o)
			if seen[o.String()] {
				t.Errorf("%s: there are two of %v", name, o)
			}
			seen[o.String()] = true
			wantNames(t, o)
			objects = append(objects, o)
		}
	}
	return objects
}

// documents gives the documents of a text that have more than comments.
func documents(text string) (all []string) {
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
		if regexp.MustCompile(`(?m)^[^#\s]`).MatchString(document) {
			all = append(all, document)
		}
	}
	return all
}

func decodeOne(t *testing.T, name, document string) (o object) {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict([]byte(document)) // no key stands twice
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	if err := json.Unmarshal(text, &o.plain); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	o.api, _ = o.plain["apiVersion"].(string)
	o.kind, _ = o.plain["kind"].(string)
	o.typed = newTyped(o.api, o.kind)
	if o.typed == nil {
		t.Fatalf("%s: there is no %s %s", name, o.api, o.kind)
	}
	problems, err := strict.UnmarshalStrict(text, o.typed)
	if err != nil || len(problems) > 0 {
		t.Errorf("%s: %v, %v\n%s", name, err, problems, document)
	}
	o.meta = *o.typed.(meta.ObjectMetaAccessor).GetObjectMeta().(*meta.ObjectMeta)
	return o
}

// wantNames wants names, labels and annotations that Kubernetes takes.
func wantNames(t *testing.T, o object) {
	t.Helper()
	problems := validation.IsDNS1123Subdomain(o.meta.Name)
	if o.kind == "Service" {
		problems = validation.IsDNS1035Label(o.meta.Name)
	}
	for name, value := range o.meta.Labels {
		problems = slices.Concat(problems, validation.IsQualifiedName(name), validation.IsValidLabelValue(value))
	}
	for name := range o.meta.Annotations {
		problems = append(problems, validation.IsQualifiedName(name)...)
	}
	if len(problems) > 0 {
		t.Errorf("%v: %v", o, problems)
	}
	if o.meta.Labels["app.kubernetes.io/instance"] != "syncgate" || o.meta.Namespace != "" {
		t.Errorf("%v has the labels %v and the namespace %q", o, o.meta.Labels, o.meta.Namespace)
	}
}

// schemas are those of Kubernetes 1.27, the oldest version that the chart is for.
type schemas struct{ compiler *jsonschema.Compiler }

// kubernetes gives the schemas, which take a while to read.
func kubernetes(t *testing.T) schemas {
	t.Helper()
	s, err := readSchemas()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readSchemas reads the schemas once, from a module that Helm needs anyway, and which tests itself with them.
var readSchemas = sync.OnceValues(func() (s schemas, err error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kube-openapi").Output()
	if err != nil {
		return s, fmt.Errorf("go list: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg/schemaconv/testdata/swagger.json"))
	if err != nil {
		return s, err
	}
	all, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return s, err
	}
	if version := at(all, "info", "version"); version != "v1.27.0" {
		return s, fmt.Errorf("the schemas are of Kubernetes %v", version)
	}
	definitions, _ := at(all, "definitions").(map[string]any)
	for name, d := range definitions {
		tighten(name, d)
	}
	s.compiler = jsonschema.NewCompiler()
	s.compiler.DefaultDraft(jsonschema.Draft4)
	return s, s.compiler.AddResource("kubernetes.json", map[string]any{"definitions": definitions})
})

// tighten makes an error of what a definition does not name, and takes a number where Kubernetes does too.
func tighten(name string, definition any) {
	d, _ := definition.(map[string]any)
	if strings.HasSuffix(name, ".Quantity") || strings.HasSuffix(name, ".IntOrString") {
		d["type"] = []any{"string", "number"}
		delete(d, "format")
	}
	if d["properties"] != nil {
		d["additionalProperties"] = false
	}
}

// judge validates an object, if it is one of Kubernetes itself.
func (s schemas) judge(t *testing.T, o object) {
	t.Helper()
	if strings.HasPrefix(o.api, "monitoring.") {
		return // the types of the operator have said what there is to say
	}
	group, version, ok := strings.Cut(o.api, "/")
	if !ok {
		group, version = "core", o.api
	}
	group, _, _ = strings.Cut(group, ".")
	schema, err := s.compiler.Compile(fmt.Sprintf("kubernetes.json#/definitions/io.k8s.api.%s.%s.%s", group, version, o.kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(any(o.plain)); err != nil {
		t.Errorf("%v: %v", o, err)
	}
}

// one gives the object of a type and a name.
func one[T any](t *testing.T, objects []object, name string) *T {
	t.Helper()
	for _, o := range objects {
		if typed, ok := o.typed.(*T); ok && o.meta.Name == name {
			return typed
		}
	}
	t.Fatalf("there is no %T %s", *new(T), name)
	return nil
}

// all gives the objects of a type.
func all[T any](objects []object) (some []*T) {
	for _, o := range objects {
		if typed, ok := o.typed.(*T); ok {
			some = append(some, typed)
		}
	}
	return some
}

// TestStrictly wants that decode sees what it is there to see.
func TestStrictly(t *testing.T) {
	least := mustRender(t)["deployment.yaml"]
	s := kubernetes(t)
	for old, replacement := range map[string]string{
		"  replicas: 2":       "  replica: 2",
		"  replicas: 2\n":     "  Replicas: 2\n",
		"replicas: 2":         "replicas: two",
		"path: /healthz":      "pfad: /healthz",
		"name: configuration": "nam: configuration",
		"  selector:\n":       "  select:\n",
	} {
		text := strings.Replace(least, old, replacement, 1)
		if text == least {
			t.Fatalf("there is no %q", old)
		}
		if problems(t, s, text) == "" {
			t.Errorf("%q in place of %q was not seen", replacement, old)
		}
	}
	if got := problems(t, s, least); got != "" {
		t.Error(got)
	}
}

// problems gives what the types and the schemas say of an object.
func problems(t *testing.T, s schemas, text string) string {
	t.Helper()
	var said bytes.Buffer
	document, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := strict.UnmarshalStrict(document, new(apps.Deployment))
	if err != nil || len(unknown) > 0 {
		fmt.Fprintln(&said, err, unknown)
	}
	schema, err := s.compiler.Compile("kubernetes.json#/definitions/io.k8s.api.apps.v1.Deployment")
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(document, &plain); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(plain); err != nil {
		fmt.Fprintln(&said, err)
	}
	return said.String()
}
