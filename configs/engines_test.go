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
	f("- {name: flow, kind: os1, url: \"https://e/\"}\n", "c.yaml:3: engines[0].kind: there are no engines of this kind yet; write http")
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
