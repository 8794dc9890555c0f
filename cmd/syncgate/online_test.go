package main_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncgate/internal/redistest"
)

// dated is an engine whose clock is off by so much.
func dated(t *testing.T, off time.Duration, status int) string {
	t.Helper()
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		w.WriteHeader(status)
	}))
	t.Cleanup(e.Close)
	return e.URL
}

// answers is a server that is neither a gateway nor an engine.
func answers(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Path+"/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// checkOnline runs check --online over a valid configuration, and wants lines and a status.
func checkOnline(t *testing.T, status int, env []string, want ...string) {
	t.Helper()
	said, got := output(t, exec.Command("syncgate", "check", "--online"), env...)
	if got != status {
		t.Errorf("%q: status %d; want %d", env, got, status)
	}
	for _, w := range want {
		if !regexp.MustCompile("(?m)^" + w).MatchString(said) {
			t.Errorf("%q: no line %s in\n%s", env, w, said)
		}
	}
	if strings.Contains(said, secretText) {
		t.Errorf("%q: a secret is in\n%s", env, said)
	}
	for line := range strings.Lines(said) {
		if !regexp.MustCompile(`^((ok|warning|error): +\S+: .+|syncgate check: each line above that begins with error .*)\n$`).MatchString(line) {
			t.Errorf("%q: the line %q", env, line)
		}
	}
}

// closed is an address where nobody listens.
func closed(t *testing.T) string { return free(t, 1)[0] }

func TestCheckOnlineFindsAllWell(t *testing.T) {
	r := redistest.StartTCP(t)
	at := free(t, 1)[0]
	g := serve(t, at)
	checkOnline(t, 0, []string{
		"SYNCGATE_ENGINE_URL=" + dated(t, 0, 404), "SYNCGATE_CALLBACK_BASE_URL=http://" + at, "SYNCGATE_LIMITS_PARKED=100", "SYNCGATE_CALLBACK_KEYS=" + callbackKey,
		"SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL=" + r.URL(),
	},
		"ok: +correlator.redis.url: Redis answers, after ", "ok: +engine.url: answers, after ", "ok: +clock: agrees with the engine's$",
		"ok: +callback.base_url: leads to a gateway, seen from this machine$", "warning: auth.credentials: there are none, ")
	checkOnline(t, 0, []string{"SYNCGATE_ENGINE_URL=" + dated(t, 0, 200), "SYNCGATE_CALLBACK_METHODS=GET", "SYNCGATE_CALLBACK_BASE_URL=http://" + at},
		"ok: +callback.base_url: leads to a gateway", "ok: +correlator.backend: memory")
	g.stop()
}

func TestCheckOnlineOfRedis(t *testing.T) {
	r := redistest.StartTCP(t)
	r.Do("config", "set", "requirepass", secretText+"x")
	of := func(url string) []string {
		return []string{
			"SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL=" + url, "SYNCGATE_CALLBACK_KEYS=" + callbackKey,
			"SYNCGATE_ENGINE_URL=" + dated(t, 0, 200),
		}
	}
	checkOnline(t, 2, of(r.URL()), "error: +correlator.redis.url: .*NOAUTH")
	checkOnline(t, 2, append(of(r.URL()), "SYNCGATE_CORRELATOR_REDIS_PASSWORD="+secretText), "error: +correlator.redis.url: .*WRONGPASS")
	checkOnline(t, 0, append(of(r.URL()), "SYNCGATE_CORRELATOR_REDIS_PASSWORD="+secretText+"x"), "ok: +correlator.redis.url: Redis answers")
	checkOnline(t, 2, of("redis://"+closed(t)), "error: +correlator.redis.url: .*connection refused")
}

// TestCheckOnlineOfOtherEngines: engines of routes are looked at, and the default one is not where nobody can ask it.
func TestCheckOnlineOfOtherEngines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	f := func(status int, url string, want string) {
		t.Helper()
		text := "engines: [{name: flow, kind: http, url: \"" + url + "/hooks/{kind}\"}]\n" +
			"routes: [{name: flow, path: \"/v1/{kind}\", engine: flow, auth: none}]\nengine: {url: \"http://" + closed(t) + "\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		checkOnline(t, status, []string{"SYNCGATE_CONFIG=" + file}, want)
	}
	f(0, answers(t, 200, ""), `ok: +engines\[0\].url: the engine flow takes connections$`)
	f(2, "http://"+closed(t), `error: +engines\[0\].url: .*connection refused; start the engine flow, or check its URL, `)
}

func TestCheckOnlineOfTheEngine(t *testing.T) {
	f := func(status int, url string, want ...string) {
		t.Helper()
		checkOnline(t, status, []string{"SYNCGATE_ENGINE_URL=" + url}, want...)
	}
	f(2, "http://"+closed(t), "error: +engine.url: .*connection refused; check the URL", "warning: clock: was not compared")
	f(0, dated(t, 0, 503), "warning: engine.url: answers, but with status 503")
	f(0, dated(t, -time.Minute, 200), "warning: clock: ours is (59s|1m0s|1m1s) ahead of the engine's: set it by NTP$")
	f(0, dated(t, time.Minute, 200), "warning: clock: ours is (59s|1m0s|1m1s) behind the engine's: set it by NTP$")
	f(2, dated(t, time.Hour, 200), "error: +clock: ours is .* behind the engine's, and auth.window is 5m0s: set it by NTP, signatures are refused otherwise$")
	plain := answers(t, 200, "")
	f(2, strings.Replace(plain, "http:", "https:", 1), "error: +engine.url: make a TLS connection to the engine: the handshake failed; ")
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	f(2, secure.URL, "error: +engine.url: make a TLS connection to the engine: the certificate comes from nobody that is trusted; ")
	f(0, strings.Replace(secure.URL, "https:", "http:", 1), "ok: +engine.url: answers") // with 400, but it is HTTP
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, secretText+"\r\n\r\n")
			_ = c.Close()
		}
	}()
	f(2, "http://"+ln.Addr().String(), "error: +engine.url: connects, but (it is not HTTP, or breaks off|connection reset by peer); ")
	p := newConnectProxy(t, strings.TrimPrefix(dated(t, 0, 200), "http://"))
	checkOnline(t, 0, []string{"SYNCGATE_ENGINE_URL=http://engine.test", "HTTP_PROXY=http://me:" + secretText + "@" + p.addr},
		fmt.Sprintf(`ok: +engine.url: answers through the proxy %s \(HTTP_PROXY\), after `, regexp.QuoteMeta(p.addr)))
	checkOnline(t, 2, []string{"SYNCGATE_ENGINE_URL=http://engine.test", "HTTP_PROXY=http://" + p.addr},
		"error: +engine.url: connect to the engine through its proxy: the proxy wants a user and a password")
}

func TestCheckOnlineOfTheCallbackURL(t *testing.T) {
	engine := dated(t, 0, 200)
	f := func(url string, want string) {
		t.Helper()
		checkOnline(t, 0, []string{"SYNCGATE_ENGINE_URL=" + engine, "SYNCGATE_CALLBACK_BASE_URL=" + url}, "warning: callback.base_url: "+want)
	}
	f("http://"+closed(t), "connection refused; start the gateway and check again")
	f(answers(t, 404, "<html>"), "something answers with status 404 that is no gateway")
	f(answers(t, 200, "{}"), "something answers with status 200 that is no gateway")
	f(answers(t, 301, ""), "is redirected with status 301")
	f("http://no.such.invalid", "(the name cannot be resolved|timed out); ")
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	defer secure.Close()
	f(secure.URL, "the certificate is not trusted")
	f(strings.Replace(engine, "http:", "https:", 1), "it does not speak TLS")
}

// TestCheckOnlineOfFiles: the limit is compared with what limits.parked would take.
func TestCheckOnlineOfFiles(t *testing.T) {
	engine := dated(t, 0, 200)
	f := func(parked, want string) {
		t.Helper()
		said, status := output(t, exec.Command("sh", "-c", "ulimit -n 2000; exec syncgate check --online"), "SYNCGATE_ENGINE_URL="+engine,
			"SYNCGATE_LIMITS_PARKED="+parked, "SYNCGATE_ENGINE_MAX_CONNECTIONS=100")
		if status != 0 || !regexp.MustCompile("(?m)^"+want).MatchString(said) {
			t.Errorf("status %d, no line %s in\n%s", status, want, said)
		}
	}
	f("1700", "ok: +limits.parked: 1700 clients fit into the 2000 files")
	f("1701", "warning: limits.parked: is 1701, and a process here may have 2000 files open, .* raise the limit to 2001 \\(LimitNOFILE")
	f("0", "warning: limits.parked: is 0, no limit, and a process here may have 2000 files open")
}
