package signer_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"syncgate/signer"
)

func TestDefaultIsValid(t *testing.T) {
	c := signer.Default()
	if c.Window != 300*time.Second || len(c.Credentials) != 0 {
		t.Errorf("got %+v", c)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	c := signer.Config{
		Window: -1,
		Credentials: []signer.Credential{
			{Login: "good", Secret: "s"},
			{},
			{Login: "good", Secret: "s", Secrets: []signer.Secret{"x", ""}},
			{Login: "a/b", Secret: "s"},
			{Login: "..", Secret: "s"},
			{Login: "e1", Secret: "s", EngineLogin: "e2"},
			{Login: "e3", Secret: "s", EngineLogin: "e 4", EngineSecret: "s"},
			{Login: "e5", Secret: "s", EngineLogin: "e5"},
			{Login: "e6", Secrets: []signer.Secret{"s"}},
			{Login: "me@example.com:+~", Secret: "s", EngineSecret: "t"},
			{Login: "Олена", Secret: "s"},
		},
	}
	const want = `auth.window: must not be negative: write 300s, or 0s to turn it off
auth.credentials[1].login: must not be empty
auth.credentials[1].secret: must not be empty
auth.credentials[2].secrets[1]: must not be empty
auth.credentials[2].login: is the same as that of auth.credentials[0]
auth.credentials[3].login: may have letters, digits and -._~@:+ only
auth.credentials[4].login: must not be made of dots alone
auth.credentials[5].engine_secret: must not be empty when engine_login is another login
auth.credentials[6].engine_login: may have letters, digits and -._~@:+ only
auth.credentials[10].login: may have letters, digits and -._~@:+ only`
	err := c.Validate()
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := signer.NewKeyring(c.Credentials); err == nil || !strings.HasSuffix(want, err.Error()) {
		t.Errorf("NewKeyring: %v", err)
	}
}

func TestSecretIsMasked(t *testing.T) {
	c := signer.Credential{Login: "1", Secret: "visible", Secrets: []signer.Secret{"visible"}, EngineSecret: "visible"}
	var dumps []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		dumps = append(dumps, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, c.Secret), fmt.Sprintf(verb, c.Secrets))
	}
	asJSON, err := json.Marshal([]any{c})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(asYAML), "secret: '***'") {
		t.Errorf("YAML: %s", asYAML)
	}
	for _, dump := range append(dumps, string(asJSON), string(asYAML)) {
		if strings.Contains(dump, "visible") || strings.Contains(dump, fmt.Sprintf("%x", "visible")) {
			t.Errorf("shown: %s", dump)
		}
	}
	if got := fmt.Sprint(signer.Secret("")); got != "" {
		t.Errorf("an empty secret shows as %q", got)
	}
}

func TestYAML(t *testing.T) {
	var c signer.Config
	const text = `
window: 1m
credentials:
  - login: "1"
    secret: s
    secrets: [t]
    engine_login: "2"
    engine_secret: u
`
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	k := c.Credentials[0]
	if c.Window != time.Minute || k.Login != "1" || string(k.Secret) != "s" || string(k.Secrets[0]) != "t" || k.EngineLogin != "2" || string(k.EngineSecret) != "u" {
		t.Errorf("got %v, %s, %s, %s", c.Window, k.Login, string(k.Secret), string(k.EngineSecret))
	}
}
