package gateway_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"syncgate/gateway"
)

// documented is a row of the table of metrics.
type documented struct {
	kind   string
	labels []string
}

// documentedMetrics reads the table in the operators' page.
func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]documented)
	row := regexp.MustCompile("(?m)^\\| `(sync[a-z_]+)` \\| (\\w+) \\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		var labels []string
		for label := range strings.SplitSeq(m[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		all[m[1]] = documented{m[2], labels}
	}
	return all
}

// Every metric is in the table of the operators' page, with its type and its labels, and every value of a label with a closed set is in that page.
func TestMetricsAreDocumented(t *testing.T) {
	e, reg := newEngine(t), prometheus.NewRegistry()
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) { p.Metrics = reg })
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	n.callback(a.tokens[0], `1`)
	got(t, reply)
	waitFor(t, func() bool { return sumOf(n, "syncgate_engine_request_duration_seconds_count", "200") == 1 })
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	table := documentedMetrics(t)
	for _, f := range families {
		row, there := table[f.GetName()]
		if !there {
			t.Errorf("%s is not in the table", f.GetName())
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); kind != row.kind {
			t.Errorf("%s is a %s, and the table says %s", f.GetName(), kind, row.kind)
		}
		if f.GetType().String() == "COUNTER" != strings.HasSuffix(f.GetName(), "_total") {
			t.Errorf("%s: counters, and they alone, end in _total", f.GetName())
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
				closed := !slices.Contains([]string{"login", "version", "node", "code"}, l.GetName())
				if closed && !strings.Contains(string(page), "`"+l.GetValue()+"`") {
					t.Errorf("%s has the %s %q, which the page does not explain", f.GetName(), l.GetName(), l.GetValue())
				}
			}
			if slices.Sort(labels); !slices.Equal(labels, row.labels) {
				t.Errorf("%s has the labels %q, and the table says %q", f.GetName(), labels, row.labels)
				break
			}
		}
	}
}
