package notify_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"syncgate/notify"
	"syncgate/signer"
)

// whsec is a secret of Standard Webhooks, and distinct for each n below 10.
func whsec(n int) signer.Secret {
	return signer.Secret(signer.WebhookPrefix + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "a key of thirty bytes, number %d", n)))
}

// TestProblemsOfTheFile holds the problem of each key, and that all of them are given at once and show no secret.
func TestProblemsOfTheFile(t *testing.T) {
	f := func(want string, edit func(*notify.FileConfig)) {
		t.Helper()
		c := notify.DefaultFile()
		edit(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if _, err := c.Settings(); want == "" && err != nil {
			t.Error(err)
		}
	}
	f("", func(*notify.FileConfig) {})
	f("", func(c *notify.FileConfig) {
		c.SigningSecret, c.SigningSecrets, c.Window, c.Timeout = whsec(1), []signer.Secret{whsec(2)}, 720*time.Hour, 5*time.Minute
		c.AllowNetworks = []string{"10.1.0.0/16", "fd00:1::/32", "10.1.2.3/32"}
	})
	f("signing_secret: must begin with whsec_ and go on in base64", func(c *notify.FileConfig) { c.SigningSecret = "hunter2" })
	f("signing_secret: must not be empty while signing_secrets has further ones", func(c *notify.FileConfig) { c.SigningSecrets = []signer.Secret{whsec(1)} })
	f("signing_secrets[1]: is a secret that is listed already\nsigning_secrets[2]: is not base64 behind whsec_\nsigning_secrets[3]: is a secret that is listed already", func(c *notify.FileConfig) {
		c.SigningSecret, c.SigningSecrets = whsec(1), []signer.Secret{whsec(2), whsec(1), "whsec_hunter2!", whsec(2)}
	})
	f("signing_secrets: are 8, and at most 7 can be beside signing_secret", func(c *notify.FileConfig) {
		for i := range 8 {
			c.SigningSecrets = append(c.SigningSecrets, whsec(i))
		}
		c.SigningSecret = whsec(9)
	})
	f("window: must be longer than 0: write 15s, 24h\ntimeout: must be longer than 0: write 15s, 24h", func(c *notify.FileConfig) { c.Window, c.Timeout = 0, -1 })
	f("window: must be at most 720h\ntimeout: must be at most 5m", func(c *notify.FileConfig) { c.Window, c.Timeout = 720*time.Hour+1, 5*time.Minute+1 })
	f("allow_networks[1]: is not a network: write 10.1.0.0/16, fd00:1::/32, or 10.1.2.3/32 for one address\n"+
		"allow_networks[2]: has bits of an address behind its length: write 10.1.0.0/16, or another length\n"+
		"allow_networks[3]: is an IPv4 network in IPv6 form: write it as 10.1.0.0/16", func(c *notify.FileConfig) {
		c.AllowNetworks = []string{"10.0.0.0/8", "10.1.2.3", "10.1.2.3/16", "::ffff:10.1.0.0/112"}
	})
	f("allow_networks: are 101, and at most 100 can be", func(c *notify.FileConfig) { c.AllowNetworks = strings.Fields(strings.Repeat("10.0.0.0/8 ", 101)) })
}

// TestMostSecretsSign: as many secrets as the configuration may have sign one notification.
func TestMostSecretsSign(t *testing.T) {
	c := notify.DefaultFile()
	c.SigningSecret = whsec(9)
	for i := range 7 {
		c.SigningSecrets = append(c.SigningSecrets, whsec(i))
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if all := c.Secrets(); len(all) != 8 || all[0] != whsec(9) {
		t.Fatalf("%d secrets", len(all))
	}
	r := receive(t, nil)
	s := sender(t, notify.NewMemory(10, 1<<20), quick())
	if err := s.Send(t.Context(), notify.Notification{ID: "a", URL: r.URL, Secrets: c.Secrets()}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(r.await(t, 1)[0].header.Get("Webhook-Signature")); len(got) != 8 {
		t.Errorf("%d signatures", len(got))
	}
}

// TestSettingsOfTheFile: what is configured is what a Sender gets.
func TestSettingsOfTheFile(t *testing.T) {
	c := notify.DefaultFile()
	strict, err := c.Settings()
	if err != nil || strict.Window != 24*time.Hour || strict.Timeout != 15*time.Second {
		t.Fatalf("%+v %v", strict, err)
	}
	c.AllowHTTP, c.AllowNetworks = true, []string{"10.1.0.0/16"}
	open, err := c.Settings()
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string][2]bool{
		"https://receiver.example/": {true, true}, "http://receiver.example/": {false, true}, "https://10.1.2.3/": {false, true}, "https://10.2.2.3/": {false, false},
	} {
		if got := [2]bool{strict.Guard.Check(url) == nil, open.Guard.Check(url) == nil}; got != want {
			t.Errorf("%s: %v, want %v", url, got, want)
		}
	}
	if c.Secrets() != nil {
		t.Error("a secret that nobody configured")
	}
}
