package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProblemsOfTracing(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("tracing:\n  url: collector:4318\n  ratio: 1.5\n  timeout: 2m\n  service_name: \"\"\n",
		"c.yaml:2: tracing.url: must be an absolute URL such as https://sync.example.com",
		"c.yaml:3: tracing.ratio: must be a number from 0, none, to 1, all",
		"c.yaml:4: tracing.timeout: must be at most 1m",
		"c.yaml:5: tracing.service_name: must have 1 to 256 bytes")
	f("tracing: {url: \"https://user:hunter2@collector\", ratio: -0.5, timeout: 0s}\n",
		"c.yaml:1: tracing.url: must not carry a user or password",
		"c.yaml:1: tracing.ratio: must be a number from 0, none, to 1, all",
		"c.yaml:1: tracing.timeout: must be longer than 0: write 500ms, 30s, 5m")
	f("tracing:\n  into_task: true\n", "c.yaml:2: tracing.into_task: needs tracing.url: without a collector there are no traces")
	f("tracing:\n  token: t\n  headers: {authorization: x}\n", "c.yaml:3: tracing.headers: Authorization is what token sets: remove one of them")
	f("tracing: {headers: {Content-Encoding: x}}\n", "c.yaml:1: tracing.headers: Content-Encoding is set by the gateway: remove it")
	f("tracing: {headers: {\"a b\": hunter2}}\n", "c.yaml:1: tracing.headers: one has a name that no header has: letters, digits and hyphens would do")
	f("tracing: {headers: {A: \"x\\ny\"}}\n", "c.yaml:1: tracing.headers: one has a value that no header has: visible ASCII characters with blanks between them would do, and no line end")
	f("tracing: {token: \"x\\ny\"}\n", "c.yaml:1: tracing.token: has a character that no header has: visible ASCII characters would do, and no line end")
	f("tracing: {attributes: {service.name: x}}\n", "c.yaml:1: tracing.attributes: service.name is what service_name sets: remove it")
	f("tracing: {attributes: {a: \""+strings.Repeat("x", 257)+"\"}}\n", "c.yaml:1: tracing.attributes: one has a name or a text that is empty or longer than 256 bytes")
	f("tracing:\n  token: t\n  token_file: f\n", "c.yaml:3: tracing.token_file: and token are both set: remove one")
}

// TestTracingOfTheEnvironment: the keys have variables, the file of the token is read, and nothing that is shown has the secrets.
func TestTracingOfTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hunter2-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := load(t, "tracing: {headers: {X-Tenant: \"${TENANT}\"}}", "TENANT=hunter2-tenant", "SYNCGATE_TRACING_URL=http://127.0.0.1:4318", "SYNCGATE_TRACING_TOKEN_FILE="+path,
		"SYNCGATE_TRACING_RATIO=0.25", "SYNCGATE_TRACING_TIMEOUT=3s", "SYNCGATE_TRACING_SERVICE_NAME=gate", "SYNCGATE_TRACING_INTO_TASK=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere:4318")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Tracing
	if !got.Enabled() || got.URL != "http://127.0.0.1:4318" || string(got.Token) != "hunter2-token" || string(got.Headers["X-Tenant"]) != "hunter2-tenant" || got.Ratio != 0.25 ||
		got.Timeout != 3*time.Second || got.ServiceName != "gate" || !c.Dialect().Trace {
		t.Errorf("%+v", got)
	}
	if out := dump(t, c); strings.Contains(out, "hunter2") || !strings.Contains(out, "X-Tenant: '***'") {
		t.Error(out)
	}
}

// TestTracingIsOff where nothing names a collector, whatever the environment says to others.
func TestTracingIsOff(t *testing.T) {
	c, _, err := load(t, oneLogin, "OTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere:4318", "OTEL_TRACES_EXPORTER=otlp")
	if err != nil || c.Tracing.Enabled() || c.Dialect().Trace {
		t.Errorf("%v %+v", err, c)
	}
}

func TestTracingWarnings(t *testing.T) {
	f := func(tracing string, want ...string) {
		t.Helper()
		_, warnings, err := load(t, oneLogin+"callback: {base_url: \"https://sync.example\"}\ntracing: {"+tracing+"}")
		if err != nil || len(warnings) != len(want) {
			t.Fatalf("%s: %v %q", tracing, err, warnings)
		}
		for i, begin := range want {
			if !strings.HasPrefix(string(warnings[i]), begin) {
				t.Errorf("%s: %q", tracing, warnings)
			}
		}
	}
	const isPlain, isGRPC = "tracing.url: is not https", "tracing.url: port 4317 is that of OTLP over gRPC"
	f(`url: "http://collector:4318", token: t`, isPlain)
	f(`url: "HTTP://collector:4318", headers: {A: b}`, isPlain)
	f(`url: "http://collector:4318"`)
	f(`url: "https://collector:4318", token: t`)
	f(`url: "http://localhost:4318", token: t`)
	f(`url: "http://localhost:4317/v1/traces"`, isGRPC)
	f(`url: "http://collector:4317", token: t`, isGRPC, isPlain)
}
