package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/configs"
)

const key32 = "0123456789abcdefghijklmnopqrstuv"

// load writes text to a file called c.yaml in the working directory and loads it.
func load(t *testing.T, text string, env ...string) (*configs.Config, []configs.Warning, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "c.yaml", text)
	return configs.Load("c.yaml", env)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, text string, env ...string) *configs.Config {
	t.Helper()
	c, warnings, err := load(t, text, env...)
	if warnings = others(warnings); err != nil || len(warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	return c
}

// others are the warnings but those about what every file for clients has and a short one for a test has not.
func others(warnings []configs.Warning) []configs.Warning {
	return slices.DeleteFunc(slices.Clone(warnings), func(w configs.Warning) bool {
		return strings.HasPrefix(string(w), "auth.credentials: there are none") || strings.HasPrefix(string(w), "callback.base_url: is on the loopback")
	})
}

func TestNothingIsTheDefault(t *testing.T) {
	want := configs.Default()
	for _, text := range []string{"log: {}", "listen:\nengine:\n  # url: http://engine\n", "callback: {keys: , methods: }"} {
		if c := mustLoad(t, text); !reflect.DeepEqual(c, want) {
			t.Errorf("%q: %+v", text, c)
		}
	}
	if c, warnings, err := load(t, "# only a comment\n"); err != nil || !reflect.DeepEqual(c, want) || len(others(warnings)) != 1 ||
		!strings.HasPrefix(string(warnings[0]), "c.yaml: sets no key") {
		t.Errorf("a comment: %+v, %v, %v", c, warnings, err)
	}
	if c, _, err := configs.Load("", nil); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("no file: %+v, %v", c, err)
	}
}

func TestLaterWins(t *testing.T) {
	c := mustLoad(t, `
engine: {url: "http://from.file", timeout: 7s}
callback:
  methods: [POST]
limits: {body: 2MiB, rate_per_login: 1.5}
results: {require_login: false}
`,
		"SYNCGATE_ENGINE_URL=https://from.env", "SYNCGATE_CALLBACK_METHODS=PUT, GET", "SYNCGATE_CORS_ORIGINS=",
		"SYNCGATE_LIMITS_CALLBACK_BODY=64KiB", "SYNCGATE_CALLBACK_KEYS="+key32+",x"+key32, "SYNCGATE_CONFIG=ignored", "PATH=/bin")
	if c.Engine.URL != "https://from.env" || c.Engine.Timeout != 7*time.Second || c.Engine.APIVersion != 2 {
		t.Errorf("engine: %+v", c.Engine)
	}
	if !slices.Equal(c.Callback.Methods, []string{"PUT", "GET"}) || !slices.Equal(c.CallbackKeys(), []string{key32, "x" + key32}) {
		t.Errorf("callback: %+v", c.Callback)
	}
	if c.Limits.Body != 2<<20 || c.Limits.CallbackBody != 64<<10 || c.Limits.RatePerLogin != 1.5 || c.Results.RequireLogin {
		t.Errorf("limits: %+v", c.Limits)
	}
}

func TestCredentials(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "s1", "from file\n\n")
	write(t, "s2", "windows\r\n")
	write(t, "keys", key32+"\r\n\n"+key32+"2")
	write(t, "c.yaml", `
callback: {keys_file: keys}
auth:
  credentials:
    - {login: 12345, secret: 0x10, secrets: ["${A}${B}", "$${A} $5 $$"]}
    - login: "2"
      secret_file: s1
      engine_login: "3"
      engine_secret_file: s2
`)
	c, _, err := configs.Load("c.yaml", []string{"A=a=${B}", "B="})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Signer().Credentials
	if string(got[0].Login) != "12345" || string(got[0].Secret) != "0x10" || string(got[0].Secrets[0]) != "a=${B}" || string(got[0].Secrets[1]) != "${A} $5 $$" {
		t.Errorf("%q %q", []byte(got[0].Secret), []byte(got[0].Secrets[0]+" "+got[0].Secrets[1]))
	}
	if string(got[1].Secret) != "from file\n" || string(got[1].EngineSecret) != "windows" {
		t.Errorf("%q %q", []byte(got[1].Secret), []byte(got[1].EngineSecret))
	}
	if !slices.Equal(c.CallbackKeys(), []string{key32, key32 + "2"}) {
		t.Errorf("%q", c.CallbackKeys())
	}
}

func TestUnknownVariablesAreWarnings(t *testing.T) {
	_, warnings, err := load(t, "log: {}", "SYNCGATE_PORT=tcp://10.0.0.1:80", "SYNCGATE_AUTH_CREDENTIALS=x", "SYNCGATE_ENGINE=x", "syncgate_x=1", "SYNCGATE_ENGINE_TIMEOUT=1s")
	want := []configs.Warning{
		"SYNCGATE_PORT: no setting has this variable, it is ignored",
		"SYNCGATE_AUTH_CREDENTIALS: auth.credentials can only be set in the file, the variable is ignored",
		"SYNCGATE_ENGINE: no setting has this variable, it is ignored",
	}
	if err != nil || !slices.Equal(others(warnings), want) {
		t.Errorf("%v, %q", err, warnings)
	}
}

// TestEmptyFileIsNone: a file without anything was written by something that had nothing to write, and the defaults would serve the world.
func TestEmptyFileIsNone(t *testing.T) {
	for _, text := range []string{"", "\n", " \n\t\n", "---\n", "\ufeff"} {
		_, _, err := load(t, text)
		if err == nil || err.Error() != "c.yaml: is empty: write the keys that differ from the defaults, which syncgate check --reference explains" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWarnings: what is valid and serves nobody is said, with what to do.
func TestWarnings(t *testing.T) {
	const one = "auth: {credentials: [{login: a, secret: s}]}\n"
	f := func(text string, want ...string) {
		t.Helper()
		_, warnings, err := load(t, text)
		if err != nil || len(warnings) != len(want) {
			t.Fatalf("%s: %v, %q; want %q", text, err, warnings, want)
		}
		for i, w := range warnings {
			if !strings.HasPrefix(string(w), want[i]) {
				t.Errorf("%s: %q; want %q", text, w, want[i])
			}
		}
	}
	f("log: {}", "auth.credentials: there are none, every request is refused with 401: add ", "callback.base_url: is on the loopback of this machine, where ")
	for _, base := range []string{"http://127.0.0.1:8080", "http://localhost:8080", "http://LOCALHOST.", "https://[::1]", "http://127.9.9.9", "http://sync.localhost"} {
		f(one+"callback: {base_url: \""+base+"\"}", "callback.base_url: is on the loopback of this machine, where the engine at engine.url cannot call it: set it")
		f(one + "callback: {base_url: \"" + base + "\"}\nengine: {url: \"http://localhost:9000\"}")
	}
	for _, base := range []string{"http://0.0.0.0:8080", "http://[::]:8080"} {
		f(one+"callback: {base_url: \""+base+"\"}", "callback.base_url: is the address of every interface, which nobody can call: set it")
		f(one+"callback: {base_url: \""+base+"\"}\nengine: {url: \"http://127.0.0.1:9000\"}", "callback.base_url: is the address of every interface")
	}
	f(one + "callback: {base_url: \"http://10.0.0.1:8080\"}")
	f(one + "callback: {base_url: \"https://localhost.example.com\"}")
}

func TestMissingFile(t *testing.T) {
	_, _, err := configs.Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if _, ok := errors.AsType[configs.Problems](err); !ok || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("%v", err)
	}
}

func TestYAMLMasksSecrets(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "file", "hunter-file-hunter-file-hunter-file")
	write(t, "c.yaml", `
callback: {keys: ["hunter-key-hunter-key-hunter-key-hunter-key"]}
auth:
  credentials:
    - {login: "007", secret: hunter1, secrets: [hunter2], engine_login: e, engine_secret: hunter3}
    - {login: b, secret_file: file}
correlator: {redis: {url: "redis://u:hunter5@h:6379/3?dial_timeout=1s"}}
limits: {rate_per_login: 0.5}
`)
	c, _, err := configs.Load("c.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.YAML()
	if err != nil || strings.Contains(string(out), "hunter") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, line := range []string{"  keys: ['***']\n", "login: '007'", "  secret_file: file\n", "redis://u:***@h:6379/3?dial_timeout=1s", "  window: 5m\n", "  body: 1MiB\n", "  rate_per_login: 0.5\n", "  retention: 1h\n"} {
		if !strings.Contains(string(out), line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

func TestYAMLMasksPasswordsInParameters(t *testing.T) {
	c := configs.Default()
	c.Correlator.Redis.URL = "redis://h:26379?master_name=m&sentinel_password=hunter2"
	if out := dump(t, c); strings.Contains(out, "hunter2") || !strings.Contains(out, "master_name=m") {
		t.Error(out)
	}
}

func TestYAMLKeepsTheNamesInURLs(t *testing.T) {
	const url = "https://flow.example/{kind}?a=1&A=%20"
	c := mustLoad(t, "callback: {base_url: \"https://sync.example\"}\nengines: [{name: flow, kind: http, url: \""+url+"\"}]")
	if out := dump(t, c); !strings.Contains(out, url) {
		t.Errorf("no %s in\n%s", url, out)
	}
}

// What is printed of engines is what they do, and can be read again.
func TestYAMLHasTheDefaultsOfEngines(t *testing.T) {
	c := mustLoad(t, "callback: {base_url: \"https://sync.example\"}\nengines: [{name: flow, kind: http, url: \"https://flow.example/\"}, {name: b, kind: http, url: \"https://b.example/\", method: PUT, timeout: 3s}, "+
		"{name: o, kind: os1, url: \"https://o.example/\", headers: {X-COREOS-TID: a, X-COREOS-ACCESS: b}, os1: {callback_secret: hunter2}}]")
	out := dump(t, c)
	for _, line := range []string{"method: POST", "method: PUT", "header: X-Callback-Url", "accepted: [200, 201, 202, 204]", "accepted: [202]", "callback_secret: '***'", "timeout: 10s", "timeout: 3s"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %s in\n%s", line, out)
		}
	}
	if again := dump(t, mustLoad(t, out)); again != out {
		t.Errorf("%s\nbecomes\n%s", out, again)
	}
}

func TestDiff(t *testing.T) {
	a := mustLoad(t, "callback: {keys: ["+key32+"]}\nlimits: {ops: 5}")
	b := mustLoad(t, "cors: {origins: []}\nlimits: {ops: 6, body: 1KiB}\nauth: {credentials: [{login: a, secret: s}]}\nengine: {timeout: 1s}")
	want := []string{"callback.keys", "engine.timeout", "auth.credentials", "limits.body", "limits.ops"}
	if got := configs.Diff(a, b); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := configs.Diff(a, a); got != nil {
		t.Errorf("with itself: %v", got)
	}
}
