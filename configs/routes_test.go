package configs_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncgate/configs"
	"syncgate/dialect/rest"
)

const oneLogin = "auth: {credentials: [{login: \"12345\", secret: s}]}\n"

// TestReferenceOfRoutes takes the examples out of their comments: they name every key with its default, and they work.
func TestReferenceOfRoutes(t *testing.T) {
	text := oneLogin
	for _, list := range []string{"routes", "access"} {
		m := regexp.MustCompile(`(?m)^#   (- name: .*\n(?:#     .*\n)+)` + list + `: \[\]`).FindStringSubmatch(configs.Reference())
		if m == nil {
			t.Fatalf("no example above %s: []", list)
		}
		text += list + ":\n  " + strings.ReplaceAll(m[1], "#   ", "  ")
	}
	c := mustLoad(t, text, "WEB_KEY=k")
	want := rest.DefaultRoute()
	want.Name, want.Path, want.ConvID, want.Login = "transfer", "/v1/transfers/{kind}", "1234", "12345"
	want.ForwardHeaders, want.OS1.Members, want.States = []string{}, map[string]string{}, map[string]int{}
	if got := c.Routes[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if a := c.Access[0]; a.Name != "web-shop" || string(a.Key) != "k" || a.Routes[0] != "transfer" {
		t.Errorf("%s", a.Name)
	}
	var visit func(key reflect.Type)
	visit = func(key reflect.Type) {
		for f := range key.Fields() {
			if !strings.Contains(text, " "+f.Tag.Get("yaml")+": ") && !strings.Contains(text, " "+f.Tag.Get("yaml")+":\n") {
				t.Errorf("the example does not name %s", f.Tag.Get("yaml"))
			}
			if f.Type.Kind() == reflect.Struct {
				visit(f.Type)
			}
		}
	}
	visit(reflect.TypeFor[rest.RouteConfig]())
	visit(reflect.TypeFor[rest.AccessConfig]())
}

// TestRouteDefaults: what a route does not say is what the reference says.
func TestRouteDefaults(t *testing.T) {
	c := mustLoad(t, oneLogin+"routes: [{name: a, path: /a, conv_id: 1, login: 12345, auth: none, wait: {default: 1s}}]")
	r := c.Routes[0]
	if r.Wait.Default != time.Second || r.Wait.Max != 2*time.Minute || r.Engine != "corezoid" || r.Methods[0] != "POST" || len(r.Respond.Headers) != 3 {
		t.Errorf("%+v", r)
	}
	if cfg := c.Rest(); cfg.MaxWait != 5*time.Minute || cfg.Retention != time.Hour || len(cfg.Engines) != 1 {
		t.Errorf("%+v", cfg)
	}
}

// TestRouteProblems: one check reports every problem of the routes. Each problem names its key, and shows no secret.
func TestRouteProblems(t *testing.T) {
	_, _, err := load(t, oneLogin+`
listen: {public_url: "https://api.example.com?x"}
results: {retention: 0s, require_login: true}
routes:
  - {name: a, path: /a, conv_id: 1, login: "777"}
  - {name: b, path: /b, engine: flow}
access:
  - {name: x, key_file: /nonexistent, routes: [a, c]}
  - {name: y, key: hunter2, keys: [hunter2], routes: [a]}
`)
	if err == nil {
		t.Fatal("accepted")
	}
	said := err.Error()
	for _, want := range []string{
		"listen.public_url: must end before its query", "results.retention: must be longer than 0 with routes", "results.require_login: must be false with routes",
		"routes[0].login: is not one of auth.credentials", "routes[1].engine: is not one of engines", "access[0].key_file: read the secret", "access[0].routes[1]: is not the name of a route",
		"access[1].keys[0]: is that of access[1].key too", "routes[1].auth: is key, and no entry of access names this route",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if strings.Contains(said, "hunter2") || strings.Contains(said, "access[0].key:") {
		t.Error(said)
	}
}

// TestAccessIsMasked: what check prints shows no key and no password.
func TestAccessIsMasked(t *testing.T) {
	c := mustLoad(t, oneLogin+`
routes: [{name: a, path: /a, conv_id: 1, login: "12345"}, {name: b, path: /b, conv_id: 1, login: "12345", auth: basic}]
access: [{name: x, key: `+secretText+`1, keys: [`+secretText+`2], user: u, password: `+secretText+`3, signing_secret: whsec_aHVudGVyMlpxOWh1bnRlcjJacTk=, callback_secret: `+secretText+`4, routes: [a, b]}]`)
	if out := dump(t, c); strings.Contains(out, secretText) || strings.Contains(out, "aHVudGVy") || !strings.Contains(out, "name: x") {
		t.Error(out)
	}
}

// TestAccessSecretFiles: a secret may stand in a file, and then not beside it.
func TestAccessSecretFiles(t *testing.T) {
	files := t.TempDir()
	write(t, files+"/s1", "whsec_aHVudGVyMlpxOWh1bnRlcjJacTk=\n")
	write(t, files+"/s2", secretText+"\n")
	access := func(more string) string {
		return oneLogin + `
routes: [{name: a, path: /a, conv_id: 1, login: "12345"}]
access: [{name: x, key: k, routes: [a], signing_secret_file: ` + files + `/s1, callback_secret_file: ` + files + `/s2` + more + `}]`
	}
	c := mustLoad(t, access(""))
	if e := c.Access[0]; string(e.SigningSecret) != "whsec_aHVudGVyMlpxOWh1bnRlcjJacTk=" || string(e.CallbackSecret) != secretText {
		t.Errorf("the files give %q and %q", string(e.SigningSecret), string(e.CallbackSecret))
	}
	_, _, err := load(t, access(", signing_secret: "+secretText+", callback_secret: "+secretText))
	if err == nil || strings.Contains(err.Error(), secretText) || !strings.Contains(err.Error(), "access[0].signing_secret_file: and signing_secret are both set") ||
		!strings.Contains(err.Error(), "access[0].callback_secret_file: and callback_secret are both set") {
		t.Error(err)
	}
	_, _, err = load(t, strings.Replace(access(""), "/s1", "/s2", 1))
	if err == nil || strings.Contains(err.Error(), secretText) || !strings.Contains(err.Error(), "access[0].signing_secret: must begin with whsec_") {
		t.Error(err)
	}
}

// TestOS1Routes: the section os1 of a route is read, shown, and checked with its keys.
func TestOS1Routes(t *testing.T) {
	const route = "routes: [{name: a, path: /a, conv_id: 1, login: 12345, auth: none, view: os1, os1: "
	c := mustLoad(t, oneLogin+route+"{event_type: CREATED, service: Container, members: {containerType: shipment}, batch: items}}]")
	o := c.Rest().Routes[0].OS1
	if o.EventType != "CREATED" || o.Service != "Container" || o.Members["containerType"] != "shipment" || o.Batch != "items" || o.Signature != "hmac-sha256" || c.Rest().Ops != 100 {
		t.Errorf("%+v", o)
	}
	if out := dump(t, c); !strings.Contains(out, "event_type: CREATED") || !strings.Contains(out, "containerType: shipment") {
		t.Error(out)
	}
	wantProblems(t, oneLogin+route+"{service: Container, signature: md5}}]",
		"c.yaml:2: routes[0].os1.event_type: must not be empty: receivers of callbacks decide by it what has happened; write for example CONTAINER_CREATED", "c.yaml:2: routes[0].os1.signature: must be one of: hmac-sha256, concat-sha256")
}
