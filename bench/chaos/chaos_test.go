package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/enginesim"
	"syncgate/internal/promises"
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

// scene is a trip with one op, and what its engine has seen.
func scene(key string, heard []int, asked ...exchange) (*trip, evidence) {
	t := &trip{nonce: "n", key: key, ops: 1, timeout: time.Second, asked: asked}
	task := enginesim.Task{Ref: `"n-0"`}
	for _, status := range heard {
		task.Heard = append(task.Heard, enginesim.Answer{N: 1, At: time.Now(), Status: status})
	}
	v := evidence{make(promises.Evidence), make(map[string]int)}
	if heard != nil {
		v.Evidence["n-0"] = append(v.Evidence["n-0"], task)
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
	v.Evidence["n-0"] = append(v.Evidence["n-0"], v.Evidence["n-0"][0])
	if got := v.judge(trip); got.verdict != doubled {
		t.Errorf("two tasks: %s", got.verdict)
	}
	trip, v = scene("", []int{200}, ok)
	v.packages["n-0"] = 2
	if got := v.judge(trip); got.verdict != doubled {
		t.Errorf("two packages: %s", got.verdict)
	}
}

// A call of a route is judged by the same rules, whether its client polls or reads events.
func TestVerdictsOfARoute(t *testing.T) {
	began := time.Now()
	reply := func(status int, body string) exchange {
		return exchange{began: began, ended: began.Add(time.Millisecond), status: status, body: body, location: "/tasks/1"}
	}
	f := func(want verdict, heard []int, asked ...exchange) {
		t.Helper()
		trip, v := scene("", heard, asked...)
		trip.rest = handedOver
		if got := v.judge(trip); got.verdict != want {
			t.Errorf("%s (%s), want %s", got.verdict, got.why, want)
		}
	}
	running, result := reply(202, `{"id":"1","status":"running"}`), reply(200, `{"nonce":"n-0"}`)
	f(recovered, []int{200}, running, result)
	f(answered, []int{200}, result)
	f(lost, []int{200}, running)
	f(lost, []int{200}, running, reply(404, `{"type":"/errors/not-found"}`))
	f(mistaken, []int{200}, running, reply(200, `{"nonce":"m-0"}`))
	f(mistaken, []int{200}, running, reply(200, `<html>`))
}

// A result that is pushed is its client's when its receiver has accepted it, once.
func TestVerdictsOfAPush(t *testing.T) {
	began := time.Now()
	visit := func(n, answered int) promises.Visit {
		at := began.Add(time.Duration(n) * time.Second)
		return promises.Visit{ID: "msg_1", UUID: "1", Data: `{"nonce":"n-0"}`, Began: at, Ended: at.Add(time.Millisecond), Answered: answered}
	}
	accepted := exchange{began: began, ended: began.Add(time.Millisecond), status: 202, body: `{"_links":{}}`, location: "/tasks/1"}
	none := exchange{began: began, ended: began.Add(time.Millisecond), err: os.ErrClosed}
	f := func(want verdict, heardBy []int, h heard, asked ...exchange) {
		t.Helper()
		trip, v := scene("k", heardBy, asked...)
		trip.rest, trip.hook, trip.heard = handedOver, "http://receiver", h
		if got := v.judge(trip); got.verdict != want {
			t.Errorf("%s (%s), want %s", got.verdict, got.why, want)
		}
	}
	wrong := visit(0, 200)
	wrong.Wrong = "no signature"
	f(answered, []int{200}, heard{promises.Visits{visit(0, 200)}, 0, true}, accepted)
	f(answered, []int{200}, heard{promises.Visits{visit(0, 500), visit(5, 200)}, 0, true}, accepted)
	f(answered, []int{200}, heard{promises.Visits{visit(0, 200), visit(5, 200)}, 0, false}, accepted)
	f(recovered, []int{200}, heard{promises.Visits{visit(0, 200)}, 0, true}, none, accepted)
	f(repeated, []int{200}, heard{promises.Visits{visit(0, 200), visit(5, 200)}, 0, true}, accepted)
	f(repeated, []int{200}, heard{promises.Visits{visit(0, 0), visit(0, 200)}, 0, true}, accepted)
	f(repeated, []int{200}, heard{promises.Visits{visit(0, 200)}, 1, true}, accepted)
	f(mistaken, []int{200}, heard{promises.Visits{wrong}, 0, true}, accepted)
	f(lost, []int{200}, heard{promises.Visits{visit(0, 500)}, 0, true}, accepted)
	f(lost, []int{503}, heard{}, accepted)
	f(refused, nil, heard{}, accepted) // the engine was not asked
}

func TestEventsAreRead(t *testing.T) {
	const accepted = "id: 0\nevent: accepted\ndata: {\"id\":\"1\",\"location\":\"/tasks/1\"}\n\n:\n\n"
	f := func(stream string, status int, body string, whole bool) {
		t.Helper()
		var x exchange
		x.receiveEvents(&http.Response{Body: io.NopCloser(strings.NewReader(stream))})
		if x.status != status || x.body != body || x.location != "/tasks/1" || (x.err == nil) != whole {
			t.Errorf("%+v", x)
		}
	}
	f(accepted+"id: end\nevent: result\ndata: {\"nonce\":\"n-0\"}\n\n", 200, `{"nonce":"n-0"}`, true)
	f(accepted+"id: end\nevent: error\ndata: {}\n\n", 502, `{}`, true)
	f(accepted, 0, "", false)
}
