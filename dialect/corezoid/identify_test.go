package corezoid_test

import (
	"slices"
	"strings"
	"testing"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/wiretest"
)

func TestFingerprint(t *testing.T) {
	d := newDialect(t)
	of := func(body string) [32]byte {
		t.Helper()
		return *mustAccept(t, d, body, "Idempotency-Key: k").Fingerprint
	}
	if mustAccept(t, d, simple).Fingerprint != nil {
		t.Error("a request without a key has a fingerprint")
	}
	if *mustAccept(t, d, simple, "idempotency-KEY: k").Fingerprint != of(simple) {
		t.Error("the name of the header is compared with its case")
	}
	ops := simple[1 : len(simple)-1]
	plain := of(simple)
	f := func(body string, same bool) {
		t.Helper()
		if got := of(body) == plain; got != same {
			t.Errorf("%s: same as without a timeout: %v; want %v", body, got, same)
		}
	}
	f(`{`+ops+`}`, true)
	f(`{"timeout":5,`+ops+`}`, true)
	f(`{"timeout":7,`+ops+`}`, true)
	f(`{"timeout":null,`+ops+`}`, true)
	f(`{`+ops+`,"t\u0069meout":"5"}`, true)
	f(`{"x":1,`+ops+`}`, false)
	f(strings.Replace(simple, "1", "2", 1), false)
	f(strings.Replace(simple, `"conv_id"`, `"data":{"timeout":1},"conv_id"`, 1), false)
	f(strings.Replace(simple, `"conv_id"`, `"data":{"__callback_url":"x"},"conv_id"`, 1), false)
}

func TestIdentify(t *testing.T) {
	d := newDialect(t)
	f := func(credentials string, header []string, status int, text string) {
		t.Helper()
		path := "/api/1/tasks/x"
		if credentials != "" {
			path += "/" + credentials
		}
		asked, err := d.Task(wiretest.Received(t, "GET", path, "", header...), dialect.Route{}, now)
		who := asked.Login
		if text != "" {
			wantFault(t, err, status, text)
		} else if err != nil || who != login {
			t.Errorf("%s: %q, %v", credentials, who, err)
		}
	}
	signed := func(stamp, body string) string {
		return strings.TrimPrefix(path(login, stamp, secret, body), "/api/2/json/")
	}
	const wrong = "Incorrect signature or login"
	good, bad := signed("1700000000", ""), signed("1700000000", "{}")
	f(good, nil, 0, "")
	f(bad, nil, 401, wrong)
	f(signed("1", ""), nil, 401, "Request time is outside the allowed window")
	f("", inHeaders(good), 0, "")
	f("", inHeaders(bad), 401, wrong)
	f("", inHeaders(signed("1", "")), 401, "Request time is outside the allowed window")
	f("", inHeaders(good)[:2], 401, wrong)
	f("", inHeaders(good)[2:], 401, wrong)
	f(good, inHeaders(bad), 0, "") // the path counts where it has credentials
	f(bad, inHeaders(good), 401, wrong)
	if asked, err := d.Task(wiretest.Received(t, "GET", "/api/1/tasks/x", ""), dialect.Route{}, now); asked.Login != "" || string(asked.Task) != "x" || err != nil {
		t.Errorf("without credentials: %+v, %v", asked, err)
	}
	for _, odd := range []string{login, good + "/x"} {
		if _, ok := d.Route([]byte("/api/1/tasks/x/" + odd)); ok {
			t.Errorf("%s behind a task's name is a route", odd)
		}
	}
}

// inHeaders makes header lines of login/time/signature.
func inHeaders(credentials string) []string {
	part := strings.Split(credentials, "/")
	return []string{"X-Syncgate-Login: " + part[0], "x-syncgate-time: " + part[1], "X-SYNCGATE-SIGNATURE: " + part[2]}
}

// A create may be signed in its headers: over the same bytes, and by the same rules.
func TestAcceptByHeaders(t *testing.T) {
	d := newDialect(t)
	for _, stamp := range []string{"1700000000", "1700000000.5"} {
		good := inHeaders(strings.TrimPrefix(path(login, stamp, secret, simple), "/api/2/json/"))
		for _, target := range []string{"/api/1/json", "/api/2/json", "/api/1/json?x=y", "http://gateway/api/1/json"} {
			wantByHeaders(t, d, target, good)
		}
		old := inHeaders(strings.TrimPrefix(path(login, "1", secret, simple), "/api/2/json/"))
		_, err := d.Accept(wiretest.Received(t, "POST", "/api/1/json", simple, old...), dialect.Route{}, now)
		wantFault(t, err, 401, "Request time is outside the allowed window")
		_, err = d.Accept(wiretest.Received(t, "POST", "/api/1/json/a/b/c", simple, good...), dialect.Route{}, now) // the path counts
		wantFault(t, err, 401, "Incorrect signature or login")
	}
	for _, target := range []string{"/api/1/json", "/api/2/json", "/api/1/json/a/b/c"} {
		if r, ok := d.Route([]byte(target)); !ok || r.Kind != dialect.Create {
			t.Errorf("%s is no path of a create", target)
		}
	}
	for _, target := range []string{"/api/3/json", "/api/1/jso", "/api/1/json/", "/api/1/jsonx", "/api/1/json//", "/api/1/json/a", "/api/1/json/a/b", "/api/1/json.", "/api/1"} {
		if _, ok := d.Route([]byte(target)); ok {
			t.Errorf("%s is a path of a create", target)
		}
	}
}

// wantByHeaders wants that a create is taken with these headers, and not with others.
func wantByHeaders(t *testing.T, d *corezoid.Dialect, target string, good []string) {
	t.Helper()
	f := func(ok bool, body string, header ...string) {
		t.Helper()
		c, err := d.Accept(wiretest.Received(t, "POST", target, body, header...), dialect.Route{}, now)
		if !ok {
			wantFault(t, err, 401, "Incorrect signature or login")
		} else if err != nil || c.Login != login {
			t.Errorf("%s: %v", target, err)
		}
	}
	f(true, simple, good...)
	f(false, simple+" ", good...)
	f(false, simple)
	f(true, simple, append([]string{"Content-Type: text/plain"}, good...)...)
	for i := range good {
		others := slices.Delete(slices.Clone(good), i, i+1)
		name, value, _ := strings.Cut(good[i], ": ")
		f(false, simple, others...)
		f(false, simple, append(slices.Clone(good), good[i])...) // twice
		f(false, simple, append(slices.Clone(others), name+": "+value+"0")...)
		f(true, simple, append(slices.Clone(others), name+": \t"+value+" ")...)
	}
}

// TestVerify: paths of others are signed as our own are.
func TestVerify(t *testing.T) {
	d := newDialect(t)
	parts := strings.Split(strings.TrimPrefix(path(login, "1700000000", secret, "body"), "/api/2/json/"), "/")
	verify := func(login, stamp, signature, body string) error {
		name, err := d.Verify([]byte(login), []byte(stamp), []byte(signature), []byte(body), now)
		if (err == nil) != (name == login) {
			t.Errorf("%q, %v", name, err)
		}
		return err
	}
	if err := verify(parts[0], parts[1], parts[2], "body"); err != nil {
		t.Error(err)
	}
	wantFault(t, verify(parts[0], parts[1], parts[2], "bodY"), 401, "Incorrect signature or login")
	wantFault(t, verify("nobody", parts[1], parts[2], "body"), 401, "Incorrect signature or login")
	old := strings.Split(strings.TrimPrefix(path(login, "1", secret, "body"), "/api/2/json/"), "/")
	wantFault(t, verify(old[0], old[1], old[2], "body"), 401, "Request time is outside the allowed window")
}
