// Package deploy_test tests what is in deploy/helm and deploy/kubernetes. It is a module of its own, as Helm and Kubernetes are no
// dependencies of the product.
package deploy_test

import (
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

const (
	repository = "../../"
	chartDir   = "../helm/syncgate"
	leastFile  = "../helm/kubernetes.yaml" // the values that an installation needs at least
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // Helm's library has a line for each file that is a link
	os.Exit(m.Run())
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values lays texts of values over those of leastFile, as several -f of Helm do.
func values(t *testing.T, texts ...string) map[string]any {
	t.Helper()
	return lay(t, append([]string{read(t, leastFile)}, texts...)...)
}

func lay(t *testing.T, texts ...string) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, text := range texts {
		more, err := chartutil.ReadValues([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		all = chartutil.MergeTables(more, all)
	}
	return all
}

// rendering is what Helm makes of the chart: the text of each template that has one, by its name.
type rendering map[string]string

func render(c *chart.Chart, values map[string]any) (rendering, error) {
	release := chartutil.ReleaseOptions{Name: "syncgate", Namespace: "default", Revision: 1, IsInstall: true}
	top, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities.Copy())
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, top)
	if err != nil {
		return nil, err
	}
	out := make(rendering)
	for name, text := range texts {
		if strings.TrimSpace(text) != "" {
			out[path.Base(name)] = text
		}
	}
	return out, nil
}

func mustRender(t *testing.T, texts ...string) rendering {
	t.Helper()
	out, err := render(load(t), values(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// variants are values of many kinds, each of which has to make valid objects. Each is laid over leastFile.
func variants(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"least":           "{}",
		"alone":           "replicas: 1\nstrategy: {type: Recreate, rollingUpdate: null}\nconfiguration: {correlator: {backend: memory, redis: null}}",
		"no policy":       "networkPolicy: {enabled: false}",
		"no policy, open": "networkPolicy: {enabled: false}\nadmin: {withoutNetworkPolicy: true}\nserviceMonitor: {enabled: true}",
		"names":           "nameOverride: gate\nfullnameOverride: a-name-of-sixty-letters-that-is-far-too-long-for-any-service",
		"image":           "image: {digest: 'sha256:" + strings.Repeat("0f", 32) + "', pullSecrets: [{name: registry}]}",
		"account":         "serviceAccount: {create: false, name: other}",
		"numbers":         "replicas: 12\nconfiguration: {limits: {parked: 12000000, results: 1GiB}}\nterminationGracePeriodSeconds: 1000",
		"files":           "files: {card.json: '{\"type\": \"object\"}'}\nconfiguration: {routes: [{name: a, path: /a, engine: corezoid, auth: corezoid, conv_id: '1', schema: /etc/syncgate/card.json}]}",
		"cluster":         "configuration: {correlator: {redis: {mode: cluster}}}\nnetworkPolicy: {egress: {redis: {ports: [7000, 7001]}}}",
		"everything": `
commonLabels: {team: payments}
podLabels: {tier: edge}
podAnnotations: {note: "yes"}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: edge, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]}}}
priorityClassName: high
hostAliases: [{ip: 10.0.0.1, hostnames: [engine.internal]}]
dnsConfig: {options: [{name: ndots, value: "2"}]}
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}, {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
extraEnvFrom: [{configMapRef: {name: more}}]
extraVolumes: [{name: tmp, emptyDir: {}}]
extraVolumeMounts: [{name: tmp, mountPath: /tmp}]
extraContainers: [{name: log, image: log}]
initContainers: [{name: wait, image: wait}]
podDisruptionBudget: {maxUnavailable: 20%}
autoscaling: {enabled: true}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}, runbooks: "https://git.example.com/blob/main/"}
dashboards: {enabled: true, annotations: {folder: syncgate}}
service: {public: {type: LoadBalancer, annotations: {a: b}, extra: {externalTrafficPolicy: Local}}, callback: {type: NodePort}}
`,
	}
	maps.Copy(all, documentedValues(t))
	return all
}

// TestLint wants no complaint of Helm about the chart, but that it has no icon.
func TestLint(t *testing.T) {
	for name, text := range variants(t) {
		for _, m := range lint.All(chartDir, values(t, text), "default", true).Messages {
			if m.Severity > support.InfoSev || m.Path != "Chart.yaml" {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestVersions wants a chart for the versions of Kubernetes that the document names.
func TestVersions(t *testing.T) {
	c := load(t)
	for version, want := range map[string]bool{"v1.26.15": false, "v1.27.0": true, "v1.27.3-gke.100": true, "v1.37.2": true} {
		if got := chartutil.IsCompatibleRange(c.Metadata.KubeVersion, version); got != want {
			t.Errorf("%s is compatible with %s: %t", c.Metadata.KubeVersion, version, got)
		}
	}
}

// TestObjects wants of all variants that every object is one that Kubernetes knows, and that they fit each other.
func TestObjects(t *testing.T) {
	for name, text := range variants(t) {
		t.Run(name, func(t *testing.T) {
			objects := decode(t, mustRender(t, text))
			wantFit(t, objects)
			kinds := make(map[string]int)
			for _, o := range objects {
				kinds[o.kind]++
			}
			if kinds["Deployment"] != 1 || kinds["ConfigMap"] < 1 || kinds["Service"] < 2 {
				t.Errorf("there are %v", kinds)
			}
		})
	}
}

// TestKinds wants the objects that some values turn on and off, and no others.
func TestKinds(t *testing.T) {
	least := []string{
		"ConfigMap syncgate", "Deployment syncgate", "NetworkPolicy syncgate", "NetworkPolicy syncgate-callback", "PodDisruptionBudget syncgate",
		"Service syncgate", "Service syncgate-admin", "Service syncgate-callback", "ServiceAccount syncgate",
	}
	for text, want := range map[string][]string{
		"{}": least,
		"networkPolicy: {enabled: false}\npodDisruptionBudget: {enabled: false}\nserviceAccount: {create: false}": {
			"ConfigMap syncgate", "Deployment syncgate", "Service syncgate", "Service syncgate-callback",
		},
		"autoscaling: {enabled: true}":    append([]string{"HorizontalPodAutoscaler syncgate"}, least...),
		"serviceMonitor: {enabled: true}": append([]string{"ServiceMonitor syncgate"}, least...),
		"prometheusRule: {enabled: true}": append([]string{"PrometheusRule syncgate"}, least...),
		"dashboards: {enabled: true}": append([]string{
			"ConfigMap syncgate-dashboard-login", "ConfigMap syncgate-dashboard-notifications", "ConfigMap syncgate-dashboard-overview", "ConfigMap syncgate-dashboard-redis",
		}, least...),
		"ingress: {public: {enabled: true, hosts: [a.example.com]}}":   append([]string{"Ingress syncgate"}, least...),
		"ingress: {callback: {enabled: true, hosts: [b.example.com]}}": append([]string{"Ingress syncgate-callback"}, least...),
	} {
		var got []string
		for _, o := range decode(t, mustRender(t, text)) {
			got = append(got, o.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s makes\n%v, want\n%v", text, got, want)
		}
	}
}

// TestNotes wants notes that name the right addresses.
func TestNotes(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "2 pods, each with 75 s to end",
		"ingress: {public: {enabled: true, hosts: [a.example.com], tlsSecret: x}}": "https://a.example.com",
		"autoscaling: {enabled: true}":                                             "2 to 10 pods",
		"secrets: {files: [{name: syncgate}, {name: t}]}\nconfiguration: {listen: {tls: {cert_file: /secrets/t/tls.crt, key_file: /secrets/t/tls.key}}}": "Clients        https://syncgate.",
		"networkPolicy: {enabled: false}":                                      "everybody in the cluster reaches the callback port.\n",
		"networkPolicy: {enabled: false}\nadmin: {withoutNetworkPolicy: true}": "and the admin port, unless",
		"service: {callback: {port: 8888}}":                                    "syncgate-callback, port 8888",
	} {
		if notes := mustRender(t, text)["NOTES.txt"]; !strings.Contains(notes, want) {
			t.Errorf("%s: the notes do not have %q:\n%s", text, want, notes)
		}
	}
}

// at gives what is at a path of keys in a decoded text.
func at(v any, keys ...any) any {
	for _, key := range keys {
		switch key := key.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			s, _ := v.([]any)
			if key >= len(s) {
				return nil
			}
			v = s[key]
		default:
			return fmt.Errorf("%v is no key", key)
		}
	}
	return v
}
