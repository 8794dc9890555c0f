package gateway_test

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
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
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			checkLabels(t, f.GetName(), labels, row.labels, string(page))
		}
	}
}

// checkLabels wants the labels that the table has, and that the page explains the values that come from closed sets.
func checkLabels(t *testing.T, metric string, labels map[string]string, documented []string, page string) {
	t.Helper()
	if names := slices.Sorted(maps.Keys(labels)); !slices.Equal(names, documented) {
		t.Errorf("%s has the labels %q, and the table says %q", metric, names, documented)
	}
	for name, value := range labels {
		closed := !slices.Contains([]string{"login", "version", "node", "code"}, name)
		if closed && !strings.Contains(page, "`"+value+"`") {
			t.Errorf("%s has the %s %q, which the page does not explain", metric, name, value)
		}
	}
}

// Counters with closed sets of labels, and those of configured logins, are there before anything has happened.
func TestMetricsFromTheStart(t *testing.T) {
	n := startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) { p.Logins = func() []string { return []string{"a", "b"} } })
	text := n.metrics()
	for _, outcome := range gateway.Outcomes() {
		for _, who := range []string{"a", "b", "unknown"} {
			if !strings.Contains(text, `syncgate_trips_total{login="`+who+`",outcome="`+outcome+`"} 0`+"\n") {
				t.Errorf("no trips of %s that are %s", who, outcome)
			}
		}
	}
	for _, sample := range []string{
		`syncgate_requests_total{route="none"}`, `syncgate_refusals_total{reason="correlator_down"}`, `syncgate_callbacks_total{outcome="kept"}`,
		`syncgate_engine_connections{state="busy"}`, `syncgate_engine_queue_length`, `syncgate_engine_breaker_open`, `syncgate_draining`,
		`syncgate_results_unsaved`, `syncgate_body_bytes{kind="request"}`, `syncgate_received_bytes_total{listener="public"}`,
	} {
		if !strings.Contains(text, "\n"+sample+" 0\n") {
			t.Errorf("no %s, or it is not 0", sample)
		}
	}
}

// The connections to all engines have one limit, the sum of theirs.
func TestLimitOfEngineConnections(t *testing.T) {
	const most = 5
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) { e.MaxConnections = most })
	wantMetric(t, r.node, `syncgate_limit_engine_connections`, float64(gateway.Default().Engine.MaxConnections+most))
}

// Gauges and byte counters show what is going on.
func TestGauges(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	first, second := n.createLater(oneOp(`{}`)), n.createLater(oneOp(`{}`))
	a := e.next(t)
	wantMetric(t, n, `syncgate_engine_connections{state="busy"}`, 1)
	wantMetric(t, n, `syncgate_engine_queue_length`, 1)
	wantMetric(t, n, `syncgate_limit_engine_connections`, 1)
	a.accept()
	b := e.next(t)
	b.accept()
	wantMetric(t, n, `syncgate_engine_connections{state="idle"}`, 1)
	wantMetric(t, n, `syncgate_engine_queue_length`, 0)
	n.callback(a.tokens[0], `1`)
	n.callback(b.tokens[0], `1`)
	got(t, first)
	got(t, second)
	for _, sample := range []string{
		`syncgate_received_bytes_total{listener="public"}`, `syncgate_sent_bytes_total{listener="public"}`, `syncgate_sent_bytes_total{listener="admin"}`,
		`syncgate_engine_received_bytes_total`, `syncgate_engine_sent_bytes_total`, `syncgate_connections{listener="public"}`,
	} {
		if v, _ := n.metric(sample); v < 1 {
			t.Errorf("%s is %v", sample, v)
		}
	}
	n.NotReady()
	wantMetric(t, n, `syncgate_draining`, 1)
}

// Paths and methods that nothing serves are counted, and leave a line at debug without what may be a secret.
func TestUnknownPathsAreCounted(t *testing.T) {
	n := start(t, newEngine(t).URL)
	n.do(http.MethodGet, "/admin/login.php", "")
	n.do(http.MethodDelete, "/readyz", "")
	n.do(http.MethodPost, "/api/1/json/1/2/"+strings.Repeat("a", 40)+"/more", "{}")
	wantMetric(t, n, `syncgate_requests_total{route="none"}`, 3)
	wantMetric(t, n, `syncgate_refusals_total{reason="path"}`, 2)
	wantMetric(t, n, `syncgate_refusals_total{reason="method"}`, 1)
	wantMetric(t, n, `syncgate_requests_total{route="ready"}`, 0)
	waitLog(t, n, `"method":"GET","path":"/admin/login.php","why":"Not found: no such path","message":"request refused"`)
	waitLog(t, n, `"path":"/api/1/json/1/2/.../more"`)
}
