package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"syncgate/correlator"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
)

// Where the engine's merge is on, a result is laid over what was reported, and that over the request.
func TestRouteMerges(t *testing.T) {
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) { e.Merge, e.Final = true, []int{203} })
	many := `{` + strings.Repeat(`"a":0,`, correlator.MergedMembers) + `"a":1}`
	const task = `{"kind":"card","amount":1.0,"step":"none"}`
	for _, f := range []struct {
		name, reported, result, want string
	}{
		{"an object", `{"step":"packing","note":"x"}`, `{"done":true,"note":"y"}`, `{"amount":1.0,"done":true,"kind":"card","note":"y","step":"packing"}`},
		{"nothing reported", "", `{"done":true}`, `{"amount":1.0,"done":true,"kind":"card","step":"none"}`},
		{"an empty object", `{"step":"packing"}`, `{}`, `{"amount":1.0,"kind":"card","step":"packing"}`},
		{"too many members to be merged", `{"step":"packing"}`, many, many},
		{"no object", `{"step":"packing"}`, `[1]`, `[1]`},
		{"progress that is no object", `40`, `{"done":true}`, `{"amount":1.0,"done":true,"kind":"card","step":"none"}`},
	} {
		merged := func(prefer string) (h *hook, reply <-chan answer) {
			reply = r.post(task, "Content-Type", "application/json", "Prefer", prefer)
			h = r.next(t)
			h.answer(202, "", "")
			if f.reported != "" {
				want(t, r.report(h, f.reported, "X-Callback-Status", "progress"), 200, `{}`)
			}
			want(t, r.report(h, f.result), 200, `{}`)
			return h, reply
		}
		h, reply := merged("wait=20")
		a := got(t, reply)
		want(t, a, 200, f.want)
		want(t, r.do(http.MethodGet, a.header.Get("Location"), ""), 200, f.want)
		want(t, r.report(h, `{"other":1}`), 200, `{}`)
		_, reply = merged("respond-async")
		want(t, r.do(http.MethodGet, got(t, reply).header.Get("Location"), ""), 200, f.want)
	}
	reply := r.post(task, "Content-Type", "application/json")
	r.next(t).answer(203, "application/json", `{"amount":2}`)
	want(t, got(t, reply), 200, `{"amount":2,"kind":"card","step":"none"}`)
	reply = r.post(`{}`, "Content-Type", "application/json", "Prefer", "respond-async")
	r.next(t).answer(202, "", "")
	if a := r.do(http.MethodGet, got(t, reply).header.Get("Location"), ""); a.status != 202 || strings.Contains(a.body, "progress") {
		t.Errorf("nothing is known yet: %+v", a)
	}
	reply = r.post(`a=1`, "Content-Type", "text/plain")
	h := r.next(t)
	h.answer(202, "", "")
	want(t, r.report(h, `{"done":true}`), 200, `{}`)
	want(t, got(t, reply), 200, `{"done":true}`)
}

// What is reported before the result is in it, however much comes at the same time; the running view shows it over the request.
func TestRouteMergesAll(t *testing.T) {
	const reports = 200
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) { e.Merge = true })
	reply := r.post(`{"m0":"request"}`, "Content-Type", "application/json", "Prefer", "respond-async")
	h := r.next(t)
	h.answer(202, "", "")
	location := got(t, reply).header.Get("Location")
	if a := r.do(http.MethodGet, location, ""); a.status != 202 || !strings.Contains(a.body, `"progress":{"m0":"request"}`) {
		t.Errorf("%+v", a)
	}
	var all sync.WaitGroup
	for i := range reports {
		all.Go(func() {
			want(t, r.report(h, fmt.Sprintf(`{"m%d":%d}`, i, i), "X-Callback-Status", "progress"), 200, `{}`)
		})
	}
	all.Wait()
	want(t, r.report(h, `{"done":true}`), 200, `{}`)
	body := r.do(http.MethodGet, location, "").body
	for i := range reports {
		if member := fmt.Sprintf(`"m%d":%d`, i, i); !strings.Contains(body, member) {
			t.Errorf("no %s in %s", member, body)
		}
	}
}

// A result that cannot be merged now is refused, so that the engine sends it again, and is merged then.
func TestRouteMergesLater(t *testing.T) {
	store := new(slowStore)
	r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store.Memory = m; return store },
		func(_ *rest.RouteConfig, e *httpengine.Config) { e.Merge = true })
	reply := r.post(`{"kind":"card"}`, "Content-Type", "application/json")
	h := r.next(t)
	h.answer(202, "", "")
	store.late.Store(1)
	if a := r.report(h, `{"done":true}`); a.status != 503 || a.body != `{}` {
		t.Errorf("%+v", a)
	}
	want(t, r.report(h, `{"done":true}`), 200, `{}`)
	want(t, got(t, reply), 200, `{"done":true,"kind":"card"}`)
}
