//go:build unix

package dashboards_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const (
	// scrapes is how often Prometheus reads the gateways, and rateInterval what Grafana makes of that: four scrapes, where its steps are as long.
	scrapes, rateInterval = time.Second, 4 * time.Second
	step                  = time.Second
)

// series is one of a result: a value of an instant query, or values of a range.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  point             `json:"value"`
	Values []point           `json:"values"`
}

// point is a value at a time, in Unix seconds.
type point struct{ at, value float64 }

// UnmarshalJSON reads [1700000000.5, "12"].
func (p *point) UnmarshalJSON(text []byte) (err error) {
	var said string
	if err = json.Unmarshal(text, &[]any{&p.at, &said}); err != nil {
		return err
	}
	p.value, err = strconv.ParseFloat(said, 64)
	return err
}

// ask asks Prometheus's API. The parameters are names and values in turn.
func (w *world) ask(into any, path string, parameters ...string) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	values := make(url.Values)
	for pair := range slices.Chunk(parameters, 2) {
		values.Set(pair[0], pair[1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.prometheus+"/api/v1/"+path+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Error    string   `json:"error"`
		Warnings []string `json:"warnings"`
		Data     any      `json:"data"`
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Error != "" || answer.Warnings != nil {
		return fmt.Errorf("%s: %s %v", resp.Status, answer.Error, answer.Warnings)
	}
	return nil
}

func (w *world) query(path string, parameters ...string) ([]series, error) {
	var data struct {
		Result []series `json:"result"`
	}
	err := w.ask(&data, path, parameters...)
	return data.Result, err
}

// span is the time that a dashboard shows.
type span struct{ from, to time.Time }

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// fill puts values where an expression, a title or a legend names variables, as Grafana does: $name, ${name} and {{label}}.
func fill(text string, values map[string]string) string {
	return regexp.MustCompile(`\$(\w+)|\$\{(\w+)\}|\{\{\s*(\w+)\s*\}\}`).ReplaceAllStringFunc(text, func(found string) string {
		value, known := values[regexp.MustCompile(`\w+`).FindString(found)]
		if !known && found[0] == '$' {
			return found
		}
		return value
	})
}

// choose gives the values of a dashboard's variables: All where there is that, and else the first value that Prometheus knows.
func (w *world) choose(d *dashboard, s span) map[string]string {
	w.t.Helper()
	chosen := map[string]string{
		"__rate_interval": rateInterval.String(), "__range": s.to.Sub(s.from).String(), "__interval": step.String(),
	}
	for _, v := range d.Templating.List {
		call := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if call == nil {
			continue // the data source
		}
		var all []string
		if err := w.ask(&all, "label/"+call[2]+"/values", "match[]", fill(call[1], chosen), "start", seconds(s.from), "end", seconds(s.to)); err != nil || len(all) == 0 {
			w.t.Fatalf("%s: %v, %v", v.Definition, all, err)
		}
		chosen[v.Name] = all[0]
		if v.IncludeAll {
			chosen[v.Name] = v.AllValue
		}
	}
	return chosen
}
