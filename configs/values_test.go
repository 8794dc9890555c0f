package configs_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"syncgate/configs"
)

// values gives what Values says of a configuration.
func values(t *testing.T, text string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := configs.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	c.Values(func(key, text string) {
		if _, twice := all[key]; twice {
			t.Errorf("%s comes twice", key)
		}
		all[key] = text
	})
	return all
}

// TestValues: they differ where Diff says so, secrets among them, and only there.
func TestValues(t *testing.T) {
	const base = `
auth: {credentials: [{login: "1", secret: %s}]}
engine: {headers: {X-Token: %s, X-Other: b}}
callback: {keys: ["a key that is long enough for %s"]}
engines: [{name: flow, kind: http, url: "http://127.0.0.1:1/x", headers: {A: %s}}]
routes: [{name: r, path: /v1/r, engine: flow, auth: key, wait: {default: %ds, max: 30s}}]
access: [{name: n, key: "a key of a caller %s", routes: [r]}]
limits: {ops: %d}
`
	load := func(args ...any) map[string]string { return values(t, fmt.Sprintf(base, args...)) }
	one := load("a", "b", "callbacks", "c", 5, "d-and-some-more-characters", 7)
	if again := load("a", "b", "callbacks", "c", 5, "d-and-some-more-characters", 7); !maps.Equal(one, again) {
		t.Error("the same configuration has other values")
	}
	other := load("z", "z", "callbackz", "z", 6, "z-and-some-more-characters", 8)
	var differ []string
	for key := range one {
		if one[key] != other[key] {
			differ = append(differ, key)
		}
	}
	slices.Sort(differ)
	if want := []string{"access", "auth.credentials", "callback.keys", "engine.headers", "engines", "limits.ops", "routes"}; !slices.Equal(differ, want) {
		t.Errorf("%q differ, want %q", differ, want)
	}
	if a, b := values(t, "cors: {origins: []}\n"), values(t, "log: {}\n"); !maps.Equal(a, b) {
		t.Error("none, written in two ways, is not the same")
	}
}
