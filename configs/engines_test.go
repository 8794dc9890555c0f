package configs_test

import (
	"strings"
	"testing"
)

// TestEngines holds the problem of each engine that cannot work.
func TestEngines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		wantProblems(t, "callback: {base_url: \"http://127.0.0.1:8080\"}\nengines:\n"+text, want...)
	}
	const ok = "- {name: flow, kind: http, url: \"https://flow.example/{kind}\"}\n"
	f("- {name: \"a b\", kind: http, url: \"https://e/\"}\n", "c.yaml:3: engines[0].name: must be 1 to 64 letters, digits, hyphens and underscores")
	f("- {name: corezoid, kind: http, url: \"https://e/\"}\n", "c.yaml:3: engines[0].name: is that of the engine of the section engine: choose another one")
	f(ok+ok, "c.yaml:4: engines[1].name: is that of another engine: choose another one")
	f("- {name: flow, kind: metrici, url: \"https://e/\", retention: true, auth: {user: u}}\n",
		"c.yaml:3: engines[0].retention: is true, which keeps every result for ever: set allow_forever too if that is meant, or write a duration such as PT24H",
		"c.yaml:3: engines[0].auth: needs a user without a colon and a password, or neither")
	f("- {name: flow, kind: metrici, url: \"https://e/\", retention: true, allow_forever: true}\n",
		"c.yaml:3: engines[0].retention: is true, which needs correlator.backend redis: nothing in memory is kept for ever")
	f("- {name: flow, kind: metrici, url: \"https://e/\", task_timeout: P1M, callback_url: {query: cb}}\n",
		"c.yaml:3: engines[0].callback_url: is for other kinds: a worker of this kind gets a token, as token_attribute says; remove it",
		"c.yaml:3: engines[0].task_timeout: must not have years or months, whose length is not always the same: write days, as in P30D")
	f("- {name: flow, kind: http, url: \"https://e/\", node: x, auth: {password: p}}\n",
		"c.yaml:3: engines[0].node: is for engines of kind metrici: remove it", "c.yaml:3: engines[0].auth: is for engines of kind metrici: remove it")
	f("- {name: flow, kind: soap, url: \"https://e/\"}\n", "c.yaml:3: engines[0].kind: must be one of: http, metrici, os1")
	f("- {name: flow, kind: http, url: \"https://e/\", os1: {callback_secret: x}}\n", "c.yaml:3: engines[0].os1: is for engines of kind os1: remove it")
	f("- {name: flow, kind: os1, url: \"https://e/\", result: a, os1: {signature: md5}, headers: {x-coreos-tid: t}}\n",
		"c.yaml:3: engines[0].result: is always the member data for this kind: remove it",
		"c.yaml:3: engines[0].headers: must have X-COREOS-ACCESS: the engine wants it with every request",
		"c.yaml:3: engines[0].os1.signature: must be one of: hmac-sha256, concat-sha256")
	f("- {name: flow, kind: http, url: \"flow\"}\n", "c.yaml:3: engines[0].url: must be an absolute URL such as https://engine.example.com/hooks/{kind}")
	f("- {name: flow, kind: http, url: \"https://e/\", timeout: -1s, headers: {Host: x}}\n",
		"c.yaml:3: engines[0].timeout: must be longer than 0: write 500ms, 30s, 5m", "c.yaml:3: engines[0].headers: Host is set by the gateway: remove it")
	f("- {name: flow, kind: http, url: \"https://e/\", secret: hunter2}\n", "c.yaml:3: engines[0].secret: must begin with whsec_ and go on in base64")
	many := strings.Builder{}
	for i := range 100 {
		many.WriteString(strings.Replace(ok, "flow,", "flow"+strings.Repeat("x", i%50)+string(rune('a'+i/50))+",", 1))
	}
	f(many.String(), "c.yaml:3: engines: there are 100, and at most 99 can be")
}

// TestEngineWarnings holds what is valid of an engine, and does not work or shows a secret.
func TestEngineWarnings(t *testing.T) {
	const outside = "callback: {base_url: \"https://sync.example\"}\n"
	const inside = "callback: {base_url: \"http://127.0.0.1:8080\"}\nengine: {url: \"http://127.0.0.1:1\"}\n"
	const unreachable, plain = "callback.base_url: is on the loopback of this machine, where the engine at engines[0].url cannot call it: set it", "engines[0].url: is not https, and headers go with every request"
	for _, f := range []struct{ base, engine, want string }{
		{outside, `url: "https://flow.example/"`, ""},
		{outside, `url: "http://flow.example/"`, ""},
		{outside, `url: "https://flow.example/", headers: {Authorization: x}`, ""},
		{outside, `url: "http://flow.example/", headers: {Authorization: x}`, plain},
		{outside, `url: "HTTP://flow.example/", headers: {Authorization: x}`, plain},
		{outside, `url: "http://localhost:9/", headers: {Authorization: x}`, ""},
		{inside, `url: "http://localhost:9/"`, ""},
		{inside, `url: "https://flow.example/"`, unreachable},
		{strings.Replace(inside, "127.0.0.1:8080", "[::1]", 1), `url: "https://flow.example/{kind}"`, unreachable},
	} {
		_, warnings, err := load(t, "auth: {credentials: [{login: a, secret: s}]}\n"+f.base+"engines: [{name: flow, kind: http, "+f.engine+"}]")
		got := ""
		if len(warnings) == 1 {
			got = string(warnings[0])
		}
		if err != nil || len(warnings) > 1 || (f.want == "") != (got == "") || !strings.HasPrefix(got, f.want) {
			t.Errorf("%s: %v, %q; want %q", f.engine, err, warnings, f.want)
		}
	}
}

// TestIdleNeedsProgress: a route may have idle only if status of its engine can give start or progress.
func TestIdleNeedsProgress(t *testing.T) {
	for status, can := range map[string]bool{
		`{}`:                                        false,
		`{map: {works: progress}}`:                  false,
		`{from: state}`:                             true,
		`{from: state, map: {works: progress}}`:     true,
		`{from: state, map: {begun: start}}`:        true,
		`{from: state, map: {done: complete}}`:      false,
		`{from: state, map: {a: error, b: cancel}}`: false,
	} {
		_, _, err := load(t, `
auth: {credentials: [{login: a, secret: s}]}
callback: {base_url: "https://sync.example"}
engines: [{name: flow, kind: http, url: "https://flow.example/", status: `+status+`}]
routes: [{name: r, path: /v1/r, engine: flow, auth: none, idle: 5s}]
`)
		if refused := err != nil && strings.Contains(err.Error(), "routes[0].idle: "); refused == can {
			t.Errorf("%s: %v", status, err)
		}
	}
}

// TestMerge: an engine of kind metrici merges unless the file says that it does not; others only if it says so.
func TestMerge(t *testing.T) {
	for engine, want := range map[string]bool{"kind: metrici": true, "kind: metrici, merge: true": true, "kind: metrici, merge: false": false, "kind: http": false, "kind: http, merge: true": true} {
		c := mustLoad(t, "callback: {base_url: \"https://sync.example\"}\nauth: {credentials: [{login: a, secret: s}]}\nengines: [{name: flow, url: \"https://e/\", "+engine+"}]")
		if got := c.Engines[0].HTTP().Connection().Merge; got != want {
			t.Errorf("%s: %v", engine, got)
		}
		if again := mustLoad(t, dump(t, c), "S=s"); again.Engines[0].Merge != want { // what check prints is the same configuration
			t.Errorf("%s: what check prints merges: %v", engine, again.Engines[0].Merge)
		}
	}
}

// TestMergeByKind wants that results of kind metrici alone are merged where nothing is said.
func TestMergeByKind(t *testing.T) {
	for text, want := range map[string]bool{"kind: http": false, "kind: metrici": true, "kind: metrici, merge: false": false, "kind: http, merge: true": true} {
		c := mustLoad(t, "engines: [{name: e, url: 'https://e/', "+text+"}]")
		if got := c.Engines[0].Merge; got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
