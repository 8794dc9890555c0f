package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestAlerts wants the rules of deploy/prometheus as they are, but for what stands before the runbooks.
func TestAlerts(t *testing.T) {
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(read(t, "../prometheus/alerts.yaml")), &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) < 3 {
		t.Fatalf("there are %d groups", len(want.Groups))
	}
	got := one[monitoring.PrometheusRule](t, decode(t, mustRender(t, "prometheusRule: {enabled: true}")), "syncgate").Spec
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the rules are %+v", got)
	}
	const base = "https://git.example.com/blob/main"
	based := one[monitoring.PrometheusRule](t, decode(t, mustRender(t, "prometheusRule: {enabled: true, runbooks: '"+base+"/'}")), "syncgate").Spec
	for i, g := range based.Groups {
		for j, r := range g.Rules {
			if book := want.Groups[i].Rules[j].Annotations["runbook_url"]; r.Annotations["runbook_url"] != base+"/"+book || book == "" {
				t.Errorf("%s: the runbook is at %s", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
}

// TestDashboards wants the files of deploy/grafana as they are.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../grafana/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	objects := decode(t, mustRender(t, "dashboards: {enabled: true}"))
	if n := len(all[core.ConfigMap](objects)); n != len(files)+1 {
		t.Errorf("%d ConfigMaps for %d dashboards: is each of them linked in files/dashboards of the chart?", n, len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		m := one[core.ConfigMap](t, objects, "syncgate-dashboard-"+strings.TrimSuffix(name, ".json"))
		if strings.TrimSpace(m.Data["syncgate-"+name]) != strings.TrimSpace(read(t, file)) || m.Labels["grafana_dashboard"] != "1" {
			t.Errorf("%s differs, or has the labels %v", name, m.Labels)
		}
		if !json.Valid([]byte(m.Data["syncgate-"+name])) {
			t.Errorf("%s is no JSON", name)
		}
	}
}

// TestPackage wants that the chart's archive has what the links lead to, and renders as the directory does.
func TestPackage(t *testing.T) {
	c := load(t)
	file, err := chartutil.Save(c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	packed, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	const everything = "prometheusRule: {enabled: true}\ndashboards: {enabled: true}"
	got, err := render(packed, values(t, everything))
	if err != nil {
		t.Fatal(err)
	}
	if want := mustRender(t, everything); !reflect.DeepEqual(got, want) {
		t.Error("the archive makes other objects than the directory")
	}
}
