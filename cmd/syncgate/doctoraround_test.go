package main_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
	"syncgate/internal/tlstest"
)

// TestDoctorOfTLS: a certificate for another name, one that nobody trusts, and one that ends soon.
func TestDoctorOfTLS(t *testing.T) {
	t.Parallel()
	cert, key := tlstest.New(t, 1, time.Now().Add(48*time.Hour)).Write(t, t.TempDir())
	at := free(t, 1)[0]
	_, port, _ := strings.Cut(at, ":")
	g := &examined{serve(t, at, "SYNCGATE_LISTEN_TLS_CERT_FILE="+cert, "SYNCGATE_LISTEN_TLS_KEY_FILE="+key, "SYNCGATE_CALLBACK_KEYS="+callbackKey,
		"SYNCGATE_CALLBACK_BASE_URL=https://localhost:"+port, "SYNCGATE_ENGINE_URL="+dated(t, 0, 200)), t}
	trusted := append(g.process.Env, "SSL_CERT_FILE="+cert)
	only := []string{"--only", "gateway,callback"}
	doctorSays(t, 1, only, trusted, "problem +callback +callback.base_url: the certificate is for test, and not for localhost\n"+
		" +-> get a certificate for localhost, or write one of these names into callback.base_url$", "ok +gateway +configuration: the gateway runs with this one")
	g.doctor(1, only, "problem +callback +callback.base_url: the certificate (comes from nobody whom this machine trusts|is for test, and not for localhost)\n")
	other := append(trusted, "SYNCGATE_CALLBACK_BASE_URL=https://127.0.0.1:"+port)
	doctorSays(t, 1, only, other, "warning +callback +callback.base_url: speaks TLS 1.3, and its certificate ends at .*\n +-> renew it$",
		"problem +gateway +configuration: the gateway runs with other values of callback.base_url\n +-> restart the gateway")
	plain := append(g.process.Env, "SYNCGATE_CALLBACK_BASE_URL=http://127.0.0.1:"+port)
	doctorSays(t, 1, []string{"--only=callback"}, plain, "problem +callback +callback.base_url: ")
}

// TestDoctorOfRedis: settings that lose results, rights that notifications need, and a Redis that is away.
func TestDoctorOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.StartTCP(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	of := func(url string, more ...string) []string {
		return append([]string{
			"SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL=" + url, "SYNCGATE_CALLBACK_KEYS=" + callbackKey, "SYNCGATE_ENGINE_URL=" + dated(t, 0, 200),
		}, more...)
	}
	redis := []string{"--only", "redis"}
	doctorSays(t, 0, redis, of(r.URL()), "warning +redis +correlator.redis: maxmemory-policy is allkeys-lru: .* Set it to noeviction$",
		"warning +redis +correlator.redis: neither appendonly nor save is on: ", "ok +redis +correlator.redis: is version 7")
	doctorSays(t, 1, redis, of("redis://"+closed(t)), "problem +redis +correlator.redis.url: .*connection refused")

	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := func(begins string) []string {
		for line := range strings.Lines(string(page)) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), begins); ok {
				return strings.Fields(rest)
			}
		}
		t.Fatalf("docs/operations.md has no line %s", begins)
		return nil
	}
	password := secretText + "x"
	r.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + password}, shown("ACL SETUSER syncgate on >PASSWORD ")...)...)
	file := filepath.Join(t.TempDir(), "push.yaml")
	text := "engines: [{name: flow, kind: http, url: \"" + answers(t, 200, "") + "\"}]\nroutes: [{name: flow, path: /v1/flow, engine: flow, auth: none, subscriptions: true}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	user := of(r.URL(), "SYNCGATE_CONFIG="+file, "SYNCGATE_CORRELATOR_REDIS_USERNAME=app", "SYNCGATE_CORRELATOR_REDIS_PASSWORD="+password)
	said := doctorSays(t, 1, redis, user, `problem +redis +correlator.redis: routes push results, and the user of Redis may not use \d+ commands that they need$`)
	needed := shown("ACL SETUSER syncgate +time")
	needed = append(needed, "+time")
	_, lacks, _ := strings.Cut(said, "-> ACL SETUSER app ")
	lacks, _, _ = strings.Cut(lacks, "\n")
	if got := strings.Fields(lacks); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(needed))) {
		t.Errorf("it misses %q; docs/operations.md has %q", got, needed)
	}
	r.Do(append([]string{"ACL", "SETUSER", "app"}, needed...)...)
	doctorSays(t, 0, redis, user, "ok +redis +correlator.redis: the user may use every command that notifications need$")
	if left := r.Do("KEYS", "*doctor*"); strings.Contains(left, "doctor") {
		t.Errorf("doctor leaves keys in Redis: %s", left)
	}
	lame := redistest.StartTCP(t, "--rename-command", "XTRIM", "")
	doctorSays(t, 0, redis, of(lame.URL(), "SYNCGATE_CONFIG="+file), "warning +redis +correlator.redis: Redis has not said whether the user may use xtrim, which notifications need: ERR unknown command")
	if left := lame.Do("KEYS", "*doctor*"); strings.Contains(left, "doctor") {
		t.Errorf("doctor leaves keys in Redis where a command fails: %s", left)
	}
	r.Do("ACL", "SETUSER", "app", "-evalsha", "-eval")
	doctorSays(t, 1, redis, user, "problem +redis +correlator.redis.url: .*(NOPERM|may not).*; the gateway starts, and is not ready until this is mended$")
}

// TestDoctorOfTheEngine: its clock, its words, and what is none.
func TestDoctorOfTheEngine(t *testing.T) {
	t.Parallel()
	f := func(status int, url string, want ...string) {
		t.Helper()
		doctorSays(t, status, []string{"--only=engine,clock"}, []string{"SYNCGATE_ENGINE_URL=" + url}, want...)
	}
	f(1, dated(t, time.Hour, 200), "problem +clock +clock: ours is .* behind the engine's, and auth.window is 5m0s: set it by NTP, signatures are refused otherwise$")
	f(0, dated(t, -time.Minute, 200), "warning +clock +clock: ours is .* ahead of the engine's")
	f(1, "http://"+closed(t), "problem +engine +engine.url: .*connection refused; check the URL")
	e := simulate(t, func(c *enginesim.Config) { c.Record = 10 })
	file := filepath.Join(t.TempDir(), "c.yaml")
	of := func(secret string, env ...string) []string {
		t.Helper()
		if err := os.WriteFile(file, []byte("auth: {credentials: [{login: \""+login+"\", secret: "+secret+"}]}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return append([]string{"SYNCGATE_CONFIG=" + file, "SYNCGATE_ENGINE_URL=" + e.URL()}, env...)
	}
	doctorSays(t, 0, []string{"--only=engine"}, of(secret), "ok +engine +engine.url: answers a package without an op as an engine does, after ")
	doctorSays(t, 0, []string{"--only=engine"}, of(secretText), `warning +engine +engine.url: refuses a package that auth.credentials\[0\] has signed, with status 401\n +-> compare engine_login and engine_secret`)
	doctorSays(t, 0, []string{"--only=engine"}, of(secret, "SYNCGATE_ENGINE_URL="+answers(t, 200, "<html>")),
		"warning +engine +engine.url: answers a package without an op with status 200, and not as an engine does\n +-> see that engine.url is the address of the API")
	tasks := e.Tasks()
	if len(tasks) != 0 {
		t.Errorf("doctor has made %d tasks", len(tasks))
	}
}

// TestDoctorOfTheGateway: one that does not run, one that was not reloaded, one that needs a restart, and one with too few files.
func TestDoctorOfTheGateway(t *testing.T) {
	t.Parallel()
	none := []string{"SYNCGATE_LISTEN_ADMIN=" + closed(t), "SYNCGATE_LISTEN_PUBLIC=" + closed(t), "SYNCGATE_CALLBACK_BASE_URL=http://" + closed(t), "SYNCGATE_CALLBACK_KEYS=" + callbackKey}
	doctorSays(t, 1, []string{"--only", "gateway,callback,edge"}, none, "problem +gateway +listen.admin: no gateway answers at 127.0.0.1:\\d+: connection refused\n +-> start the gateway",
		"problem +callback +callback.base_url: nobody listens at ", "problem +edge +callback.base_url: nobody listens at ")

	g := forDoctor(t, "")
	here := []string{"--only", "gateway,files"}
	changed := append(g.process.Env, "SYNCGATE_LIMITS_OPS=7", "SYNCGATE_TIMEOUTS_MAX=5s", "SYNCGATE_LIMITS_PARKED=30000")
	doctorSays(t, 1, here, changed,
		"problem +gateway +configuration: the gateway runs with other values of limits.ops, limits.parked\n +-> send the gateway SIGHUP",
		"problem +gateway +configuration: the gateway runs with other values of timeouts.max\n +-> restart the gateway: a reload does not change these",
		"problem +files +limits.parked: is 30000, and the gateway may have \\d+ files open; with the connections to engines it needs 32248\n +-> LimitNOFILE=32248 ")
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(g.process.Process.Pid), "--nofile=500:500").CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v\n%s", err, out)
	}
	g.doctor(1, here, "problem +files +limits.parked: is 100, and the gateway may have 500 files open; with the connections to engines it needs 2348\n")
	foreign := append(g.process.Env, "SYNCGATE_CALLBACK_KEYS=a key that this gateway does not have")
	doctorSays(t, 1, here, foreign, "problem +gateway +callback.keys: what listens at this gateway's own address answers a probe with status 404: it runs with other callback keys")

	if err := os.WriteFile(configOf(g), []byte("auth: {credentials: [{login: \"1\", secret: another}]}\nlimits: {nonsense: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGHUP)
	g.logged("reload: nothing has changed")
	said := g.doctor(2, nil, "problem +config +limits.nonsense: .*doctor.yaml:2: is not a key; ", "syncgate doctor: nothing else was examined")
	if strings.Contains(said, "ok ") {
		t.Errorf("something was examined:\n%s", said)
	}
	if err := os.WriteFile(configOf(g), []byte("auth: {credentials: [{login: \"1\", secret: another}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.doctor(1, here, "problem +gateway +configuration: the gateway has refused the last reload", "problem +gateway +configuration: the gateway runs with other values of .*auth.credentials")
	g.signal(syscall.SIGHUP)
	g.logged("configuration reloaded")
	said = g.doctor(1, here)
	if strings.Contains(said, "auth.credentials") {
		t.Errorf("after the reload:\n%s", said)
	}
}

// configOf gives the name of the configuration file of a gateway.
func configOf(g *examined) (name string) {
	for _, e := range g.process.Env {
		if text, ok := strings.CutPrefix(e, "SYNCGATE_CONFIG="); ok {
			name = text
		}
	}
	return name
}

// TestDoctorWithoutKeys: it says what it cannot prove, and does the rest.
func TestDoctorWithoutKeys(t *testing.T) {
	t.Parallel()
	at := free(t, 1)[0]
	g := &examined{serve(t, at, "SYNCGATE_ENGINE_URL="+dated(t, 0, 200)), t}
	g.doctor(0, []string{"--only", "gateway,callback"}, "ok +callback +callback.base_url: leads to a gateway, seen from this machine$",
		"warning +callback +callback.keys: there are none, .*\n +-> write one: ", "ok +gateway +configuration: the gateway runs with this one, as far as it is shown$")
	doctorSays(t, 1, []string{"--only", "gateway"}, append(g.process.Env, "SYNCGATE_LIMITS_OPS=7"), "problem +gateway +configuration: the gateway runs with another one: compare /api/config ")
	g.doctor(0, []string{"--only", "edge"}, "warning +edge +callback.keys: there are none, so no connection can be held at the edge")
}

// TestDoctorOfTwoListeners: callbacks have an address of their own, and somebody has to say where clients come in.
func TestDoctorOfTwoListeners(t *testing.T) {
	t.Parallel()
	callbacks := free(t, 1)[0]
	g := forDoctor(t, "http://"+callbacks, "SYNCGATE_LISTEN_CALLBACK="+callbacks)
	only := []string{"--only", "gateway,callback,edge", "--wait=1s"}
	g.doctor(0, only, "ok +gateway +configuration: the gateway runs with this one$", "ok +callback +callback.base_url: leads to this gateway, ",
		"warning +edge +listen.public_url: is empty: the edge was not examined, .*\n +-> set listen.public_url, or run doctor with --url$")
	g.doctor(0, append(only, "--url=http://"+g.public), "ok +edge +--url: no connection was ended that waited for up to 1s\n")
	g.doctor(1, append(only, "--url=http://"+callbacks), "problem +edge +--url: leads to a gateway that does not know the probe")
}

// TestDoctorAsksForNothingElse: what is wrong on its command line is one line.
func TestDoctorAsksForNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, want string }{
		{"--only=edge,nonsense", `--only: there is no part "nonsense", there is config, engine, `},
		{"--wait=11m", "--wait must be from 1s to 10m"},
		{"--wait=5", "--wait: must be a duration"},
		{"--url=example.com", "--url must be an http or https URL"},
	} {
		doctorSays(t, 2, []string{c.flag}, nil, "syncgate doctor: "+c.want)
	}
}

// TestDrainWaitsForNoProbe: a probe that is held ends with the gateway.
func TestDrainWaitsForNoProbe(t *testing.T) {
	t.Parallel()
	g := forDoctor(t, "", "SYNCGATE_TIMEOUTS_MAX=1m")
	command := exec.Command("syncgate", "doctor", "--only", "edge", "--json")
	command.Env = g.process.Env
	var said strings.Builder
	command.Stdout = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	held := func() float64 { return g.metric("syncgate_requests_total", `route="resource"`) }
	eventually(t, "probes are held", func() bool { return held() > 8 })
	began := time.Now()
	g.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the drain has waited for %v", took)
	}
	_ = command.Wait() // its status is that of a gateway that has gone
	if !strings.Contains(said.String(), `"key": "callback.base_url"`) {
		t.Errorf("doctor said\n%s", &said)
	}
}

// TestDoctorIsEndedByASignal: what was not reached after a signal is no finding.
func TestDoctorIsEndedByASignal(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	command := exec.Command("syncgate", "doctor", "--only", "callback,edge", "--json")
	command.Env = append(os.Environ(), "SYNCGATE_CALLBACK_KEYS="+callbackKey, "SYNCGATE_CALLBACK_BASE_URL=http://"+ln.Addr().String())
	var said, complaint strings.Builder
	command.Stdout, command.Stderr = &said, &complaint
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept() // doctor waits for an answer now
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil || command.ProcessState.ExitCode() != 2 || !strings.Contains(complaint.String(), "ended by a signal") || !strings.Contains(said.String(), `"findings": []`) {
		t.Errorf("%v: doctor said\n%s%s", err, &said, &complaint)
	}
}

// TestStrangersCannotProbe: nobody without a key has a connection held, or a body read.
func TestStrangersCannotProbe(t *testing.T) {
	t.Parallel()
	g := forDoctor(t, "")
	token := strings.Repeat("A", 54)
	for _, path := range []string{"/api/1/doctor/" + token, "/api/1/doctor/", "/api/1/plugins/callback/doctor/" + token, "/api/1/doctor/" + token + "/x"} {
		r, err := http.Post("http://"+g.public+path, "application/json", strings.NewReader(strings.Repeat("x", 100)))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
