package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncgate/configs"
)

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of Standard Webhooks

func TestProblemsOfNotify(t *testing.T) {
	f := func(text string, want ...string) { wantProblems(t, text, want...) }
	f("notify:\n  signing_secret: hunter2\n  signing_secrets: ["+whsec+", "+whsec+"]\n  window: 0s\n  timeout: 6m\n  allow_networks: [10.1.2.3]\n",
		"c.yaml:2: notify.signing_secret: must begin with whsec_ and go on in base64",
		"c.yaml:3: notify.signing_secrets[1]: is a secret that is listed already",
		"c.yaml:4: notify.window: must be longer than 0: write 15s, 24h",
		"c.yaml:5: notify.timeout: must be at most 5m",
		"c.yaml:6: notify.allow_networks[0]: is not a network: write 10.1.0.0/16, fd00:1::/32, or 10.1.2.3/32 for one address")
	f("notify:\n  signing_secret: "+whsec+"\n  signing_secret_file: f\n", "c.yaml:3: notify.signing_secret_file: and signing_secret are both set: remove one")
	f("notify:\n  signing_secret_file: /nonexistent\n", "c.yaml:2: notify.signing_secret_file: read the secret: no such file or directory")
	f("notify:\n  allow_http: yes\n", "c.yaml:2: notify.allow_http: must be true or false")
}

// TestNotifyOfTheEnvironment: every key has a variable, and the file of the secret is read.
func TestNotifyOfTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(whsec+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := load(t, "log: {}", "SYNCGATE_NOTIFY_SIGNING_SECRET_FILE="+path, "SYNCGATE_NOTIFY_SIGNING_SECRETS="+whsec+"AAAA", "SYNCGATE_NOTIFY_ALLOW_HTTP=true",
		"SYNCGATE_NOTIFY_WINDOW=1h", "SYNCGATE_NOTIFY_TIMEOUT=3s", "SYNCGATE_NOTIFY_ALLOW_NETWORKS=10.1.0.0/16, fd00:1::/32")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Notify
	if string(n.SigningSecret) != whsec || len(n.Secrets()) != 2 || !n.AllowHTTP || n.Window != time.Hour || n.Timeout != 3*time.Second || strings.Join(n.AllowNetworks, " ") != "10.1.0.0/16 fd00:1::/32" {
		t.Errorf("%+v", n)
	}
	if out := dump(t, c); strings.Contains(out, whsec) || !strings.Contains(out, "allow_networks: [10.1.0.0/16, 'fd00:1::/32']") {
		t.Error(out)
	}
}

// TestNotifyWarnings holds what is valid of notify, and shows results or what is private.
func TestNotifyWarnings(t *testing.T) {
	f := func(notify string, want ...string) {
		t.Helper()
		_, warnings, err := load(t, oneLogin+"callback: {base_url: \"https://sync.example\"}\nnotify: {"+notify+"}")
		if err != nil || len(warnings) != len(want) {
			t.Fatalf("%s: %v %q", notify, err, warnings)
		}
		for i, w := range warnings {
			if !strings.HasPrefix(string(w), want[i]) {
				t.Errorf("%s: %q, want %q", notify, w, want[i])
			}
		}
	}
	f("")
	f("signing_secret: " + whsec)
	f("allow_networks: [10.0.0.0/8, fd00:1::/32]")
	f("allow_http: true, allow_networks: [127.0.0.1/32, 10.0.0.0/8, \"::/0\", 0.0.0.0/0, 96.0.0.0/3, \"::1/128\", 169.254.1.0/24, \"fe80::/64\"]",
		"notify.allow_http: is true", "notify.allow_networks[0]: holds the loopback", "notify.allow_networks[2]: is every address", "notify.allow_networks[3]: is every address",
		"notify.allow_networks[4]: holds the loopback", "notify.allow_networks[5]: holds the loopback",
		"notify.allow_networks[6]: holds link-local", "notify.allow_networks[7]: holds link-local")
}

// TestSharedSigningSecret: several callers for whom one secret signs are named.
func TestSharedSigningSecret(t *testing.T) {
	f := func(routes, access, want string) {
		t.Helper()
		text := "auth: {credentials: [{login: l1, secret: s}, {login: l2, secret: s}]}\ncallback: {base_url: \"https://sync.example\"}\nnotify: {signing_secret: " + whsec + "}\n" +
			"routes: [{name: a, path: /a, conv_id: 1, login: l1, " + routes + "}]\naccess: [" + access + "]"
		_, warnings, err := load(t, text)
		got := ""
		for _, w := range warnings {
			got += string(w)
		}
		if err != nil || (want == "") != (got == "") || !strings.HasPrefix(got, "notify.signing_secret: signs for "+want) && want != "" {
			t.Errorf("%s %s: %v %q, want %q", routes, access, err, got, want)
		}
	}
	const x, y, own = "{name: x, key: k1, routes: [a]}", "{name: y, key: k2, routes: [a]}", "{name: y, key: k2, routes: [a], signing_secret: " + whsec + "AAAA}"
	f("subscriptions: true", x, "")
	f("subscriptions: true", x+", "+own, "")
	f("subscriptions: true", x+", "+y, "2 callers that have no signing_secret of their own, access x and access y among them")
	f("subscriptions: false", x+", "+y, "")
	f("view: os1, os1: {event_type: E, service: S}", x+", "+y, "2 callers that have no signing_secret of their own, access x and access y among them")
	f("subscriptions: true, auth: none", "", "everybody who calls route a")
	f("subscriptions: true, auth: corezoid", "", "2 callers that have no signing_secret of their own, login l1 and login l2 among them")
}

func TestPushes(t *testing.T) {
	if configs.Default().Pushes() {
		t.Error("no route, and it pushes")
	}
	c := mustLoad(t, oneLogin+"routes: [{name: a, path: /a, conv_id: 1, login: 12345, auth: none}]")
	if c.Pushes() {
		t.Error("no subscriptions, and it pushes")
	}
	c.Routes[0].Subscriptions = true
	if !c.Pushes() {
		t.Error("it does not push")
	}
	c.Routes[0].Subscriptions, c.Routes[0].View = false, "os1"
	if !c.Pushes() {
		t.Error("os1 does not push")
	}
}
