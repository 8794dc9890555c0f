package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/edge"
	"syncgate/internal/probe"
	"syncgate/internal/redistest"
)

// examined is a gateway with what doctor has to know to find it.
type examined struct {
	*gate
	t *testing.T
}

// forDoctor starts a gateway with a public URL and further settings. Its clients wait for 4 seconds at most. It has a route: without one it would have no streams.
func forDoctor(t *testing.T, publicURL string, env ...string) *examined {
	t.Helper()
	config := filepath.Join(t.TempDir(), "doctor.yaml")
	text := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\nengines: [{name: flow, kind: http, url: %q}]\n", login, secretText, answers(t, 200, "")) +
		"routes: [{name: flow, path: /v1/flow, engine: flow, auth: none, wait: {default: 1s, max: 4s}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := free(t, 1)[0]
	if publicURL == "" {
		publicURL = "http://" + at
	}
	all := append([]string{
		"SYNCGATE_CONFIG=" + config, "SYNCGATE_CALLBACK_KEYS=" + callbackKey, "SYNCGATE_CALLBACK_BASE_URL=" + publicURL,
		"SYNCGATE_ENGINE_URL=" + dated(t, 0, 200), "SYNCGATE_TIMEOUTS_DEFAULT=4s", "SYNCGATE_TIMEOUTS_MAX=4s", "SYNCGATE_LIMITS_PARKED=100",
	}, env...)
	return &examined{serve(t, at, all...), t}
}

// doctor examines the gateway, and wants a status and lines.
func (g *examined) doctor(status int, args []string, want ...string) (said string) {
	g.t.Helper()
	return doctorSays(g.t, status, args, g.process.Env, want...)
}

func doctorSays(t *testing.T, status int, args, env []string, want ...string) string {
	t.Helper()
	said, got := output(t, exec.Command("syncgate", append([]string{"doctor"}, args...)...), env...)
	if got != status {
		t.Errorf("doctor %q: status %d; want %d", args, got, status)
	}
	for _, w := range want {
		if !regexp.MustCompile("(?m)^" + w).MatchString(said) {
			t.Errorf("doctor %q: no line %s in\n%s", args, w, said)
		}
	}
	for _, hidden := range []string{secretText, callbackKey} {
		if strings.Contains(said, hidden) {
			t.Errorf("doctor %q: a secret is in\n%s", args, said)
		}
	}
	if t.Failed() {
		t.Logf("doctor %q said\n%s", args, said)
	}
	return said
}

// location is a server of nginx with one location.
func location(address, upstream, settings string) string {
	return fmt.Sprintf(`server { listen %s; client_max_body_size 6m; location / { proxy_pass http://%s; proxy_http_version 1.1; proxy_set_header Connection "";
		proxy_set_header Host $host:$server_port; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; %s } }`, address, upstream, settings)
}

// TestDoctorFindsAllWell: nothing is wrong with a gateway that can be reached directly.
func TestDoctorFindsAllWell(t *testing.T) {
	t.Parallel()
	r := redistest.StartTCP(t, "--appendonly", "yes", "--maxmemory-policy", "noeviction")
	g := forDoctor(t, "", "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+r.URL(), "SYNCGATE_TIMEOUTS_MAX=4400ms")
	said := g.doctor(0, nil,
		"ok +config +configuration: ", "ok +engine +engine.url: answers, after ", `ok +engine +engines\[0\].url: the engine flow takes connections`,
		"ok +redis +correlator.redis.url: Redis answers, after ", "ok +redis +correlator.redis.url: a round trip takes ", `ok +redis +correlator.redis: is version \d+\.\d`,
		"ok +clock +clock: agrees with the engine's", "ok +clock +clock: agrees with that of Redis", "ok +clock +clock: agrees with that of the gateway",
		"ok +gateway +listen.admin: the gateway is ready", "ok +gateway +configuration: the gateway runs with this one", "ok +files +limits.parked: 100 clients fit into the ",
		"ok +callback +callback.base_url: leads to this gateway, node [0-9a-f]{16}, after ", "ok +callback +callback.base_url: bodies of 5242880 bytes pass",
		"ok +edge +callback.base_url: no connection was ended that waited for up to 4s$", "ok +edge +callback.base_url: events arrive as they are sent",
		"ok +edge +callback.base_url: headers pass", "ok +edge +callback.base_url: bodies of 1048576 bytes pass", "ok +edge +callback.base_url: the gateway hears of a client that leaves",
	)
	if strings.Contains(said, "\nproblem") || strings.Contains(said, "leave --wait out") {
		t.Errorf("it finds a problem:\n%s", said)
	}
}

// TestDoctorBehindNginx: the second at which it cuts, and the line to write. Its own defaults are wrong for us in three ways more.
func TestDoctorBehindNginx(t *testing.T) {
	t.Parallel()
	at := free(t, 1)[0]
	g := forDoctor(t, "http://"+at)
	startNginx(t, fmt.Sprintf("server { listen %s; location / { proxy_pass http://%s/; proxy_http_version 1.0; proxy_read_timeout 2s; } }", at, g.public))
	g.doctor(1, []string{"--only", "callback,edge"},
		"problem +edge +callback.base_url: nginx answers with 504 in place of the gateway after 2s, and a client may wait for 4s \\(timeouts.max\\)\n"+
			" +-> nginx: proxy_read_timeout 19s; in the location that leads to the gateway$",
		"problem +callback +callback.base_url: nginx answers with status 413 to a body of 5242880 bytes, and limits.callback_body allows it\n +-> nginx: client_max_body_size 6m;",
		"warning +edge +callback.base_url: requests reach the gateway in HTTP/1.0: .*\n +-> nginx: proxy_http_version 1.1;",
		"warning +edge +callback.base_url: a path with %2F, %7E or // does not arrive as it was sent\n +-> nginx: no path behind the name in proxy_pass",
		"ok +edge +callback.base_url: the gateway hears of a client that leaves$",
	)
	raw := g.doctor(1, []string{"--only=edge", "--json", "--wait", "3s"})
	var d struct {
		Problems int
		Edge     []struct {
			Cut    float64 `json:"cut_after_s"`
			Proxy  string
			Probes []struct {
				Wait     float64 `json:"wait_s"`
				Lasted   float64 `json:"lasted_s"`
				Answered bool
			}
		}
	}
	text, _, _ := strings.Cut(raw, "syncgate doctor: ")
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.Problems == 0 || len(d.Edge) != 1 || d.Edge[0].Cut != 2 || d.Edge[0].Proxy != "nginx" {
		t.Fatalf("%v: %+v of\n%s", err, d, raw)
	}
	for _, p := range d.Edge[0].Probes {
		if p.Wait < 2 && (!p.Answered || p.Lasted < p.Wait) || p.Wait > 2 && (p.Answered || p.Lasted < 1.9 || p.Lasted > 3) {
			t.Errorf("a probe: %+v", p)
		}
	}
}

// TestDoctorBehindOtherNginx: each setting that hurts is found, with the line to write.
func TestDoctorBehindOtherNginx(t *testing.T) {
	t.Parallel()
	at := free(t, 4)
	g := forDoctor(t, "")
	startNginx(t, location(at[1], g.public, "proxy_ignore_client_abort on;")+
		"upstream twice { server "+g.public+"; server "+strings.Replace(g.public, "127.0.0.1", "localhost", 1)+"; }\n"+
		location(at[2], "twice", "proxy_read_timeout 2s; proxy_next_upstream error timeout non_idempotent;")+
		location(at[3], g.public, `proxy_set_header Idempotency-Key ""; proxy_hide_header Retry-After;`))
	edge := func(i, status int, want ...string) {
		t.Helper()
		g.doctor(status, []string{"--only", "edge", "--url", "http://" + at[i], "--wait=3s"}, want...)
	}
	t.Run("settings", func(t *testing.T) {
		for name, f := range map[string]func(){
			"hides aborts": func() {
				edge(1, 0, "warning +edge +--url: the gateway does not hear of a client that leaves while it waits\n +-> nginx: proxy_ignore_client_abort off;")
			},
			"sends a POST again": func() {
				edge(2, 1, "problem +edge +--url: a proxy has sent a POST again whose answer did not come: the gateways had it [2-9] times\n +-> nginx: proxy_next_upstream error timeout;")
			},
			"drops headers": func() {
				edge(3, 1, "problem +edge +--url: headers are lost or changed on the way: Idempotency-Key, Retry-After of answers$", "ok +edge +--url: events arrive as they are sent")
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f()
			})
		}
	})
}

// TestDoctorBehindAProxyThatBuffers: an answer is sent on when it is whole.
func TestDoctorBehindAProxyThatBuffers(t *testing.T) {
	t.Parallel()
	g := forDoctor(t, "")
	to, err := url.Parse("http://" + g.public)
	if err != nil {
		t.Fatal(err)
	}
	buffering := httputil.NewSingleHostReverseProxy(to)
	kept := new(http.Transport)
	t.Cleanup(kept.CloseIdleConnections)
	buffering.Transport, buffering.ErrorLog = kept, log.New(io.Discard, "", 0)
	buffering.ModifyResponse = func(r *http.Response) error {
		whole, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(whole))
		return err
	}
	p := httptest.NewServer(buffering)
	t.Cleanup(p.Close)
	g.doctor(1, []string{"--only", "edge", "--url", p.URL}, "problem +edge +--url: a proxy on the way keeps events back: one came [23](\\.\\d)?s late\n +-> have the proxies on the way send each piece")
}

// TestDoctorBehindHaproxy: both time-outs, of which that of the client is silent.
func TestDoctorBehindHaproxy(t *testing.T) {
	t.Parallel()
	at := free(t, 2)
	g := forDoctor(t, "http://"+at[0])
	startHaproxy(t, fmt.Sprintf(`
global
    maxconn 100
defaults
    mode http
    timeout connect 2s
    option abortonclose
frontend a
    bind %[1]s
    timeout client 330s
    default_backend slow
frontend b
    bind %[2]s
    timeout client 330s
    http-request deny deny_status 403
    default_backend slow
backend slow
    timeout server 2s
    server gateway %[3]s
`, at[0], at[1], g.public))
	eventually(t, "haproxy is there", func() bool { status, _ := get(t, "http://"+at[0]+"/readyz"); return status == 200 })
	g.doctor(1, []string{"--only", "edge"},
		"problem +edge +callback.base_url: haproxy answers with 504 in place of the gateway after 2s, and a client may wait for 4s .*\n"+
			" +-> haproxy: timeout server 19s and timeout client 19s",
		"ok +edge +callback.base_url: the gateway hears of a client that leaves")
	g.doctor(1, []string{"--only", "edge", "--url=http://" + at[1]},
		"problem +edge +--url: haproxy answers with status 403\n +-> let /api/1/doctor/ through without a login")
}

// TestDoctorAndAnAccident: connections that end at different times are no time-out, and a gateway that has gone is not one of a proxy.
func TestDoctorAndAnAccident(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := forDoctor(t, "http://"+ln.Addr().String())
	go clumsy(t, ln, g.public)
	g.doctor(1, []string{"--only", "edge"}, "problem +edge +callback.base_url: 1 connection ended while they waited, the first after .*, but not all that waited for longer\n +-> look for limits of connections")
}

// TestDoctorBesideAnother runs doctor while the gateway holds the most probes that it can hold. Doctor says so, and blames no proxy.
func TestDoctorBesideAnother(t *testing.T) {
	t.Parallel()
	g := forDoctor(t, "")
	keys, err := correlator.NewKeys([]string{callbackKey})
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://" + g.public)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer leave()
	another := &edge.Way{URL: base, Path: probe.ClientPath, Keys: keys}
	for range probe.MaxHeld {
		group.Go(func() { another.Send(ctx, edge.New(probe.Hold, time.Minute)) })
	}
	eventually(t, "as many probes are held as may be", func() bool {
		h := another.Send(ctx, edge.New(probe.Hold, 0))
		return h.Refused()
	})
	said := g.doctor(0, []string{"--only", "edge", "--wait=1s"}, "warning +edge +callback.base_url: the gateway has not held every probe\n +-> run doctor again when no other doctor runs")
	if strings.Contains(said, "stream") || strings.Contains(said, "no connection was ended") {
		t.Errorf("it speaks of what was not tried:\n%s", said)
	}
}

// clumsy passes connections on, and closes one of those that hold a probe for 4 seconds after a second.
func clumsy(t *testing.T, ln net.Listener, to string) {
	keys, err := correlator.NewKeys([]string{callbackKey})
	if err != nil {
		t.Error(err)
		return
	}
	var done atomic.Bool
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer out.Close()
			head := make([]byte, 4<<10)
			n, _ := in.Read(head)
			if parts := strings.Fields(string(head[:n])); len(parts) > 1 {
				token, _, _, _ := probe.Split([]byte(parts[1]))
				if r, ok := probe.Parse(token, keys); ok && r.Do == probe.Hold && r.Wait == 4*time.Second && !done.Swap(true) {
					end := time.AfterFunc(time.Second, func() { _ = in.Close() })
					defer end.Stop()
				}
			}
			_, _ = out.Write(head[:n])
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			}()
			_, _ = io.Copy(in, out)
		}()
	}
}

// TestDoctorOfTheCallbackURL: what answers in the place of the gateway, and what to set.
func TestDoctorOfTheCallbackURL(t *testing.T) {
	t.Parallel()
	g := forDoctor(t, "")
	at := free(t, 3)
	startNginx(t, location(at[0], closed(t), "")+fmt.Sprintf("server { listen %s; location / { return 404; } }", at[1])+location(at[2], g.public, ""))
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, login := strings.CutPrefix(r.URL.Path, "/private"); login {
			w.Header().Set("Location", "https://right.example/login/"+url.QueryEscape(path)+"?token=x")
		} else {
			w.Header().Set("Location", "https://right.example"+r.URL.Path+"?token=x")
		}
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	t.Cleanup(redirect.Close)
	foreign := forDoctor(t, "", "SYNCGATE_CALLBACK_KEYS=another key that no other gateway of them has")
	twin := forDoctor(t, "")
	f := func(url string, want string) {
		t.Helper()
		env := append(g.process.Env, "SYNCGATE_CALLBACK_BASE_URL="+url)
		said := doctorSays(t, 1, []string{"--only", "callback"}, env, "problem +callback +callback.base_url: "+want)
		if strings.Contains(said, "token=x") {
			t.Errorf("it shows a query:\n%s", said)
		}
	}
	f("http://"+closed(t), "nobody listens at 127.0.0.1:\\d+\n +-> start what should listen there")
	f("http://no.such.invalid", "the name no.such.invalid cannot be resolved here\n +-> add it to DNS")
	f(redirect.URL, "is redirected with status 301 to https://right.example, .*\n +-> set callback.base_url to https://right.example$")
	f(redirect.URL+"/private", "is redirected with status 301 to https://right.example/login/%2Fapi%2F1%2Fplugins%2Fcallback%2Fdoctor%\\.\\.\\., which is another page\n +-> let /api/1/plugins/callback/doctor/ through without a redirect")
	f("http://"+foreign.public, "leads to a gateway that does not know the probe: .*\n +-> .* on each node behind it set the same callback.keys, and send SIGHUP$")
	f("http://"+twin.public, "leads to another process with the same callback keys, node .*\n +-> .* set correlator.backend to redis")
	f("http://"+at[0], "nginx answers with status 502: it does not reach the gateway\n +-> start the gateway")
	f("http://"+at[1], "nginx answers with status 404, and no gateway\n +-> let it lead /api/1/plugins/callback/doctor/ to this gateway")
	f(answers(t, 200, "{}"), "something else answers, with status 200\n")
	f(strings.Replace("http://"+g.public, "http:", "https:", 1), "what listens there does not speak TLS\n +-> write http:// into callback.base_url")
	g.doctor(0, []string{"--only", "edge", "--wait=1s", "--url=http://" + at[2]}, "warning +edge +listen.trusted_proxies: the gateway takes|ok +edge +--url: headers pass")
}
