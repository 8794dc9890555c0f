package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/enginesim"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// It sleeps up to ten seconds before it sees that it is not needed any more, and then ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// TestOneCell runs a cell for real: the program, Redis, a fault that loses connections, and the report.
func TestOneCell(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "report.md")
	if err := command(t.Context(), []string{"-cells", "right after a callback", "-out", file}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Log(&out)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\| kill -9 right after a callback was acknowledged \| \d+ \| \d+ \| \d+ \|.*\| 0 \| 0 \| 0 \|`).Match(text) {
		t.Errorf("the report is\n%s", text)
	}
}

func TestMatrix(t *testing.T) {
	cells := matrix()
	if len(cells) < 25 {
		t.Errorf("%d cells", len(cells))
	}
	components := make(map[string]bool)
	names := make(map[string]bool)
	for _, c := range cells {
		if names[c.name()] || strings.ContainsAny(c.name(), ",|") {
			t.Errorf("%s cannot be chosen by its name", c.name())
		}
		if c.what == "" || c.strike == nil {
			t.Errorf("%s has no words or no fault", c.name())
		}
		names[c.name()], components[c.component] = true, true
	}
	for _, want := range []string{"gateway", "Redis", "Sentinel", "Cluster", "engine", "callback", "client", "clock"} {
		if !components[want] {
			t.Errorf("nothing happens to %s", want)
		}
	}
}

// TestReportIsOfThisMatrix wants docs/reliability.md to be of a run of all the cells that there are, in which nothing was lost.
func TestReportIsOfThisMatrix(t *testing.T) {
	b, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, c := range matrix() {
		if !strings.Contains(text, "\n| "+c.fault+" | ") || !strings.Contains(text, "- **"+title(c.component)+": "+c.fault+".** "+c.what+"\n") {
			t.Errorf("docs/reliability.md is without %s: make chaos writes it", c.name())
		}
	}
	rows := regexp.MustCompile(`(?m)^\| .* \| (\d+) \| (\d+) \| (\d+) \| [\d.]+ s \| [\d.]+ s \|$`).FindAllStringSubmatch(text, -1)
	if len(rows) != len(matrix())+1 {
		t.Errorf("%d rows, want %d and their sum", len(rows), len(matrix()))
	}
	for _, row := range rows {
		if slices.ContainsFunc(row[1:], func(n string) bool { return n != "0" }) {
			t.Errorf("it says that something went wrong: %s", row[0])
		}
	}
}

func TestChoose(t *testing.T) {
	f := func(args []string, contains string, least, most int) {
		t.Helper()
		var out bytes.Buffer
		if err := command(t.Context(), append(args, "-list"), &out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n < least || n > most || !strings.Contains(out.String(), contains) {
			t.Errorf("%v: %d cells\n%s", args, n, &out)
		}
	}
	f(nil, "clock/", len(matrix()), len(matrix()))
	f([]string{"-short"}, "Redis/", 5, 12)
	f([]string{"-cells", "Redis/full,clock/"}, "Redis/full\n", 4, 4)
	if err := command(t.Context(), []string{"-cells", "nothing of the kind"}, &bytes.Buffer{}); err == nil {
		t.Error("no cell, no error")
	}
}

// scene is a trip with one op, and what its engine has seen.
func scene(key string, heard []int, asked ...exchange) (*trip, evidence) {
	t := &trip{nonce: "n", key: key, ops: 1, timeout: time.Second, asked: asked}
	task := enginesim.Task{Ref: `"n-0"`}
	for _, status := range heard {
		task.Heard = append(task.Heard, enginesim.Answer{N: 1, At: time.Now(), Status: status})
	}
	v := evidence{tasks: make(map[string][]enginesim.Task), packages: make(map[string]int)}
	if heard != nil {
		v.tasks["n-0"] = append(v.tasks["n-0"], task)
		v.packages["n-0"] = 1
	}
	return t, v
}

func TestVerdicts(t *testing.T) {
	const (
		result  = `{"request_proc":"ok","ops":[{"proc":"ok","ref":"n-0","data":{"nonce":"n-0"}}]}`
		another = `{"request_proc":"ok","ops":[{"proc":"ok","ref":"n-0","data":{"nonce":"m-0"}}]}`
		late    = `{"request_proc":"ok","ops":[{"proc":"error","ref":"n-0","description":"Timeout for create task"}]}`
		busy    = `{"request_proc":"error","ops":[{"proc":"error","description":"Overloaded"}]}`
	)
	began := time.Now()
	reply := func(status int, body, location string) exchange {
		return exchange{how: "create", began: began, ended: began.Add(time.Millisecond), status: status, body: body, location: location, retryAfter: status == 503}
	}
	none := exchange{how: "create", began: began, ended: began.Add(time.Millisecond), err: os.ErrClosed}
	silence := exchange{how: "create", began: began, ended: began.Add(10 * time.Second), err: os.ErrDeadlineExceeded}
	f := func(want verdict, key string, heard []int, asked ...exchange) {
		t.Helper()
		trip, v := scene(key, heard, asked...)
		if got := v.judge(trip); got.verdict != want {
			t.Errorf("%s (%s), want %s", got.verdict, got.why, want)
		}
	}
	ok, timeout, retry := reply(200, result, ""), reply(200, late, "/task"), reply(503, busy, "")
	f(answered, "", []int{200}, ok)
	f(answered, "k", []int{503, 200}, ok)
	f(recovered, "k", []int{200}, none, ok)
	f(recovered, "", []int{200}, timeout, ok)
	f(timedOut, "", []int{0, 503}, timeout)
	f(refused, "", nil, retry)
	f(cut, "", []int{200}, none)
	f(cut, "", nil, none)
	f(lost, "k", []int{200}, none)
	f(lost, "k", []int{410}, none)
	f(lost, "", []int{200}, timeout)
	f(lost, "", []int{410}, timeout, timeout)
	f(hung, "k", []int{503}, silence)
	f(mistaken, "", []int{200}, reply(200, another, ""))
	f(mistaken, "k", []int{200}, none, reply(200, another, ""))
	f(mistaken, "", []int{200}, reply(200, "<html>", ""))
	f(doubled, "", []int{200}, retry)

	trip, v := scene("k", []int{200}, ok)
	v.tasks["n-0"] = append(v.tasks["n-0"], v.tasks["n-0"][0])
	if got := v.judge(trip); got.verdict != doubled {
		t.Errorf("two tasks: %s", got.verdict)
	}
	trip, v = scene("", []int{200}, ok)
	v.packages["n-0"] = 2
	if got := v.judge(trip); got.verdict != doubled {
		t.Errorf("two packages: %s", got.verdict)
	}
}

// TestLag: what is late is measured from the later of acknowledgement and end of the fault.
func TestLag(t *testing.T) {
	now := time.Now()
	f := func(want, ended, acknowledged, over time.Duration) {
		t.Helper()
		trip, v := scene("", []int{200}, exchange{ended: now.Add(ended)})
		v.tasks["n-0"][0].Heard[0].At = now.Add(acknowledged)
		if got := v.lag(trip, now.Add(over)); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(2*time.Second, 5*time.Second, time.Second, 3*time.Second)
	f(2*time.Second, 5*time.Second, 3*time.Second, time.Second)
	f(0, 2*time.Second, time.Second, 3*time.Second)
}

func TestGauge(t *testing.T) {
	const text = "# HELP a x\na 1\na_b 2\na{c=\"d\"} 3\nbad x\n"
	for name, want := range map[string]int{"a": 1, "a_b": 2, "b": -1, "bad": -1} {
		if got := gauge(strings.NewReader(text), name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
