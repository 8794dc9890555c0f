package configs_test

import (
	"regexp"
	"strings"
	"testing"

	"syncgate/configs"
)

// TestReferenceWaiter takes the example out of its comment: what it says are the defaults, and it works.
func TestReferenceWaiter(t *testing.T) {
	m := regexp.MustCompile(`(?m)^#   (- name: payments .*\n(?:#     .*\n)+)waiters: \[\]`).FindStringSubmatch(configs.Reference())
	if m == nil {
		t.Fatal("no example above waiters: []")
	}
	example := "waiters:\n  " + strings.ReplaceAll(m[1], "#   ", "  ")
	hash := strings.Repeat("0f", 20)
	env := []string{"PAY_HASH=" + hash, "PAY_SECRET=s3cret"}
	c := mustLoad(t, example, env...)
	if len(c.Waiters) != 1 || string(c.Waiters[0].Hashes[0]) != hash {
		t.Errorf("%+v", c.Waiters)
	}
	if strings.Contains(dump(t, c), hash) || strings.Contains(dump(t, c), "s3cret") {
		t.Error("the hash, or the secret, is shown")
	}
	short := mustLoad(t, `waiters: [{name: payments, conv_id: 1234, hashes: ["${PAY_HASH}"], path: order.id, timer: 10m,
  verify: {kind: hmac, secret: "${PAY_SECRET}", header: X-Signature}}]`, env...)
	// What is not set of verify and body is as the example has it.
	unset := regexp.MustCompile(`(?m)^ +(?:secret_format|algorithm|encoding|signed|tolerance|body): .*\n`)
	if a, b := unset.ReplaceAllString(dump(t, c), ""), unset.ReplaceAllString(dump(t, short), ""); a != b {
		t.Errorf("the example does not have the defaults:\n%s\n%s", a, b)
	}
}

func TestWaitersAndLogins(t *testing.T) {
	const file = `
auth: {credentials: [{login: "1", secret: s}, {login: callback, secret: s}]}
waiters: [{name: a, conv_id: 5, timer: 20s, logins: ["1", "2"], verify: {kind: hmac, header: X, secret_file: /nonexistent}}]
`
	_, _, err := load(t, file)
	if err == nil {
		t.Fatal("no problem")
	}
	for _, want := range []string{
		"auth.credentials[1].login: must not be callback", "waiters[0].logins[1]: is not one of auth.credentials", "waiters[0].timer: must be set to at least 30s",
		"waiters[0].verify.secret_file: read the secret",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

// The tasks of a route have no ref. Where nothing else could name them, nobody could ever complete them.
func TestRouteWhoseTasksHaveNoName(t *testing.T) {
	const file = `
auth: {credentials: [{login: "1", secret: s}]}
access: [{name: shop, keys: ["0123456789012345678901234567890123456789"], routes: [pay]}]
routes: [{name: pay, path: /pay, conv_id: 5, login: "1"}]
waiters: [`
	const ref, member, forward = `{name: a, conv_id: 5, timer: 1m, engine: none}`, `{name: b, conv_id: 5, timer: 1m, engine: none, key: data.order}`, `{name: c, conv_id: 5, timer: 1m}`
	for waiters, want := range map[string]bool{ref: true, ref + ", " + member: false, member: false, forward: false, strings.Replace(ref, "5", "6", 1): false} {
		_, _, err := load(t, file+waiters+"]")
		if got := err != nil && strings.Contains(err.Error(), "routes[0].conv_id: the waiters of process 5 have engine: none"); got != want || !want && err != nil {
			t.Errorf("%s: %v", waiters, err)
		}
	}
}
