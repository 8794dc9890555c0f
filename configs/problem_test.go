package configs_test

import (
	"strings"
	"testing"

	"syncgate/configs"
)

// TestProblems gives files that cannot be read, and what is said of them.
func TestProblems(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("engine:\n  urll: x\n",
		"c.yaml:2: engine.urll: is not a key; the keys here are: url, proxy, timeout, idle, max_connections, ack, merge, headers, api_version")
	f("engine:\n  timeout: 1s\n  timeout: 2s\n",
		"c.yaml:3: engine.timeout: is set twice, first on line 2: remove one")
	f("engine: http://x\n",
		"c.yaml:1: engine: must be a section with keys: url, proxy, timeout, idle, max_connections, ack, merge, headers, api_version")
	f("engine: {timeout: 10}\n",
		"c.yaml:1: engine.timeout: must be a duration with its unit, such as 500ms, 30s, 5m or 1h")
	f("engine: {timeout: }\n",
		"c.yaml:1: engine.timeout: has no value: give one or remove the key")
	f("limits:\n  ops: many\n  parked: \"5\"\n  body: 1MB\n  rate_per_login: fast\nresults: {require_login: yes}\n",
		"c.yaml:2: limits.ops: must be a whole number",
		"c.yaml:3: limits.parked: must not be in quotes",
		"c.yaml:4: limits.body: must be a number of bytes such as 512, 64KiB, 1MiB or 2GiB",
		"c.yaml:5: limits.rate_per_login: must be a number",
		"c.yaml:6: results.require_login: must be true or false")
	f("callback:\n  methods: POST\n",
		"c.yaml:2: callback.methods: must be a list")
	f("callback:\n  methods:\n    - POST\n    - [PUT]\n",
		"c.yaml:4: callback.methods[1]: must be a single value")
	f("callback:\n  keys: [\"${NO_SUCH}\"]\n",
		"c.yaml:2: callback.keys[0]: environment variable NO_SUCH is not set")
	f("engine: {url: \"http://${HOST\"}\n",
		"c.yaml:1: engine.url: has a ${ that names no variable: write ${NAME}, or $${ for a plain ${")
	f("- a\n- b\n",
		"c.yaml:1: must be a section with keys: "+strings.Join([]string{"listen", "callback", "engine", "engines", "auth", "timeouts", "limits", "forward_headers", "correlator", "results", "on_disconnect", "drain", "cors", "admin", "log", "routes", "access", "waiters", "notify", "tracing"}, ", "))
	f("log: {level: info}\n---\nlog: {level: debug}\n",
		"c.yaml:3: a second document begins: remove the --- before it")
	f("engine:\n\turl: x\n",
		"c.yaml:2: is not YAML: a tab, or a character that begins no value without quotes")
}

// TestProblemsOfSettings gives files whose settings cannot work.
func TestProblemsOfSettings(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("auth:\n  credentials:\n    - login: \"1\"\n    - {login: \"1\", secret: s, secret_file: f}\n    - {login: \"2\", secret_file: no/such}\n",
		"c.yaml:3: auth.credentials[0].secret: must not be empty",
		"c.yaml:4: auth.credentials[1].secret_file: and secret are both set: remove one",
		"c.yaml:4: auth.credentials[1].login: is the same as that of auth.credentials[0]",
		"c.yaml:5: auth.credentials[2].secret_file: read the secret: no such file or directory")
	f("SYNCGATE_LIMITS_OPS=x\nengine: {url: nowhere}\n",
		"c.yaml:1: engine.url: must be an absolute URL such as https://sync.example.com",
		"SYNCGATE_LIMITS_OPS: limits.ops: must be a whole number")
	f("SYNCGATE_LIMITS_OPS=0\nlog: {}\n",
		"SYNCGATE_LIMITS_OPS: limits.ops: must be at least 1")
	f("SYNCGATE_CALLBACK_KEYS=short\nlog: {}\n",
		"SYNCGATE_CALLBACK_KEYS: callback.keys[0]: has 5 characters, and needs at least 32")
	f("\n\ncorrelator:\n  backend: redis\n",
		"c.yaml: callback.keys: needs a key, the same on every node, as correlator.backend is redis: a callback may reach any of them")
	f("engine: {proxy: \"proxy:3128\"}\n",
		"c.yaml:1: engine.proxy: must be the URL of an HTTP proxy, such as http://proxy:3128 or http://user:password@proxy:3128, with %40 for an @ in the password and so on; or none")
	f("engine: {proxy: \"http://proxy:99999\"}\n",
		"c.yaml:1: engine.proxy: must be the URL of an HTTP proxy, such as http://proxy:3128 or http://user:password@proxy:3128, with %40 for an @ in the password and so on; or none")
	f("", "c.yaml: is empty: write the keys that differ from the defaults, which syncgate check --reference explains")
	f("engine: {url: \"https://e:99999\"}\ncallback: {base_url: \"https://s:0/\"}\n",
		"c.yaml:1: engine.url: has a port that is not within 1 and 65535",
		"c.yaml:2: callback.base_url: has a port that is not within 1 and 65535")
	f("engine: {url: \"https://e/ \"}\ncallback: {base_url: \" https://s\"}\nlisten: {public: \" :80\", callback: \":99999\"}\n",
		"c.yaml:1: engine.url: has a blank or a line break: remove it",
		"c.yaml:2: callback.base_url: has a blank or a line break: remove it",
		"c.yaml:3: listen.public: must be an address such as 127.0.0.1:8080, or :8080 for every interface, with a port of at most 65535",
		"c.yaml:3: listen.callback: must be an address such as 127.0.0.1:8080, or :8080 for every interface, with a port of at most 65535")
	f("timeouts: {max: 10s}\nlog: {level: loud, format: xml}\n",
		"c.yaml:1: timeouts.default: 1m is more than timeouts.max, 10s: lower it or raise timeouts.max",
		"c.yaml:2: log.level: must be one of: debug, info, warn, error",
		"c.yaml:2: log.format: must be one of: json, console")
}

func TestProblemsOfRedis(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("correlator:\n  redis:\n    url: redis://h:99999\n",
		"c.yaml:3: correlator.redis.url: must be redis://host:port/database, rediss:// for TLS, or unix:///path, with options that go-redis knows; a password goes into password or password_file")
	f("correlator:\n  redis:\n    url: \"redis://h/ 0\"\n",
		"c.yaml:3: correlator.redis.url: must be redis://host:port/database, rediss:// for TLS, or unix:///path, with options that go-redis knows; a password goes into password or password_file")
	f("correlator:\n  redis:\n    url: redis://a:b@h\n    username: u\n    password: p\n    sentinel_username: s\n    sentinel_password: p\n",
		"c.yaml:4: correlator.redis.username: and the user in url are both set: remove one",
		"c.yaml:5: correlator.redis.password: and the password in url are both set: remove one",
		"c.yaml:6: correlator.redis.sentinel_username: is for mode sentinel: remove it or set mode",
		"c.yaml:7: correlator.redis.sentinel_password: is for mode sentinel: remove it or set mode")
	f("correlator:\n  redis:\n    username: u\n",
		"c.yaml:3: correlator.redis.username: needs a password too: set password or password_file")
	f("correlator:\n  redis:\n    password: p\n    password_file: f\n",
		"c.yaml:4: correlator.redis.password_file: and password are both set: remove one")
	f("correlator:\n  redis:\n    mode: sentinel\n    url: redis://h:1?master_name=m\n    sentinel_username: u\n",
		"c.yaml:5: correlator.redis.sentinel_username: needs a password too: set sentinel_password or sentinel_password_file")
	f("limits: {body: 0, callback_body: 0}\n",
		"c.yaml:1: limits.body: must be at least 1 byte: write 64KiB, 1MiB",
		"c.yaml:1: limits.callback_body: must be at least 1 byte: write 64KiB, 1MiB")
	f("engine: {timeout: 0s}\ndrain: {delay: -1s}\nauth: {window: -1s}\ncorrelator: {redis: {timeout: 0s}}\n",
		"c.yaml:1: engine.timeout: must be longer than 0: write 500ms, 30s, 5m",
		"c.yaml:2: drain.delay: must not be negative: write 0s, 30s, 5m",
		"c.yaml:3: auth.window: must not be negative: write 300s, or 0s to turn it off",
		"c.yaml:4: correlator.redis.timeout: must be greater than 0: write 500ms, 2s")
}

// wantProblems wants these problems of a file, word for word: the texts are what an operator works with. A first line that begins with
// SYNCGATE_ is the environment.
func wantProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	var env []string
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "SYNCGATE_") {
		env, text = []string{first}, rest
	}
	_, _, err := load(t, text, env...)
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("%s\ngives\n%v\nwant\n%s", text, err, strings.Join(want, "\n"))
	}
}

func TestProblemsOfEngineHeaders(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("engine:\n  headers: x\n",
		"c.yaml:2: engine.headers: must be names with values, as in {name: value}")
	f("engine:\n  headers:\n    Authorization: \"${NO_SUCH}\"\n",
		"c.yaml:3: engine.headers: environment variable NO_SUCH is not set")
	f("engine:\n  headers:\n    A: [x]\n    A: y\n    B:\n",
		"c.yaml:3: engine.headers: must be a single value",
		"c.yaml:4: engine.headers: has a name twice: remove one",
		"c.yaml:5: engine.headers: has no value: give one or remove the key")
	f("engine: {headers: {content-length: 5}, ack: maybe}\n",
		"c.yaml:1: engine.ack: must be one of: protocol, any",
		"c.yaml:1: engine.headers: Content-Length is set by the gateway: remove it")
}

func TestProblemsOfOtherPackages(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, _, err := load(t, text)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	f("auth: {window: -1s}", "c.yaml:1: auth.window: ")
	f("auth:\n  ops: [create:task, x]", "c.yaml:2: auth.ops[1]: ")
	f("engine: {api_version: 3}", "c.yaml:1: engine.api_version: ")
	f("forward_headers: [a b]", "c.yaml:1: forward_headers[0]: ")
	f("correlator:\n  backend: disk", "c.yaml:2: correlator.backend: ")
	f("correlator:\n  when_down: wait", "c.yaml:2: correlator.when_down: ")
	f("correlator:\n  redis:\n    url: http://x", "c.yaml:3: correlator.redis.url: ")
	f("correlator:\n  redis:\n    mode: ring", "c.yaml:3: correlator.redis.")
	f("correlator:\n  redis:\n    timeout: 0s", "c.yaml:3: correlator.redis.timeout: ")
	f("limits: {parked: -1}", "c.yaml:1: limits.parked: ")
	f("results: {retention: -1s}", "c.yaml:1: results.retention: ")
}

func TestProblemsHideSecrets(t *testing.T) {
	f := func(text string, env ...string) {
		t.Helper()
		_, _, err := load(t, text, env...)
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%v", err)
		}
	}
	f("callback: {keys: [hunter2, hunter2]}")
	f("limits: {ops: \"${P}\", body: \"${P}\"}\nengine: {timeout: \"${P}\"}", "P=hunter2")
	f("correlator: {backend: redis, redis: {url: \"redis://u:hunter2@:x\"}}")
	f("correlator: {backend: redis, redis: {url: \"rediss://u:hunter2@h/%zz?x=y\"}}")
	f("callback: {base_url: \"http://u:hunter2@h\"}\nengine: {url: \"http://u:hunter2@%zz\"}")
	f("auth: {credentials: [{login: a, secret: {hunter2: hunter3}}]}")
}

func TestReadsNoFileTwice(t *testing.T) {
	_, _, err := load(t, "auth: {credentials: [{login: a, secret_file: c.yaml, engine_secret_file: .}]}")
	if err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
}

// FuzzLoad wants that nothing makes Load panic, that its errors are Problems, and that a configuration that it accepts is
// written so that it reads the same.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(configs.Reference()))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("engine: &e {url: http://h}\ncallback: *e\n"))
	f.Add([]byte("limits: {rate_per_login: .inf}\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, _, err := load(t, string(text), "A=a")
		if err != nil {
			if _, ok := err.(configs.Problems); !ok { //nolint:errorlint // the type itself is promised
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if len(c.Auth.Credentials)+len(c.Callback.Keys) > 0 || strings.Contains(string(text), "passw") {
			return // masked
		}
		out, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := load(t, strings.ReplaceAll(string(out), "${", "$${"))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out2, _ := again.YAML(); string(out2) != string(out) {
			t.Fatalf("%s\n%s", out, out2)
		}
	})
}
