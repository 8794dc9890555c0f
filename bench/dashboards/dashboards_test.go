//go:build unix

package dashboards_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// imagesVariable names a directory: with it the story takes three minutes, and pictures of the dashboards are written there, as dashboard-NAME.png. make dashboards sets it.
const imagesVariable = "DASHBOARD_IMAGES"

// dashboard is what this test reads of a file for Grafana.
type dashboard struct {
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
			IncludeAll bool   `json:"includeAll"`
			AllValue   string `json:"allValue"`
		} `json:"list"`
	} `json:"templating"`

	text json.RawMessage // the whole file
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Targets []struct {
		Expr   string `json:"expr"`
		Legend string `json:"legendFormat"`
	} `json:"targets"`
}

// line is what a panel draws: a value for each step, and null where there is none. A stat panel has the last one.
type line struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values"`
}

// heard are the lines of each panel of a dashboard, by the panel's id.
type heard map[int][]line

// TestDashboardsShowWhatHappens has a story happen to two gateways that a real Prometheus reads, and asks every query of every dashboard about it, as Grafana would.
func TestDashboardsShowWhatHappens(t *testing.T) {
	images, unit := os.Getenv(imagesVariable), 2*time.Second
	if images != "" {
		images, unit = filepath.Join("../..", images), 18*time.Second
	}
	w := newWorld(t, unit)
	w.short = images == ""
	shown := span{from: time.Now().Add(-2 * scrapes).Truncate(time.Second)}
	marks, end := w.tell()
	shown.to = end.Truncate(time.Second)
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	for _, file := range files {
		d := readDashboard(t, file)
		values := w.choose(d, shown)
		said := w.hear(d, values, shown)
		wantNames(t, d, said)
		if images != "" {
			drawDashboard(t, images, file, picture{d.text, values, said, marks, shown.from.Unix(), shown.to.Unix(), int(step.Seconds())})
		}
	}
	w.wantAlerts(shown)
}

func readDashboard(t *testing.T, file string) *dashboard {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dashboard{text: text}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return d
}

// hear asks all that a dashboard asks.
func (w *world) hear(d *dashboard, values map[string]string, s span) heard {
	w.t.Helper()
	said := make(heard)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := fill(target.Expr, values)
			result, err := w.query("query_range", "query", expr, "start", seconds(s.from), "end", seconds(s.to), "step", step.String())
			if err != nil {
				w.t.Errorf("%s, %s: %s: %v", d.Title, p.Title, expr, err)
			}
			var lines []line
			for _, each := range result {
				lines = append(lines, line{fill(target.Legend, each.Metric), each.steps(s)})
			}
			switch {
			case len(lines) == 0:
				w.t.Errorf("%s, %s: Prometheus has nothing for %s", d.Title, p.Title, expr)
			case !alive(lines) && (!w.short || !rare(p.Title)):
				w.t.Errorf("%s, %s: nothing but zeros in %d lines for %s", d.Title, p.Title, len(lines), expr)
			}
			said[p.ID] = append(said[p.ID], lines...)
		}
	}
	return said
}

// steps gives the values of a series by the steps of a span.
func (s *series) steps(shown span) []*float64 {
	all := make([]*float64, 1+(shown.to.Unix()-shown.from.Unix())/int64(step.Seconds()))
	for _, p := range s.Values {
		if i := int64(p.at) - shown.from.Unix(); i >= 0 && i < int64(len(all)) {
			all[i] = finite(p.value)
		}
	}
	return all
}

// finite gives nil for what cannot be drawn.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// rare names the panels that show more than zeros in the long story alone.
func rare(title string) bool {
	return slices.Contains([]string{
		"Callbacks that wait to be stored",   // which takes milliseconds
		"Looks that are late",                // with Redis away for some seconds
		"Lines of the log that were dropped", // with a megabyte of lines that nobody reads
	}, title)
}

// alive reports whether lines have more than zeros.
func alive(lines []line) bool {
	return slices.ContainsFunc(lines, func(l line) bool {
		return slices.ContainsFunc(l.Values, func(v *float64) bool { return v != nil && *v != 0 })
	})
}

// wantNames wants no two lines of one name.
func wantNames(t *testing.T, d *dashboard, said heard) {
	t.Helper()
	for _, p := range d.Panels {
		names := make(map[string]bool)
		for _, l := range said[p.ID] {
			if names[l.Name] {
				t.Errorf("%s, %s: two lines are named %q", d.Title, p.Title, l.Name)
			}
			names[l.Name] = true
		}
	}
}

// wantAlerts wants that Prometheus could evaluate each alert, and that those speak which the story is about.
func (w *world) wantAlerts(s span) {
	w.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name   string `json:"name"`
				Health string `json:"health"`
				Error  string `json:"lastError"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := w.ask(&data, "rules"); err != nil || len(data.Groups) == 0 {
		w.t.Fatalf("Prometheus has %d groups of alerts: %v", len(data.Groups), err)
	}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				w.t.Errorf("%s: %s %s", r.Name, r.Health, r.Error)
			}
		}
	}
	spoke := w.spoke(s)
	for _, name := range []string{
		"SyncgateReloadFailed", "SyncgateEngineUnreachable", "SyncgateEngineErrors", "SyncgateEngineRefuses", "SyncgateTimeouts", "SyncgateCallbacksRefused",
		"SyncgateRedisAway", "SyncgateRedisForged", "SyncgateWaiterUnauthorized", "SyncgateWaiterUnavailable", "SyncgateNotifyDead",
	} {
		if !spoke[name] {
			w.t.Errorf("%s has not spoken", name)
		}
	}
	for _, name := range []string{
		"SyncgateInternalErrors", "SyncgateOverloaded", "SyncgateParkedNearLimit", "SyncgateConnectionsNearLimit", "SyncgateBodiesNearLimit", "SyncgateNotifyOldest",
		"SyncgateNotifyUnreadable", "SyncgateNotifyOpen", "SyncgateOutboxLate", "SyncgateCertificateExpires",
	} {
		if spoke[name] {
			w.t.Errorf("%s has spoken: this is no part of the story", name)
		}
	}
}

// spoke gives the alerts that were pending or firing.
func (w *world) spoke(s span) map[string]bool {
	w.t.Helper()
	result, err := w.query("query_range", "query", "sum by (alertname, alertstate) (ALERTS)", "start", seconds(s.from), "end", seconds(s.to), "step", "1s")
	if err != nil {
		w.t.Fatal(err)
	}
	spoke := make(map[string]bool)
	for _, each := range result {
		spoke[each.Metric["alertname"]] = true
		w.t.Logf("%s was %s for %d s", each.Metric["alertname"], each.Metric["alertstate"], len(each.Values))
	}
	return spoke
}

// TestImagesOfTheDashboards: docs/operations.md shows a picture of each dashboard, and each is small.
func TestImagesOfTheDashboards(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	for _, file := range files {
		name := "images/dashboard-" + strings.TrimSuffix(filepath.Base(file), ".json") + ".png"
		info, err := os.Stat("../../docs/" + name)
		if err != nil || info.Size() > 150_000 || !strings.Contains(string(page), "]("+name+")") {
			t.Errorf("%s is not there, or large, or not shown in docs/operations.md: %v", name, err)
		}
	}
}
