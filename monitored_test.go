package house_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/internal/freeport"
	"syncgate/internal/redistest"
	"syncgate/internal/tlstest"
)

// query is what an expression of PromQL names.
type query struct {
	metrics  []string
	matchers []matcher
	by       []string // labels of its result; nil: those of its metrics
	grouped  bool
}

// matcher is one of a metric: label, operator and value.
type matcher struct{ metric, label, op, value string }

// parseQuery reads an expression of the subset that alerts and dashboards use. What is no function that it knows is a metric, so that
// a wrong name is found.
func parseQuery(expr string) (q query) {
	for _, m := range regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		q.grouped = true
		q.by = append(q.by, strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	expr = regexp.MustCompile(`\b(by|on) \([^)]*\)|\[\$?\w+\]`).ReplaceAllString(expr, "")
	selector := regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		for _, c := range regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			q.matchers = append(q.matchers, matcher{m[1], c[1], c[2], c[3]})
		}
	}
	words := []string{"sum", "min", "max", "count", "rate", "increase", "delta", "absent", "time", "and", "or", "end", "avg_over_time", "histogram_quantile", "label_values"}
	for _, name := range regexp.MustCompile(`\b[a-zA-Z_]\w*`).FindAllString(selector.ReplaceAllString(expr, "$1"), -1) {
		if !slices.Contains(words, name) {
			q.metrics = append(q.metrics, name)
		}
	}
	return q
}

// exposed are the metrics of the running product: the values of each label, by metric and label.
type exposed map[string]map[string][]string

// TestMonitoringNamesWhatExists runs the program with everything that has metrics, and wants that it has each metric, each label and each
// value of a label that the alerts and the dashboards name, and that the operators' page explains each metric.
func TestMonitoringNamesWhatExists(t *testing.T) {
	have := scrape(t)
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range readAlerts(t) {
		q := parseQuery(a.Expr)
		have.want(t, a.Name, &q, string(page))
		have.wantNamed(t, a.Name, &q, a.Annotations["summary"], regexp.MustCompile(`\$labels\.(\w+)`))
	}
	for file, d := range readDashboards(t) {
		for _, v := range d.Templating.List {
			if call := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition); call != nil {
				q := parseQuery(call[1])
				q.by = append(q.by, call[2])
				have.want(t, file+", "+v.Name, &q, string(page))
			} else if v.Type == "query" {
				t.Errorf("%s, %s: %q is no query that this test knows", file, v.Name, v.Definition)
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				q := parseQuery(target.Expr)
				have.want(t, file+", "+p.Title, &q, string(page))
				have.wantNamed(t, file+", "+p.Title, &q, target.Legend, regexp.MustCompile(`\{\{(\w+)\}\}`))
			}
		}
	}
}

// want wants that the metrics, labels and values of a query exist.
func (e exposed) want(t *testing.T, where string, q *query, page string) {
	t.Helper()
	if len(q.metrics) == 0 {
		t.Errorf("%s: no metric", where)
	}
	for _, name := range q.metrics {
		e.wantMetric(t, where, name, q.by, page)
	}
	for _, m := range q.matchers {
		for value := range strings.SplitSeq(m.value, "|") {
			if !e.has(m, value) {
				t.Errorf("%s: %s has no label %s with the value %s", where, m.metric, m.label, value)
			}
		}
	}
}

// wantMetric wants a metric that has labels, and that the operators' page explains.
func (e exposed) wantMetric(t *testing.T, where, name string, labels []string, page string) {
	t.Helper()
	if e[name] == nil {
		t.Errorf("%s: the product has no metric %s", where, name)
	}
	family := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
	if strings.HasPrefix(name, "sync") && !strings.Contains(page, "`"+family) {
		t.Errorf("%s: the operators' page does not explain %s", where, family)
	}
	for _, label := range labels {
		if e[name][label] == nil {
			t.Errorf("%s: %s has no label %s", where, name, label)
		}
	}
}

// has reports whether the metric of a matcher has its label, with a value: one, a pattern, or a variable of a dashboard.
func (e exposed) has(m matcher, value string) bool {
	values := e[m.metric][m.label]
	if strings.HasPrefix(value, "$") || m.label == "job" {
		return values != nil
	}
	pattern := regexp.MustCompile("^" + value + "$")
	return slices.ContainsFunc(values, func(v string) bool { return pattern.MatchString(v) })
}

// wantNamed wants that the labels which a text names are labels of the result of a query.
func (e exposed) wantNamed(t *testing.T, where string, q *query, text string, names *regexp.Regexp) {
	t.Helper()
	for _, m := range names.FindAllStringSubmatch(text, -1) {
		if q.grouped && !slices.Contains(q.by, m[1]) || !q.grouped && e[q.metrics[0]][m[1]] == nil {
			t.Errorf("%s: %q, and the result has no label %s", where, text, m[1])
		}
	}
}

// scrape gives the metrics of a gateway with Redis, TLS, a route that pushes and a waiter, after a request that has failed. up and the labels job and
// instance are Prometheus's own.
func scrape(t *testing.T) exposed {
	t.Helper()
	public, admin, route, roots := startMonitored(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ask := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+public+route, strings.NewReader(`{"a":1}`))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Api-Key", monitoredKey)
		resp, err := roots.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	}
	until(ctx, t, ask)
	var text []byte
	until(ctx, t, func() (err error) {
		text, err = get(ctx, "http://"+admin+"/metrics")
		if err == nil && !bytes.Contains(text, []byte("\nsync_api_http_request_duration_seconds_count")) {
			err = fmt.Errorf("the request is not counted yet")
		}
		return err
	})
	return parseMetrics(text)
}

// until tries again until something succeeds.
func until(ctx context.Context, t *testing.T, try func() error) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-again.C:
		}
	}
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

const monitoredKey = "a-key-of-the-monitored-shop"

// startMonitored runs the program until the end of the test. Nobody listens where its engine is.
func startMonitored(t *testing.T) (public, admin, route string, client *http.Client) {
	t.Helper()
	dir := t.TempDir()
	binary, config := filepath.Join(dir, "syncgate"), filepath.Join(dir, "c.yaml")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/syncgate").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	addrs, err := freeport.Addresses(3)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tlstest.New(t, 1, time.Now().Add(time.Hour))
	certFile, keyFile := certificate.Write(t, dir)
	text := fmt.Sprintf(`
listen: {public: %q, admin: %q, tls: {cert_file: %q, key_file: %q}}
callback: {base_url: "https://%s", keys: [%q]}
engine: {url: "http://%s"}
auth: {credentials: [{login: "12345", secret: mysecret}]}
drain: {delay: 0s}
correlator: {backend: redis, redis: {url: %q}}
routes: [{name: shop, path: /v1/shop, conv_id: 1, login: "12345", subscriptions: true}]
access: [{name: web, key: %q, routes: [shop]}]
waiters: [{name: refs, conv_id: 77, timer: 30s}]
`, addrs[0], addrs[1], certFile, keyFile, addrs[0], strings.Repeat("k", 40), addrs[2], redistest.Start(t).URL(), monitoredKey)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "serve", "--config", config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // the end of the test's context has killed it
		if t.Failed() {
			t.Logf("log:\n%s", &log)
		}
	})
	_, trust := certificate.Configs()
	transport := &http.Transport{TLSClientConfig: trust}
	t.Cleanup(transport.CloseIdleConnections)
	return addrs[0], addrs[1], "/v1/shop", &http.Client{Transport: transport}
}

// parseMetrics reads the text format of Prometheus.
func parseMetrics(text []byte) exposed {
	all := exposed{"up": {"job": {"syncgate"}, "instance": {"a"}}}
	label := regexp.MustCompile(`(\w+)="([^"]*)"`)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name := regexp.MustCompile(`^\w+`).FindString(lines.Text())
		if name == "" {
			continue
		}
		if all[name] == nil {
			all[name] = map[string][]string{"job": {"syncgate"}, "instance": {"a"}}
		}
		for _, m := range label.FindAllStringSubmatch(lines.Text(), -1) {
			all[name][m[1]] = append(all[name][m[1]], m[2])
		}
	}
	return all
}
