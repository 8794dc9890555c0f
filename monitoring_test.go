package house_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const alertsDir, dashboardsDir = "deploy/prometheus", "deploy/grafana"

// alert is a rule of alerts.yaml.
type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	loadYAML(t, filepath.Join(alertsDir, "alerts.yaml"), &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	return all
}

func loadYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// promtool runs the checker of Prometheus in a directory, and wants it to be content.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v (.ci/setup installs it): %v\n%s", args, err, out)
	}
}

// TestAlertsFire has Prometheus check the alerts, and wants of each alert a case in which it fires and one in which it does not.
func TestAlertsFire(t *testing.T) {
	promtool(t, alertsDir, "check", "rules", "alerts.yaml")
	promtool(t, alertsDir, "test", "rules", "alerts_test.yaml")
	var file struct {
		Tests []struct {
			Cases []struct {
				Name   string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	loadYAML(t, filepath.Join(alertsDir, "alerts_test.yaml"), &file)
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Alerts) > 0 {
				fires[c.Name] = true
			} else {
				quiet[c.Name] = true
			}
		}
	}
	all := readAlerts(t)
	for _, a := range all {
		if !fires[a.Name] || !quiet[a.Name] {
			t.Errorf("%s: it fires in a test: %t, it does not in another: %t", a.Name, fires[a.Name], quiet[a.Name])
		}
	}
	if len(fires) != len(all) || len(quiet) != len(all) {
		t.Errorf("%d alerts, and tests of %d and %d", len(all), len(fires), len(quiet))
	}
}

// TestAlertsHaveRunbooks wants a section of its own for each alert, and no section without its alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	const page = "docs/troubleshooting.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^### (Syncgate\w+)\n\n(.+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = m[2]
	}
	for _, a := range readAlerts(t) {
		switch {
		case a.Annotations["runbook_url"] != page+"#"+strings.ToLower(a.Name):
			t.Errorf("%s has the runbook %q", a.Name, a.Annotations["runbook_url"])
		case sections[a.Name] == "":
			t.Errorf("%s has no section %s", page, a.Name)
		case a.Annotations["summary"] == "":
			t.Errorf("%s has no summary", a.Name)
		case !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]):
			t.Errorf("%s has the severity %q", a.Name, a.Labels["severity"])
		}
		delete(sections, a.Name)
	}
	for name := range sections {
		t.Errorf("%s has a section %s, and there is no such alert", page, name)
	}
}

// datasource names where the figures of a panel come from.
type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// panel is one of a dashboard.
type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	Grid        struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	Config struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Datasource datasource `json:"datasource"`
		Expr       string     `json:"expr"`
		Legend     string     `json:"legendFormat"`
	} `json:"targets"`
}

// dashboard is a file for Grafana.
type dashboard struct {
	ID         *int    `json:"id"`
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string          `json:"name"`
			Type       string          `json:"type"`
			Datasource datasource      `json:"datasource"`
			Query      json.RawMessage `json:"query"`
			Definition string          `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

// readDashboards gives the dashboards by the names of their files.
func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	all := make(map[string]dashboard)
	files, err := filepath.Glob(filepath.Join(dashboardsDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	for _, name := range []string{"overview.json", "login.json", "redis.json", "notifications.json"} {
		if len(all[name].Panels) < 10 {
			t.Fatalf("%s has %d panels", name, len(all[name].Panels))
		}
	}
	return all
}

// TestDashboards wants dashboards that can be imported into any Grafana, with panels that say what they show.
func TestDashboards(t *testing.T) {
	uids := make(map[string]string)
	for file, d := range readDashboards(t) {
		if d.ID != nil || d.Title == "" || d.UID == "" || uids[d.UID] != "" {
			t.Errorf("%s has the id %v, the title %q, and the uid %q as %s", file, d.ID, d.Title, d.UID, uids[d.UID])
		}
		uids[d.UID] = file
		if first := d.Templating.List[0]; first.Name != "datasource" || first.Type != "datasource" || string(first.Query) != `"prometheus"` {
			t.Errorf("%s: the first variable is %+v", file, first)
		}
		wantVariables(t, file, &d)
		wantNoOverlap(t, file, d.Panels)
		wantPanels(t, file, d.Panels)
	}
}

// wantPanels wants panels that each have a number and a title of their own.
func wantPanels(t *testing.T, file string, panels []panel) {
	t.Helper()
	titles := make(map[string]bool)
	for i := range panels {
		p := &panels[i]
		if p.ID != i+1 || p.Title == "" || titles[p.Title] {
			t.Errorf("%s: panel %d has the id %d and the title %q, which another has: %t", file, i+1, p.ID, p.Title, titles[p.Title])
		}
		titles[p.Title] = true
		if p.Type != "row" {
			wantPanel(t, file, p)
		}
	}
}

// chosen is the data source that the user of a dashboard chooses.
func chosen() datasource { return datasource{"prometheus", "${datasource}"} }

func wantPanel(t *testing.T, file string, p *panel) {
	t.Helper()
	own := chosen()
	units := []string{"short", "s", "bytes", "Bps", "reqps", "ops", "cps", "cpm", "percentunit"} // of those that Grafana knows
	switch {
	case !slices.Contains([]string{"timeseries", "stat"}, p.Type):
		t.Errorf("%s, %s: the type %q is not known to this test", file, p.Title, p.Type)
	case p.Description == "" || !slices.Contains(units, p.Config.Defaults.Unit):
		t.Errorf("%s, %s: the description is %q, the unit %q", file, p.Title, p.Description, p.Config.Defaults.Unit)
	case p.Datasource != own || len(p.Targets) == 0:
		t.Errorf("%s, %s: %d targets of %v", file, p.Title, len(p.Targets), p.Datasource)
	}
	for _, target := range p.Targets {
		if target.Datasource != own {
			t.Errorf("%s, %s: a target of %v", file, p.Title, target.Datasource)
		}
		if target.Legend == "" && p.Type != "stat" {
			t.Errorf("%s, %s: a line without a name", file, p.Title)
		}
	}
}

// wantVariables wants variables of the chosen data source, and that every variable which a query names is one of these or of Grafana.
func wantVariables(t *testing.T, file string, d *dashboard) {
	t.Helper()
	known := []string{"__rate_interval", "__range"}
	for _, v := range d.Templating.List {
		known = append(known, v.Name)
		if v.Type != "datasource" && v.Datasource != chosen() {
			t.Errorf("%s, %s: a variable of %v", file, v.Name, v.Datasource)
		}
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%s, %s: there is no variable %s", file, p.Title, m[0])
				}
			}
		}
	}
}

// wantNoOverlap wants panels that lie within the 24 columns, and over no other one.
func wantNoOverlap(t *testing.T, file string, panels []panel) {
	t.Helper()
	at := make(map[[2]int]string)
	for _, p := range panels {
		if p.Grid.W < 1 || p.Grid.H < 1 || p.Grid.X < 0 || p.Grid.X+p.Grid.W > 24 {
			t.Errorf("%s, %s: it lies at %+v", file, p.Title, p.Grid)
		}
		for x := range p.Grid.W {
			for y := range p.Grid.H {
				cell := [2]int{p.Grid.X + x, p.Grid.Y + y}
				if other := at[cell]; other != "" {
					t.Fatalf("%s: %s lies over %s", file, p.Title, other)
				}
				at[cell] = p.Title
			}
		}
	}
}

// TestDashboardsAsk has Prometheus check the queries of the dashboards, as rules of their own.
func TestDashboardsAsk(t *testing.T) {
	values := strings.NewReplacer("$__rate_interval", "5m", "$__range", "3h")
	var rules []map[string]string
	for _, d := range readDashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				rules = append(rules, map[string]string{"record": fmt.Sprint("dashboards:", len(rules)), "expr": values.Replace(target.Expr)})
			}
		}
	}
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}}) // which is YAML too
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "rules.yaml")
}
