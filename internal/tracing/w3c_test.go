package tracing_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/gateway"
	"syncgate/internal/otlptest"
)

const (
	theirTrace  = "0af7651916cd43dd8448eb211c80319c"
	theirSpan   = "b7ad6b7169203331"
	theirParent = "00-" + theirTrace + "-" + theirSpan + "-01"
)

// begin gives the trace of a request with headers, and what its engine would get.
func begin(t gateway.Tracer, headers ...string) (*gateway.Trace, *fasthttp.RequestHeader) {
	h := &fasthttp.RequestHeader{}
	h.SetMethod("POST")
	h.SetRequestURI("/v1/shop")
	for pair := range slices.Chunk(headers, 2) {
		h.Add(pair[0], pair[1])
	}
	return t.Begin(h), h
}

// TestTraceparent goes on with what clients may send.
func TestTraceparent(t *testing.T) {
	c := otlptest.Start(t)
	tracer, _ := start(t, c, nil)
	good := func(parent, flags string) {
		t.Helper()
		trace, h := begin(tracer, "Traceparent", parent)
		got := string(h.Peek("traceparent"))
		if !strings.HasPrefix(got, "00-"+theirTrace+"-") || !strings.HasSuffix(got, "-"+flags) || len(got) != 55 || trace.Traceparent != got {
			t.Errorf("%s: the engine gets %s", parent, got)
		}
		if flags == "01" && (strings.Contains(got, theirSpan) || !strings.HasPrefix(trace.Request, "00-"+theirTrace+"-")) {
			t.Errorf("%s: the engine gets %s, and the request is %s", parent, got, trace.Request)
		}
		if flags == "00" && (trace.Request != "" || !strings.Contains(got, theirSpan)) {
			t.Errorf("%s: the engine gets %s, and the request is %q", parent, got, trace.Request)
		}
	}
	good(theirParent, "01")
	good("00-"+theirTrace+"-"+theirSpan+"-00", "00")
	good("00-"+theirTrace+"-"+theirSpan+"-03", "01") // a flag that is not known
	good("00-"+theirTrace+"-"+theirSpan+"-fe", "00")
	good("cc-"+theirTrace+"-"+theirSpan+"-01-what-comes-later", "01")
	good("cc-"+theirTrace+"-"+theirSpan+"-01", "01")
}

// TestForgedTraceparent begins a new trace with whatever breaks a rule.
func TestForgedTraceparent(t *testing.T) {
	c := otlptest.Start(t)
	tracer, _ := start(t, c, nil)
	bad := func(lines ...string) {
		t.Helper()
		var headers []string
		for _, line := range lines {
			headers = append(headers, "Traceparent", line)
		}
		trace, h := begin(tracer, append(headers, "Tracestate", "a=b")...)
		got := string(h.Peek("traceparent"))
		if len(h.PeekAll("traceparent")) != 1 || len(got) != 55 || strings.Contains(got, theirTrace[:8]) || !strings.HasSuffix(got, "-01") || trace.Request == "" {
			t.Errorf("%q: the engine gets %s", lines, got)
		}
		if trace.Tracestate != "" || len(h.Peek("tracestate")) > 0 {
			t.Errorf("%q: the state of another trace goes on", lines)
		}
	}
	bad()
	bad("")
	bad("garbage")
	bad(theirParent, theirParent)
	bad(theirParent + ", " + theirParent)
	bad(strings.ToUpper(theirParent))
	bad("ff-" + theirTrace + "-" + theirSpan + "-01")
	bad("0g-" + theirTrace + "-" + theirSpan + "-01")
	bad("00-" + strings.Repeat("0", 32) + "-" + theirSpan + "-01")
	bad("00-" + theirTrace + "-" + strings.Repeat("0", 16) + "-01")
	bad("00-" + theirTrace + "-" + theirSpan + "-0")
	bad("00-" + theirTrace + "-" + theirSpan + "-0x")
	bad("00-" + theirTrace + "-" + theirSpan + "-01-")
	bad("00-" + theirTrace + "-" + theirSpan + "-01-more")
	bad("cc-" + theirTrace + "-" + theirSpan + "-01.more")
	bad("00_" + theirTrace + "_" + theirSpan + "_01")
	bad("00-" + theirTrace[:31] + "-" + theirSpan + "-011")
	bad(strings.Repeat("0", 1<<13))
}

func TestTracestate(t *testing.T) {
	c := otlptest.Start(t)
	tracer, _ := start(t, c, nil)
	f := func(want string, lines ...string) {
		t.Helper()
		headers := []string{"Traceparent", theirParent}
		for _, line := range lines {
			headers = append(headers, "Tracestate", line)
		}
		trace, h := begin(tracer, headers...)
		if got := string(h.Peek("tracestate")); got != want || trace.Tracestate != want || len(h.PeekAll("tracestate")) > 1 {
			t.Errorf("%.60q becomes %.60q", lines, got)
		}
	}
	f("")
	f("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
	f("a=1,b=2", "a=1", "b=2")
	f("", "no member")
	f("", "=1")
	f("", "a=\xffb")
	f("", "a="+strings.Repeat("x", 520))
	f("a="+strings.Repeat("x", 510), "a="+strings.Repeat("x", 510))
	f("", strings.TrimSuffix(strings.Repeat("a=1,", 33), ","))
	f(strings.TrimSuffix(strings.Repeat("a=1,", 32), ","), strings.TrimSuffix(strings.Repeat("a=1,", 32), ","))
}

// TestRatio has requests without a parent recorded as the ratio says, by the trace's id.
func TestRatio(t *testing.T) {
	c := otlptest.Start(t)
	tracer, _ := start(t, c, nil)
	recorded := func(ratio float64) (n int) {
		tracer.SetRatio(ratio)
		for range 10_000 {
			trace, _ := begin(tracer)
			if (trace.Request != "") != strings.HasSuffix(trace.Traceparent, "-01") {
				t.Fatalf("%+v", trace)
			}
			if trace.Request != "" {
				n++
			}
		}
		return n
	}
	if n := recorded(1); n != 10_000 {
		t.Errorf("1: %d", n)
	}
	if n := recorded(0); n != 0 {
		t.Errorf("0: %d", n)
	}
	if n := recorded(0.2); n < 1700 || n > 2300 {
		t.Errorf("0.2: %d of 10,000", n)
	}
	if trace, _ := begin(tracer, "Traceparent", theirParent); trace.Request == "" {
		t.Error("a parent that is recorded does not count")
	}
	tracer.SetRatio(1)
	if trace, _ := begin(tracer, "Traceparent", strings.TrimSuffix(theirParent, "1")+"0"); trace.Request != "" {
		t.Error("a parent that is not recorded does not count")
	}
}
