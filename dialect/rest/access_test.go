package rest_test

import (
	"encoding/base64"
	"testing"

	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/signer"
)

// shop is a dialect with a caller for each kind of credential.
func shop(t testing.TB) *rest.Dialect {
	return newDialect(t, config(
		[]rest.RouteConfig{
			route("open", "/open"), route("pay", "/pay", withAuth(rest.AuthKey)), route("ship", "/ship", withAuth(rest.AuthKey)),
			route("old", "/old", withAuth(rest.AuthBasic)), route("signed", "/signed/{a}", withAuth(rest.AuthCorezoid), ofCorezoid),
		},
		rest.AccessConfig{Name: "web", Key: "one", Keys: []signer.Secret{"two"}, Routes: []string{"pay"}},
		rest.AccessConfig{Name: "both", Key: "three", User: "Ж", Password: "p:w", Routes: []string{"ship", "old"}},
		rest.AccessConfig{Name: "page", Key: "four", Routes: []string{"pay"}, Origins: []string{"https://shop.example"}, Rate: 5},
	))
}

func basic(pair string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func TestAccess(t *testing.T) {
	d := shop(t)
	good := func(login, line string, headers ...string) {
		t.Helper()
		if c := must(t, d, line, "", headers...); c.Login != login || c.Options.Guarded != (login != "route/open") {
			t.Errorf("%s %q: %s, %v", line, headers, c.Login, c.Options.Guarded)
		}
	}
	bad := func(status int, challenge, line string, headers ...string) {
		t.Helper()
		c, f := accept(t, d, line, "", headers...)
		if c != nil || f.Status != status || f.Authenticate != challenge || f.Text == "" {
			t.Errorf("%s %q: %+v, %+v", line, headers, c, f)
		}
	}
	const bearer, basically = `Bearer realm="syncgate"`, `Basic realm="syncgate", charset="UTF-8"` //nolint:gosec // challenges
	good("route/open", "POST /open")
	good("route/open", "POST /open", "Authorization: Bearer nobody's")
	good("access/web", "POST /pay", "Authorization: Bearer one")
	good("access/web", "POST /pay", "Authorization: bearer  two")
	good("access/web", "POST /pay", "X-Api-Key: two")
	good("access/both", "POST /old", basic("Ж:p:w"))
	good("access/both", "POST /ship", "X-Api-Key: three")
	bad(401, bearer, "POST /pay")
	bad(401, bearer, "POST /pay", "Authorization: Bearer")
	bad(401, bearer, "POST /pay", "Authorization: Bearer One")
	bad(401, bearer, "POST /pay", "Authorization: one")
	bad(401, bearer, "POST /pay", "Authorization: Digest one")
	bad(401, bearer, "POST /pay", "Authorization: Bearer one", "Authorization: Bearer one") // no two readers need agree which counts
	bad(401, bearer, "POST /pay", "X-Api-Key: one", "X-Api-Key: two")
	bad(401, bearer, "POST /pay", basic("Ж:p:w"))
	bad(401, bearer, "POST /pay", "X-Api-Key: Ж:p:w")
	bad(401, basically, "POST /old")
	bad(401, basically, "POST /old", basic("Ж:p:x"))
	bad(401, basically, "POST /old", basic("three:"))
	bad(401, basically, "POST /old", "Authorization: Basic %%%")
	bad(401, basically, "POST /old", "Authorization: Bearer three")
	bad(403, "", "POST /pay", "X-Api-Key: three")
	bad(403, "", "POST /ship", "Authorization: Bearer one")
	good("777", "POST /signed/x/777/1/good")
	bad(401, "", "POST /signed/x/777/1/bad")
	bad(401, "", "POST /signed/x")
	bad(401, "", "POST /signed/x", "Authorization: Bearer one")
	c := must(t, d, "POST /signed/x/777/1/good?q=1", "")
	if a := c.Options.Asked; string(a.Path) != "/signed/x" || string(a.Query) != "q=1" || len(a.Params) != 1 || a.Params[0].Value != "x" || a.Signer != "12345" {
		t.Errorf("%+v", a)
	}
}

func TestBrowserKeys(t *testing.T) {
	d := shop(t)
	const key = "Authorization: Bearer four"
	c := must(t, d, "POST /pay", "", key, "Origin: https://shop.example")
	if c.Login != "access/page" || len(c.Options.Quotas) != 1 || c.Options.Quotas[0] != (dialect.Quota{Name: "access/page", Rate: 5, PerAddress: true}) {
		t.Errorf("%+v", c.Options.Quotas)
	}
	for _, headers := range [][]string{{key}, {key, "Origin: https://evil.example"}, {key, "Origin: null"}, {key, "Origin: https://shop.example", "Origin: https://shop.example"}} {
		if _, f := accept(t, d, "POST /pay", "", headers...); f == nil || f.Status != 403 || f.Reason != dialect.BadOrigin {
			t.Errorf("%q: %v", headers, f)
		}
	}
	f := func(want bool, path, origin, login string) {
		t.Helper()
		r, _ := d.Route([]byte(path))
		if got := d.AllowsOrigin(r, origin, login); got != want {
			t.Errorf("%s of %s by %q: %v", path, origin, login, got)
		}
	}
	const page = "https://shop.example"
	f(true, "/pay", page, "")
	f(true, "/tasks/x", page, "")
	f(false, "/ship", page, "") // no browser key may call it
	f(false, "/open", page, "")
	f(true, "/pay", page, "access/page")
	f(false, "/pay", page, "access/web")
	f(false, "/tasks/x", page, "access/web")
	f(false, "/pay", "https://evil.example", "")
	f(false, "/pay", "https://evil.example", "access/page")
	f(false, "/pay", "", "access/page")
	r, _ := d.Route([]byte("/pay"))
	if err := d.Set(config(nil)); err != nil {
		t.Fatal(err)
	}
	if !d.AllowsOrigin(r, page, "access/page") {
		t.Error("a request that came before the key was removed goes on without its page")
	}
	f(false, "/tasks/x", page, "access/page")
}

// TestKeysChange: a removed key is worth nothing for the next request, and a new one is good.
func TestKeysChange(t *testing.T) {
	routes := []rest.RouteConfig{route("pay", "/pay", withAuth(rest.AuthKey))}
	d := newDialect(t, config(routes, rest.AccessConfig{Name: "web", Key: "one", Routes: []string{"pay"}}))
	if err := d.Set(config(routes, rest.AccessConfig{Name: "web", Key: "two", Routes: []string{"pay"}})); err != nil {
		t.Fatal(err)
	}
	if _, f := accept(t, d, "POST /pay", "", "X-Api-Key: one"); f == nil || f.Status != 401 {
		t.Error(f)
	}
	must(t, d, "POST /pay", "", "X-Api-Key: two")
}
